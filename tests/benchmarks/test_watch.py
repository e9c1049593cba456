"""The benchmarks' measuring: the whole tree of processes, orphans too, and shared memory apart."""

import sys
from pathlib import Path

import pytest

from benchmarks.watch import run_watched

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="no /proc/self/smaps_rollup here")

HOLD_MB = "import time; block = bytearray({mb} << 20); block[::4096] = b'x' * len(block[::4096]); time.sleep(1)"
BURN_S = "import time\nwhile time.process_time() < {s}: pass"


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def test_memory_of_a_grandchild_is_seen() -> None:
    child = f"import subprocess, sys; subprocess.run({python(HOLD_MB.format(mb=200))!r})"
    used = run_watched(python(child), period_s=0.05)
    assert used.exit_code == 0
    assert 200 < used.peak_bytes / 2**20 < 260


def test_shared_memory_is_counted_apart() -> None:
    shared = "import mmap, time; m = mmap.mmap(-1, 100 << 20); m.write(b'x' * (100 << 20)); time.sleep(1)"
    used = run_watched(python(shared), period_s=0.05)
    assert 100 <= used.peak_shared_bytes / 2**20 < 110
    assert used.peak_bytes / 2**20 < 150  # the bytes that were written came from a private copy


def test_processor_time_of_an_orphan_is_counted() -> None:
    orphan = f"import subprocess; subprocess.Popen({python(BURN_S.format(s=1))!r}, start_new_session=True)"
    assert 1.0 <= run_watched(python(orphan)).cpu_s < 2.0


IGNORE_ITS_END = """
import os, signal, subprocess
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
subprocess.Popen({command!r})
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    pass
"""


def test_processor_time_counts_of_a_process_whose_end_is_ignored() -> None:
    """As Ray's workers' is by their parent: the system then adds their time to nobody's."""
    burning = python(BURN_S.format(s=2))
    assert run_watched(python(IGNORE_ITS_END.format(command=burning))).cpu_s > 1.2


def test_a_failed_command_ends_the_benchmark_with_its_last_words() -> None:
    failed = run_watched(python("import sys; sys.exit('no such corpus')"))
    with pytest.raises(SystemExit, match="no such corpus"):
        failed.check()
