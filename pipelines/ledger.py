"""Read what OUT holds: which segments are committed, in which shard, how they ended."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from operators.commit import Store
from operators.schema import FAILED, SCHEMA_VERSION, SEGMENTS
from operators.write import LABELS_ORDER, file_names
from pipelines.errors import JobError
from pipelines.plan import Interval

_READERS = 8


def committed_shards(store: Store, partition: str) -> set[str]:
    """Ids of the shards whose ledger file is there."""
    return {PurePosixPath(name).stem for name in store.names(f"segments/{partition}", ".parquet")}


def read(store: Store, partition: str) -> pa.Table:
    """Every row of the ledger of one recipe (`operators.schema.SEGMENTS`).

    Raises:
        JobError: a newer FV2ES has written here.
    """
    names = store.names(f"segments/{partition}", ".parquet")
    with ThreadPoolExecutor(_READERS) as pool:
        tables = list(pool.map(lambda name: _read_ledger(store, name), names))
    return pa.concat_tables(tables) if tables else SEGMENTS.empty_table()


def _read_ledger(store: Store, name: str) -> pa.Table:
    table = pq.read_table(pa.BufferReader(store.read(name)))
    version = int((table.schema.metadata or {}).get(b"fv2es.schema_version", b"0"))
    if version > SCHEMA_VERSION:
        raise JobError(
            f"{name} was written by a newer FV2ES (schema {version}, this one knows {SCHEMA_VERSION}): upgrade."
        )
    return table.replace_schema_metadata(None)


def intervals_by_video(ledger: pa.Table) -> dict[str, list[Interval]]:
    """What of each video, by video_id, has been dealt with."""
    done: dict[str, list[Interval]] = defaultdict(list)
    columns = (ledger[name].to_pylist() for name in ("video_id", "start_ms", "end_ms"))
    for video_id, start_ms, end_ms in zip(*columns, strict=True):
        done[video_id].append((start_ms, end_ms))
    return done


def failures(rows: pa.Table) -> tuple[dict[str, Any], ...]:
    """The rows of segments that could not be labelled: uri, times, status and reason."""
    failed = rows.filter(pc.is_in(rows["status"], pa.array(FAILED)))
    return tuple(failed.select(["uri", "start_ms", "end_ms", "status", "reason"]).to_pylist())


def retire(store: Store, partition: str, ledger: pa.Table, video_ids: Iterable[str]) -> int:
    """Take the rows of videos that have been replaced out of the committed files; returns how many videos left.

    Labels go first, then the ledger: a kill in between leaves a ledger row, and the next run finishes the work.
    """
    leaving = pa.array(sorted(video_ids), pa.string())
    affected = ledger.filter(pc.is_in(ledger["video_id"], leaving))
    for shard_id in pc.unique(affected["shard_id"]).to_pylist():
        labels_name, segments_name = file_names(partition, shard_id)
        for name, order in ((labels_name, LABELS_ORDER), (segments_name, None)):
            table = store.read_table(name)
            store.put_table(name, table.filter(pc.invert(pc.is_in(table["video_id"], leaving))), order)
    return len(pc.unique(affected["video_id"]))


def remove_uncommitted(store: Store, partition: str, planned: Collection[str]) -> list[str]:
    """Remove labels that a killed run wrote without committing them, but for shards that are planned and will be.

    Returns the names of the files that were removed.
    """
    expected = committed_shards(store, partition) | set(planned)
    names = store.names(f"labels/{partition}", ".parquet")
    left = [name for name in names if PurePosixPath(name).stem not in expected]
    for name in left:
        store.remove(name)
    return left
