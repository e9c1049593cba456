"""Write the rows of a query, batch by batch: CSV, one JSON object a line, Parquet."""

import csv
import io
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

Writer = Callable[[pa.RecordBatchReader, IO[bytes]], int]


def write_csv(rows: pa.RecordBatchReader, file: IO[bytes]) -> int:
    """A head line and a line a row; lists and structures are JSON. Returns the number of rows."""
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    try:
        writer = csv.writer(text)
        writer.writerow(rows.schema.names)
        count = 0
        for batch in rows:
            columns = [column.to_pylist() for column in batch.columns]
            writer.writerows([_cell(value) for value in row] for row in zip(*columns, strict=True))
            count += batch.num_rows
        return count
    finally:
        text.detach()


def write_json(rows: pa.RecordBatchReader, file: IO[bytes]) -> int:
    """A line a row. Returns the number of rows."""
    count = 0
    for batch in rows:
        for row in batch.to_pylist():
            file.write(json.dumps(row, default=str, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        count += batch.num_rows
    return count


def write_parquet(rows: pa.RecordBatchReader, file: IO[bytes]) -> int:
    """Returns the number of rows."""
    count = 0
    with pq.ParquetWriter(file, rows.schema, compression="zstd") as writer:
        for batch in rows:
            writer.write_batch(batch)
            count += batch.num_rows
    return count


WRITERS: dict[str, Writer] = {"csv": write_csv, "json": write_json, "parquet": write_parquet}


def to_file(rows: pa.RecordBatchReader, path: Path, write: Writer) -> int:
    """Write rows to a file, which is there as a whole or not at all. Returns their number.

    Raises:
        OSError: it can't be written.
    """
    temporary = path.with_name(f".{path.name[:60]}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            count = write(rows, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _cell(value: Any) -> Any:
    return json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, list | dict) else value
