"""What one labelling job is, and all that can be looked at before it runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from operators.commit import Store
from operators.write import Target, canonical_json
from pipelines import gpus, machine, node_view, runs
from pipelines.config import Config
from pipelines.corpus import Corpus, list_corpus
from pipelines.errors import SettingsError
from pipelines.graph import Stage, labelling_graph
from pipelines.planner import JobPlan, make_plan
from pipelines.pools import Pools, pools_here, pools_of_cluster
from pipelines.process_engine import workers_with_room
from pipelines.recipe import find_weights, partition, recipe, recipe_id
from pipelines.source_file import absolute
from pipelines.staging import StagedWeights
from pipelines.storage import explained
from pipelines.temporary import temporary_area


@dataclass(frozen=True)
class Job:
    """What is to be done and where, once everything that can be wrong with the settings has been looked at."""

    config: Config
    command: str  # label or retry: what a second run is told
    sources: tuple[str, ...]  # absolute: what is stored must be found from any folder
    corpus: Corpus
    store: Store
    recipe: dict[str, Any]
    recipe_id: str
    partition: str
    pools: Pools
    stages: Callable[[str], list[Stage]]  # by run id
    accounts_for_all: bool = False  # the result tells of the whole output, not of this corpus alone

    @property
    def workers(self) -> int:
        """Decoders at work at the same time, which the size of shards follows from."""
        return self.pools.workers


def prepare(sources: Sequence[str], out: str, config: Config) -> Job:
    """Check the settings and list the corpus.

    Raises:
        SettingsError: something that was set can't work.
        JobError: a store is out of reach.
    """
    find_weights(config)
    config.storage.apply()
    open_output(out)
    return assemble(out, config, "label", tuple(map(absolute, sources)), corpus_of(sources, config))


def assemble(out: str, config: Config, command: str, sources: tuple[str, ...], corpus: Corpus) -> Job:
    """The job of labelling a corpus that has been listed."""
    on_cluster = config.engine.chosen == "ray" and config.engine.address is not None
    if on_cluster:
        check_cluster_address(str(config.engine.address))
    weights, store = find_weights(config), open_output(out)
    pools, gpu_names = resources(config)
    gpus.check_hardware(config, pools)
    with explained(out):
        config = gpus.settled(config, pools, gpu_names, stored_settings(store))
    if config.engine.chosen == "beam":
        from pipelines.beam_args import beam_flags  # beam takes seconds to import, which other engines should not

        beam_flags(config.engine.beam_args)
    made = recipe(config, weights)
    name = recipe_id(made)
    part = partition(name)

    def stages(run_id: str) -> list[Stage]:
        target = Target(absolute(out), part, run_id, canonical_json(made))
        if not on_cluster:
            return labelling_graph(config, weights, target, pools)
        graph = labelling_graph(config, StagedWeights(weights), target, pools)
        return node_view.for_cluster(graph, target.root, run_id, sources)

    return Job(config, command, sources, corpus, store, made, name, part, pools, stages)


def corpus_of(
    sources: Sequence[str], config: Config, within: Sequence[str] | None = None, missing_too: bool = False
) -> Corpus:
    """The corpus, with its transcripts where the settings want them; see `list_corpus`."""
    return list_corpus(sources, config.speech.transcripts == "beside", config.speech.language, within, missing_too)


def preview(sources: Sequence[str], out: str | None, config: Config) -> JobPlan:
    """The plan that a run would make; without an output, as if nothing had been done."""
    if out:
        job = prepare(sources, out, config)
        with explained(out):
            return make_plan(job.corpus, job.store, job.recipe_id, job.partition, config, job.workers)
    config.storage.apply()
    pools, gpu_names = resources(config)
    gpus.check_hardware(config, pools)
    name = recipe_id(recipe(gpus.settled(config, pools, gpu_names, None), find_weights(config)))
    return make_plan(corpus_of(sources, config), None, name, partition(name), config, pools.workers)


def stored_settings(store: Store) -> dict[str, Any] | None:
    """The settings of the last run that wrote to an output; None where there was none, or they can't be read."""
    last = runs.latest(store)
    try:
        return runs.config(store, last.run_id) if last else None
    except (FileNotFoundError, ValueError):
        return None


def resources(config: Config) -> tuple[Pools, list[str]]:
    """How many workers each stage gets, on the cluster that is named or on this machine; and the GPUs, by name.

    Raises:
        SettingsError: the cluster has not what was asked for.
        JobError: it can't be reached.
    """
    on_gpu = gpus.decoders_on_gpu(config) != "never"
    if config.engine.chosen != "ray" or not config.engine.address:
        names = gpus.names_here() if config.engine.gpus else []
        cpus = machine.cpus()
        if config.engine.chosen == "processes":
            cpus = min(cpus, workers_with_room(machine.memory_bytes()))
        return pools_here(config.engine, cpus, on_gpu), names
    from pipelines import ray_cluster  # ray takes a second to import, which others should not

    with temporary_area() as temporary:
        nodes = ray_cluster.nodes(config.engine.address, temporary)
    return pools_of_cluster(config.engine, nodes, on_gpu), gpus.names_of_cluster(nodes)


def check_cluster_address(address: str) -> None:
    """Raises SettingsError unless it can be the address of a cluster that this machine belongs to."""
    if "://" in address:
        raise SettingsError(
            f"{address}: the driver of a run is a machine of the cluster, where the address is auto, or HOST:PORT of "
            "the head's GCS (as 10.0.0.1:6379). From elsewhere, `fv2es submit ... --address http://HOST:8265`."
        )


def open_output(out: str) -> Store:
    """The output folder or prefix, once it is known that it can be one."""
    with explained(out):
        store = Store(out)
        if hasattr(store.filesystem, "call_s3"):
            # Asked for by itself: in some stores, writing would make a bucket of a mistyped name.
            store.filesystem.call_s3("head_bucket", Bucket=store.filesystem.split_path(store.path(""))[0])
    if store.filesystem.isfile(store.path("").rstrip("/")):
        raise SettingsError(f"{out}: is a file; --out wants a folder or an s3:// prefix.")
    return store
