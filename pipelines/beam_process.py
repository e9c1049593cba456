"""Run a pipeline for `beam_engine.run`, and write how it ended: `python -m pipelines.beam_process REPORT`.

The pipeline comes pickled through stdin, whose end is the end of the job: whatever has killed that, this goes too. Ends
without a report when a worker has died.
"""

import json
import os
import pickle
import signal
import sys
import threading
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from pipelines.beam_engine import CANCEL_LIMIT_S, LabelPipeline

WORKER_DIED = "Worker subprocess exited"
"""What Beam's runner says of it in one of its threads, before it waits for that worker for ever."""


class CancelledError(BaseException):
    """The job wants the pipeline ended."""


def main() -> None:
    """Run it."""
    report = Path(sys.argv[1])
    pipeline: LabelPipeline = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
    signal.signal(signal.SIGTERM, _cancel)
    threading.excepthook = _end_with_a_worker
    threading.Thread(target=_end_with_the_job, args=(pipeline.here,), daemon=True).start()
    try:
        _run(pipeline)
        error = None
    except Exception:  # whatever a runner may raise
        error = traceback.format_exc()
    except CancelledError:
        _end()
    partial = report.with_suffix(".partial")
    partial.write_text(json.dumps({"error": error}), "utf-8")
    partial.replace(report)
    _end()


def _run(pipeline: LabelPipeline) -> None:
    result: Any = None
    try:
        result = pipeline.build().run()
        result.wait_until_finish()
    except CancelledError:
        if result is not None:
            result.cancel()
        raise


def _cancel(number: int, frame: FrameType | None) -> None:
    raise CancelledError


def _end_with_the_job(here: bool) -> None:
    sys.stdin.buffer.read()
    if not here:
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(CANCEL_LIMIT_S)
    os.killpg(0, signal.SIGKILL)


def _end_with_a_worker(caught: threading.ExceptHookArgs) -> None:
    if WORKER_DIED in str(caught.exc_value):
        _end()
    threading.__excepthook__(caught)


def _end() -> None:
    """At once: a runner's threads may wait for what never comes."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
