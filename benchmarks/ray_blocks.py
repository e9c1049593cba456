"""What a shard costs Ray's driver: CPU time and memory, by the number of shards, with operators that do nothing.

    python -m benchmarks.ray_blocks [--shards 12000] [--stages 2]

Blocks, pools and settings are those of `pipelines.ray_engine`. Time that grows from fifth to fifth would be more than
in proportion. Prints one JSON object.
"""

import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import psutil
import pyarrow as pa
import typer

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_USAGE_DISABLED": "1"}

import ray
from ray.data import ActorPoolStrategy, DataContext
from ray.data.read_api import from_blocks

ROWS = 10
FIFTHS = 5


class Pass:
    """An operator that does nothing."""

    def __call__(self, shard: pa.Table) -> pa.Table:
        """The shard as it is."""
        return shard


def block(number: int) -> pa.Table:
    """A planned shard, more or less."""
    names = [f"s3://bucket/corpus/{number:09}/{row}.mp4" for row in range(ROWS)]
    return pa.table({"shard_id": [f"{number:020x}"] * ROWS, "uri": names, "start_ms": list(range(ROWS))})


def spent() -> tuple[float, float]:
    """CPU-seconds and MB of this process, the driver."""
    return time.process_time(), psutil.Process().memory_info().rss / 1e6


def main(
    shards: Annotated[int, typer.Option(min=FIFTHS)] = 12_000,
    stages: Annotated[int, typer.Option(help="Pools that a shard goes through, of one worker each.")] = 2,
) -> None:
    """Pass shards through."""
    with small_ray():
        report = measure(shards, stages)
    typer.echo(json.dumps(report, indent=2))


@contextmanager
def small_ray() -> Iterator[None]:
    """Ray on two CPUs of this machine, for the time of the block."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="fv2es-ray-") as temporary:
        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
        ray.init(address="local", num_cpus=2, object_store_memory=500_000_000, _temp_dir=temporary, **quiet)
        try:
            yield
        finally:
            ray.shutdown()


def measure(shards: int, stages: int) -> dict[str, Any]:
    """CPU time to hand the blocks over, and of each fifth of the shards; memory at the end."""
    context = DataContext.get_current()
    context.target_max_block_size = None
    context.enable_progress_bars = False
    cpu_s, at_first_mb = spent()
    dataset = from_blocks([block(number) for number in range(shards)])
    handed_s = spent()[0] - cpu_s
    for _ in range(stages):
        dataset = dataset.map_batches(
            Pass, batch_size=None, batch_format="pyarrow", compute=ActorPoolStrategy(size=1), num_cpus=0.5
        )
    fifths, cpu_s, done = [], spent()[0], 0
    for _ in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        done += 1
        if done % (shards // FIFTHS) == 0:
            fifths.append(spent()[0] - cpu_s)
            cpu_s = spent()[0]
    each = shards // FIFTHS
    return {
        "shards": done,
        "stages": stages,
        "handing_over_ms_a_shard": round(handed_s / shards * 1e3, 2),
        "cpu_ms_a_shard_and_stage_by_fifth": [round(fifth / each / stages * 1e3, 2) for fifth in fifths],
        "kb_a_shard": round((spent()[1] - at_first_mb) * 1e3 / shards, 1),
    }


if __name__ == "__main__":
    typer.run(main)
