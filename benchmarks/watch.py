"""Run a command and measure its whole tree of processes, those that outlive their parents included. Linux only."""

import ctypes
import os
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

_PR_SET_CHILD_SUBREAPER = 36
_LAST_WORDS_S = 20.0
_LOOK_S = 0.5
_IGNORES_CHILDREN = 1 << (signal.SIGCHLD - 1)

Key = tuple[int, float]
"""A process: its pid and the time of its start."""


@dataclass(frozen=True)
class Traffic:
    """Bytes that processes have read and written: by their calls (files, pipes, sockets), and from and to disks."""

    read_by_calls: int = 0
    written_by_calls: int = 0
    read_from_disk: int = 0
    written_to_disk: int = 0

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))

    def __sub__(self, other: "Traffic") -> "Traffic":
        return Traffic(*(a - b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))

    def larger(self, other: "Traffic") -> "Traffic":
        """Of each figure the larger one."""
        return Traffic(*(max(a, b) for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))


def environment_as_installed() -> dict[str, str]:
    """Our environment, but for what would keep Python from keeping compiled modules, as any installation does."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True)
class Watched:
    """What a command and everything it started used."""

    exit_code: int
    stdout: str
    stderr: str
    began_at: float  # seconds since 1970
    wall_s: float
    cpu_s: float  # user and system, of every process
    traffic: Traffic
    peak_bytes: int  # proportional set size of all processes at one time, without shared memory
    peak_shared_bytes: int  # shared memory at one time: Ray's object store

    def check(self, allowed: Sequence[int] = (0,)) -> "Watched":
        """Itself; or end the program, with the command's last words, when it failed."""
        if self.exit_code not in allowed:
            raise SystemExit(f"The command ended with exit code {self.exit_code}:\n{self.stderr[-2000:]}")
        return self


@dataclass
class _Seen:
    """What was seen of the command's processes so far."""

    strangers: set[int]
    cpu_s: dict[Key, float] = field(default_factory=dict)
    traffic: dict[Key, Traffic] = field(default_factory=dict)
    peak: int = 0
    peak_shared: int = 0

    def look(self, memory: bool) -> None:
        """Write down what each descendant has used so far."""
        private = shared = 0
        for process in psutil.Process().children(recursive=True):
            if process.pid in self.strangers:
                continue
            with suppress(psutil.Error, OSError):  # it ended meanwhile
                key, times = (process.pid, process.create_time()), process.cpu_times()
                self.cpu_s[key] = times.user + times.system
                self.traffic.pop(key, None)
                if _counts_for_itself(process.ppid()):
                    self.traffic[key] = traffic_of(_text(process.pid, "io"))
                if memory:
                    own, common = memory_of(_text(process.pid, "smaps_rollup"))
                    private, shared = private + own, shared + common
        self.peak, self.peak_shared = max(self.peak, private), max(self.peak_shared, shared)


def run_watched(command: Sequence[str], period_s: float | None = None, env: Mapping[str, str] | None = None) -> Watched:
    """Run a command to its end. Memory is looked at every `period_s` seconds, not at all when that is None.

    CPU time and bytes are the larger of two accounts. The system's own lacks processes whose parent ignores their end,
    as Ray's does; that of looking at every process twice a second lacks what lives for less, and what was used after
    the last look.
    """
    seen = _Seen({child.pid for child in psutil.Process().children(recursive=True)})
    used_before, moved_before = _children_cpu_s(), _children_traffic()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err, _adopting_orphans():
        began_at, start = time.time(), time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env)
        weighed = -float("inf")
        while process.poll() is None:
            now = time.monotonic()
            weigh = period_s is not None and now - weighed >= period_s
            weighed = now if weigh else weighed
            seen.look(memory=weigh)
            try:
                process.wait(min(period_s or _LOOK_S, _LOOK_S))
            except subprocess.TimeoutExpired:
                continue
        wall_s = time.monotonic() - start
        _reap_orphans(seen.strangers)
        out.seek(0)
        err.seek(0)
        return Watched(
            exit_code=process.returncode,
            stdout=out.read(),
            stderr=err.read(),
            began_at=began_at,
            wall_s=wall_s,
            cpu_s=max(_children_cpu_s() - used_before, sum(seen.cpu_s.values())),
            traffic=(_children_traffic() - moved_before).larger(sum(seen.traffic.values(), Traffic())),
            peak_bytes=seen.peak,
            peak_shared_bytes=seen.peak_shared,
        )


def traffic_of(text: str) -> Traffic:
    """The content of a /proc/PID/io: the process's own, and that of all children whose end it has waited for."""
    found = {name: int(value) for name, _, value in (line.partition(":") for line in text.splitlines())}
    return Traffic(found["rchar"], found["wchar"], found["read_bytes"], found["write_bytes"])


def memory_of(text: str) -> tuple[int, int]:
    """The content of a /proc/PID/smaps_rollup: bytes of its own (anonymous and file-backed pages), shared memory."""
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in text.splitlines()[1:])}
    return (kib.get("Pss_Anon", 0) + kib.get("Pss_File", 0)) << 10, kib.get("Pss_Shmem", 0) << 10


def _counts_for_itself(parent: int) -> bool:
    """Whether the bytes of a child of this parent will not be added to the parent's, or the parent is this process."""
    if parent == os.getpid():
        return True
    (ignored,) = (line for line in _text(parent, "status").splitlines() if line.startswith("SigIgn:"))
    return bool(int(ignored.split()[1], 16) & _IGNORES_CHILDREN)


def _text(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text("utf-8", "replace")


@contextmanager
def _adopting_orphans() -> Iterator[None]:
    """Descendants whose parents end become this process's children, so that they are seen and counted."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _children_traffic() -> Traffic:
    """Of children that were waited for: all of this process's, less its own threads'."""
    own = (traffic_of(path.read_text("ascii")) for path in Path("/proc/self/task").glob("*/io"))
    return traffic_of(_text(os.getpid(), "io")) - sum(own, Traffic())


def _reap_orphans(strangers: set[int]) -> None:
    """Wait for what the command left behind, for a while, so that its CPU time counts."""
    deadline = time.monotonic() + _LAST_WORDS_S
    while time.monotonic() < deadline:
        left = [child.pid for child in psutil.Process().children() if child.pid not in strangers]
        if not left:
            return
        if not any(os.waitpid(pid, os.WNOHANG)[0] for pid in left):
            time.sleep(0.05)
