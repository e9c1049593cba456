"""A child process that reads hostile files: pipes are drained, time and memory limited, and its group dies with it."""

import os
import re
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from multiprocessing.connection import wait
from types import TracebackType
from typing import IO, Any

STDERR_TAIL_BYTES = 2_000
LONGEST_LINE_BYTES = 1 << 16

SECRETS = ("AWS_", "FV2ES_STORAGE__")
"""Variables that begin so are not for a program that reads hostile files."""

_ADDRESS = re.compile(rb" @ 0x[0-9a-f]+")  # of libav's objects: other in every run

OUT_OF_MEMORY = "it asks for more memory than limits.max_memory_mb allows"
_NO_MEMORY = re.compile(rb"Cannot allocate memory|get_buffer\(\) failed|pthread_create\(\) failed")

TOO_LARGE = "its pictures become more than limits.max_pixels allows"
_MANY_PIXELS = re.compile(rb"exceeds specified max pixel count")

UNUSED_TRACK = re.compile(rb"\[(out#\d+/)?null\]")
"""What begins the complaints of an output that nothing is kept of: they are not of what we read."""


class Process:
    """A running ffmpeg: stdout and stderr are drained by threads, and it is killed when it takes too long.

    Used as a context manager; on leaving it by an exception the process and its group are killed. `stdout_began` and
    `last_error_at` are times of `time.monotonic()`.

    Args:
        arguments: the argument list.
        time_limit_s: of wall time, less what `excused_s` returns.
        max_stdout_bytes: what is kept of stdout; the rest is read and dropped.
        max_memory_mb: of address space: a broken file may ask for anything.
        reserves_freely: only memory that can be written to counts: CUDA reserves more addresses than there is memory.
        hidden: replaced by "the file" in what the process says: a presigned URL is a secret.
        pass_fds: ends of pipes that the process writes; closed here once it runs.
        excused_s: seconds that the reader, not ffmpeg, has spent.
    """

    def __init__(
        self,
        arguments: list[str],
        time_limit_s: float,
        max_stdout_bytes: int,
        max_memory_mb: int,
        hidden: str = "",
        pass_fds: tuple[int, ...] = (),
        excused_s: Callable[[], float] = lambda: 0.0,
        reserves_freely: bool = False,
    ) -> None:
        self.stdout = bytearray()
        self.stderr_tail = b""
        self.stdout_began: float | None = None
        self.last_error: str | None = None
        self.last_error_at = 0.0
        self.timed_out = False
        self._time_limit_s = time_limit_s
        self._excused_s = excused_s
        self._max_stdout_bytes = max_stdout_bytes
        self._hidden = hidden.encode()
        try:
            if shutil.which(arguments[0]) is None:  # asked here: what it is started through would hide it
                raise FileNotFoundError(f"{arguments[0]}: no such program, or one that may not be run")
            # A session of its own, so that the whole group can be killed.
            self._process = subprocess.Popen(  # noqa: S603
                [*_dying_with_us(), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=pass_fds,
                start_new_session=True,
                env=environment_without_secrets(),
            )
        finally:
            for fd in pass_fds:
                os.close(fd)
        limit_memory(self._process.pid, max_memory_mb, reserves_freely)
        self._threads = [
            threading.Thread(target=run, daemon=True) for run in (self._read_stdout, self._read_stderr, self._watch)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> "Process":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._kill()
        for thread in self._threads:
            thread.join()
        if self._process.returncode < 0 and not self.timed_out:
            self.last_error = f"the decoder crashed ({signal.Signals(-self._process.returncode).name})"
            self.last_error_at = time.monotonic()

    def _read_stdout(self) -> None:
        stream = _stream(self._process.stdout)
        with stream:
            while chunk := stream.read1(1 << 16):
                self.stdout_began = self.stdout_began or time.monotonic()
                self.stdout += chunk[: self._max_stdout_bytes - len(self.stdout)]

    def _read_stderr(self) -> None:
        stream = _stream(self._process.stderr)
        with stream:
            for line in iter(lambda: stream.readline(LONGEST_LINE_BYTES), b""):
                clean = _ADDRESS.sub(b"", line)
                if self._hidden:
                    clean = clean.replace(self._hidden, b"the file")
                self.stderr_tail = (self.stderr_tail + clean)[-STDERR_TAIL_BYTES:]
                if (b"[error]" in clean or b"[fatal]" in clean) and not UNUSED_TRACK.match(clean):
                    self._note_error(clean)

    def _note_error(self, line: bytes) -> None:
        """Keep the last complaint, but one about a limit above all that follow from it."""
        self.last_error_at = time.monotonic()
        if _MANY_PIXELS.search(line):
            self.last_error = TOO_LARGE
        elif self.last_error == TOO_LARGE:
            return
        elif _NO_MEMORY.search(line):
            self.last_error = OUT_OF_MEMORY
        elif self.last_error != OUT_OF_MEMORY:
            self.last_error = line.decode("utf-8", "replace").strip()

    def _watch(self) -> None:
        started = time.monotonic()
        while True:
            left_s = self._time_limit_s + self._excused_s() - (time.monotonic() - started)
            if left_s <= 0:
                self.timed_out = True
                self._kill()
            if self._has_ended(max(left_s, 0.1)):
                return

    def _has_ended(self, limit_s: float) -> bool:
        """Wait for its end so long at most."""
        try:
            if not _ends(self._process.pid, limit_s):
                return False
        except OSError:  # it has ended and was seen to, or the system has no such descriptors
            pass
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _kill(self) -> None:
        if self._process.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(self._process.pid, signal.SIGKILL)


def _ends(pid: int, limit_s: float) -> bool:
    """Whether a process comes to its end within this time, seen at once: `Popen.wait` sleeps up to 50 ms between looks.

    Raises OSError where there is no such process, or no way to see it.
    """
    if not hasattr(os, "pidfd_open"):
        raise OSError("only Linux has descriptors of processes")
    descriptor = os.pidfd_open(pid)
    try:
        return bool(wait([descriptor], limit_s))
    finally:
        os.close(descriptor)


@cache
def _dying_with_us() -> list[str]:
    """What a command begins with to be killed with the process that runs it, where the system can (util-linux).

    A decoder that hangs would outlive a worker that was killed: nobody is left to watch its time.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def environment_without_secrets() -> dict[str, str]:
    """The variables for a program that reads hostile files."""
    return {name: value for name, value in os.environ.items() if not name.startswith(SECRETS)}


def limit_memory(pid: int, max_mb: int, reserves_freely: bool = False) -> None:
    """Limit a process's address space (MiB), or what of it can be written to, where the system can (Linux)."""
    if hasattr(resource, "prlimit"):
        with suppress(ProcessLookupError):
            kind = resource.RLIMIT_DATA if reserves_freely else resource.RLIMIT_AS
            resource.prlimit(pid, kind, (max_mb << 20, max_mb << 20))


def _stream(stream: IO[bytes] | None) -> Any:
    assert stream is not None  # noqa: S101  # Popen was asked for pipes
    return stream
