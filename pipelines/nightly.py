"""One night: label what is new or changed, try again what may work, drop what is gone, and give an account."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from operators.commit import OutputError
from operators.schema import FAILED
from pipelines import job, ledger, runs
from pipelines import run as running
from pipelines.config import Config
from pipelines.corpus import Corpus, SourceFile
from pipelines.errors import (
    EXIT_FAILED,
    EXIT_FAILED_SEGMENTS,
    EXIT_HELD_BACK,
    EXIT_IN_USE,
    EXIT_OK,
    EXIT_TOO_MANY_FAILED,
    EXIT_USAGE,
    EXIT_WORK_LEFT,
    OutputInUseError,
    SettingsError,
)
from pipelines.gone import HeldBack, what_is_gone
from pipelines.interrupt import Budget, Interrupted
from pipelines.job import Job
from pipelines.night_report import Failure, Left, NightReport
from pipelines.plan import Shard, video_id
from pipelines.planner import JobPlan, kept_shards, make_plan
from pipelines.recipe import find_weights
from pipelines.retry import failed_rows
from pipelines.run import Result, Watcher
from pipelines.source_file import absolute
from pipelines.until import seconds_until


@dataclass(frozen=True)
class Outlook:
    """What tonight's listing means, in files; those of `waiting` are left for another night."""

    files: int = 0
    new: int = 0
    changed: int = 0
    left_over: int = 0
    retried: int = 0
    waiting: int = 0
    elsewhere: int = 0
    gone: tuple[str, ...] = ()
    held_back: tuple[HeldBack, ...] = ()
    failed_before: frozenset[str] = frozenset()


class Night:
    """One night over one corpus.

    Args:
        sources: what the corpus is, as for `label`.
        out: the output.
        config: all settings.
        allow_mass_removal: drop the rows of what is gone however much of a source it is.
        watcher: who is told how the night goes on.
        listed: is told the outlook once the corpus is listed and the plan made.
    """

    def __init__(
        self,
        sources: Sequence[str],
        out: str,
        config: Config,
        allow_mass_removal: bool,
        watcher: Watcher,
        listed: Callable[[Outlook], None] = lambda outlook: None,
    ) -> None:
        self._sources = tuple(map(absolute, sources))
        self._out = out
        self._config = config
        self._allow_mass_removal = allow_mass_removal
        self._watcher = replace(watcher, planned=self._planned, committed=self._committed)
        self._told = watcher
        self._listed = listed
        self._run_id = runs.new_run_id()
        self._started_at = runs.now()
        self._outlook = Outlook()
        self._plan: JobPlan | None = None
        self._done: set[str] = set()
        self._media_ms = 0

    def run(self) -> tuple[NightReport, BaseException | None]:
        """The night; its report, and the error that ended it if one did, for the caller to raise or to say."""
        started = time.monotonic()
        prepared: Job | None = None
        result: Result | None = None
        ended_by: BaseException | None = None
        try:
            budget = self._budget()
            prepared = self._prepare()
            result = running.run(prepared, partial(self._make_plan, prepared), self._watcher, self._run_id, budget)
        except (Exception, KeyboardInterrupt) as error:  # whatever it is, somebody waits for an account of the night
            ended_by = error
        report = self._report(prepared, result, ended_by, time.monotonic() - started)
        if prepared is not None and not isinstance(ended_by, OutputInUseError):
            self._store(prepared, report)
        time_is_up = isinstance(ended_by, Interrupted) and ended_by.time_is_up
        return report, None if time_is_up else ended_by

    def _budget(self) -> Budget | None:
        settings = self._config.nightly
        if settings.until is None:
            return None
        return Budget(time.monotonic() + seconds_until(settings.until, datetime.now()), settings.grace_s)

    def _prepare(self) -> Job:
        """The job, before the corpus is listed: that is done once nobody else can change the output."""
        find_weights(self._config)
        self._config.storage.apply()
        made = job.assemble(self._out, self._config, "nightly", self._sources, Corpus((), 0))
        return replace(made, accounts_for_all=True)

    def _make_plan(self, prepared: Job, foreseen: Callable[[], None]) -> JobPlan:
        config, store, partition = self._config, prepared.store, prepared.partition
        corpus = job.corpus_of(self._sources, config, missing_too=True)
        rows = ledger.read(store, partition)
        known = _ids_by_uri(rows)
        current = {file.uri: video_id(file) for file in corpus.files}
        allowed = 1.0 if self._allow_mass_removal else config.nightly.max_removed_fraction
        gone = what_is_gone(self._sources, corpus, known.keys(), current.keys(), allowed)
        kept = kept_shards(store, partition, prepared.recipe_id)
        planned = {item.video.uri for shard in kept for item in shard.segments}
        tonight = tonights(corpus.files, known, current, planned, config.nightly.max_new_files)
        again = failed_rows(store, partition, everything=False)
        again = again.filter(pc.is_in(again["video_id"], pa.array(list(current.values()), pa.string())))
        where = (prepared.recipe_id, partition, config, prepared.workers)
        plan = make_plan(replace(corpus, files=tonight), store, *where, again=again, foreseen=foreseen)
        leaving = frozenset(name for uri in gone.files for name in known[uri])
        plan = replace(plan, videos=len(corpus.files), gone=leaving)
        failed = rows.filter(pc.is_in(rows["status"], pa.array(FAILED)))
        self._outlook = Outlook(
            files=len(corpus.files),
            waiting=len(corpus.files) - len(tonight),
            elsewhere=gone.elsewhere,
            gone=gone.files,
            held_back=gone.held_back,
            failed_before=frozenset(failed["uri"].to_pylist()),
            **sorts_of_work(plan, known),
        )
        return plan

    def _planned(self, plan: JobPlan) -> None:
        self._plan = plan
        self._listed(self._outlook)
        self._told.planned(plan)

    def _committed(self, summary: pa.Table) -> None:
        self._done.update(summary["shard_id"].to_pylist())
        self._media_ms += pc.sum(summary["media_ms"]).as_py()
        self._told.committed(summary)

    def _report(
        self, prepared: Job | None, result: Result | None, ended_by: BaseException | None, wall_s: float
    ) -> NightReport:
        outlook, plan = self._outlook, self._plan
        left = [shard for shard in plan.shards if shard.shard_id not in self._done] if plan else []
        failed, failed_in_all = self._failures(prepared) if prepared and plan else ((), 0)
        code = _exit_code(result, ended_by, outlook)
        return NightReport(
            run_id=self._run_id,
            partition=prepared.partition if prepared else None,
            sources=self._sources,
            started_at=self._started_at,
            finished_at=runs.now(),
            outcome=_outcome(result, ended_by),
            exit_code=code,
            error=None if ended_by is None or code == EXIT_WORK_LEFT else str(ended_by) or type(ended_by).__name__,
            files=outlook.files,
            new=outlook.new,
            changed=outlook.changed,
            left_over=outlook.left_over,
            retried=outlook.retried,
            gone=outlook.gone,
            held_back=outlook.held_back,
            elsewhere=outlook.elsewhere,
            media_s=round(self._media_ms / 1000, 1),
            wall_s=round(wall_s, 1),
            failed=failed,
            failed_in_all=failed_in_all,
            left=Left(
                files=outlook.waiting + len({item.video.uri for shard in left for item in shard.segments}),
                media_s=round(sum(shard.media_ms for shard in left) / 1000, 1),
                shards=len(left),
            ),
        )

    def _failures(self, prepared: Job) -> tuple[tuple[Failure, ...], int]:
        """The failures of tonight, and the number of failed files in all; nothing is known when the store is away."""
        try:
            rows = ledger.read(prepared.store, prepared.partition)
        except Exception:  # the night may have ended of this very error, and its report must go out
            return (), 0
        failed = rows.filter(pc.is_in(rows["status"], pa.array(FAILED)))
        tonight = failed.filter(pc.equal(failed["run_id"], self._run_id))
        columns = (tonight[name].to_pylist() for name in ("uri", "start_ms", "status", "reason"))
        found = [
            Failure(uri, start_ms, status, reason, uri in self._outlook.failed_before)
            for uri, start_ms, status, reason in zip(*columns, strict=True)
        ]
        return tuple(found), len(pc.unique(failed["uri"]))

    def _store(self, prepared: Job, report: NightReport) -> None:
        try:
            prepared.store.put(f"{runs.RUNS}/{self._run_id}/report.json", report.to_json())
        except (OSError, OutputError) as error:
            self._told.warned(f"The report of the night could not be stored: {error}")


def _ids_by_uri(rows: pa.Table) -> dict[str, set[str]]:
    known: dict[str, set[str]] = {}
    for uri, name in zip(rows["uri"].to_pylist(), rows["video_id"].to_pylist(), strict=True):
        known.setdefault(uri, set()).add(name)
    return known


def tonights(
    files: Sequence[SourceFile],
    known: dict[str, set[str]],
    current: dict[str, str],
    planned: set[str],
    limit: int,
) -> tuple[SourceFile, ...]:
    """The files that this night looks at: known versions, and at most `limit` others, planned ones first."""
    others = [file for file in files if current[file.uri] not in known.get(file.uri, ())]
    others.sort(key=lambda file: file.uri not in planned)
    waiting = {file.uri for file in others[limit:]}
    return tuple(file for file in files if file.uri not in waiting)


def sorts_of_work(plan: JobPlan, known: dict[str, set[str]]) -> dict[str, int]:
    """How many of the planned files are retried, changed, left over from a night that was cut short, or new."""
    again = set(plan.again["video_id"].to_pylist())
    kept = set(_ids(plan.shards[: plan.kept]))
    sorts: Counter[str] = Counter(dict.fromkeys(("new", "changed", "left_over", "retried"), 0))
    for name, uri in {item.video.video_id: item.video.uri for shard in plan.shards for item in shard.segments}.items():
        if name in again:
            sorts["retried"] += 1
        elif name in kept or name in known.get(uri, ()):
            sorts["left_over"] += 1
        else:
            sorts["changed" if uri in known else "new"] += 1
    return dict(sorts)


def _ids(shards: Iterable[Shard]) -> Iterable[str]:
    return (item.video.video_id for shard in shards for item in shard.segments)


def _outcome(result: Result | None, ended_by: BaseException | None) -> str:
    if isinstance(ended_by, KeyboardInterrupt):
        return "time_is_up" if isinstance(ended_by, Interrupted) and ended_by.time_is_up else "interrupted"
    if isinstance(ended_by, OutputInUseError):
        return "in_use"
    return "complete" if result and result.complete else "too_many_failed" if result else "failed"


def _exit_code(result: Result | None, ended_by: BaseException | None, outlook: Outlook) -> int:
    known: dict[type, int] = {SettingsError: EXIT_USAGE, OutputInUseError: EXIT_IN_USE}
    if isinstance(ended_by, KeyboardInterrupt):
        stopped = ended_by if isinstance(ended_by, Interrupted) else Interrupted(2)
        if not stopped.time_is_up:
            return stopped.exit_code
    elif ended_by is not None:
        return known.get(type(ended_by), EXIT_FAILED)
    if result and not result.complete:
        return EXIT_TOO_MANY_FAILED
    if outlook.held_back:
        return EXIT_HELD_BACK
    if result is None or outlook.waiting:
        return EXIT_WORK_LEFT
    return EXIT_FAILED_SEGMENTS if result.failed else EXIT_OK


def is_trouble(report: NightReport) -> bool:
    """Whether somebody should look: an error, a first failure of a file, rows that were held back."""
    calm = (EXIT_OK, EXIT_FAILED_SEGMENTS, EXIT_WORK_LEFT)
    return report.exit_code not in calm or any(not failure.before for failure in report.failed)
