"""How far a run has come, read from its plan, the ledger and its lease: nobody has to be asked, alive or dead."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from operators.commit import Store
from operators.schema import FAILED
from pipelines import lease, ledger, runs
from pipelines.guard import ATTEMPTS
from pipelines.lease import Holder

State = Literal["working", "finished", "not complete", "stopped", "killed"]


@dataclass(frozen=True)
class RunProgress:
    """A run's account. `speed` is media time by wall time; `left_s` is None until something has been committed.

    `in_flight` counts the shards that each stage has in hand; `holder` says who holds the output, which may be another
    run; `failed_fraction` is of all files of the output, and known at the end.
    """

    run_id: str
    state: State
    started_at: str
    finished_at: str | None
    last_commit_at: str | None
    shards: int
    shards_done: int
    media_ms: int
    media_done_ms: int
    media_failed_ms: int
    segments_failed: int
    failed_by_status: dict[str, int]
    utterances: int
    speed: float | None
    left_s: float | None
    in_flight: dict[str, int]
    holder: str | None
    failed_fraction: float | None


class RunReader:
    """Reads the account of one run, as often as it is asked; each time only what is new of the ledger."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        self._planned = pc.unique(runs.plan(store, run_id)["shard_id"])
        self._ledger = ledger.Following(store, runs.state(store, run_id).partition)

    def read(self) -> RunProgress:
        """The account as it is now; FileNotFoundError where a file went while it was read."""
        # The lease first: a run that gives it free has said before how it ended.
        holder = lease.current(self._store)
        state = runs.state(self._store, self._run_id)
        rows = self._ledger.read()
        rows = rows.filter(pc.is_in(rows["shard_id"], self._planned))
        length_ms = pc.subtract(rows["end_ms"], rows["start_ms"])
        is_failed = pc.is_in(rows["status"], pa.array(FAILED))
        failed = Counter(rows["status"].filter(is_failed).to_pylist())
        shards_done = len(pc.unique(rows["shard_id"]))
        done_ms = _sum(length_ms)
        last = pc.max(rows["finished_at"]).as_py()
        ended = datetime.fromisoformat(state.finished_at) if state.finished_at else last
        elapsed_s = (ended - datetime.fromisoformat(state.started_at)).total_seconds() if ended else 0.0
        speed = done_ms / 1000 / elapsed_s if elapsed_s > 0 else None
        how = _how_it_stands(state, holder, shards_done)
        return RunProgress(
            run_id=state.run_id,
            state=how,
            started_at=state.started_at,
            finished_at=state.finished_at,
            last_commit_at=last.isoformat(timespec="seconds") if last else None,
            shards=state.shards,
            shards_done=shards_done,
            media_ms=state.media_ms,
            media_done_ms=done_ms,
            media_failed_ms=_sum(length_ms.filter(is_failed)),
            segments_failed=failed.total(),
            failed_by_status=dict(failed),
            utterances=_sum(rows["utterances"]),
            speed=round(speed, 3) if speed else None,
            left_s=round((state.media_ms - done_ms) / 1000 / speed, 1) if speed else None,
            in_flight=self._in_flight() if how == "working" else {},
            holder=lease.describe(holder) if holder else None,
            failed_fraction=state.failed_fraction,
        )

    def _in_flight(self) -> dict[str, int]:
        """The shards in hand, by stage: workers note what they are at."""
        names = self._store.names(ATTEMPTS, ".json")
        return dict(Counter(PurePosixPath(name).stem.rpartition(".")[2] for name in names))


def _how_it_stands(state: runs.RunState, holder: Holder | None, shards_done: int) -> State:
    if state.outcome == "too_many_failed":
        return "not complete"
    if state.outcome == "interrupted":
        return "stopped"
    if state.finished_at:
        return "finished"
    if holder is not None and holder.run_id == state.run_id and not holder.has_run_out():
        return "working"
    return "finished" if shards_done == state.shards else "killed"


def _sum(values: pa.ChunkedArray) -> int:
    return int(pc.sum(values).as_py() or 0)
