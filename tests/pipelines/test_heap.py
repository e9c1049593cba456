"""Workers give memory back, whichever engine has started them."""

import os
import subprocess
import sys
from collections.abc import Callable

import pyarrow as pa
import pytest

from pipelines.beam_engine import InTurn
from pipelines.environment import process_environment
from pipelines.graph import Operator
from pipelines.parts import PartByPart
from pipelines.ray_engine import StageActor

MINUTE_MS = 60_000


def shard_of(minutes: list[int]) -> pa.Table:
    """Segments of so many minutes."""
    return pa.table({"start_ms": [0] * len(minutes), "end_ms": [minute * MINUTE_MS for minute in minutes]})


def as_it_is(shard: pa.Table) -> pa.Table:
    return shard


WORKERS: dict[str, Callable[[], Operator]] = {
    "a process of its own": lambda: PartByPart([as_it_is, as_it_is]),
    "an actor of Ray": lambda: StageActor("read", lambda: as_it_is, {}),
    "a worker of Beam": lambda: InTurn(as_it_is),
}


@pytest.mark.parametrize("worker", WORKERS)
def test_memory_is_released_once_for_every_ten_minutes_of_media(worker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    released = []
    monkeypatch.setattr("pipelines.heap.release_memory", lambda: released.append(True))
    operate = WORKERS[worker]()
    after = []
    for minutes in ([4, 4], [1], [1], [], [30], [0]):
        assert operate(shard_of(minutes)).num_rows == len(minutes)
        after.append(len(released))
    assert after == [0, 0, 1, 1, 2, 2]


def test_freed_memory_between_what_is_kept_goes_back_to_the_system() -> None:
    script = (
        "import ctypes, psutil, pyarrow\n"
        "from pipelines.heap import release_memory\n"
        "libc, block = ctypes.CDLL(None), 1 << 20\n"
        "libc.malloc.restype = ctypes.c_void_p\n"
        "blocks = [libc.malloc(ctypes.c_size_t(block)) for _ in range(200)]\n"
        "for at in blocks: ctypes.memset(at, 1, block)\n"
        "for at in blocks[:-1]: libc.free(ctypes.c_void_p(at))\n"
        "before = psutil.Process().memory_info().rss\n"
        "release_memory()\n"
        "print(before - psutil.Process().memory_info().rss)\n"
    )
    env = os.environ | process_environment(None)
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert int(done.stdout) > 190 << 20
