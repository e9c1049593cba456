"""Run a command and measure its whole tree of processes, those that outlive their parents included. Linux only."""

import ctypes
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_PR_SET_CHILD_SUBREAPER = 36
_LAST_WORDS_S = 20.0
_LOOK_S = 0.5


@dataclass(frozen=True)
class Watched:
    """What a command and everything it started used."""

    exit_code: int
    stdout: str
    stderr: str
    wall_s: float
    cpu_s: float  # user and system, of every process
    peak_bytes: int  # proportional set size of all processes at one time, without shared memory
    peak_shared_bytes: int  # shared memory at one time: Ray's object store

    def check(self, allowed: Sequence[int] = (0,)) -> "Watched":
        """Itself; or end the program, with the command's last words, when it failed."""
        if self.exit_code not in allowed:
            raise SystemExit(f"The command ended with exit code {self.exit_code}:\n{self.stderr[-2000:]}")
        return self


def run_watched(command: Sequence[str], period_s: float | None = None) -> Watched:
    """Run a command to its end. Memory is looked at every `period_s` seconds, not at all when that is None.

    CPU time is the larger of two accounts. The system's own lacks processes whose parent ignores their end, as Ray's
    does; that of looking at every process twice a second lacks what lives for less.
    """
    strangers = {child.pid for child in psutil.Process().children(recursive=True)}
    used_before = _children_cpu_s()
    peak = peak_shared = 0
    seen: dict[tuple[int, float], float] = {}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err, _adopting_orphans():
        start = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        while process.poll() is None:
            if period_s is not None:
                private, shared = _memory_of_descendants(strangers)
                peak, peak_shared = max(peak, private), max(peak_shared, shared)
            _note_cpu(seen, strangers)
            try:
                process.wait(period_s or _LOOK_S)
            except subprocess.TimeoutExpired:
                continue
        wall_s = time.monotonic() - start
        _reap_orphans(strangers)
        out.seek(0)
        err.seek(0)
        cpu_s = max(_children_cpu_s() - used_before, sum(seen.values()))
        return Watched(process.returncode, out.read(), err.read(), wall_s, cpu_s, peak, peak_shared)


@contextmanager
def _adopting_orphans() -> Iterator[None]:
    """Descendants whose parents end become this process's children, so that they are seen and counted."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _memory_of_descendants(strangers: set[int]) -> tuple[int, int]:
    """Bytes of this process's descendants: their own (anonymous and file-backed pages), and shared memory."""
    private = shared = 0
    for process in psutil.Process().children(recursive=True):
        if process.pid in strangers:
            continue
        try:
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text("ascii").splitlines()
        except OSError:  # it ended meanwhile
            continue
        kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if "kB" in rest}
        private += (kib.get("Pss_Anon", 0) + kib.get("Pss_File", 0)) << 10
        shared += kib.get("Pss_Shmem", 0) << 10
    return private, shared


def _note_cpu(seen: dict[tuple[int, float], float], strangers: set[int]) -> None:
    """Write down what each descendant has used so far, by its pid and the time of its start."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if process.pid not in strangers:
                times = process.cpu_times()
                seen[process.pid, process.create_time()] = times.user + times.system


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _reap_orphans(strangers: set[int]) -> None:
    """Wait for what the command left behind, for a while, so that its CPU time counts."""
    deadline = time.monotonic() + _LAST_WORDS_S
    while time.monotonic() < deadline:
        left = [child.pid for child in psutil.Process().children() if child.pid not in strangers]
        if not left:
            return
        if not any(os.waitpid(pid, os.WNOHANG)[0] for pid in left):
            time.sleep(0.05)
