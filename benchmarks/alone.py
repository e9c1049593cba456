"""Run a measurement in processes of its own, each of one thread, so that nothing that was done before tells on it."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.environment import process_environment


def measured_alone(module: str, videos: Sequence[Path], processes: int = 1) -> list[dict[str, Any]]:
    """What `python -m module VIDEO ...` prints, a JSON object, by each of so many processes at once."""
    command = [sys.executable, "-m", module, *map(str, videos)]
    environment = os.environ | process_environment(None)
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, env=environment, **pipes) for _ in range(processes)]
    said = [process.communicate() for process in running]
    for process, (_, stderr) in zip(running, said, strict=True):
        if process.returncode:
            raise SystemExit(f"{module} ended with exit code {process.returncode}:\n{stderr[-2000:]}")
    return [json.loads(stdout) for stdout, _ in said]


def per_media_s(measured: Sequence[dict[str, Any]]) -> dict[str, float]:
    """CPU-seconds for a second of media by stage: the mean of what processes have said."""
    each = [{stage: spent / answer["media_s"] for stage, spent in answer["cpu_s"].items()} for answer in measured]
    return {stage: sum(costs[stage] for costs in each) / len(each) for stage in each[0]}
