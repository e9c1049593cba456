"""How far a run has come, read from its plan and the ledger alone: nobody has to be asked, alive or dead."""

from dataclasses import dataclass
from datetime import datetime, timezone

import pyarrow as pa
import pyarrow.compute as pc

from operators.commit import Store
from operators.schema import FAILED
from pipelines import ledger, runs

QUIET_AFTER_S = 600.0
"""A run that hasn't committed for this long is called quiet: it may have been killed."""


@dataclass(frozen=True)
class RunProgress:
    """A run's account. `speed` is media time by wall time; `left_s` is None until something has been committed."""

    run_id: str
    state: str  # finished, not complete, stopped, working, quiet
    started_at: str
    finished_at: str | None
    last_commit_at: str | None
    shards: int
    shards_done: int
    media_ms: int
    media_done_ms: int
    media_failed_ms: int
    segments_failed: int
    utterances: int
    speed: float | None
    left_s: float | None


def of_last_run(store: Store) -> RunProgress | None:
    """The account of the newest run, or None where there has been none."""
    state = runs.latest(store)
    return _account(store, state) if state else None


def _account(store: Store, state: runs.RunState) -> RunProgress:
    planned = pc.unique(runs.plan(store, state.run_id)["shard_id"])
    rows = ledger.read(store, state.partition)
    rows = rows.filter(pc.is_in(rows["shard_id"], planned))
    length_ms = pc.subtract(rows["end_ms"], rows["start_ms"])
    is_failed = pc.is_in(rows["status"], pa.array(FAILED))
    done_ms = _sum(length_ms)
    last = pc.max(rows["finished_at"]).as_py()
    started = datetime.fromisoformat(state.started_at)
    ended = datetime.fromisoformat(state.finished_at) if state.finished_at else last
    elapsed_s = (ended - started).total_seconds() if ended else 0.0
    speed = done_ms / 1000 / elapsed_s if elapsed_s > 0 else None
    left_ms = state.media_ms - done_ms
    return RunProgress(
        run_id=state.run_id,
        state=_state(state, len(pc.unique(rows["shard_id"])), last or started),
        started_at=state.started_at,
        finished_at=state.finished_at,
        last_commit_at=last.isoformat(timespec="seconds") if last else None,
        shards=state.shards,
        shards_done=len(pc.unique(rows["shard_id"])),
        media_ms=state.media_ms,
        media_done_ms=done_ms,
        media_failed_ms=_sum(length_ms.filter(is_failed)),
        segments_failed=_sum(is_failed),
        utterances=_sum(rows["utterances"]),
        speed=round(speed, 3) if speed else None,
        left_s=round(left_ms / 1000 / speed, 1) if speed else None,
    )


def _state(state: runs.RunState, shards_done: int, last_sign: datetime) -> str:
    if state.outcome == "too_many_failed":
        return f"not complete: {state.failed_fraction or 0:.1%} of its files failed, more than allowed"
    if state.outcome == "interrupted":
        return "stopped by a signal; run `fv2es label` again to go on"
    if state.finished_at or shards_done == state.shards:
        return "finished"
    silent_s = (datetime.now(timezone.utc) - last_sign).total_seconds()
    return "working" if silent_s < QUIET_AFTER_S else "quiet (killed? run `fv2es label` again to go on)"


def _sum(values: pa.ChunkedArray) -> int:
    return int(pc.sum(values).as_py() or 0)
