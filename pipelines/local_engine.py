"""The plain loop: every shard through every operator, in this process. It is what the other engines mean."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
from threadpoolctl import threadpool_limits

from pipelines.environment import process_environment
from pipelines.graph import Stage
from pipelines.parts import PartByPart


def run(shards: Iterable[pa.Table], stages: list[Stage], temporary: Path) -> Iterator[pa.Table]:
    """Label shards one after the other; yields what the last stage says of each."""
    os.environ.update(process_environment(temporary))
    operate = PartByPart([stage.build() for stage in stages])
    # The environment comes too late for libraries that were there before. With more threads some CPUs round otherwise.
    with threadpool_limits(1):
        for shard in shards:
            yield operate(shard)
