"""Stages for workers of the process engine, which import them by name."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from pipelines.errors import JobError
from pipelines.graph import Operator, Stage
from pipelines.pools import Pool

POOL = Pool(1, 1, 1.0)


def passing_on() -> Operator:
    """An operator that notes its process."""
    return lambda shard: shard.append_column("pid", pa.array([os.getpid()] * len(shard)))


def slow() -> Operator:
    """One that takes a while."""

    def run(shard: pa.Table) -> pa.Table:
        time.sleep(0.3)
        return passing_on()(shard)

    return run


def hanging() -> Operator:
    """One that doesn't come to an end."""
    return lambda shard: time.sleep(1000) or shard


def failing() -> Operator:
    """One with an error of ours in it."""

    def run(shard: pa.Table) -> pa.Table:
        raise ZeroDivisionError("by nothing")

    return run


def unfit() -> Operator:
    """One that says what is wrong with the job."""
    raise JobError("The weights are of another model.")


def dying_at_the_start() -> Operator:
    """One that is killed while it loads."""
    print("loading what is too large", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    return passing_on()


def dying_once(notes: str) -> Operator:
    """One that is killed by the first attempt at each shard."""

    def run(shard: pa.Table) -> pa.Table:
        note = Path(notes, shard["shard_id"][0].as_py())
        if not note.exists():
            note.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return passing_on()(shard)

    return run


def always_dying() -> Operator:
    """One that no shard comes through."""

    def run(shard: pa.Table) -> pa.Table:
        os.kill(os.getpid(), signal.SIGKILL)
        return shard

    return run


def looking_around() -> Operator:
    """One that says what its process is given."""

    def run(shard: pa.Table) -> pa.Table:
        said = f"{os.environ['OMP_NUM_THREADS']} {os.nice(0)} {signal.getsignal(signal.SIGINT).name}"
        return shard.append_column("said", pa.array([said]))

    return run


def stage(build: object) -> Stage:
    """A graph of one stage."""
    return Stage("stage", build, POOL)  # type: ignore[arg-type]


def shards(count: int) -> list[pa.Table]:
    """Shards of a segment of a second, of which nothing is known but when it is."""
    return [pa.table({"shard_id": [f"shard-{number}"], "start_ms": [0], "end_ms": [1_000]}) for number in range(count)]


def ids(summaries: Iterator[pa.Table]) -> list[str]:
    """Of the shards that came through, sorted."""
    return sorted(summary["shard_id"][0].as_py() for summary in summaries)
