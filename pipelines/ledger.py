"""Read what OUT holds: which segments are committed, in which shard, how they ended."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from operators.commit import OutputError, Store
from operators.schema import FAILED, SCHEMA_VERSION, SEGMENTS
from operators.write import LABELS_ORDER, file_names, with_labels_digest
from pipelines import snapshot
from pipelines.errors import JobError
from pipelines.plan import Interval, Shard, subtract

_ROW_KEY = ["shard_id", "video_id", "start_ms"]
"""What names a row of the ledger, in whichever file it is."""


def committed_shards(store: Store, partition: str) -> set[str]:
    """Ids of the shards whose ledger file is there."""
    return {PurePosixPath(name).stem for name in store.names(f"segments/{partition}", ".parquet")}


def read(store: Store, partition: str, listing: snapshot.Listing | None = None) -> pa.Table:
    """The ledger of one recipe (`operators.schema.SEGMENTS`), without what a later attempt has superseded.

    Args:
        store: the output.
        partition: the recipe's.
        listing: the ledger's files, as `Store.details` gives them, where they have been listed already.

    Raises:
        JobError: a newer FV2ES has written here.
        OutputError: a file is damaged.
    """
    rows = snapshot.read(store, partition, partial(_read_ledger, store), listing)
    return without_rows(rows, superseded(rows))


class Following:
    """What `read` gives, for who looks again and again: each time only what is new is read."""

    def __init__(self, store: Store, partition: str) -> None:
        self._following = snapshot.Following(store, partition, partial(_read_ledger, store))

    def read(self) -> pa.Table:
        """As `ledger.read`; FileNotFoundError where a file went while it was read."""
        rows = self._following.read()
        return without_rows(rows, superseded(rows))


def settle(store: Store, partition: str) -> pa.Table:
    """Take superseded rows out of the files, where a kill came before that was done; only for who holds the output.

    Returns the ledger, as `read` does, and spares the next run the reading of what is there now.
    """
    rows = remember(store, partition)
    leaving = superseded(rows)
    if not leaving.num_rows:
        return rows
    remove_rows(store, partition, leaving)
    return remember(store, partition)


def superseded_keys(store: Store, partition: str) -> set[tuple[str, str, int]]:
    """shard_id, video_id and start_ms of rows that a later attempt has superseded; none where files can't be read."""
    try:
        leaving = superseded(snapshot.read(store, partition, partial(_read_ledger, store)))
    except (JobError, OutputError, pa.ArrowException, OSError, KeyError):
        return set()
    return {tuple(row.values()) for row in leaving.select(_ROW_KEY).to_pylist()}


def remember(store: Store, partition: str) -> pa.Table:
    """Spare whoever reads the ledger next the reading of what is there now; only for who holds the output.

    Returns its rows, superseded ones among them.
    """
    return snapshot.refresh(store, partition, partial(_read_ledger, store))


def _read_ledger(store: Store, name: str) -> pa.Table:
    table = store.read_table(name)
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


def unfinished(ledger: pa.Table) -> list[str]:
    """Ids of the videos of which a part is not in the ledger."""
    spans = ledger.group_by("video_id").aggregate(
        [("start_ms", "count"), ("start_ms", "min"), ("end_ms", "max"), ("duration_ms", "max")]
    )
    whole = pc.and_(
        pc.equal(spans["start_ms_count"], 1),
        pc.and_(pc.equal(spans["start_ms_min"], 0), pc.equal(spans["end_ms_max"], spans["duration_ms_max"])),
    )
    cut = spans.filter(pc.invert(whole))
    durations = dict(zip(cut["video_id"].to_pylist(), cut["duration_ms_max"].to_pylist(), strict=True))
    rows = ledger.filter(pc.is_in(ledger["video_id"], pa.array(durations, pa.string())))
    return [name for name, done in intervals_by_video(rows).items() if subtract(durations[name], done)]


def failures(rows: pa.Table) -> tuple[dict[str, Any], ...]:
    """The rows of segments that could not be labelled: uri, times, status and reason."""
    failed = rows.filter(pc.is_in(rows["status"], pa.array(FAILED)))
    return tuple(failed.select(["uri", "start_ms", "end_ms", "status", "reason"]).to_pylist())


def retire(
    store: Store,
    partition: str,
    ledger: pa.Table,
    video_ids: Iterable[str],
    fence: Callable[[], None] = lambda: None,
) -> int:
    """Take the rows of videos that were replaced, or are gone, out of the files; returns how many videos left.

    Labels go first, then the ledger: a kill in between leaves a ledger row, and the next run finishes the work. Files
    that are left without a row leave too. `fence` is called before each shard, and raises where we may no longer write.
    """
    leaving = pa.array(sorted(video_ids), pa.string())
    affected = ledger.filter(pc.is_in(ledger["video_id"], leaving))
    for shard_id in pc.unique(affected["shard_id"]).to_pylist():
        fence()
        labels_name, segments_name = file_names(partition, shard_id)
        labels, segments = (_without(store.read_table(name), leaving) for name in (labels_name, segments_name))
        digest = store.put_table(labels_name, labels, LABELS_ORDER)
        if segments.num_rows:
            store.put_table(segments_name, with_labels_digest(segments, digest))
        else:
            store.remove(segments_name)
            store.remove(labels_name)
    return len(pc.unique(affected["video_id"]))


def _without(table: pa.Table, leaving: pa.Array) -> pa.Table:
    return table.filter(pc.invert(pc.is_in(table["video_id"], leaving)))


def superseded(rows: pa.Table) -> pa.Table:
    """The failed rows of segments that have been tried again since: later rows of their video cover their time."""
    times = rows.select(["video_id", "start_ms", "end_ms", "finished_at", "shard_id", "status"])
    failed = times.filter(pc.is_in(times["status"], pa.array(FAILED)))
    again = times.filter(pc.is_in(times["video_id"], pc.unique(failed["video_id"])))
    by_video: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in again.to_pylist():
        by_video[row["video_id"]].append(row)
    gone = []
    for row in failed.to_pylist():
        later = [
            (item["start_ms"], item["end_ms"])
            for item in by_video[row["video_id"]]
            if item["finished_at"] > row["finished_at"] and item["shard_id"] != row["shard_id"]
        ]
        if _is_covered(row, later):
            gone.append(row)
    return _keys(gone)


def _keys(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.table({name: pa.array([row[name] for row in rows], SEGMENTS.field(name).type) for name in _ROW_KEY})


class Superseding:
    """Takes the old rows of segments that are tried again out of the ledger as their new ones come."""

    def __init__(self, store: Store, partition: str, again: pa.Table) -> None:
        self._store = store
        self._partition = partition
        self._old: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in again.select([*_ROW_KEY, "end_ms"]).to_pylist():
            self._old[row["video_id"]].append(row)
        self._new: dict[str, list[Interval]] = defaultdict(list)

    def committed(self, shard: Shard) -> None:
        """A shard's new rows are in the ledger."""
        leaving = []
        for item in shard.segments:
            name = item.video.video_id
            if name in self._old:
                self._new[name].append((item.start_ms, item.end_ms))
                covered = [row for row in self._old[name] if _is_covered(row, self._new[name])]
                self._old[name] = [row for row in self._old[name] if row not in covered]
                leaving += covered
        remove_rows(self._store, self._partition, _keys(leaving))


def _is_covered(row: dict[str, Any], later: list[Interval]) -> bool:
    """Whether all of a row's time is in later ones. A file that wouldn't open has no length: any later row will do."""
    left = [max(start_ms, row["start_ms"]) < end_ms for start_ms, end_ms in subtract(row["end_ms"], later)]
    return bool(later) and not any(left)


def without_rows(rows: pa.Table, leaving: pa.Table) -> pa.Table:
    """The rows of the ledger but for those that `leaving` names by shard_id, video_id and start_ms."""
    if not leaving.num_rows:
        return rows
    names = {tuple(row.values()) for row in leaving.select(_ROW_KEY).to_pylist()}
    stays = pc.invert(pc.is_in(rows["video_id"], pc.unique(leaving["video_id"]))).to_numpy().astype(bool)
    asked = np.flatnonzero(~stays)
    keys = zip(*(rows[name].take(pa.array(asked)).to_pylist() for name in _ROW_KEY), strict=True)
    stays[asked] = [key not in names for key in keys]
    return rows.filter(pa.array(stays))


def remove_rows(store: Store, partition: str, leaving: pa.Table) -> None:
    """Take rows of failed segments, which have no labels, out of the ledger; files left without a row leave too."""
    for shard_id in pc.unique(leaving["shard_id"]).to_pylist():
        labels_name, segments_name = file_names(partition, shard_id)
        table = store.read_table(segments_name)
        left = without_rows(table, leaving)
        if left.num_rows:
            store.put_table(segments_name, left)
        else:
            store.remove(segments_name)
            store.remove(labels_name)


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
