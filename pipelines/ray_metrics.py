"""What a run tells Prometheus, through Ray's own metrics: Ray gives every name its prefix (`ray_fv2es_...`).

Counters are kept by the workers themselves, as a shard leaves a stage; what the driver alone knows it tells itself.
What a gauge says is forgotten after two of Ray's reports (of 10 s), so it is said again and again.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pyarrow as pa
import pyarrow.compute as pc
from ray.util.metrics import Counter, Gauge

from operators.schema import media_ms

LAST_STAGE = "write"
"""Its end is the commit: segments and shards are counted there."""

GAUGES_EVERY_S = 5.0


class StageMeter:
    """Counts what goes through one worker of a stage."""

    def __init__(self, stage: str) -> None:
        self._commits = stage == LAST_STAGE
        tags = {"stage": stage}
        by_stage = tuple(tags)
        self._media_s = Counter("fv2es_media_seconds_total", "Media that went through a stage, in seconds.", by_stage)
        self._stage_s = Counter("fv2es_stage_seconds_total", "Time that workers of a stage took, in seconds.", by_stage)
        self._in_flight = Gauge("fv2es_shards_in_flight", "Shards that a stage works on.", by_stage)
        for metric in (self._media_s, self._stage_s, self._in_flight):
            metric.set_default_tags(tags)
        self._segments = Counter("fv2es_segments_total", "Segments in the ledger, by what became of them.", ("status",))
        self._committed = Counter("fv2es_shards_committed_total", "Shards in the ledger.")
        self._at_work = 0
        _again_and_again(lambda: self._in_flight.set(self._at_work), threading.Event())

    @contextmanager
    def working(self, shard: pa.Table) -> Iterator[None]:
        """Around the work on a shard; what ends in an exception, or has nothing in it, is not counted."""
        began = time.monotonic()
        self._show(1)
        try:
            yield
        finally:
            self._show(0)
        if not shard.num_rows:
            return
        self._stage_s.inc(time.monotonic() - began)
        if shard_ms := media_ms(shard):
            self._media_s.inc(shard_ms / 1000)
        if self._commits:
            self._committed.inc()
            for item in pc.value_counts(shard["status"]).to_pylist():
                self._segments.inc(item["counts"], {"status": item["values"]})

    def _show(self, at_work: int) -> None:
        self._at_work = at_work
        self._in_flight.set(at_work)


@contextmanager
def telling_spill(spilled_bytes: Callable[[], int]) -> Iterator[None]:
    """For the time of the block, tell what `spilled_bytes` says; a moment at which it can't say is passed over."""
    gauge = Gauge("fv2es_spilled_bytes", "Bytes that Ray's object store has written to disk in this run.")
    ended = threading.Event()

    def tell() -> None:
        with suppress(Exception):  # whatever Ray says while a machine leaves
            gauge.set(spilled_bytes())

    thread = _again_and_again(tell, ended)
    try:
        yield
    finally:
        ended.set()
        thread.join(GAUGES_EVERY_S)


def _again_and_again(tell: Callable[[], None], ended: threading.Event) -> threading.Thread:
    def work() -> None:
        tell()
        while not ended.wait(GAUGES_EVERY_S):
            tell()

    thread = threading.Thread(target=work, name="fv2es-gauge", daemon=True)
    thread.start()
    return thread
