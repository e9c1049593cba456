"""Run a job: hold the output, plan, pass the shards through an engine, and account for every segment."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from operators.schema import media_ms
from pipelines import arrivals, interrupt, label_sums, lease, ledger, local_engine, nursery, runs
from pipelines.errors import JobError
from pipelines.graph import Stage
from pipelines.guard import ATTEMPTS, stop_name
from pipelines.interrupt import Stop
from pipelines.job import Job
from pipelines.lease import Lease
from pipelines.plan import to_table, video_id
from pipelines.planner import JobPlan, make_plan
from pipelines.process_engine import Crew
from pipelines.source_file import absolute
from pipelines.storage import explained
from pipelines.temporary import temporary_area

PARTS_OF_PLAN = 64
"""In so many parts Beam's workers read the plan: each reads all of it, to give the shards of its part."""


REMEMBER_AFTER = 1_000
"""Shards after which what is committed is put into the snapshot of the ledger, for the first time in a run."""


@dataclass(frozen=True)
class Watcher:
    """Who is told how a job goes on: its id, its plan, committed shards (`operators.write.SUMMARY`), its stopping."""

    begun: Callable[[str], None] = lambda run_id: None
    planned: Callable[[JobPlan], None] = lambda plan: None
    committed: Callable[[pa.Table], None] = lambda summary: None
    stopping: Callable[[float], None] = lambda grace_s: None
    warned: Callable[[str], None] = lambda message: None


@dataclass(frozen=True)
class Result:
    """What a corpus, or all of the output, looks like after a job; `shards` were done by this one.

    `complete` is False when more files have failed than `max_failed_fraction` allows.
    """

    run_id: str | None
    partition: str
    shards: int
    videos: int
    media_ms: int
    utterances: int
    segments_by_status: dict[str, int]
    failed: tuple[dict[str, Any], ...]
    failed_fraction: float
    complete: bool
    replaced_videos: int
    spilled_bytes: int
    wall_s: float


def label(job: Job, watcher: Watcher) -> Result:
    """Label what isn't labelled yet. Nothing happens where nothing is to be done.

    Raises:
        OutputInUseError: another run is writing there.
        Interrupted: a signal ended it; what is committed stays.
        JobError: it can't go on.
    """

    def planned(foreseen: Callable[[], None]) -> JobPlan:
        where = (job.recipe_id, job.partition, job.config, job.workers)
        return make_plan(job.corpus, job.store, *where, foreseen=foreseen)

    return run(job, planned, watcher)


def run(
    job: Job,
    plan_it: Callable[[Callable[[], None]], JobPlan],
    watcher: Watcher,
    run_id: str | None = None,
    budget: interrupt.Budget | None = None,
) -> Result:
    """Hold the output, plan, and do what is planned; within the budget of time, if there is one.

    `plan_it` calls what it is given as soon as it knows that there is something to do: importing libraries takes long.
    """
    started = time.monotonic()
    run_id, config = run_id or runs.new_run_id(), job.config
    watcher.begun(run_id)
    with ExitStack() as stack:
        with explained(job.store.root):
            held = stack.enter_context(lease.held(job.store, run_id, job.command, config.job.lease_s))
        if not held.exclusive:
            watcher.warned(
                f"{job.store.root}: this store knows no conditional writes. Two runs that start within the same second "
                "or two may both be let in; see to it that none do."
            )
        place = stack.enter_context(_place(job, run_id))
        with explained(job.store.root):
            ledger.settle(job.store, job.partition)
            plan = plan_it(place.crew.foresee if place.crew else lambda: None)
        watcher.planned(plan)
        if not plan.shards and not plan.leaving:
            job.store.clear_temporary()
            label_sums.refresh(job.store, job.partition)
            return _account(job, plan, ledger.read(job.store, job.partition), None, 0, time.monotonic() - started)

        def on_stop(grace_s: float) -> None:
            # In a thread: a signal may have come in the middle of another request to the store.
            threading.Thread(target=job.store.put, args=(stop_name(run_id), b""), daemon=True).start()
            watcher.stopping(grace_s)

        stop = stack.enter_context(interrupt.listening(config.job.grace_s, on_stop, budget))
        return _Run(job, plan, run_id, held, stop, watcher, place).to_the_end(started)


@dataclass(frozen=True)
class _Place:
    """Where the work of a run is done: a temporary area, the stages, and the processes, where these are the engine."""

    temporary: Path
    stages: list[Stage]
    crew: Crew | None


@contextmanager
def _place(job: Job, run_id: str) -> Iterator[_Place]:
    stages = job.stages(run_id)
    with temporary_area() as temporary:
        if job.config.engine.chosen != "processes":
            nursery.leave()
            yield _Place(temporary, stages, None)
            return
        crew = Crew(stages, temporary, shows_logs=job.config.job.log_format == "json")
        try:
            yield _Place(temporary, stages, crew)
        finally:
            crew.end()


class _Run:
    """One run that holds its output."""

    def __init__(
        self, job: Job, plan: JobPlan, run_id: str, held: Lease, stop: Stop, watcher: Watcher, place: _Place
    ) -> None:
        self._job = job
        self._plan = plan
        self._held = held
        self._stop = stop
        self._watcher = watcher
        self._place = place
        self._superseding = ledger.Superseding(job.store, job.partition, plan.again)
        self._committed = 0
        self._remember_at = REMEMBER_AFTER
        self._planned = {shard.shard_id: shard for shard in plan.shards}
        self._state = runs.RunState(
            run_id=run_id,
            partition=job.partition,
            started_at=runs.now(),
            sources=job.sources,
            skipped=plan.skipped,
            shards=len(plan.shards),
            media_ms=plan.media_ms,
        )

    def to_the_end(self, started: float) -> Result:
        """Do the work and say how it ended, in the run directory too."""
        job, plan, store = self._job, self._plan, self._job.store
        store.clear_temporary()
        runs.start(store, self._state, job.config.public(), job.recipe, to_table(plan.shards))
        # Replaced versions leave before new ones come: at no moment do two versions of a video stand in the tables.
        if plan.leaving:
            rows = ledger.read(store, job.partition)
            ledger.retire(store, job.partition, rows, plan.leaving, fence=self._held.check)
        ledger.remove_uncommitted(store, job.partition, [shard.shard_id for shard in plan.shards])
        try:
            spilled = self._work() if plan.shards else 0
            if self._committed < len(plan.shards):
                self._stop.check()
                raise JobError(
                    f"The engine has ended, and {len(plan.shards) - self._committed} of {len(plan.shards)} shards were "
                    "not committed. What is committed stays; run the same command again to go on."
                )
        except interrupt.Interrupted:
            self._held.check()
            runs.write_state(store, replace(self._state, outcome="interrupted"))
            ledger.remember(store, job.partition)
            store.clear_temporary()
            raise
        self._held.check()
        rows = ledger.settle(store, job.partition)
        label_sums.refresh(store, job.partition)
        wall_s = time.monotonic() - started
        result = _account(job, plan, rows, self._state.run_id, spilled, wall_s)
        ended = replace(
            self._state,
            finished_at=runs.now(),
            spilled_bytes=spilled,
            wall_s=round(wall_s, 2),
            outcome="complete" if result.complete else "too_many_failed",
            failed_fraction=result.failed_fraction,
        )
        runs.write_state(store, ended)
        for left in (ATTEMPTS, stop_name(self._state.run_id)):
            store.clear(left)
        store.clear_temporary()
        return result

    def _work(self) -> int:
        """Pass the shards through the engine; returns the bytes that it spilled."""
        place = self._place
        tables = (to_table([shard]) for shard in self._plan.shards)
        if place.crew:
            with closing(place.crew.run(tables, self._job.workers)) as summaries:
                self._follow(summaries)
            return 0
        match self._job.config.engine.chosen:
            case "ray":
                return self._on_ray(tables)
            case "beam":
                self._on_beam()
            case _:
                self._follow(local_engine.run(tables, place.stages, place.temporary))
        return 0

    def _on_ray(self, tables: Iterable[pa.Table]) -> int:
        # ray takes a second to import, which a run with nothing to do should not
        from pipelines import ray_cluster, ray_engine

        spill = ray_engine.Spill()
        storage, pools = self._job.config.storage.environment(), self._job.pools
        if pools.crowded:
            self._watcher.warned(
                f"Other jobs hold all that the cluster at {self._job.config.engine.address} has to decode with: the "
                "work begins when they let go."
            )
        with ray_cluster.cluster(self._job.config.engine, pools.cpus, self._place.temporary) as environment:
            self._follow(ray_engine.run(tables, self._place.stages, environment | storage, spill))
        return spill.bytes

    def _on_beam(self) -> None:
        from pipelines import beam_engine  # it takes seconds to import
        from pipelines.beam_args import beam_flags

        job, shards, run_id = self._job, len(self._plan.shards), self._state.run_id
        root = absolute(job.store.root)
        step = -(-shards // PARTS_OF_PLAN)
        parts = [
            partial(runs.planned_shards, root, run_id, first, min(first + step, shards))
            for first in range(0, shards, step)
        ]
        pipeline = beam_engine.LabelPipeline(
            parts=parts,
            stages=self._place.stages,
            is_done=partial(arrivals.is_committed, root, job.partition, run_id),
            flags=beam_flags(job.config.engine.beam_args),
            environment=job.config.storage.environment(),
        )
        arrived = arrivals.Arrivals(job.store, job.partition, run_id, self._planned)
        with closing(beam_engine.run(pipeline, arrived, self._place.temporary)) as summaries:
            self._follow(summaries)

    def _follow(self, summaries: Iterator[pa.Table]) -> None:
        for summary in summaries:
            self._held.check()
            for shard_id in summary["shard_id"].to_pylist() if "segments" in summary.column_names else ():
                self._committed += 1
                if self._committed == self._remember_at:
                    # `status`, and a run after a kill, then read few files; the gaps grow, and so the cost doesn't.
                    ledger.remember(self._job.store, self._job.partition)
                    self._remember_at *= 2
                self._superseding.committed(self._planned[shard_id])
                self._watcher.committed(summary)


def _account(job: Job, plan: JobPlan, rows: pa.Table, run_id: str | None, spilled_bytes: int, wall_s: float) -> Result:
    """What the ledger's rows say, as they were read back: they are the truth, not what we think we did."""
    if not job.accounts_for_all:
        ours = pa.array([video_id(file) for file in job.corpus.files], pa.string())
        rows = rows.filter(pc.is_in(rows["video_id"], ours))
    counts = pc.value_counts(rows["status"]).to_pylist()
    videos, failed = len(pc.unique(rows["video_id"])), ledger.failures(rows)
    fraction = len({row["uri"] for row in failed}) / videos if videos else 0.0
    return Result(
        run_id=run_id,
        partition=job.partition,
        shards=len(plan.shards),
        videos=videos,
        media_ms=media_ms(rows),
        utterances=pc.sum(rows["utterances"]).as_py() or 0,
        segments_by_status={item["values"]: item["counts"] for item in counts},
        failed=failed,
        failed_fraction=round(fraction, 4),
        complete=fraction <= job.config.job.max_failed_fraction,
        replaced_videos=len(plan.replaced),
        spilled_bytes=spilled_bytes,
        wall_s=round(wall_s, 2),
    )
