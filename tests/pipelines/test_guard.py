"""A segment that kills its worker three times is left out, and the others of its shard are not."""

import json
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pytest

from operators.commit import Store
from pipelines.guard import ATTEMPTS, LOSSES_A_DEATH, MAX_DEATHS, Guard, stop_name
from pipelines.plan import Segment, Shard, Video, to_table

VIDEOS = [Video(f"/corpus/{name}.mp4", 10, "1", 60_000, 64, 36, 25.0, "h264", "aac") for name in "abc"]
SHARD = to_table([Shard("s1", tuple(Segment(video, 0, 0, 60_000) for video in VIDEOS))])
POISON = VIDEOS[1].uri


class WorkerDiedError(BaseException):
    """Stands for a kill: nothing after it runs in this worker."""


class Deadly:
    """An operator that dies of the poison file."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, table: pa.Table) -> pa.Table:
        alive = [row["uri"] for row in table.to_pylist() if row["status"] == "ok"]
        self.calls.append(alive)
        if POISON in alive:
            raise WorkerDiedError
        return table


def deaths_until_done(root: Path, operator: Deadly, **options: object) -> tuple[int, pa.Table]:
    """How many workers die until one gets through, and what it gives."""
    for deaths in range(10):
        guard = Guard(lambda: operator, "decode", str(root), **({"run_id": "run"} | options))
        try:
            return deaths, guard(SHARD)
        except WorkerDiedError:
            continue
    pytest.fail("no worker got through")


@pytest.mark.parametrize("apart", [True, False])
def test_the_deadly_segment_is_left_out_after_three_deaths(tmp_path: Path, apart: bool) -> None:
    operator = Deadly()
    deaths, done = deaths_until_done(tmp_path, operator, apart=apart)
    assert deaths == 3
    rows = {row["uri"]: row for row in done.to_pylist()}
    assert [rows[video.uri]["status"] for video in VIDEOS] == ["ok", "crashed_worker", "ok"]
    assert "died 3 times" in rows[POISON]["reason"]
    assert not rows[POISON]["retryable"]
    assert done.schema == SHARD.schema
    if not apart:  # in the end together: batches are those of an undisturbed run
        assert operator.calls[-1] == [VIDEOS[0].uri, VIDEOS[2].uri]


def test_deaths_are_remembered_when_the_job_is_started_again(tmp_path: Path) -> None:
    died = 0
    for run_id in ("run-1", "run-1", "run-2", "run-2", "run-3"):
        guard = Guard(Deadly, "decode", str(tmp_path), run_id=run_id, apart=True)
        try:
            done = guard(SHARD)
        except WorkerDiedError:
            died += 1
    # The last death of each run took the job with it, so it says nothing of the file.
    assert died == 5
    done = Guard(Deadly, "decode", str(tmp_path), run_id="run-3", apart=True)(SHARD)
    assert done["status"].to_pylist().count("crashed_worker") == 1


def test_in_one_process_with_the_job_every_death_counts(tmp_path: Path) -> None:
    for number in range(3):
        with pytest.raises(WorkerDiedError):
            Guard(Deadly, "decode", str(tmp_path), run_id=f"run-{number}", shares_process=True)(SHARD)
    done = Guard(Deadly, "decode", str(tmp_path), run_id="run-9", shares_process=True)(SHARD)
    assert done["status"].to_pylist().count("crashed_worker") == 1


class Cluster:
    """Machines that come and go: each worker is on the next one."""

    def __init__(self) -> None:
        self.number = 0
        self.gone: set[str] = set()

    def here(self) -> str:
        self.number += 1
        return f"machine-{self.number}"

    def left(self, ids: Collection[str]) -> set[str]:
        return self.gone & set(ids)


def test_a_machine_that_leaves_with_its_worker_is_no_death_of_the_file(tmp_path: Path) -> None:
    cluster, operator = Cluster(), Deadly()
    for _ in range(2):  # it works on the whole shard, and the machine goes
        with pytest.raises(WorkerDiedError):
            Guard(lambda: operator, "decode", str(tmp_path), run_id="run", machines=cluster)(SHARD)
        cluster.gone.add(f"machine-{cluster.number}")
    whole = [video.uri for video in VIDEOS]
    assert operator.calls == [whole, whole]
    done = Guard(lambda: lambda table: table, "decode", str(tmp_path), run_id="run", machines=cluster)(SHARD)
    assert done.equals(SHARD)
    assert Store(str(tmp_path)).names(ATTEMPTS, "") == []


def test_a_machine_may_be_found_to_have_left_long_after_its_worker(tmp_path: Path) -> None:
    cluster, operator = Cluster(), Deadly()
    for _ in range(2):
        with pytest.raises(WorkerDiedError):
            Guard(lambda: operator, "decode", str(tmp_path), run_id="run", machines=cluster)(SHARD)
    assert operator.calls[-1] == [POISON]  # suspected by now: it goes through them one by one
    cluster.gone |= {"machine-1", "machine-2"}
    done = Guard(lambda: lambda table: table, "decode", str(tmp_path), run_id="run", machines=cluster)(SHARD)
    assert done.equals(SHARD)


def test_a_file_that_takes_machines_along_does_not_take_them_all(tmp_path: Path) -> None:
    cluster, operator, done, losses = Cluster(), Deadly(), None, 0
    while done is None:
        guard = Guard(lambda: operator, "decode", str(tmp_path), run_id="run", apart=True, machines=cluster)
        try:
            done = guard(SHARD)
        except WorkerDiedError:
            losses += 1
            cluster.gone.add(f"machine-{cluster.number}")
    assert losses == MAX_DEATHS * LOSSES_A_DEATH
    assert done["status"].to_pylist() == ["ok", "crashed_worker", "ok"]


def test_an_exception_is_no_death_however_often_the_engine_tries_again(tmp_path: Path) -> None:
    troubles = [OSError("the disk is full")] * 5

    def operator(table: pa.Table) -> pa.Table:
        if troubles:
            raise troubles.pop()
        return table

    for _ in range(5):
        with pytest.raises(OSError, match="the disk is full"):
            Guard(lambda: operator, "decode", str(tmp_path), run_id="run")(SHARD)
    assert Guard(lambda: operator, "decode", str(tmp_path), run_id="run")(SHARD).equals(SHARD)


def test_a_shard_that_goes_well_leaves_no_note(tmp_path: Path) -> None:
    Guard(lambda: lambda table: table, "decode", str(tmp_path), run_id="run")(SHARD)
    assert Store(str(tmp_path)).names(ATTEMPTS, "") == []


def test_a_note_that_was_cut_off_is_no_obstacle(tmp_path: Path) -> None:
    Store(str(tmp_path)).put(f"{ATTEMPTS}/s1.decode.json", json.dumps({"at": 1, "no": 2}).encode())
    assert Guard(lambda: lambda table: table, "decode", str(tmp_path), run_id="run")(SHARD).equals(SHARD)


def test_nothing_is_begun_once_the_run_is_to_stop(tmp_path: Path) -> None:
    operator = Deadly()
    Store(str(tmp_path)).put(stop_name("run"), b"")
    done = Guard(lambda: operator, "decode", str(tmp_path), run_id="run", first=True)(SHARD)
    assert done.num_rows == 0
    assert Guard(lambda: operator, "transcribe", str(tmp_path), run_id="run")(done).num_rows == 0
    assert operator.calls == []
