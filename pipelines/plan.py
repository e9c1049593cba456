"""The plan: which part of which video goes into which shard. Pure functions of sizes and settings, nothing else.

Same files and settings, same shards, in whatever order the listing came. Cuts lie on multiples of the anchor period, so
that the labels do not depend on where they are (see `operators.windows`).
"""

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import pyarrow as pa

from operators.schema import PLANNED
from pipelines.corpus import SourceFile

MAX_SEGMENTS_PER_SHARD = 256
"""A shard of thousands of tiny files would be a coarse unit of retry."""

SHARDS_PER_WORKER = 8
"""Enough shards for the last ones not to leave workers idle for long."""

MIN_SHARD_MS, MAX_SHARD_MS = 2 * 60_000, 60 * 60_000

ROWS_AT_ONCE = 10_000
"""Of a stored plan, as dictionaries: a million of them would take gigabytes."""

_ATTEMPT = re.compile(r"[0-9A-Za-z]{0,40}")

Interval = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Video:
    """One version of one video, with what probing found. `status` is "ok" or one of `operators.schema.FAILED`."""

    uri: str
    size: int
    etag_or_mtime: str
    duration_ms: int = 0
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    status: str = "ok"
    reason: str | None = None
    retryable: bool = False
    transcript_uri: str | None = None
    transcript_size: int | None = None
    transcript_etag_or_mtime: str | None = None
    transcript: str | None = None

    @property
    def identity(self) -> tuple[str | int | None, ...]:
        """What tells this version of this video from all others, its transcript included; a changed file is another."""
        media = (self.uri, self.size, self.etag_or_mtime)
        if self.transcript_uri is None:
            return media
        return (*media, self.transcript_uri, self.transcript_size, self.transcript_etag_or_mtime)

    @property
    def video_id(self) -> str:
        """16 hex digits of the identity."""
        return hashlib.sha256("\n".join(map(str, self.identity)).encode("utf-8", "surrogateescape")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch [start_ms, end_ms) of a video; (0, 0) of one that couldn't be opened."""

    video: Video
    segment_index: int
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Shard:
    """The unit of work, retry, output and progress."""

    shard_id: str
    segments: tuple[Segment, ...]

    @property
    def media_ms(self) -> int:
        """Milliseconds of media in this shard."""
        return sum(segment.end_ms - segment.start_ms for segment in self.segments)


def video_id(file: SourceFile) -> str:
    """16 hex digits that name one version of one file and of its transcript."""
    return video_of(file).video_id


def video_of(file: SourceFile) -> Video:
    """A video of which nothing is known yet but its file and its transcript."""
    beside = file.transcript
    if beside is None:
        return Video(file.uri, file.size, file.etag_or_mtime)
    refused = f"not used: {beside.uri.rpartition('/')[2]}: {beside.problem}" if beside.problem else None
    return Video(
        file.uri,
        file.size,
        file.etag_or_mtime,
        transcript_uri=beside.uri,
        transcript_size=beside.size,
        transcript_etag_or_mtime=beside.etag_or_mtime,
        transcript=refused,
    )


def choose_shard_ms(total_media_ms: int, workers: int) -> int:
    """Media a shard, in ms: enough shards to keep `workers` busy, 2 to 60 minutes each."""
    return max(MIN_SHARD_MS, min(MAX_SHARD_MS, total_media_ms // (workers * SHARDS_PER_WORKER)))


def round_to_anchor(length_ms: int, anchor_ms: int) -> int:
    """The nearest multiple of `anchor_ms`, at least one."""
    return max(1, round(length_ms / anchor_ms)) * anchor_ms


def subtract(duration_ms: int, done: Iterable[Interval]) -> list[Interval]:
    """What of [0, duration_ms) is in none of the intervals `done`, in order."""
    left, position = [], 0
    for start_ms, end_ms in sorted(done):
        if start_ms > position:
            left.append((position, min(start_ms, duration_ms)))
        position = max(position, end_ms)
    if position < duration_ms:
        left.append((position, duration_ms))
    return left


def cut(interval: Interval, segment_ms: int) -> list[Interval]:
    """Cut an interval every `segment_ms`; the last piece is between half and one and a half of that long."""
    start_ms, end_ms = interval
    count = max(1, round((end_ms - start_ms) / segment_ms))
    edges = [start_ms + index * segment_ms for index in range(count)] + [end_ms]
    return list(itertools.pairwise(edges))


def segments_of(video: Video, done: Iterable[Interval], segment_ms: int, anchor_ms: int) -> list[Segment]:
    """The segments of `video` that are still to be labelled, given the intervals that are done.

    `segment_ms` is a multiple of `anchor_ms`. A segment's index is the number of the anchor at which it starts: unique
    in its video whatever else is done, and however long the segments of other runs were.
    """
    if video.status != "ok":
        return [] if list(done) else [Segment(video, 0, 0, 0)]
    return [
        Segment(video, start_ms // anchor_ms, start_ms, end_ms)
        for interval in subtract(video.duration_ms, done)
        for start_ms, end_ms in cut(interval, segment_ms)
    ]


def pack(segments: Iterable[Segment], shard_ms: int, recipe_id: str, attempt: str = "") -> list[Shard]:
    """Pack segments into shards of about `shard_ms`, neighbours together, in order of uri and time.

    attempt: of another attempt at segments that have failed, a word that tells it from the first: its shards have it in
    their ids, as their files must not replace those of the first.
    """
    shards: list[Shard] = []
    current: list[Segment] = []
    current_ms = 0
    for segment in sorted(segments, key=lambda item: (item.video.uri, item.start_ms)):
        length_ms = segment.end_ms - segment.start_ms
        if current and (current_ms + length_ms > shard_ms or len(current) == MAX_SEGMENTS_PER_SHARD):
            shards.append(_shard(current, recipe_id, attempt))
            current, current_ms = [], 0
        current.append(segment)
        current_ms += length_ms
    if current:
        shards.append(_shard(current, recipe_id, attempt))
    return shards


def _shard(segments: Sequence[Segment], recipe_id: str, attempt: str) -> Shard:
    identity = [[*item.video.identity, item.start_ms, item.end_ms] for item in segments]
    canonical = json.dumps([recipe_id, identity], separators=(",", ":"), ensure_ascii=True)
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:20]
    return Shard(f"{digest}-{attempt}" if attempt else digest, tuple(segments))


def to_table(shards: Iterable[Shard]) -> pa.Table:
    """One row a segment (`operators.schema.PLANNED`): what is stored with the run and what the engines are given."""
    pairs = [(shard.shard_id, segment) for shard in shards for segment in shard.segments]
    columns = []
    for field in PLANNED:
        values: Iterable[Any]
        if field.name == "shard_id":
            values = (shard_id for shard_id, _ in pairs)
        elif field.name in Segment.__dataclass_fields__:
            values = map(attrgetter(field.name), (segment for _, segment in pairs))
        else:
            values = map(attrgetter(field.name), (segment.video for _, segment in pairs))
        columns.append(pa.array(list(values), field.type))
    return pa.table(columns, schema=PLANNED)


class PlanError(ValueError):
    """A stored plan that isn't what was stored."""


def from_table(table: pa.Table, recipe_id: str) -> list[Shard]:
    """The shards of a stored plan, in their stored order.

    Raises:
        PlanError: the table is no plan of this recipe, or was changed: every id must be the digest of what it names.
    """
    grouped: dict[str, list[Segment]] = {}
    fields = set(Video.__dataclass_fields__)
    for row in _planned_rows(table):
        video = Video(**{name: value for name, value in row.items() if name in fields})
        segment = Segment(video, row["segment_index"], row["start_ms"], row["end_ms"])
        if video.video_id != row["video_id"] or not 0 <= segment.start_ms <= segment.end_ms <= video.duration_ms:
            raise PlanError(f"the id or the times of {video.uri!r} are not its own")
        grouped.setdefault(row["shard_id"], []).append(segment)
    shards = [Shard(shard_id, tuple(segments)) for shard_id, segments in grouped.items()]
    for shard in shards:
        attempt = shard.shard_id.partition("-")[2]
        # The digest says nothing of the attempt, and ids become names of files.
        if not _ATTEMPT.fullmatch(attempt) or shard.shard_id != _shard(shard.segments, recipe_id, attempt).shard_id:
            raise PlanError(f"shard {shard.shard_id!r} doesn't hold what its id says")
    return shards


def _planned_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Rows of a table that has the columns of `PLANNED`, of its types, and no nulls where it has none."""
    different = [field.name for field in PLANNED if field.name not in table.column_names]
    different += [name for name in table.column_names if name not in PLANNED.names]
    if different:
        raise PlanError(f"its columns are others: {', '.join(map(repr, sorted(different)[:5]))}")
    for field in PLANNED:
        column = table[field.name]
        if column.type != field.type or (column.null_count and not field.nullable):
            raise PlanError(f"its column {field.name!r} is not of the kind it should be")
    try:
        for batch in table.to_batches(ROWS_AT_ONCE):
            yield from batch.to_pylist()
    except UnicodeDecodeError as error:
        raise PlanError("its texts are not valid UTF-8") from error


def failed_video(file: SourceFile, status: str, reason: str, retryable: bool) -> Video:
    """A video that could not be opened: it is planned all the same, so that the ledger says why."""
    return replace(video_of(file), status=status, reason=reason, retryable=retryable)
