"""Make the plan of a run: the corpus as it is, less what is committed, with what an unfinished run had planned."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from operators.commit import Store
from operators.media import UnreadableMedia, probe_many
from operators.schema import SEGMENTS, media_ms
from pipelines import ledger, runs
from pipelines.config import Config
from pipelines.corpus import Corpus, SourceFile
from pipelines.errors import JobError
from pipelines.plan import (
    Interval,
    Lengths,
    PlanError,
    Shard,
    Video,
    failed_video,
    from_table,
    pack,
    segments_of,
    video_id,
    video_of,
)

_OF_SEGMENTS = frozenset(("status", "reason", "retryable", "transcript"))
"""What the ledger says of each segment by these names isn't what was planned of the video."""


@dataclass(frozen=True)
class JobPlan:
    """What is to be done, and what is done already.

    `kept` of the shards come from an unfinished run; `done_ms` and `done_videos` count media of this corpus that is
    committed; `failed` are the ledger's rows (uri, times, status, reason) of this corpus that ended in failure;
    `replaced` are ids of versions of videos that have changed since they were labelled, `gone` of videos whose rows are
    to leave with them; `again` are rows of the ledger that are tried again, and leave it as their new ones come.
    """

    shards: tuple[Shard, ...]
    kept: int
    videos: int
    skipped: int
    done_videos: int
    done_ms: int
    failed: tuple[dict[str, Any], ...]
    replaced: frozenset[str]
    again: pa.Table
    gone: frozenset[str] = field(default=frozenset())

    @property
    def leaving(self) -> frozenset[str]:
        """Ids of all videos whose rows leave the tables before new ones come."""
        return self.replaced | self.gone

    @property
    def media_ms(self) -> int:
        """Milliseconds of media still to be labelled."""
        return sum(shard.media_ms for shard in self.shards)

    @property
    def unreadable(self) -> list[Video]:
        """Planned videos that couldn't be opened."""
        return [item.video for shard in self.shards for item in shard.segments if item.video.status != "ok"]


def make_plan(
    corpus: Corpus,
    store: Store | None,
    recipe_id: str,
    partition: str,
    config: Config,
    workers: int,
    again: pa.Table | None = None,
    foreseen: Callable[[], None] = lambda: None,
) -> JobPlan:
    """Plan a run over `corpus`. Without a store nothing is taken as done; nor are the rows `again` of the ledger.

    As soon as there will be something to do, which is long before it is known what, `foreseen` is called.
    """
    everything = ledger.read(store, partition) if store else SEGMENTS.empty_table()
    again = SEGMENTS.empty_table() if again is None else again
    committed = ledger.without_rows(everything, again)
    in_corpus = {video_id(file): file for file in corpus.files}
    ours = committed.filter(pc.is_in(committed["video_id"], pa.array(in_corpus, pa.string())))
    kept = kept_shards(store, partition, recipe_id, in_corpus.keys()) if store else []
    # Dictionaries of all that is done would take gigabytes; these are the videos that may still have parts to do.
    open_ids = {*ledger.unfinished(ours), *(item.video.video_id for shard in kept for item in shard.segments)}
    begun = ours.filter(pc.is_in(ours["video_id"], pa.array(open_ids, pa.string())))
    covered = _with_shards(ledger.intervals_by_video(begun), kept)

    known = [
        replace(video, transcript=video_of(in_corpus[name]).transcript)
        for name, video in _known_videos(begun, kept).items()
    ]
    done = set(pc.unique(ours["video_id"]).to_pylist())
    unknown = [file for name, file in in_corpus.items() if name not in done and name not in covered]
    if kept or unknown:
        foreseen()
    videos = [*known, *probe_files(unknown, config)]
    lengths = _lengths(config, workers)
    shards = [*kept, *pack(segments_of(videos, covered, lengths), lengths, recipe_id, _attempt(again))]

    to_do = {item.video.video_id for shard in shards for item in shard.segments}
    return JobPlan(
        shards=tuple(shards),
        kept=len(kept),
        videos=len(corpus.files),
        skipped=corpus.skipped,
        done_videos=len(done - to_do),
        done_ms=media_ms(ours),
        failed=ledger.failures(ours),
        replaced=_replaced(everything, in_corpus),
        again=again,
    )


def _attempt(again: pa.Table) -> str:
    """A word for another attempt at rows of the ledger, which says when they failed; none for the first attempt."""
    return f"{pc.max(again['finished_at']).as_py():%Y%m%dT%H%M%S%f}" if again.num_rows else ""


def kept_shards(store: Store, partition: str, recipe_id: str, in_corpus: Collection[str] | None = None) -> list[Shard]:
    """Shards that the last run of this recipe had planned and did not come to; a resume keeps the stored plan.

    With `in_corpus`, only those all of whose videos, by their ids, are in it. Not kept are shards with a video that
    couldn't be opened then for a reason that may have passed.

    Raises:
        JobError: the stored plan is damaged.
    """
    last = runs.latest(store, partition)
    if last is None or last.finished_at:
        return []
    committed = ledger.committed_shards(store, partition)
    return [
        shard
        for shard in _stored_plan(store, last.run_id, recipe_id)
        if shard.shard_id not in committed
        and (in_corpus is None or all(item.video.video_id in in_corpus for item in shard.segments))
        and not any(item.video.retryable for item in shard.segments)
    ]


def _stored_plan(store: Store, run_id: str, recipe_id: str) -> list[Shard]:
    try:
        content = store.read(f"{runs.RUNS}/{run_id}/plan.parquet")
    except FileNotFoundError:
        content = b""
    try:
        return from_table(pq.ParquetFile(pa.BufferReader(content)).read(), recipe_id)
    # pyarrow says of damaged Parquet that it is invalid, can't be read, is not implemented, or would not fit.
    except (PlanError, pa.ArrowException, OSError, ValueError) as error:
        raise JobError(
            f"{store.root}: the plan of the unfinished run {run_id} can't be used: {error}. Remove "
            f"_runs/{run_id}; the next run plans anew what is not committed."
        ) from error


def _with_shards(done: Mapping[str, list[Interval]], kept: Iterable[Shard]) -> dict[str, list[Interval]]:
    covered = {name: list(intervals) for name, intervals in done.items()}
    for shard in kept:
        for item in shard.segments:
            covered.setdefault(item.video.video_id, []).append((item.start_ms, item.end_ms))
    return covered


def _known_videos(committed: pa.Table, kept: Iterable[Shard]) -> dict[str, Video]:
    """Videos that need no probing: the ledger or the kept plan describes them. They may still have parts to do."""
    readable = committed.filter(pc.not_equal(committed["duration_ms"], 0))
    fields = [name for name in Video.__dataclass_fields__ if name not in _OF_SEGMENTS]
    known = {row.pop("video_id"): Video(**row) for row in readable.select([*fields, "video_id"]).to_pylist()}
    return known | {item.video.video_id: item.video for shard in kept for item in shard.segments}


def _lengths(config: Config, workers: int) -> Lengths:
    return Lengths(
        workers,
        config.windows.anchor_ms,
        set_segment_ms=_milliseconds(config.plan.segment_minutes),
        set_shard_ms=_milliseconds(config.plan.shard_minutes),
    )


def _milliseconds(minutes: float | None) -> int | None:
    return None if minutes is None else int(minutes * 60_000)


def _replaced(committed: pa.Table, in_corpus: Mapping[str, SourceFile]) -> frozenset[str]:
    """Ids of committed versions of videos that the corpus now holds in another version."""
    others = committed.filter(pc.invert(pc.is_in(committed["video_id"], pa.array(in_corpus, pa.string()))))
    here = pc.is_in(others["uri"], pa.array([file.uri for file in in_corpus.values()], pa.string()))
    return frozenset(others.filter(here)["video_id"].to_pylist())


def probe_files(files: Iterable[SourceFile], config: Config) -> Iterable[Video]:
    """Read the header of every file, in child processes; a file that can't be read becomes a failed video."""
    readable = []
    for file in files:
        if file.problem:
            yield failed_video(file, "unreadable", file.problem, retryable=True)
        else:
            readable.append(file)
    by_uri = {file.uri: file for file in readable}
    found_by_uri = probe_many(
        by_uri, config.plan.probe_workers, time_limit_s=config.plan.probe_time_limit_s, limits=config.limits
    )
    for uri, found in found_by_uri:
        file = by_uri[uri]
        if isinstance(found, UnreadableMedia):
            yield failed_video(file, found.status, found.reason, found.retryable)
        else:
            yield replace(
                video_of(file),
                duration_ms=found.duration_ms,
                width=found.width,
                height=found.height,
                fps=found.fps,
                video_codec=found.video_codec,
                audio_codec=found.audio_codec,
            )
