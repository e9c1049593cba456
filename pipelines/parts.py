"""A shard in one process: part by part through all operators but the last, so that memory doesn't grow with shards.

Sound, crops and what models make of them are in memory for a part at a time; of the others there are only labels.
"""

import ctypes
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.guard import Operator

PART_MS = 10 * 60_000
"""Media a part, at most, unless a segment is longer. Enough to fill batches; kept sound and crops of it take 50 MB."""


class PartByPart:
    """All operators of one process as one.

    The last one is given all that the others have made of a shard, in one table. A shard that the first one hands back,
    because its run has been told to stop, is handed back as a whole.
    """

    def __init__(self, operators: Sequence[Operator]) -> None:
        *self._of_parts, self._last = operators
        self._since_release_ms = 0

    def __call__(self, shard: pa.Table) -> pa.Table:
        """What the last operator says of a shard (`operators.schema.PLANNED`)."""
        made = []
        for part in parts(shard):
            media_ms = pc.sum(pc.subtract(part["end_ms"], part["start_ms"])).as_py() or 0
            for operate in self._of_parts:
                part = operate(part)
            if not part.num_rows:
                return self._last(part)
            made.append(part)
            self._release_now_and_then(media_ms)
        return self._last(pa.concat_tables(made).combine_chunks() if len(made) > 1 else made[0])

    def _release_now_and_then(self, media_ms: int) -> None:
        """A heap that is never tidied grows for hours; after every small shard it would cost more than it saves."""
        self._since_release_ms += media_ms
        if self._since_release_ms >= PART_MS:
            self._since_release_ms = 0
            release_memory()


def parts(shard: pa.Table) -> Iterator[pa.Table]:
    """A shard (`operators.schema.PLANNED`) cut between segments, in order; an empty one is its only part."""
    first, media_ms = 0, 0
    times = zip(shard["start_ms"].to_pylist(), shard["end_ms"].to_pylist(), strict=True)
    for row, (start_ms, end_ms) in enumerate(times):
        if row > first and media_ms + end_ms - start_ms > PART_MS:
            yield shard.slice(first, row - first)
            first, media_ms = row, 0
        media_ms += end_ms - start_ms
    yield shard.slice(first)


def release_memory() -> None:
    """Give empty pages of glibc's heap back to the system; other allocators are left to themselves."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
