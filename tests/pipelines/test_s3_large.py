"""A video of a gigabyte in a bucket: labelled in bounded memory, and no copy of it ever lies on a disk."""

import resource
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import s3fs

from operators.commit import Store
from operators.schema import FAILED
from tests.chaos import faults
from tests.media import ffmpeg

pytestmark = [pytest.mark.s3, pytest.mark.media]

GIGABYTE = 1_000_000_000
LARGEST_FILE_BYTES = 16_000_000
"""No process of the run may write a larger file, wherever: the kernel sees to it."""

MEMORY_BYTES = 1_500_000_000
"""Of all processes of the run together, with Python and its libraries: about half of that is theirs."""


@pytest.fixture
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .mov of raw pictures, which cost nothing to decode, with its index at its end."""
    folder = tmp_path_factory.mktemp("large")
    media = ["-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=2", "-f", "lavfi", "-i", "sine=d=2"]
    ffmpeg(*media, "-c:v", "rawvideo", "-pix_fmt", "uyvy422", "-c:a", "pcm_s16le", folder / "two-seconds.mov")
    path = folder / "large.mov"
    ffmpeg("-stream_loop", "-1", "-i", folder / "two-seconds.mov", "-c", "copy", "-fs", str(GIGABYTE), path)
    assert path.stat().st_size > 0.99 * GIGABYTE
    return path


def only_small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE_BYTES, LARGEST_FILE_BYTES))


def memory_bytes(process: psutil.Process) -> int:
    """What a process and its children hold now; pages that they share are counted for each."""
    total = 0
    for one in (process, *faults.children_of(process.pid)):
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def test_a_gigabyte_is_labelled_in_bounded_memory_and_never_lies_on_a_disk(
    bucket: str, large: Path, tmp_path: Path
) -> None:
    s3fs.S3FileSystem().put_file(str(large), f"{bucket}/corpus/large.mov")
    large.unlink()  # pytest keeps what lies in its folders for three runs
    out, log = f"s3://{bucket}/out", tmp_path / "log"
    env = faults.environment(tmp_path / "watch", FV2ES_PLAN__SEGMENT_MINUTES="1")
    command = [sys.executable, "-m", "tests.chaos.light", "label", f"s3://{bucket}/corpus", "--out", out]
    with log.open("wb") as said:
        process = psutil.Popen(
            [*command, "--engine", "local"],
            env=env,
            cwd=faults.ROOT,
            stdout=said,
            stderr=said,
            preexec_fn=only_small_files,
        )
    largest = 0
    while True:
        try:
            process.wait(0.1)
            break
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            largest = max(largest, memory_bytes(process))
    assert process.returncode == 0, log.read_text()
    store = Store(out)
    ledger = [row for name in store.names("segments", ".parquet") for row in store.read_table(name).to_pylist()]
    assert not [row for row in ledger if row["status"] in FAILED or row["reason"]]
    assert max(row["end_ms"] for row in ledger) == pytest.approx(GIGABYTE / (640 * 360 * 2 * 25) * 1000, rel=0.05)
    assert 0 < largest < MEMORY_BYTES, f"{largest / 1e6:.0f} MB"
