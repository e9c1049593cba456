"""The plan: which part of which video goes into which shard. Pure functions of sizes and settings, nothing else.

Same files and settings, same shards, in whatever order the listing came. Cuts lie on multiples of the anchor period, so
that the labels do not depend on where they are (see `operators.windows`).
"""

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import pyarrow as pa

from operators.schema import PLANNED
from pipelines.corpus import SourceFile

MAX_SEGMENTS_PER_SHARD = 256
"""A shard of thousands of tiny files would be a coarse unit of retry."""

SEGMENTS_PER_WORKER, SHARDS_PER_WORKER = 1, 6
"""Segments and shards are such parts of what is left for each worker: the last ones don't leave workers idle for long.
Cuts cost more than that (`benchmarks.lengths`), so a segment is all of it. A shard has one segment at least. It is
smaller in case of doubt, for the first to be committed soon."""

MIN_SHARD_MS, MAX_SHARD_MS = 60_000, 60 * 60_000

MAX_SEGMENT_MS = 4 * 60_000
"""A segment's sound and crops are in memory together: some 15 MB."""

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


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long shards and segments are, by how much is left to do where they begin.

    Long ones first, as every cut costs; short ones last, so that the workers end together (guided self-scheduling:
    Polychronopoulos and Kuck 1987). Lengths that are set hold throughout.
    """

    workers: int
    anchor_ms: int
    set_segment_ms: int | None = None
    set_shard_ms: int | None = None

    def shard_ms(self, left_ms: int) -> int:
        """Media a shard, at most, in ms: 1 to 60 minutes where nothing is set."""
        if self.set_shard_ms is not None:
            return self.set_shard_ms
        return max(MIN_SHARD_MS, min(MAX_SHARD_MS, left_ms // (self.workers * SHARDS_PER_WORKER)))

    def segment_ms(self, left_ms: int) -> int:
        """The usual length of a segment, in ms: a multiple of the anchor period."""
        segment_ms = self.set_segment_ms
        if segment_ms is None:
            share_ms = max(MIN_SHARD_MS, left_ms // (self.workers * SEGMENTS_PER_WORKER))
            segment_ms = min(MAX_SEGMENT_MS, self.set_shard_ms or share_ms)
        return round_to_anchor(segment_ms, self.anchor_ms)


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


def cut(interval: Interval, lengths: Lengths, left_ms: int) -> list[Interval]:
    """Cut an interval into segments; the last piece is between half and one and a half of the usual length.

    `left_ms` is what is to be done from the interval on, itself included.
    """
    start_ms, end_ms = interval
    edges = [start_ms]
    while end_ms - edges[-1] > 1.5 * (segment_ms := lengths.segment_ms(left_ms - (edges[-1] - start_ms))):
        edges.append(edges[-1] + segment_ms)
    return list(itertools.pairwise([*edges, end_ms]))


def segments_of(videos: Iterable[Video], done: Mapping[str, Iterable[Interval]], lengths: Lengths) -> Iterator[Segment]:
    """The segments that are still to be labelled, in order of uri and time, given the intervals done of videos by ids.

    A segment's index is the number of the anchor at which it starts: unique in its video whatever else is done, and
    however long the segments of other runs were.
    """
    to_do = [(video, _to_do(video, done.get(video.video_id, ()))) for video in sorted(videos, key=attrgetter("uri"))]
    left_ms = sum(end_ms - start_ms for _, intervals in to_do for start_ms, end_ms in intervals)
    for video, intervals in to_do:
        for interval in intervals:
            for start_ms, end_ms in cut(interval, lengths, left_ms):
                yield Segment(video, start_ms // lengths.anchor_ms, start_ms, end_ms)
                left_ms -= end_ms - start_ms


def _to_do(video: Video, done: Iterable[Interval]) -> list[Interval]:
    if video.status != "ok":
        return [] if list(done) else [(0, 0)]
    return subtract(video.duration_ms, done)


def pack(segments: Iterable[Segment], lengths: Lengths, recipe_id: str, attempt: str = "") -> list[Shard]:
    """Pack segments into shards, neighbours together, in order of uri and time.

    attempt: of another attempt at segments that have failed, a word that tells it from the first: its shards have it in
    their ids, as their files must not replace those of the first.
    """
    shards: list[Shard] = []
    current: list[Segment] = []
    current_ms = 0
    in_order = sorted(segments, key=lambda item: (item.video.uri, item.start_ms))
    left_ms = sum(segment.end_ms - segment.start_ms for segment in in_order)
    shard_ms = lengths.shard_ms(left_ms)
    for segment in in_order:
        length_ms = segment.end_ms - segment.start_ms
        if current and (current_ms + length_ms > shard_ms or len(current) == MAX_SEGMENTS_PER_SHARD):
            shards.append(_shard(current, recipe_id, attempt))
            left_ms -= current_ms
            current, current_ms, shard_ms = [], 0, lengths.shard_ms(left_ms)
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
