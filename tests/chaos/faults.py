"""Runs of `tests.chaos.light`, their workers, and what can befall them."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imageio_ffmpeg
import psutil

from tests.labelling import labels, segments
from tests.media import AAC, H264, beep_source, ffmpeg, flash_source

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

ROOT = Path(__file__).parent.parent.parent
FAKE_FFMPEG = """#!/bin/sh
case "$*" in
  *{name}*) {what} ;;
  *) exec {ffmpeg} "$@" ;;
esac
"""
CRASH, HANG = "kill -SEGV $$", "exec sleep 1000"
SHORT_TIME = {"FV2ES_DECODE__TIME_LIMIT_BASE_S": "2", "FV2ES_DECODE__TIME_LIMIT_FACTOR": "0.1"}
LITTLE_MEMORY = {"FV2ES_LIMITS__MAX_MEMORY_MB": "1024"}
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


def build_huge(path: Path) -> None:
    """A video of huge pictures, of which its decoder keeps four: more than `LITTLE_MEMORY`."""
    media = ["-f", "lavfi", "-i", "testsrc2=s=8192x8192:r=8:d=1", "-f", "lavfi", "-i", beep_source(1.0)]
    kept = ["-refs", "4", "-pix_fmt", "yuv444p"]
    ffmpeg(*media, "-c:v", "libx264", "-preset", "ultrafast", *kept, *AAC, "-threads", "1", path)


def fake_ffmpeg(path: Path, name: str, what: str) -> dict[str, str]:
    """An ffmpeg that does `what` (of a shell) with files of this name; returns the variable that has it used."""
    path.write_text(FAKE_FFMPEG.format(name=name, what=what, ffmpeg=imageio_ffmpeg.get_ffmpeg_exe()))
    path.chmod(0o755)
    return {"FV2ES_FFMPEG": str(path)}


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A disk of its own for a folder.

    Raises:
        PermissionError: we have no right to mount one.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        raise PermissionError("no right to mount a disk here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def make_room(folder: Path) -> None:
    """Make that disk larger."""
    subprocess.run(["mount", "-o", "remount,size=10m", str(folder)], check=True)


def environment(watch: Path, pace_s: float = 0.0, **more: str) -> dict[str, str]:
    """The environment of a run whose workers note in `watch` what they are."""
    watch.mkdir(parents=True, exist_ok=True)
    own = {"CHAOS_PACE_S": str(pace_s), "CHAOS_WATCH": str(watch), "RAY_worker_niceness": "0"}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | SHARDS | own | {"PYTHONPATH": path} | more


def start(
    *arguments: object, env: Mapping[str, str], log: Path, cwd: Path = ROOT, module: str = "tests.chaos.light"
) -> subprocess.Popen[bytes]:
    """Begin a run; what it says goes to `log`."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with log.open("ab") as out:
        return subprocess.Popen(command, stdout=out, stderr=out, env=dict(env), cwd=cwd)


def finish(*arguments: object, env: Mapping[str, str], log: Path, cwd: Path = ROOT) -> int:
    """Run to the end; the exit code."""
    return start(*arguments, env=env, log=log, cwd=cwd).wait(END_LIMIT_S)


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


def wait_for_commits(out: Path, count: int, process: subprocess.Popen[bytes], limit_s: float = START_LIMIT_S) -> None:
    """Wait until so many shards are committed, or the run has ended."""
    deadline = time.monotonic() + limit_s
    while len(list(out.glob("segments/**/*.parquet"))) < count and process.poll() is None:
        assert time.monotonic() < deadline, f"{count} commits did not come"
        time.sleep(0.05)


def same_tables(out: Path, undisturbed: Path, retried: bool = False) -> bool:
    """Whether two outputs hold the same rows, but for what tells of the run; what was retried has its own shards."""
    ledgers = [segments(folder) for folder in (out, undisturbed)]
    if retried:
        ledgers = [ledger.drop_columns(["shard_id"]) for ledger in ledgers]
    return labels(out).equals(labels(undisturbed)) and ledgers[0].equals(ledgers[1])


def children_of(pid: int) -> list[psutil.Process]:
    """All descendants of a process."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def listening_ports(processes: list[psutil.Process]) -> list[int]:
    """At which ports they listen; those that have just ended, as helpers of a library do, listen at none."""
    ports: list[int] = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            listening = [at for at in process.net_connections() if at.status == psutil.CONN_LISTEN]
            ports += [at.laddr.port for at in listening]
    return ports


def wait_until_ended(processes: list[psutil.Process], limit_s: float = 60) -> list[psutil.Process]:
    """Those that are still there after a while."""
    return psutil.wait_procs(processes, timeout=limit_s)[1]


@contextmanager
def ray_cluster(env: Mapping[str, str], **head: Any) -> Iterator["Cluster"]:
    """A Ray cluster on this machine, of one node at first."""
    from ray.cluster_utils import Cluster

    before = dict(os.environ)
    os.environ.update(env)
    cluster = Cluster()
    try:
        add_node(cluster, **head, include_dashboard=False)
        yield cluster
    finally:
        cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)


def add_node(cluster: "Cluster", **node: Any) -> psutil.Process:
    """Another node; its raylet."""
    for last in (False, False, True):
        try:
            added = cluster.add_node(**node)
        except Exception:
            if last:
                raise
        else:
            break
    return psutil.Process(added.all_processes["raylet"][0].process.pid)


@contextmanager
def two_nodes(env: Mapping[str, str]) -> Iterator[tuple[str, psutil.Process]]:
    """A Ray cluster of two nodes on this machine: its address, and the raylet of the second node."""
    with ray_cluster(env, num_cpus=2) as cluster:
        raylet = add_node(cluster, num_cpus=2)
        cluster.wait_for_nodes()
        yield cluster.address, raylet


def raylets_of(watch: Path, stage: str) -> set[int]:
    """The pids of the raylets on whose nodes a stage has worked."""
    return {int(note.read_text().partition("\n")[0] or 0) for note in watch.glob(f"{stage}-*")}


def huge_and_others(out: Path, undisturbed: Path) -> bool:
    """Whether memory was too little for huge.mp4, and all else is as in the undisturbed run."""
    rows = {Path(row["uri"]).name: row for row in segments(out).to_pylist()}
    noted = "more memory than limits.max_memory_mb allows" in (rows.pop("huge.mp4")["reason"] or "")
    expected = {Path(row["uri"]).name: row["status"] for row in segments(undisturbed).to_pylist()}
    said = [set(labels(folder)["text"].to_pylist()) for folder in (out, undisturbed)]
    return noted and {name: row["status"] for name, row in rows.items()} == expected and said[1] <= said[0]
