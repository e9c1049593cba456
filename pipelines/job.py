"""One labelling job from its sources to its result: plan, run, account for every segment."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from operators.commit import Store
from operators.write import Target, canonical_json
from pipelines import ledger, local_engine, runs
from pipelines.config import Config
from pipelines.corpus import Corpus, list_corpus
from pipelines.errors import SettingsError
from pipelines.graph import Stage, labelling_graph
from pipelines.plan import to_table, video_id
from pipelines.planner import JobPlan, make_plan
from pipelines.recipe import find_weights, partition, recipe, recipe_id
from pipelines.temporary import temporary_area

Progress = Callable[[pa.Table], None]
"""Called with `operators.write.SUMMARY` for each shard that was committed."""


@dataclass(frozen=True)
class Prepared:
    """A job that is ready to run: everything that can be wrong with it has been looked at."""

    config: Config
    sources: tuple[str, ...]
    corpus: Corpus
    store: Store
    recipe: dict[str, Any]
    partition: str
    plan: JobPlan
    stages: Callable[[str], list[Stage]]  # by run id


@dataclass(frozen=True)
class Result:
    """What a corpus looks like in the output after a job; `shards` were done by this one."""

    run_id: str | None
    shards: int
    videos: int
    media_ms: int
    utterances: int
    segments_by_status: dict[str, int]
    failed: tuple[dict[str, Any], ...]
    replaced_videos: int
    spilled_bytes: int
    wall_s: float


def prepare(sources: Sequence[str], out: str, config: Config) -> Prepared:
    """Check the settings, list and probe the corpus, and make the plan.

    Raises:
        SettingsError: something that was set can't work.
        JobError: OUT was written by a newer FV2ES.
    """
    weights = find_weights(config)
    workers = _workers(config)
    store = open_output(out)
    corpus = _corpus(sources, config)
    made = recipe(config, weights)
    name = recipe_id(made)
    part = partition(name)

    def stages(run_id: str) -> list[Stage]:
        return labelling_graph(config, weights, Target(out, part, run_id, canonical_json(made)), workers)

    plan = make_plan(corpus, store, name, part, config, workers)
    return Prepared(config, tuple(sources), corpus, store, made, part, plan, stages)


def preview(sources: Sequence[str], out: str | None, config: Config) -> JobPlan:
    """The plan that `prepare` would make; without an output, as if nothing had been done."""
    if out:
        return prepare(sources, out, config).plan
    name = recipe_id(recipe(config, find_weights(config)))
    return make_plan(_corpus(sources, config), None, name, partition(name), config, _workers(config))


def _corpus(sources: Sequence[str], config: Config) -> Corpus:
    return list_corpus(sources, config.speech.transcripts == "beside", config.speech.language)


def _workers(config: Config) -> int:
    return config.engine.workers or len(os.sched_getaffinity(0))


def open_output(out: str) -> Store:
    """The output folder or prefix, once it is known that it can be one."""
    store = Store(out)
    if store.filesystem.isfile(store.path("").rstrip("/")):
        raise SettingsError(f"{out}: is a file; --out wants a folder or an s3:// prefix.")
    return store


def run(job: Prepared, progress: Progress) -> Result:
    """Label what is planned. Nothing happens when nothing is."""
    started = time.monotonic()
    plan, store = job.plan, job.store
    if not plan.shards and not plan.replaced:
        return _account(job, None, 0, time.monotonic() - started)
    state = runs.RunState(
        run_id=runs.new_run_id(),
        partition=job.partition,
        started_at=runs.now(),
        sources=job.sources,
        skipped=plan.skipped,
        shards=len(plan.shards),
        media_ms=plan.media_ms,
    )
    store.clear_temporary()
    runs.start(store, state, job.config.model_dump(mode="json"), job.recipe, to_table(plan.shards))
    # Replaced versions leave before new ones come: at no moment do two versions of a video stand in the tables.
    if plan.replaced:
        ledger.retire(store, job.partition, ledger.read(store, job.partition), plan.replaced)
    ledger.remove_uncommitted(store, job.partition, [shard.shard_id for shard in plan.shards])
    spilled = 0
    if plan.shards:
        tables = [to_table([shard]) for shard in plan.shards]
        stages = job.stages(state.run_id)
        with temporary_area() as temporary:
            if job.config.engine.engine == "local":
                for summary in local_engine.run(tables, stages, temporary):
                    progress(summary)
            else:
                spilled = _run_on_ray(job, stages, tables, temporary, progress)
    wall_s = time.monotonic() - started
    runs.write_state(store, replace(state, finished_at=runs.now(), spilled_bytes=spilled, wall_s=round(wall_s, 2)))
    store.clear_temporary()
    return _account(job, state.run_id, spilled, wall_s)


def _run_on_ray(job: Prepared, stages: list[Stage], tables: list[pa.Table], temporary: Path, progress: Progress) -> int:
    from pipelines import ray_engine  # ray takes a second to import, which a run with nothing to do should not

    spill = ray_engine.Spill()
    with ray_engine.cluster(job.config.engine, stages, temporary) as environment:
        for summary in ray_engine.run(tables, stages, environment, spill):
            progress(summary)
    return spill.bytes


def _account(job: Prepared, run_id: str | None, spilled_bytes: int, wall_s: float) -> Result:
    """Read back what is committed of this corpus: the ledger is the truth, not what we think we did."""
    rows = ledger.read(job.store, job.partition)
    ours = pa.array([video_id(file) for file in job.corpus.files], pa.string())
    rows = rows.filter(pc.is_in(rows["video_id"], ours))
    counts = pc.value_counts(rows["status"]).to_pylist()
    return Result(
        run_id=run_id,
        shards=len(job.plan.shards),
        videos=len(pc.unique(rows["video_id"])),
        media_ms=pc.sum(pc.subtract(rows["end_ms"], rows["start_ms"])).as_py() or 0,
        utterances=pc.sum(rows["utterances"]).as_py() or 0,
        segments_by_status={item["values"]: item["counts"] for item in counts},
        failed=ledger.failures(rows),
        replaced_videos=len(job.plan.replaced),
        spilled_bytes=spilled_bytes,
        wall_s=round(wall_s, 2),
    )
