"""What a container may use is less than what its host has."""

import os
from pathlib import Path

import pytest

from pipelines import job, machine
from pipelines.config import load
from pipelines.process_engine import WORKER_BYTES

HOST_CPUS = len(os.sched_getaffinity(0))
HOST_BYTES = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("limit", "cpus"),
    [(None, HOST_CPUS), ("max 100000\n", HOST_CPUS), ("100000 100000\n", 1), ("20000 100000\n", 1)],
)
def test_a_quota_of_cpus_holds(container: Path, limit: str | None, cpus: int) -> None:
    if limit:
        (container / "cpu.max").write_text(limit)
    assert machine.cpus() == cpus


@pytest.mark.parametrize(("limit", "memory"), [(None, HOST_BYTES), ("max\n", HOST_BYTES), ("1000000000\n", 10**9)])
def test_a_limit_of_memory_holds(container: Path, limit: str | None, memory: int) -> None:
    if limit:
        (container / "memory.max").write_text(limit)
    assert machine.memory_bytes() == memory


@pytest.mark.parametrize(
    ("memory", "settings", "workers"),
    [
        (100 * WORKER_BYTES, {}, 64),
        (10 * WORKER_BYTES, {}, 8),
        (WORKER_BYTES, {}, 1),
        (WORKER_BYTES, {"workers": 5}, 5),
        (WORKER_BYTES, {"engine": "ray"}, 64),
    ],
)
def test_there_are_no_more_workers_by_default_than_there_is_memory_for(
    monkeypatch: pytest.MonkeyPatch, memory: int, settings: dict[str, object], workers: int
) -> None:
    monkeypatch.setattr(machine, "cpus", lambda: 64)
    monkeypatch.setattr(machine, "memory_bytes", lambda: memory)
    pools, _ = job.resources(load(None, {"engine": settings}))
    assert pools.workers == workers
