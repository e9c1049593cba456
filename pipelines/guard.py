"""Around every operator, in its worker: notes what it is about to do, so that a file that kills workers is found out.

A worker that dies takes its shard with it; the engine starts another and gives it the same shard. What the dead one was
at is on a note in OUT/_runs/attempts. A shard that killed a worker is gone through segment by segment, and a segment
that has been there at three deaths is left out, with a row in the ledger, so that the rest of its shard is labelled.
An exception is no death: it ends the job, or the engine tries the shard again, and the note is closed. A death of which
the whole machine has died, or left, says little of the file: machines leave for reasons of their own.
"""

import json
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from typing import Protocol

import pyarrow as pa

from operators.commit import Store
from operators.schema import FAILED

Operator = Callable[[pa.Table], pa.Table]

ATTEMPTS = "_runs/attempts"
MAX_DEATHS = 3
LOSSES_A_DEATH = 3
"""So many deaths with the machine count as one: a file that takes machines along must not take all of them."""
WHOLE = "whole"


class Machines(Protocol):
    """The machines that workers run on, by ids."""

    def here(self) -> str:
        """The one that this process runs on."""

    def left(self, ids: Collection[str]) -> set[str]:
        """Those of these that are there no longer."""


@dataclass
class Attempts:
    """What has become of the attempts at a shard in one stage.

    `at` is what is being worked on (a segment, the whole shard, or nothing), `machine` where; `deaths` are, by what was
    being worked on, the machines of the workers that died, and `left` those of them that are there no longer.
    """

    run_id: str = ""
    at: str | None = None
    machine: str = ""
    deaths: dict[str, list[str]] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)

    def count(self, at: str) -> int:
        """Deaths that count."""
        machines = self.deaths.get(at, [])
        lost = sum(machine in self.left for machine in machines)
        return len(machines) - lost + lost // LOSSES_A_DEATH

    def of(self, segment: str) -> int:
        """Deaths of workers at which a segment was there: one with its shard, others alone."""
        return min(1, self.count(WHOLE)) + self.count(segment)

    @property
    def suspected(self) -> bool:
        """Whether a worker has died of this shard."""
        return any(self.count(at) for at in self.deaths)


def stop_name(run_id: str) -> str:
    """The file of OUT whose presence tells workers to begin nothing new."""
    return f"_runs/{run_id}/stop"


class Guard:
    """An operator with its notes.

    Args:
        build: makes the operator.
        stage: its name, as people are told it.
        root: OUT.
        run_id: of the run that the worker belongs to.
        first: whether this is the first stage, which asks whether the run has been told to stop.
        apart: whether the operator works on each segment by itself, so that shards may be passed in pieces.
        shares_process: whether the operator runs in the job's own process. Else a note of an earlier run says that the
            job was killed, and nothing of the segment.
        machines: tells of a death whether the machine has died with the worker; without it none has.
    """

    def __init__(
        self,
        build: Callable[[], Operator],
        stage: str,
        root: str,
        run_id: str,
        first: bool = False,
        apart: bool = False,
        shares_process: bool = False,
        machines: Machines | None = None,
    ) -> None:
        self._stage = stage
        self._store = Store(root)
        self._run_id = run_id
        self._first = first
        self._apart = apart
        self._shares_process = shares_process
        self._machines = machines
        self._here = machines.here() if machines else ""
        self._operator = build()

    def __call__(self, shard: pa.Table) -> pa.Table:
        """Pass a shard through the operator; an empty table goes on as it is."""
        if shard.num_rows == 0 or (self._first and self._store.exists(stop_name(self._run_id))):
            return shard.slice(0, 0)
        note = f"{ATTEMPTS}/{shard['shard_id'][0].as_py()}.{self._stage}.json"
        attempts = self._read(note)
        if not attempts.suspected:
            done = self._work(note, attempts, WHOLE, shard)
            self._store.remove(note)
            return done
        return self._carefully(note, attempts, shard)

    def _carefully(self, note: str, attempts: Attempts, shard: pa.Table) -> pa.Table:
        """Segment by segment, to find the one that kills; its shard then passes without it."""
        names = [f"{video}:{index}" for video, index in zip(*self._columns(shard), strict=True)]
        spared = quarantine(shard, [attempts.of(name) >= MAX_DEATHS for name in names], self._stage)
        pieces = []
        for row, name in enumerate(names):
            piece = spared.slice(row, 1)
            sound = piece["status"][0].as_py() not in FAILED
            pieces.append(self._work(note, attempts, name, piece) if sound else self._operator(piece))
        # Together where together it works: batches are then what they are in an undisturbed run.
        if self._apart or attempts.count(WHOLE) >= MAX_DEATHS:
            done = pa.concat_tables(pieces).combine_chunks()
        else:
            done = self._work(note, attempts, WHOLE, spared)
        self._save(note, attempts, None)
        return done

    def _work(self, note: str, attempts: Attempts, at: str, table: pa.Table) -> pa.Table:
        self._save(note, attempts, at)
        try:
            return self._operator(table)
        except Exception:
            self._save(note, attempts, None)
            raise

    def _columns(self, shard: pa.Table) -> tuple[list[str], list[int]]:
        return shard["video_id"].to_pylist(), shard["segment_index"].to_pylist()

    def _read(self, note: str) -> Attempts:
        """The notes so far; one that is still open tells of a death."""
        try:
            attempts = _from_json(self._store.read(note))
        except (FileNotFoundError, ValueError, TypeError):
            return Attempts()
        if attempts.at is not None and (self._shares_process or attempts.run_id == self._run_id):
            attempts.deaths.setdefault(attempts.at, []).append(attempts.machine)
        if self._machines and attempts.deaths:
            attempts.left = self._machines.left({name for names in attempts.deaths.values() for name in names})
        return attempts

    def _save(self, note: str, attempts: Attempts, at: str | None) -> None:
        attempts.run_id, attempts.at, attempts.machine = self._run_id, at, self._here
        kept = {name: value for name, value in asdict(attempts).items() if name != "left"}
        self._store.put(note, json.dumps(kept).encode())


def _from_json(content: bytes) -> Attempts:
    attempts = Attempts(**json.loads(content))
    if not all(isinstance(machines, list) for machines in attempts.deaths.values()):
        raise TypeError("written by an older FV2ES, or by nobody")
    return attempts


def quarantine(shard: pa.Table, deadly: list[bool], stage: str) -> pa.Table:
    """The shard with its deadly segments marked as failed, which every operator passes on untouched."""
    reason = (
        f"the process that worked on it ({stage}) died {MAX_DEATHS} times, so it was left out; "
        "`fv2es retry --all` tries it again"
    )
    new = {"status": "crashed_worker", "reason": reason, "retryable": False}
    for name, value in new.items():
        values = [value if bad else old for bad, old in zip(deadly, shard[name].to_pylist(), strict=True)]
        at = shard.schema.get_field_index(name)
        shard = shard.set_column(at, shard.schema.field(at), pa.array(values, shard.schema.field(at).type))
    return shard
