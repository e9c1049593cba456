"""Runs of `tests.chaos.light`, their workers, and what can befall them."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.labelling import labels, segments
from tests.media import AAC, H264, beep_source, ffmpeg, flash_source

ROOT = Path(__file__).parent.parent.parent
START_LIMIT_S = 300.0
END_LIMIT_S = 500.0
SHARDS = {"FV2ES_PLAN__SHARD_MINUTES": "0.05", "FV2ES_PLAN__SEGMENT_MINUTES": "0.34"}
"""Every file of the corpus is a shard."""


def build_corpus(folder: Path, files: int = 6) -> Path:
    """Short files of flashes and beeps, each with other sound, and one that is none."""
    folder.mkdir(parents=True)
    for number in range(files):
        seconds = 2.5 + number / 4
        media = ["-f", "lavfi", "-i", flash_source(seconds), "-f", "lavfi", "-i", beep_source(seconds)]
        ffmpeg(*media, *H264, *AAC, "-threads", "1", folder / f"clip-{number}.mp4")
    (folder / "notes.mp4").write_text("these are notes")
    return folder


def environment(watch: Path, pace_s: float = 0.0, **more: str) -> dict[str, str]:
    """The environment of a run whose workers note in `watch` what they are."""
    watch.mkdir(parents=True, exist_ok=True)
    own = {"CHAOS_PACE_S": str(pace_s), "CHAOS_WATCH": str(watch), "RAY_worker_niceness": "0"}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | SHARDS | own | {"PYTHONPATH": path} | more


def start(*arguments: object, env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Begin a run; what it says goes to `log`."""
    command = [sys.executable, "-m", "tests.chaos.light", *map(str, arguments)]
    with log.open("ab") as out:
        return subprocess.Popen(command, stdout=out, stderr=out, env=dict(env), cwd=ROOT)


def finish(*arguments: object, env: Mapping[str, str], log: Path) -> int:
    """Run to the end; the exit code."""
    return start(*arguments, env=env, log=log).wait(END_LIMIT_S)


def at_work(watch: Path, stage: str, limit_s: float = START_LIMIT_S) -> int:
    """Wait for a worker of a stage to begin a shard; its pid."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        for note in watch.glob(f"{stage}-*"):
            pid = int(note.name.rpartition("-")[2])
            if psutil.pid_exists(pid):
                return pid
        time.sleep(0.05)
    raise TimeoutError(f"no worker of {stage} began within {limit_s:g} s")


def kill(pid: int) -> bool:
    """SIGKILL; whether there was something to kill."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def kill_worker(watch: Path, stage: str, rng: random.Random, latest_s: float = 1.0) -> None:
    """Kill a worker of a stage at a random moment after it has begun a shard."""
    pid = at_work(watch, stage)
    time.sleep(rng.uniform(0, latest_s))
    kill(pid)
    for note in watch.glob(f"{stage}-{pid}"):
        note.unlink()


def wait_for_commits(out: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until so many shards are committed, or the run has ended."""
    deadline = time.monotonic() + START_LIMIT_S
    while len(list(out.glob("segments/**/*.parquet"))) < count and process.poll() is None:
        assert time.monotonic() < deadline, f"{count} commits did not come"
        time.sleep(0.05)


def same_tables(out: Path, undisturbed: Path) -> bool:
    """Whether two outputs hold the same rows, but for what tells of the run."""
    return labels(out).equals(labels(undisturbed)) and segments(out).equals(segments(undisturbed))


def children_of(pid: int) -> list[psutil.Process]:
    """All descendants of a process."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def wait_until_ended(processes: list[psutil.Process], limit_s: float = 60) -> list[psutil.Process]:
    """Those that are still there after a while."""
    return psutil.wait_procs(processes, timeout=limit_s)[1]


@contextmanager
def two_nodes(env: Mapping[str, str]) -> Iterator[tuple[str, psutil.Process]]:
    """A Ray cluster of two nodes on this machine: its address, and the raylet of the second node."""
    from ray.cluster_utils import Cluster

    before = dict(os.environ)
    os.environ.update(env)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    try:
        node = cluster.add_node(num_cpus=2)
        cluster.wait_for_nodes()
        raylet = node.all_processes["raylet"][0].process.pid
        yield cluster.address, psutil.Process(raylet)
    finally:
        cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)
