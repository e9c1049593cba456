"""The Ray engine: Ray schedules, we commit. One shard is one block from its plan to its line in the ledger."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from operators.commit import OutputError
from pipelines import ray_cluster  # noqa: F401 - before Ray itself: it sets what Ray reads when it is imported
from pipelines.errors import JobError, with_account
from pipelines.graph import Operator, Stage
from pipelines.heap import MemoryGivenBack
from pipelines.pools import Pool
from pipelines.ray_metrics import StageMeter, telling_spill

import ray  # isort: skip
from ray.data import ActorPoolStrategy, DataContext  # isort: skip
from ray.data.read_api import from_blocks  # isort: skip


@dataclass
class Spill:
    """What Ray's object store wrote to disk in this job, in bytes: intermediate data, which nobody wants stored."""

    bytes: int = 0


class StageActor:
    """One operator in a process of its own, built once."""

    def __init__(
        self, stage: str, build: Callable[[], Operator], environment: dict[str, str], niceness: int = 0
    ) -> None:
        os.environ.update(environment)
        os.nice(niceness)
        self._operator = build()
        self._meter = StageMeter(stage)
        self._memory = MemoryGivenBack()

    def __call__(self, shard: pa.Table) -> pa.Table:
        """Pass one shard through."""
        with self._meter.working(shard):
            made = self._operator(shard)
        self._memory.after(shard)
        return made


def run(
    shards: Iterable[pa.Table], stages: list[Stage], environment: dict[str, str], spill: Spill
) -> Iterator[pa.Table]:
    """Label shards on the Ray that `cluster` gave; yields what the last stage says of each, in order of completion.

    A shard is one block all the way: its identity comes from the plan and never from Ray's block layout, so blocks are
    neither split nor joined. An exception in an operator is an error of ours and ends the job.
    """
    context = DataContext.get_current()
    context.target_max_block_size = None
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = False
    # A worker that waits for others keeps its models; pools grow with the cluster, and shrink at the end.
    context.autoscaling_config.actor_pool_util_downscaling_threshold = -1.0
    blocks = list(shards)
    # Not from_arrow: it asks each block for its schema by a task that wants a whole CPU, which there may never be.
    dataset = from_blocks(blocks)
    for stage in stages:
        pool = stage.pool
        # map_batches itself refuses whole blocks as batches where GPUs are asked for.
        dataset = dataset.map_batches_internal(
            StageActor,
            fn_constructor_args=(stage.name, stage.build, environment, stage.niceness),
            batch_size=None,
            batch_format="pyarrow",
            zero_copy_batch=True,
            compute=_strategy(pool, len(blocks)),
            num_cpus=pool.cpus,
            num_gpus=pool.gpus,
            resources=dict(pool.resources),
            label_selector=dict(pool.labels),
        )
    before = _spilled_bytes()

    def spilled() -> int:
        return max(0, _spilled_bytes() - before)  # less than before, where a machine has left

    try:
        with telling_spill(spilled):
            yield from dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    except ray.exceptions.RayError as error:
        if (known := _cause(error, (JobError, OutputError))) is not None:
            raise JobError(str(known)) from error
        # The last line of Ray's account is the error itself; what comes before tells a developer where.
        raise JobError(with_account(str(error))) from error
    finally:
        spill.bytes = spilled()


def _strategy(pool: Pool, blocks: int) -> ActorPoolStrategy:
    """No more workers than shards; a pool that may grow is held to no least size, so that it never waits for one.

    Decoders are all asked for at once, and Ray starts them as there is room: Ray Data's own scaling left machines that
    joined without any.
    """
    most = min(pool.most, blocks)
    size = most if pool.eager else min(pool.size, most)
    if size == most:
        return ActorPoolStrategy(size=size)
    return ActorPoolStrategy(min_size=1, max_size=most, initial_size=size)


def _cause(error: BaseException | None, kinds: tuple[type[Exception], ...]) -> BaseException | None:
    """The error of one of these kinds that Ray has wrapped, in however many layers."""
    while error is not None and type(error) not in kinds:
        error = getattr(error, "cause", None) or error.__cause__
    return error


def _spilled_bytes() -> int:
    from ray._private.internal_api import get_memory_info_reply, get_state_from_address

    state = get_state_from_address(ray.get_runtime_context().gcs_address)
    return int(get_memory_info_reply(state).store_stats.spilled_bytes_total)
