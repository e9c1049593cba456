"""Around every operator, in its worker: says what became of each shard, and at the end of each segment."""

import time
from collections.abc import Callable

import pyarrow as pa

from operators.schema import FAILED, media_ms
from pipelines import logs

Operator = Callable[[pa.Table], pa.Table]

_OF_A_SEGMENT = ("video_id", "uri", "start_ms", "end_ms", "status", "reason")
_SECONDS = ("decode_s", "faces_s", "transcribe_s", "infer_s")


class Logged:
    """An operator whose work is logged.

    Args:
        build: makes the operator.
        stage: its name.
        run_id: of the run.
        form: of the lines.
        level: events less grave than this are left out.
        last: whether this is the last stage, which tells of every segment.
    """

    def __init__(
        self,
        build: Callable[[], Operator],
        stage: str,
        run_id: str,
        form: logs.Format,
        level: logs.Level,
        last: bool = False,
    ) -> None:
        if not logs.begun():
            logs.begin(form, level)
        self._names = {"run_id": run_id, "stage": stage}
        self._last = last
        self._operator = build()

    def __call__(self, shard: pa.Table) -> pa.Table:
        """Pass one shard through; of an empty one there is nothing to say."""
        if not shard.num_rows:
            return self._operator(shard)
        names = self._names | {"shard_id": shard["shard_id"][0].as_py()}
        began = time.monotonic()
        try:
            done = self._operator(shard)
        except Exception as error:
            logs.event("error", "stage failed", **names, error=f"{type(error).__name__}: {error}")
            raise
        seconds, media_s = round(time.monotonic() - began, 3), media_ms(shard) / 1000
        logs.event("info", "stage done", **names, segments=len(shard), media_s=media_s, seconds=seconds)
        if self._last:
            self._tell_of_segments(names, shard)
        return done

    def _tell_of_segments(self, names: dict[str, str], shard: pa.Table) -> None:
        told = [name for name in (*_OF_A_SEGMENT, *_SECONDS) if name in shard.column_names]
        for row in shard.select(told).to_pylist():
            logs.event("warning" if row["status"] in FAILED else "info", "segment", **names, **row)
