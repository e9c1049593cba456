"""The run directory OUT/_runs/<run id>/: configuration, recipe, plan and state, which the other commands read."""

import json
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from operators.commit import OutputError, Store
from operators.write import canonical_json

RUNS = "_runs"

Outcome = Literal["complete", "interrupted", "too_many_failed"]


@dataclass(frozen=True)
class RunState:
    """How a run stands. Times are ISO 8601 in UTC; `finished_at` is None while it works, or when it was ended early.

    `outcome` is None while it works, or when it was killed.
    """

    run_id: str
    partition: str
    started_at: str
    finished_at: str | None = None
    sources: tuple[str, ...] = ()
    skipped: int = 0
    shards: int = 0
    media_ms: int = 0
    spilled_bytes: int | None = None
    wall_s: float | None = None
    outcome: Outcome | None = None
    failed_fraction: float | None = None


def now() -> str:
    """This moment, ISO 8601 in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def new_run_id() -> str:
    """A name for a run that sorts by time."""
    moment = datetime.now(timezone.utc)
    return f"{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03d}-{secrets.token_hex(3)}"


def start(store: Store, state: RunState, config: dict[str, Any], recipe: dict[str, Any], plan: pa.Table) -> None:
    """Store what a run is about to do; its state comes last, so a run that can be seen has its plan."""
    folder = f"{RUNS}/{state.run_id}"
    store.put(f"{folder}/config.json", json.dumps(config, indent=2).encode())
    store.put(f"{folder}/recipe.json", canonical_json(recipe).encode())
    store.put_table(f"{folder}/plan.parquet", plan)
    write_state(store, state)


def state_name(run_id: str) -> str:
    """The file of OUT that says how a run stands; it is there from the run's start."""
    return f"{RUNS}/{run_id}/state.json"


def write_state(store: Store, state: RunState) -> None:
    """Store how a run stands."""
    store.put(state_name(state.run_id), json.dumps(asdict(state), indent=2).encode())


def _state(store: Store, name: str) -> RunState:
    try:
        return RunState(**json.loads(store.read(name)))
    except (ValueError, TypeError) as error:
        raise OutputError(
            f"{store.root.rstrip('/')}/{name} is damaged, or of a newer FV2ES: {error}. Remove its folder, which tells "
            "only how that run went; the labels don't depend on it."
        ) from error


def state(store: Store, run_id: str) -> RunState:
    """How a run stands.

    Raises:
        OutputError: what is stored of it is damaged.
    """
    return _state(store, f"{RUNS}/{run_id}/state.json")


def states(store: Store, partition: str | None = None) -> list[RunState]:
    """All runs, oldest first; those of one recipe if that is given.

    Raises:
        OutputError: what is stored of one is damaged.
    """
    found = [_state(store, name) for name in store.names(RUNS, "/state.json")]
    return [one for one in found if partition in (None, one.partition)]


def latest(store: Store, partition: str | None = None) -> RunState | None:
    """The newest run, of one recipe if that is given."""
    for name in reversed(store.names(RUNS, "/state.json")):
        one = _state(store, name)
        if partition in (None, one.partition):
            return one
    return None


def config(store: Store, run_id: str) -> dict[str, Any]:
    """The stored settings of a run, by group."""
    values: dict[str, Any] = json.loads(store.read(f"{RUNS}/{run_id}/config.json"))
    return values


def plan(store: Store, run_id: str) -> pa.Table:
    """The stored plan of a run (`operators.schema.PLANNED`)."""
    return store.read_table(f"{RUNS}/{run_id}/plan.parquet")


def planned_shards(root: str, run_id: str, first: int, end: int) -> list[pa.Table]:
    """Those of the shards of a stored plan whose places in it are in [first, end), each as a table."""
    rows = plan(Store(root), run_id)
    # A shard's rows stand together.
    ends = [0, *pc.run_end_encode(rows["shard_id"].combine_chunks()).run_ends.to_pylist()]
    shards = [rows.slice(ends[place], ends[place + 1] - ends[place]) for place in range(first, end)]
    return [shard.take(pa.array(range(shard.num_rows))) for shard in shards]  # copies: a slice drags all rows along
