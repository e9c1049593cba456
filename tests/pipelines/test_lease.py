"""Two runs on one output: the second is told who is there, unless the first is dead."""

import json
import os
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from operators.commit import OutputError, Store
from operators.write import Target
from pipelines import lease
from pipelines.errors import JobError, OutputInUseError
from pipelines.graph import _write
from pipelines.plan import Shard
from tests.operators.test_write import SHARD
from tests.tables import inferred

HOLD = """
import sys, time
from operators.commit import Store
from pipelines import lease
with lease.held(Store(sys.argv[1]), "first", "label", float(sys.argv[2])):
    print("held", flush=True)
    time.sleep(60)
"""


def a_process_that_holds(root: Path, length_s: float = 90) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(root), str(length_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def lock(root: Path) -> Path:
    return root / lease.LOCK


def test_the_second_is_told_who_is_there_and_until_when(tmp_path: Path) -> None:
    first = a_process_that_holds(tmp_path)
    try:
        with pytest.raises(OutputInUseError) as caught, lease.held(Store(str(tmp_path)), "second", "label", 90):
            pass
        holder = json.loads(lock(tmp_path).read_text())
        for part in ("run first", f"process {first.pid}", holder["host"], holder["expires_at"], "fv2es label"):
            assert part in str(caught.value)
    finally:
        first.kill()
        first.wait()
    with lease.held(Store(str(tmp_path)), "third", "label", 90):  # at once: on this host the dead are known
        assert json.loads(lock(tmp_path).read_text())["run_id"] == "third"
    assert not lock(tmp_path).exists()


def test_of_many_that_come_at_once_one_is_let_in(tmp_path: Path) -> None:
    let_in: list[str] = []
    refused, ready = threading.Semaphore(0), threading.Barrier(8)

    def come(name: str) -> None:
        ready.wait()
        try:
            with lease.held(Store(str(tmp_path)), name, "label", 90):
                let_in.append(name)
                assert all(refused.acquire(timeout=60) for _ in range(7))
        except OutputInUseError:
            refused.release()

    threads = [threading.Thread(target=come, args=(f"run-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(let_in) == 1


@pytest.mark.parametrize(("ago_s", "free"), [(60, True), (-60, False)])
def test_another_host_is_waited_for_until_its_lease_has_run_out(tmp_path: Path, ago_s: int, free: bool) -> None:
    expires = datetime.now(timezone.utc) - timedelta(seconds=ago_s)
    there = lease.Holder("far", "elsewhere", os.getpid(), "boot:1", "label", "2026-01-01", expires.isoformat())
    Store(str(tmp_path)).put(lease.LOCK, json.dumps(vars(there)).encode())
    if free:
        with lease.held(Store(str(tmp_path)), "here", "label", 90) as held:
            held.check()
    else:
        with pytest.raises(OutputInUseError, match="elsewhere"), lease.held(Store(str(tmp_path)), "here", "label", 90):
            pass


def test_it_is_renewed_while_it_is_held(tmp_path: Path) -> None:
    with lease.held(Store(str(tmp_path)), "run", "label", 1.2) as held:
        first = json.loads(lock(tmp_path).read_text())["expires_at"]
        time.sleep(2)
        held.check()
        assert json.loads(lock(tmp_path).read_text())["expires_at"] > first


def test_a_renewal_that_could_not_be_written_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[str] = []
    put = Store.put

    def failing_twice(store: Store, name: str, content: bytes) -> None:
        if len(failed) < 2:
            failed.append(name)
            raise OutputError("the disk is full, for a moment")
        put(store, name, content)

    with lease.held(Store(str(tmp_path)), "run", "label", 3) as held:
        monkeypatch.setattr(Store, "put", failing_twice)
        time.sleep(4)
        held.check()
    assert failed == [lease.LOCK] * 2


def test_who_has_lost_it_stops_and_leaves_the_other_alone(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with lease.held(store, "mine", "label", 1.2) as held:
        other = lease.Holder("theirs", "elsewhere", 1, "boot:1", "label", "2026-01-01", "2099-01-01T00:00:00+00:00")
        store.put(lease.LOCK, json.dumps(vars(other)).encode())
        time.sleep(0.6)
        with pytest.raises(JobError, match=r"lost its lease.*run theirs"):
            held.check()
    assert json.loads(lock(tmp_path).read_text())["run_id"] == "theirs"


def test_a_worker_of_a_run_that_has_lost_it_commits_nothing(tmp_path: Path) -> None:
    write = _write(Target(str(tmp_path), "recipe=r1", "mine", "{}"))
    empty = inferred(Shard("abc", SHARD.segments)).slice(0, 0)
    assert write(empty).num_rows == 0  # a shard that was handed back
    with lease.held(Store(str(tmp_path)), "other", "label", 90), pytest.raises(JobError, match="run other"):
        write(inferred(SHARD))
    assert not list(tmp_path.rglob("*.parquet"))
    with lease.held(Store(str(tmp_path)), "mine", "label", 90):
        write(inferred(SHARD))
    assert len(list(tmp_path.rglob("*.parquet"))) == 2


def test_a_lock_file_that_says_nothing_is_replaced(tmp_path: Path) -> None:
    Store(str(tmp_path)).put(lease.LOCK, b"\x00 not json")
    with lease.held(Store(str(tmp_path)), "run", "label", 90):
        assert json.loads(lock(tmp_path).read_text())["run_id"] == "run"
