"""Write: commit a shard as two Parquet files, its labels first and its line of the ledger last."""

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

import pyarrow as pa
import pyarrow.compute as pc

from operators.commit import Store
from operators.schema import FAILED, LABEL_FIELDS, LABELS, SCHEMA_VERSION, SEGMENTS, media_ms

LABELS_ORDER = [("video_id", "ascending"), ("start_ms", "ascending")]

LABELS_DIGEST = b"fv2es.labels_sha256"
"""Key in the ledger's metadata: the sha256 of the labels file that it commits."""

SUMMARY = pa.schema(
    [
        ("shard_id", pa.string()),
        ("media_ms", pa.int64()),
        ("segments", pa.int64()),
        ("failed_segments", pa.int64()),
        ("utterances", pa.int64()),
    ]
)
"""What `Write` returns: one row a committed shard, for progress."""


@dataclass(frozen=True)
class Target:
    """Where the tables go and what is said of them in every file."""

    root: str
    partition: str
    run_id: str
    recipe: str  # canonical JSON

    def metadata(self) -> dict[bytes, bytes]:
        """Key-value metadata of every file."""
        values = {"fv2es.schema_version": str(SCHEMA_VERSION), "fv2es.recipe": self.recipe}
        return {key.encode(): value.encode() for key, value in values.items()}


def file_names(partition: str, shard_id: str) -> tuple[str, str]:
    """Names of a shard's labels and of its ledger below OUT."""
    return f"labels/{partition}/{shard_id}.parquet", f"segments/{partition}/{shard_id}.parquet"


class Write:
    """Commit shards. Table in: `schema.INFERRED`, one shard. Out: `SUMMARY`, one row.

    Written twice, a shard overwrites the same two files with the same rows; only once both are there does it count.

    Args:
        target: where to.
        fence: called before each file is put in place; raises where this run may no longer write.
    """

    def __init__(self, target: Target, fence: Callable[[], None] = lambda: None) -> None:
        self._target = target
        self._fence = fence
        self._store = Store(target.root)

    def __call__(self, shard: pa.Table) -> pa.Table:
        """Commit one shard and tell what was in it."""
        shard_id = shard["shard_id"][0].as_py()
        now = pa.scalar(datetime.now(timezone.utc), pa.timestamp("us", tz="UTC"))
        labels, segments = self._labels(shard, now), self._segments(shard, now)
        labels_name, segments_name = file_names(self._target.partition, shard_id)
        self._fence()
        digest = self._store.put_table(labels_name, labels, LABELS_ORDER)
        self._fence()
        self._store.put_table(segments_name, with_labels_digest(segments, digest))
        return summary(segments)

    def _labels(self, shard: pa.Table, now: pa.Scalar) -> pa.Table:
        rows = shard["labels"].combine_chunks()
        flat = pc.list_flatten(rows) if len(rows) else pa.array([], rows.type.value_type)
        table = pa.Table.from_struct_array(flat).cast(pa.schema(LABEL_FIELDS))
        table = table.append_column(LABELS.field("run_id"), pa.repeat(self._target.run_id, len(table)))
        table = table.append_column(LABELS.field("labelled_at"), pa.repeat(now, len(table)))
        return table.sort_by(LABELS_ORDER).replace_schema_metadata(self._target.metadata())

    def _segments(self, shard: pa.Table, now: pa.Scalar) -> pa.Table:
        count = len(shard)
        columns = {name: shard[name] for name in SEGMENTS.names if name in shard.column_names}
        columns["utterances"] = pc.fill_null(pc.list_value_length(shard["labels"]), 0)
        columns["faces"] = shard["face_count"]
        columns["host"] = pa.repeat(socket.gethostname(), count)
        columns["run_id"] = pa.repeat(self._target.run_id, count)
        columns["finished_at"] = pa.repeat(now, count)
        table = pa.Table.from_pydict({name: columns[name] for name in SEGMENTS.names})
        return table.cast(SEGMENTS).replace_schema_metadata(self._target.metadata())


def summary(segments: pa.Table) -> pa.Table:
    """What the ledger's rows of one shard say of it, in one row (`SUMMARY`)."""
    values = {
        "shard_id": segments["shard_id"][0].as_py(),
        "media_ms": media_ms(segments),
        "segments": segments.num_rows,
        "failed_segments": pc.sum(pc.is_in(segments["status"], pa.array(FAILED))).as_py(),
        "utterances": pc.sum(segments["utterances"]).as_py(),
    }
    return pa.Table.from_pylist([values], schema=SUMMARY)


def with_labels_digest(segments: pa.Table, digest: str) -> pa.Table:
    """A table of the ledger that says which labels file it commits."""
    return segments.replace_schema_metadata((segments.schema.metadata or {}) | {LABELS_DIGEST: digest.encode()})


def canonical_json(value: object) -> str:
    """JSON with one spelling: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
