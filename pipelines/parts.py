"""A shard in one process: part by part through all operators but the last, so that memory doesn't grow with shards.

Sound, crops and what models make of them are in memory for a part at a time; of the others there are only labels.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from pipelines.guard import Operator
from pipelines.heap import MemoryGivenBack

PART_MS = 10 * 60_000
"""Media a part, at most, unless a segment is longer. Enough to fill batches; kept sound and crops of it take 50 MB."""


class PartByPart:
    """All operators of one process as one.

    The last one is given all that the others have made of a shard, in one table. A shard that the first one hands back,
    because its run has been told to stop, is handed back as a whole.
    """

    def __init__(self, operators: Sequence[Operator]) -> None:
        *self._of_parts, self._last = operators
        self._memory = MemoryGivenBack()

    def __call__(self, shard: pa.Table) -> pa.Table:
        """What the last operator says of a shard (`operators.schema.PLANNED`)."""
        made = []
        for part in parts(shard):
            table = part
            for operate in self._of_parts:
                table = operate(table)
            if not table.num_rows:
                return self._last(table)
            made.append(table)
            self._memory.after(part)
        return self._last(pa.concat_tables(made).combine_chunks() if len(made) > 1 else made[0])


def parts(shard: pa.Table) -> Iterator[pa.Table]:
    """A shard (`operators.schema.PLANNED`) cut between segments, in order; an empty one is its only part."""
    first, part_ms = 0, 0
    times = zip(shard["start_ms"].to_pylist(), shard["end_ms"].to_pylist(), strict=True)
    for row, (start_ms, end_ms) in enumerate(times):
        if row > first and part_ms + end_ms - start_ms > PART_MS:
            yield shard.slice(first, row - first)
            first, part_ms = row, 0
        part_ms += end_ms - start_ms
    yield shard.slice(first)
