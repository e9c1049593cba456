"""The engine of one machine: worker processes that each have all operators, and take one shard after the other.

Nothing passes between processes but a shard's plan and what was committed of it: sound and faces stay where they are
needed. A worker with a decoder beside it always has something to do, so that as many workers as cores keep them busy
to the end, and no stage waits for another. A worker that dies is replaced, and its shard is begun again.
"""

import itertools
import os
import pickle
import socket
from collections import Counter, deque
from collections.abc import Generator, Iterable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path

import pyarrow as pa

from pipelines import nursery
from pipelines.environment import process_environment
from pipelines.errors import JobError
from pipelines.graph import Stage
from pipelines.nursery import Nursery
from pipelines.process_worker import DONE, FAILED, from_bytes, to_bytes

STARTS = 3
"""Workers that may die in a row before any has loaded its models."""
DEATHS_OF_A_SHARD, DEATHS_OF_A_SEGMENT = 6, 9
"""A shard kills so many workers, and so many more for each segment, at most: those that do are left out before."""
WORKER_BYTES = 1_500_000_000
"""Memory for a worker with its decoder: 1.2 GB are seen at most, with ten hours of video by `benchmarks.throughput`."""


class Crew:
    """Worker processes for one job. They are begun by `run`; what they are forked from comes earlier if asked for.

    Args:
        stages: of the labelling graph; picklable.
        temporary: where they write what libraries have to say.
        shows_logs: whether what they write is shown, and not kept from people's sight.
    """

    def __init__(self, stages: Sequence[Stage], temporary: Path, shows_logs: bool = False) -> None:
        self._operators = pickle.dumps([stage.build for stage in stages])
        self._environment = os.environ | process_environment(temporary)
        self._logs = None if shows_logs else temporary
        self._numbers = itertools.count()
        self._nursery: Nursery | None = None

    def foresee(self) -> None:
        """There will be work: import the libraries meanwhile."""
        with suppress(OSError):  # what stands in the way is said when workers are needed
            self._another_nursery()

    def end(self) -> None:
        """End all workers that there are."""
        if self._nursery:
            self._nursery.end()

    def run(self, shards: Iterable[pa.Table], workers: int) -> Generator[pa.Table]:
        """Label shards in so many processes; yields what the last stage says of each, in order of completion.

        Args:
            shards: of the plan (`operators.schema.PLANNED`).
            workers: processes; no more are started than there are shards.

        Raises:
            JobError: an operator has failed, or workers die again and again.
        """
        planned = iter(shards)  # one after the other, as there may be very many
        first = list(itertools.islice(planned, workers))
        waiting = itertools.chain(first, planned)
        begun: deque[pa.Table] = deque()  # whose workers have died
        deaths: Counter[str] = Counter()
        starts_lost = 0
        try:
            at_work = [self._begin() for _ in first]
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
                        at_work.append(self._begin())
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
            self.end()

    def _begin(self) -> "_Worker":
        """Another worker; one that can't be had is seen to have died."""
        ours = self._nursery
        if ours is None or ours.has_died():
            ours = self._another_nursery()
        return _Worker(ours, self._logs and self._logs / f"worker-{next(self._numbers)}.log")

    def _another_nursery(self) -> Nursery:
        self._nursery = nursery.take()
        self._nursery.prepare(self._environment, self._operators)
        return self._nursery


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


class _Worker:
    """A worker of a nursery; `shard` is what it has been given and has not answered for."""

    def __init__(self, nursery: Nursery, log: Path | None) -> None:
        self.shard: pa.Table | None = None
        self._nursery = nursery
        self._log = log
        ours, theirs = socket.socketpair()
        with theirs:
            self._number = nursery.begin(theirs, log)
        self.connection = Connection(ours.detach())

    def take(self, shard: pa.Table) -> None:
        """Give it a shard."""
        self.shard = shard
        with suppress(OSError):  # it has died, which is seen when it is asked
            self.connection.send_bytes(to_bytes(shard))

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
        self.shard = None
        return from_bytes(content) if kind == DONE else None

    def end(self) -> str:
        """End it; returns how it has ended, and the last that it said."""
        self.connection.close()
        return self._nursery.end_worker(self._number, self._log)
