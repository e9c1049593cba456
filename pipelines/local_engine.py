"""The plain loop: every shard through every operator, in this process. It is what the other engines mean."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from pipelines.graph import Stage, limit_threads


def run(shards: Iterable[pa.Table], stages: list[Stage]) -> Iterator[pa.Table]:
    """Label shards one after the other; yields what the last stage says of each."""
    limit_threads()
    operators = [stage.build() for stage in stages]
    for shard in shards:
        table = shard
        for operator in operators:
            table = operator(table)
        yield table
