"""Check every commit of an output: each shard by itself, and all of them against each other. Changes nothing.

Files are read and dropped shard by shard; what stays in memory is one short row a segment.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from operators.commit import OutputError, Store
from operators.write import file_names
from pipelines import annotations, lease, ledger, runs
from pipelines.check_shard import SegmentSpan, ShardReport, check_shard
from pipelines.errors import SettingsError

READERS = 4
AHEAD = 4 * READERS
"""Shards whose files may be in memory at the same time."""


@dataclass(frozen=True)
class Problem:
    """Something wrong: in which file, in which shard, what."""

    partition: str
    shard_id: str
    file: str
    what: str


@dataclass(frozen=True)
class AnnotationProblem:
    """Something wrong with a file of annotations. No command makes them again, so none takes them out either."""

    file: str
    what: str


@dataclass
class Report:
    """What an output holds and what is wrong with it. `without_digest` shards come from an older FV2ES."""

    shards: int = 0
    segments: int = 0
    utterances: int = 0
    without_digest: int = 0
    problems: list[Problem] = field(default_factory=list)
    annotations: int = 0
    annotation_problems: list[AnnotationProblem] = field(default_factory=list)


def validate(store: Store) -> Report:
    """Check all partitions of an output.

    Raises:
        SettingsError: nothing of FV2ES is there.
    """
    report = Report()
    files = {table: store.names(table, ".parquet") for table in ("labels", "segments")}
    if not files["segments"] and not files["labels"] and not runs.states(store):
        raise SettingsError(f"{store.root}: no run of FV2ES has written here. Is the path right?")
    shards = {table: {_place(name) for name in names} for table, names in files.items()}
    for part in sorted({place[0] for places in shards.values() for place in places}):
        committed, labelled = (
            {shard_id for name, shard_id in shards[table] if name == part} for table in ("segments", "labels")
        )
        for shard_id in sorted(labelled - committed):
            what = "labels without a line in the ledger: their run was ended before it committed them"
            report.problems.append(Problem(part, shard_id, file_names(part, shard_id)[0], what))
        _validate_partition(store, part, sorted(committed), report)
    _validate_annotations(store, report)
    return report


def _validate_annotations(store: Store, report: Report) -> None:
    for name in annotations.names(store):
        try:
            rows = annotations.read_file(store, name)
        except OutputError as error:
            report.annotation_problems.append(AnnotationProblem(name, str(error)))
            continue
        report.annotations += len(rows)
        report.annotation_problems += [AnnotationProblem(name, what) for what in annotations.problems(rows)]


def _place(name: str) -> tuple[str, str]:
    path = PurePosixPath(name)
    return path.parent.name, path.stem


def _validate_partition(store: Store, part: str, committed: list[str], report: Report) -> None:
    superseded = ledger.superseded_keys(store, part)
    videos: dict[str, list[tuple[SegmentSpan, str]]] = defaultdict(list)
    for shard in _reports(store, part, committed):
        report.shards += 1
        report.segments += len(shard.segments)
        report.utterances += shard.utterances
        report.without_digest += not shard.has_digest
        report.problems += [Problem(part, shard.shard_id, file, what) for file, what in shard.problems]
        for span in shard.segments:
            if (shard.shard_id, span.video_id, span.start_ms) not in superseded:
                videos[span.video_id].append((span, shard.shard_id))
    report.problems += _between_shards(part, videos)


def _reports(store: Store, part: str, committed: list[str]) -> Iterator[ShardReport]:
    def check(shard_id: str) -> ShardReport:
        names = file_names(part, shard_id)
        content = []
        for name in names:
            try:
                content.append(store.read(name))
            except FileNotFoundError:
                return ShardReport(shard_id, [(name, "it is not there, though the ledger says it is committed")])
        return check_shard(names, shard_id, part, content[0], content[1])

    waiting: list[Future[ShardReport]] = []
    with ThreadPoolExecutor(READERS) as pool:
        for shard_id in committed:
            waiting.append(pool.submit(check, shard_id))
            if len(waiting) > AHEAD:
                yield waiting.pop(0).result()
        for answer in waiting:
            yield answer.result()


def _between_shards(part: str, videos: dict[str, list[tuple[SegmentSpan, str]]]) -> Iterator[Problem]:
    versions: dict[str, dict[str, str]] = defaultdict(dict)
    for video_id, found in videos.items():
        found.sort()
        versions[found[0][0].uri][video_id] = found[0][1]
        for (before, one), (after, other) in itertools.pairwise(found):
            same_file = before.start_ms == after.start_ms or after.start_ms < before.end_ms
            overlap = before.last_label_ms is not None and after.first_label_ms is not None
            if same_file:
                what = f"{after.uri}: {after.start_ms} to {after.end_ms} ms is in two shards, {one} and {other}"
            elif overlap and (after.first_label_ms or 0) < (before.last_label_ms or 0):
                what = f"{after.uri}: utterances of the shards {one} and {other} overlap at {after.first_label_ms} ms"
            else:
                continue
            for shard_id in {one, other}:
                yield Problem(part, shard_id, file_names(part, shard_id)[1], what)
    for uri, ids in versions.items():
        if len(ids) > 1:
            for shard_id in set(ids.values()):
                what = f"{uri}: two versions of this file are in the tables; `fv2es label` takes the old one out"
                yield Problem(part, shard_id, file_names(part, shard_id)[1], what)


def repair(store: Store, lease_s: float) -> Report:
    """Check, and take every shard that something is wrong with out of the output: its line in the ledger first.

    Annotations stay as they are. The next `label` labels again what was in them.

    Raises:
        OutputInUseError: a run is writing there.
        SettingsError: nothing of FV2ES is there.
    """
    with lease.held(store, runs.new_run_id(), "validate", lease_s) as held:
        report = validate(store)
        for part, shard_id in sorted({(item.partition, item.shard_id) for item in report.problems}):
            labels_name, segments_name = file_names(part, shard_id)
            for name in (segments_name, labels_name):
                held.check()
                store.remove(name)
    return report
