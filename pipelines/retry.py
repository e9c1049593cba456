"""Try failed segments again: the run directory has the settings, the ledger knows which."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from operators.commit import Store
from operators.schema import FAILED
from pipelines import job, ledger, runs
from pipelines import run as running
from pipelines.config import Config
from pipelines.corpus import Corpus, SourceFile
from pipelines.errors import SettingsError
from pipelines.job import Job
from pipelines.planner import JobPlan, kept_shards, make_plan
from pipelines.recipe import GROUPS, NOT_IN_RECIPE
from pipelines.run import Result, Watcher
from pipelines.storage import explained

_LISTERS = 8


@dataclass(frozen=True)
class Outlook:
    """How many segments have failed, how many are tried again, and of how many the file is gone."""

    failed: int
    tried: int
    gone: int


def prepare(out: str, config: Config, everything: bool) -> tuple[Job, Outlook]:
    """The job of labelling again what has failed in the last run's recipe, and what is to be expected of it.

    Args:
        out: an output that a run has written to.
        config: of the engine, the job, the storage and the limits; what changes a label comes from the last run.
        everything: also what another attempt will hardly change: `retryable` is not asked.

    Raises:
        SettingsError: no run has written there, or with other weights.
    """
    config.storage.apply()
    store = job.open_output(out)
    with explained(out):
        last = runs.latest(store)
        if last is None:
            raise SettingsError(f"{out}: no run of FV2ES has written here. Is the path right?")
        as_then = with_stored(config, runs.config(store, last.run_id))
        failed = failed_rows(store, last.partition, everything=True).num_rows
        uris = failed_rows(store, last.partition, everything)["uri"].to_pylist()
        sources = tuple(sorted({name for run in runs.states(store, last.partition) for name in run.sources}))
    made = job.assemble(out, as_then, "retry", sources, Corpus((), 0))
    if made.partition != last.partition:
        raise SettingsError(
            f"{out}: the weights here are others than those of run {last.run_id}, so labels would go to "
            f"{made.partition} and not to {last.partition}. Run `fv2es label` to label everything anew."
        )
    with explained(out):
        planned = kept_shards(store, last.partition, made.recipe_id)
    unfinished = [item.video.uri for shard in planned for item in shard.segments]
    corpus = still_there(sorted({*uris, *unfinished}), sources, as_then)
    there = {file.uri for file in corpus.files}
    gone = sum(uri not in there for uri in uris)
    return replace(made, corpus=corpus, accounts_for_all=True), Outlook(failed, len(uris) - gone, gone)


def run(prepared: Job, everything: bool, watcher: Watcher) -> Result:
    """Label the failed segments again; their old rows leave the ledger as the new ones come.

    Raises:
        OutputInUseError, Interrupted, JobError: as `run.label`.
    """

    def planned(foreseen: Callable[[], None]) -> JobPlan:
        again = failed_rows(prepared.store, prepared.partition, everything)
        there = pa.array([file.uri for file in prepared.corpus.files], pa.string())
        again = again.filter(pc.is_in(again["uri"], there))
        where = (prepared.recipe_id, prepared.partition, prepared.config, prepared.workers)
        return make_plan(prepared.corpus, prepared.store, *where, again=again, foreseen=foreseen)

    return running.run(prepared, planned, watcher)


def failed_rows(store: Store, partition: str, everything: bool) -> pa.Table:
    """The rows of the ledger that are to be tried again."""
    rows = ledger.read(store, partition)
    failed = rows.filter(pc.is_in(rows["status"], pa.array(FAILED)))
    return failed if everything else failed.filter(failed["retryable"])


def with_stored(config: Config, stored: dict[str, Any]) -> Config:
    """The configuration with the stored settings for all that changes a label; limits of time and size are its own."""
    values = config.model_dump()
    for group in GROUPS:
        kept = NOT_IN_RECIPE.get(group, set())
        values[group] |= {name: value for name, value in stored.get(group, {}).items() if name not in kept}
    return Config(**values)


def still_there(uris: list[str], sources: Sequence[str], config: Config) -> Corpus:
    """The files as they are now, by what was named as `sources` then; those that are gone are left out."""

    def look(uri: str) -> tuple[SourceFile, ...]:
        try:
            return job.corpus_of([uri], config, sources).files
        except SettingsError:
            return ()

    with ThreadPoolExecutor(_LISTERS) as pool:
        files = [file for found in pool.map(look, uris) for file in found]
    return Corpus(tuple(sorted(files)), 0)
