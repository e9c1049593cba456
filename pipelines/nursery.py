"""The job's end of `pipelines.process_nursery`, the process that workers are forked from.

Nothing of ours is imported here but what takes no time: the nursery of a command that will need one is begun before the
command itself has been imported (`pipelines.cli.start`), as its libraries take longer than all else of a start.
"""

import atexit
import itertools
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pipelines.environment import process_environment
from pipelines.logs import last_lines

READY, BEGIN, END = b"ready", b"begin", b"end"
"""READY is said once. BEGIN, with descriptors of its socket and its log, asks for a worker. END and the number of one,
counted from 0, asks for its end, if it has not come yet, and how it has come: the answer is its exit code."""
MESSAGE_BYTES = 64

LIBRARIES: Sequence[str] = (
    "operators.decode",
    "models.retinaface_onnx",
    "operators.transcribe",
    "pocketsphinx",
    "operators.infer",
)
"""Modules that operators consist of, or take when they need them, with all that those import in turn."""

END_LIMIT_S = 10.0
ONLY_WHAT_IS_INSTALLED = {"PYTHONSAFEPATH": "1"}
"""For `python -m`, which else imports what lies in the folder that the job happens to be started in."""

_early: list["Nursery"] = []


def begin_early() -> None:
    """Begin a nursery for whoever takes it; it ends with this process at the latest."""
    with suppress(OSError):  # what stands in the way is said when workers are needed
        _early.append(Nursery())
        atexit.register(leave)


def take() -> "Nursery":
    """The one that was begun early, or else a new one."""
    return _early.pop() if _early else Nursery()


def leave() -> None:
    """End the one that was begun early, if nobody has taken it."""
    while _early:
        _early.pop().end()


class Nursery:
    """A process that imports libraries and then forks workers."""

    def __init__(self) -> None:
        self._is_ready = False
        self._begun = itertools.count()
        self._said = os.fdopen(os.memfd_create("fv2es-nursery"), "w+b")  # no folder for logs is there yet
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(END_LIMIT_S)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "pipelines.process_nursery", str(theirs.fileno())],
                stdin=subprocess.PIPE,
                stdout=self._said,
                stderr=self._said,
                pass_fds=[theirs.fileno()],
                env=os.environ | process_environment(None) | ONLY_WHAT_IS_INSTALLED,
            )
        self._send(pickle.dumps(LIBRARIES))

    def prepare(self, environment: Mapping[str, str], operators: bytes) -> None:
        """Say what workers are to be: their variables, and a pickled list of what builds operators."""
        self._send(pickle.dumps(dict(environment)) + operators)

    def has_died(self) -> bool:
        """Whether no more workers come from it."""
        return self._process.poll() is not None

    def begin(self, connection: socket.socket, log: Path | None) -> int:
        """Ask for a worker at the other end of a connection, which ends at once where there is none; its number.

        What the worker says goes to the log, or to where people see it.
        """
        with _opened(log) as said, suppress(OSError):
            socket.send_fds(self._socket, [BEGIN], [connection.fileno(), said])
        return next(self._begun)

    def end_worker(self, number: int, log: Path | None) -> str:
        """End a worker, if it hasn't ended; returns how it has, and the last that it said into its log."""
        try:
            self._socket.send(END + b" %d" % number)
            while (answer := self._socket.recv(MESSAGE_BYTES)) == READY:
                self._is_ready = True
            return _account(int(answer), last_lines(log.read_bytes()) if log else "")
        except (OSError, ValueError):
            return self.end()

    def end(self) -> str:
        """End it with all its workers; returns how it has ended, and the last that it said."""
        if self._socket.fileno() >= 0:
            ready, _, _ = select.select([self._socket], [], [], 0)
            self._socket.close()
            if self._is_ready or ready:  # before that it has no workers, and doesn't see that it is told to end
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(END_LIMIT_S)
            self._process.kill()
        code = self._process.wait()
        self._said.seek(0)
        return _account(code, last_lines(self._said.read()))

    def _send(self, content: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101  # a pipe was asked for
        with suppress(BrokenPipeError):  # that it has died is seen when a worker is asked for
            self._process.stdin.write(content)
            self._process.stdin.flush()


@contextmanager
def _opened(log: Path | None) -> Iterator[int]:
    if log is None:
        yield sys.stderr.fileno()
    else:
        with log.open("ab") as file:
            yield file.fileno()


def _account(code: int, said: str) -> str:
    how = f"been ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
    return f"{how}\n{said}" if said else how
