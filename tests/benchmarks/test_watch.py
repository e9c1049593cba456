"""The benchmarks' measuring: the whole tree of processes, orphans too, and shared memory apart."""

import sys
from pathlib import Path

import pytest

from benchmarks.watch import Traffic, memory_of, run_watched, traffic_of

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


WRITE_MB = "import sys; sys.stdout.buffer.write(bytes({mb} << 20))"
THEN_SLEEP = "; sys.stdout.flush(); import time; time.sleep(1.5)"


def test_bytes_of_children_that_were_waited_for_count_once(tmp_path: Path) -> None:
    writing = python(WRITE_MB.format(mb=3) + THEN_SLEEP)
    child = f"import subprocess; subprocess.run({writing!r}, stdout=open({str(tmp_path / 'a')!r}, 'wb'))"
    used = run_watched(python(child))
    assert 3 <= used.traffic.written_by_calls / 2**20 < 4
    assert used.traffic.read_by_calls < 2 * 2**20


def test_bytes_count_of_a_process_whose_end_is_ignored() -> None:
    writing = python(WRITE_MB.format(mb=3) + THEN_SLEEP)
    assert 3 <= run_watched(python(IGNORE_ITS_END.format(command=writing))).traffic.written_by_calls / 2**20 < 4


def test_what_the_kernel_tells_is_read() -> None:
    io = "rchar: 10\nwchar: 20\nsyscr: 1\nsyscw: 2\nread_bytes: 30\nwrite_bytes: 40\ncancelled_write_bytes: 0\n"
    assert traffic_of(io) == Traffic(10, 20, 30, 40)
    assert traffic_of(io) + Traffic(1, 2, 3, 4) == Traffic(11, 22, 33, 44)
    assert Traffic(5, 1, 5, 1).larger(Traffic(1, 5, 1, 5)) == Traffic(5, 5, 5, 5)
    smaps = (
        "00400000-7ffd ---p 00000000 00:00 0    [rollup]\n"
        "Rss:                 100 kB\nPss_Anon:             10 kB\n"
        "Pss_File:              5 kB\nPss_Shmem:             7 kB\n"
    )
    assert memory_of(smaps) == (15 << 10, 7 << 10)
