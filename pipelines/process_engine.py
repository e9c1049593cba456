"""The engine of one machine: worker processes that each have all operators, and take one shard after the other.

Nothing passes between processes but a shard's plan and what was committed of it: sound and faces stay where they are
needed. A worker with a decoder beside it always has something to do, so that as many workers as cores keep them busy
to the end, and no stage waits for another. A worker that dies is replaced, and its shard is begun again.
"""

import itertools
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import nullcontext, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path

import pyarrow as pa

from pipelines.errors import JobError
from pipelines.graph import Stage, process_environment
from pipelines.logs import last_lines
from pipelines.process_worker import DONE, FAILED, from_bytes, to_bytes

STARTS = 3
"""Workers that may die in a row before any has loaded its models."""
DEATHS_OF_A_SHARD, DEATHS_OF_A_SEGMENT = 6, 9
"""A shard kills so many workers, and so many more for each segment, at most: those that do are left out before."""
END_LIMIT_S = 10.0
WORKER_BYTES = 2_200_000_000
"""Memory that a worker with its decoder is seen to take at most, on a video of an hour by `benchmarks.throughput`."""
ONLY_WHAT_IS_INSTALLED = {"PYTHONSAFEPATH": "1"}
"""For `python -m`, which else imports what lies in the folder that the job happens to be started in."""


def run(
    shards: Iterable[pa.Table], stages: Sequence[Stage], workers: int, temporary: Path, shows_logs: bool = False
) -> Generator[pa.Table]:
    """Label shards in so many processes; yields what the last stage says of each, in order of completion.

    Args:
        shards: of the plan (`operators.schema.PLANNED`).
        stages: of the labelling graph; picklable.
        workers: processes; no more are started than there are shards.
        temporary: where they write what libraries have to say.
        shows_logs: whether what they write is shown, and not kept from people's sight.

    Raises:
        JobError: an operator has failed, or workers die again and again.
    """
    planned = iter(shards)  # one after the other, as there may be very many
    first = list(itertools.islice(planned, workers))
    waiting = itertools.chain(first, planned)
    begun: deque[pa.Table] = deque()  # whose workers have died
    deaths: Counter[str] = Counter()
    starts_lost = 0
    begin = _beginning(pickle.dumps([stage.build for stage in stages]), temporary, shows_logs)
    at_work: list[_Worker] = []
    try:
        for _ in first:
            at_work.append(begin())
        while at_work:
            for worker in _with_news(at_work):
                try:
                    summary = worker.news()
                except EOFError:
                    at_work.remove(worker)
                    said = worker.end()
                    if worker.shard is not None:
                        _note_death(deaths, worker.shard, said)
                        begun.append(worker.shard)
                    elif (starts_lost := starts_lost + 1) == STARTS:
                        raise JobError(f"{STARTS} workers have {said} while they loaded the models.") from None
                    at_work.append(begin())
                    continue
                starts_lost = 0
                shard = begun.popleft() if begun else next(waiting, None)
                if shard is not None:
                    worker.take(shard)
                else:
                    at_work.remove(worker)
                    worker.end()
                if summary is not None:
                    yield summary
    finally:
        for worker in at_work:
            worker.end()


def workers_with_room(memory_bytes: int) -> int:
    """How many workers this much memory has room for: at least one, and something is left for all else."""
    return max(1, int(memory_bytes * 0.8) // WORKER_BYTES)


def _with_news(workers: Sequence["_Worker"]) -> list["_Worker"]:
    """Wait until some have said something, or have died."""
    ready = set(map(id, wait([worker.connection for worker in workers])))
    return [worker for worker in workers if id(worker.connection) in ready]


def _note_death(deaths: Counter[str], shard: pa.Table, said: str) -> None:
    shard_id = shard["shard_id"][0].as_py()
    deaths[shard_id] += 1
    if deaths[shard_id] > DEATHS_OF_A_SHARD + DEATHS_OF_A_SEGMENT * shard.num_rows:
        raise JobError(f"{deaths[shard_id]} workers have died of shard {shard_id}; the last one has {said}.")


def _beginning(operators: bytes, temporary: Path, shows_logs: bool) -> Callable[[], "_Worker"]:
    """What starts another worker."""
    environment = os.environ | process_environment(temporary) | ONLY_WHAT_IS_INSTALLED
    numbers = itertools.count()

    def begin() -> _Worker:
        log = None if shows_logs else temporary / f"worker-{next(numbers)}.log"
        return _Worker(operators, environment, log)

    return begin


class _Worker:
    """A process of `pipelines.process_worker`; `shard` is what it has been given and has not answered for."""

    def __init__(self, operators: bytes, environment: dict[str, str], log: Path | None) -> None:
        self.shard: pa.Table | None = None
        self._is_idle = False
        self._log = log
        ours, theirs = socket.socketpair()
        with theirs, log.open("wb") if log else nullcontext() as said:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "pipelines.process_worker", str(theirs.fileno())],
                stdin=subprocess.PIPE,
                stdout=said or sys.stderr.fileno(),
                stderr=said,
                pass_fds=[theirs.fileno()],
                env=environment,
            )
        self.connection = Connection(ours.detach())
        self._send(operators)

    def take(self, shard: pa.Table) -> None:
        """Give it a shard."""
        self.shard, self._is_idle = shard, False
        self._send(to_bytes(shard))

    def news(self) -> pa.Table | None:
        """What was committed of its shard; None when it has just become ready.

        Raises:
            EOFError: it has died.
            JobError: an operator has failed.
        """
        try:
            kind = self.connection.recv_bytes()
            content = self.connection.recv_bytes()
        except OSError as error:
            raise EOFError from error
        if kind == FAILED:
            raise JobError(content.decode())
        self.shard, self._is_idle = None, True
        return from_bytes(content) if kind == DONE else None

    def end(self) -> str:
        """End it, and the decoder that it may have started; returns how it has ended, and the last that it said."""
        self.connection.close()
        if self._is_idle:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_LIMIT_S)
        self._process.kill()
        code = self._process.wait()
        how = f"been ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        said = last_lines(self._log) if self._log else ""
        return f"{how}\n{said}" if said else how

    def _send(self, content: bytes | pa.Buffer) -> None:
        with suppress(OSError):  # it has died, which is seen when it is asked
            self.connection.send_bytes(content)
