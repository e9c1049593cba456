"""Run the command line as a user does, and read what it left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.dataset as ds

from operators.schema import RUN_COLUMNS

FV2ES = Path(sys.executable).with_name("fv2es")
TIME_LIMIT_S = 400
WORKERS_END_S = 60
"""Within this a worker has ended once its job has been killed: one that still imports libraries finishes that first."""


def fv2es(
    *arguments: object,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    time_limit_s: float = TIME_LIMIT_S,
) -> subprocess.CompletedProcess[str]:
    """Run `fv2es` to its end; the exit code is the caller's to look at."""
    command = [str(FV2ES), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=time_limit_s, check=False)


def label_json(
    *arguments: object, env: dict[str, str] | None = None, time_limit_s: float = TIME_LIMIT_S
) -> tuple[int, dict[str, Any]]:
    """`fv2es label ... --json`: exit code and result."""
    done = fv2es("label", *arguments, "--json", env=env, time_limit_s=time_limit_s)
    assert done.returncode in (0, 3), f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.returncode, json.loads(done.stdout)


def label_and_kill(arguments: list[object], after_s: float, env: dict[str, str] | None = None) -> bool:
    """Start `fv2es label`, SIGKILL it after so many seconds, and wait for its workers; whether it was still at work.

    A worker ends with the job, but may be at the point of committing when that happens, and commits.
    """
    command = [str(FV2ES), "label", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert psutil.wait_procs(workers, timeout=WORKERS_END_S)[1] == []
        return True
    return False


def table(out: Path, name: str, order: list[str]) -> pa.Table:
    """`labels` or `segments` as any reader sees it, without the columns that tell of a run, in a fixed order."""
    files = sorted((out / name).rglob("*.parquet"))
    whole = ds.dataset(files, format="parquet").to_table().replace_schema_metadata(None)
    return whole.drop_columns([column for column in RUN_COLUMNS if column in whole.column_names]).sort_by(
        [(column, "ascending") for column in order]
    )


def labels(out: Path) -> pa.Table:
    """The labels, by uri and time."""
    return table(out, "labels", ["uri", "start_ms"])


def segments(out: Path) -> pa.Table:
    """The ledger, by uri and time."""
    return table(out, "segments", ["uri", "start_ms"])


def files_below(*folders: Path) -> set[str]:
    """Every file below these folders; what comes and goes while we look is left out."""
    found = set()
    for folder in folders:
        for parent, _, names in os.walk(folder):
            found |= {str(Path(parent, name)) for name in names}
    return found


def wait_until(is_so: Callable[[], bool], limit_s: float) -> None:
    """Wait for something to be so."""
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline, f"it was not so within {limit_s:g} s"
        time.sleep(0.05)


def wait_until_gone(*folders: Path, limit_s: float = 20) -> list[str]:
    """What is left in these folders once nothing goes away any more: workers end a moment after their driver."""
    deadline = time.monotonic() + limit_s
    while (left := sorted(files_below(*folders))) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left
