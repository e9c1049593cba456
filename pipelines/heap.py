"""The heap of a worker, which lives for hours: tidied now and then, so that it doesn't grow."""

import ctypes

import pyarrow as pa

from operators.schema import media_ms

EVERY_MS = 10 * 60_000
"""Of media. More often would cost more than it saves, where shards are small."""


class MemoryGivenBack:
    """Counts what a worker has done, and releases memory every ten minutes of media."""

    def __init__(self) -> None:
        self._since_ms = 0

    def after(self, shard: pa.Table) -> None:
        """Count the media of a shard, or of a part of one, whose work is done."""
        self._since_ms += media_ms(shard)
        if self._since_ms >= EVERY_MS:
            self._since_ms = 0
            release_memory()


def release_memory() -> None:
    """Give empty pages of glibc's heap back to the system; other allocators are left to themselves."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
