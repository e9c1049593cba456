"""The plain loop: every shard through every operator, in this process. It is what the other engines mean."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from pipelines.environment import process_environment
from pipelines.graph import Stage


def run(shards: Iterable[pa.Table], stages: list[Stage], temporary: Path) -> Iterator[pa.Table]:
    """Label shards one after the other; yields what the last stage says of each."""
    os.environ.update(process_environment(temporary))
    operators = [stage.build() for stage in stages]
    for shard in shards:
        table = shard
        for operator in operators:
            table = operator(table)
        yield table
