"""What the labels of each file add up to, a row for each of its videos: to read ten thousand files takes seconds.

OUT/_runs/sums/<partition>.parquet is no truth of its own: a row counts only while the listing shows the very file that
it came from, as in `pipelines.snapshot`; what it lacks is added up from the labels. It can be deleted at any time.
"""

from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from models.emotions import EMOTIONS, MODALITIES
from operators.commit import OutputError, Store
from pipelines.phrase import sketch
from pipelines.snapshot import version

FOLDER = "_runs/sums"
_READERS = 4
_BATCH = 64
_LENGTH = "(end_ms - start_ms)"

_COLUMNS = [
    ("rows", "BIGINT", "count(*)"),
    ("labelled_ms", "BIGINT", f"sum({_LENGTH})"),
    ("confidence", "DOUBLE", "sum(confidence)"),
    ("face_coverage_ms", "DOUBLE", f"sum(face_coverage * {_LENGTH})"),
    *[(f"rows_{name}", "BIGINT", f"count(*) FILTER (emotion = '{name}')") for name in EMOTIONS],
    *[(f"ms_{name}", "BIGINT", f"coalesce(sum({_LENGTH}) FILTER (emotion = '{name}'), 0)") for name in EMOTIONS],
    *[(f"best_{name}", "FLOAT", f"max(confidence) FILTER (emotion = '{name}')") for name in EMOTIONS],
    *[(f"ms_{name}", "BIGINT", f"coalesce(sum({_LENGTH}) FILTER (has_{name}), 0)") for name in MODALITIES],
]

SUMS = "SELECT {keys}, {columns} FROM {rows} GROUP BY {keys}".replace(
    "{columns}", ", ".join(f"({sql})::{kind} AS {name}" for name, kind, sql in _COLUMNS)
)
"""Adds up `{rows}`, which are labels, for each of `{keys}`."""

SUMMED = [name for name, _, _ in _COLUMNS if not name.startswith("best_")]
"""Columns that can be added up further."""

_READ = ["video_id", "start_ms", "end_ms", "emotion", "confidence", "face_coverage", "text"]
_READ += [f"has_{name}" for name in MODALITIES]
_ARROW = {"BIGINT": pa.int64(), "DOUBLE": pa.float64(), "FLOAT": pa.float32()}

SUMS_SCHEMA = pa.schema(
    [("video_id", pa.string()), *[(name, _ARROW[kind]) for name, kind, _ in _COLUMNS]],
)
SKETCH = "said"
"""Column: a sketch of what is said in the rows (`pipelines.phrase.sketch`)."""
_FILE, _VERSION = "file", "file_version"
_SCHEMA = pa.schema([*SUMS_SCHEMA, (SKETCH, pa.binary()), (_FILE, pa.string()), (_VERSION, pa.string())])


def read(store: Store, partition: str, files: dict[str, str], columns: Iterable[str]) -> pa.Table:
    """Those of the stored sums that are still true, with the column `file`.

    Args:
        store: the output.
        partition: the recipe's.
        files: the labels files that there are, with the mark of their content (`pipelines.snapshot.version`).
        columns: of the sums, and `SKETCH`.
    """
    return _true(_stored(store, partition, [*columns, _FILE, _VERSION]), files).drop_columns([_VERSION])


def refresh(store: Store, partition: str) -> None:
    """Bring the stored sums up to the labels; nothing is written where they are. Damaged labels are left out."""
    details = store.details(f"labels/{partition}", ".parquet")
    files = {name: version(info) for name, info in details.items()}
    stored = _stored(store, partition, _SCHEMA.names)
    kept = _true(stored, files)
    known = set(pc.unique(kept[_FILE]).to_pylist())
    missing = [name for name, mark in files.items() if mark and name not in known]
    new = [_sums(store, missing[at : at + _BATCH], files) for at in range(0, len(missing), _BATCH)]
    if any(table.num_rows for table in new) or kept.num_rows < stored.num_rows:
        store.put_table(_name(partition), pa.concat_tables([kept, *new]))


def _sums(store: Store, names: list[str], files: dict[str, str]) -> pa.Table:
    """The sums of some files, from their labels."""

    def labels(name: str) -> pa.Table | None:
        try:
            rows = store.read_table(name, _READ)
        except (OutputError, FileNotFoundError):
            return None
        return rows.append_column(_FILE, pa.repeat(pa.scalar(name), rows.num_rows)).replace_schema_metadata(None)

    with ThreadPoolExecutor(_READERS) as pool:
        tables = [table for table in pool.map(labels, names) if table is not None]
    if not tables:
        return _SCHEMA.empty_table()
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("rows", pa.concat_tables(tables))
        sums = connection.sql(SUMS.format(keys=f"{_FILE}, video_id", rows="rows")).to_arrow_table()
    texts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for table in tables:
        for key in zip(*(table[name].to_pylist() for name in (_FILE, "video_id", "text")), strict=True):
            if key[2]:
                texts[key[:2]].append(key[2])
    keys = list(zip(sums[_FILE].to_pylist(), sums["video_id"].to_pylist(), strict=True))
    columns = {
        SKETCH: pa.array([sketch(texts[key]) for key in keys], pa.binary()),
        _VERSION: pa.array([files[name] for name, _ in keys], pa.string()),
    }
    whole = [columns[name] if name in columns else sums[name] for name in _SCHEMA.names]
    return pa.table(whole, _SCHEMA.names).cast(_SCHEMA)


def _true(stored: pa.Table, files: dict[str, str]) -> pa.Table:
    pairs = zip(stored[_FILE].to_pylist(), stored[_VERSION].to_pylist(), strict=True)
    are_true = [bool(mark) and files.get(name) == mark for name, mark in pairs]
    return stored if all(are_true) else stored.filter(pa.array(are_true, pa.bool_()))


def _stored(store: Store, partition: str, columns: list[str]) -> pa.Table:
    with suppress(FileNotFoundError, OutputError):
        stored = store.read_table(_name(partition), columns).replace_schema_metadata(None)
        if stored.schema.equals(pa.schema([_SCHEMA.field(name) for name in columns])):
            return stored
    return pa.schema([_SCHEMA.field(name) for name in columns]).empty_table()


def _name(partition: str) -> str:
    return f"{FOLDER}/{partition}.parquet"
