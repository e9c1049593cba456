"""An output whose disk is full: the job says so, nothing is half there, and it goes on when there is room."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from operators.commit import OutputError, Store
from operators.write import Target, Write
from tests.chaos import faults
from tests.operators.test_write import SHARD
from tests.tables import inferred

LOCAL = ("--engine", "local")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 100 kB."""
    disk = tmp_path / "disk"
    try:
        with faults.small_disk(disk, "100k"):
            yield disk
    except PermissionError as error:
        pytest.skip(str(error))


@pytest.mark.media
def test_a_full_disk_ends_the_job_with_words_and_room_lets_it_go_on(small_disk: Path, tmp_path: Path) -> None:
    corpus, log = faults.build_corpus(tmp_path / "corpus"), tmp_path / "log"
    env = faults.environment(tmp_path / "watch")
    out = small_disk / "out"
    assert faults.finish("label", corpus, "--out", out, *LOCAL, env=env, log=log) == 1
    said = " ".join(log.read_text().split())
    assert "there is no space left. Make room and run the same command again" in said
    assert "Traceback" not in said
    labels, ledgers = ({path.stem for path in out.glob(f"{table}/**/*.parquet")} for table in ("labels", "segments"))
    assert ledgers <= labels
    assert not list(out.glob("_tmp/*"))
    faults.make_room(small_disk)
    assert faults.finish("label", corpus, "--out", out, *LOCAL, env=env, log=log) == 3
    whole = tmp_path / "whole"
    assert faults.finish("label", corpus, "--out", whole, *LOCAL, env=env, log=log) == 3
    assert faults.same_tables(out, whole)
    assert faults.finish("validate", out, env=env, log=log) == 0


@pytest.mark.parametrize("failing", [1, 2])
def test_a_shard_that_could_not_be_written_is_not_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    real, calls = os.fsync, []

    def fsync(descriptor: int) -> None:
        if os.path.isfile(f"/proc/self/fd/{descriptor}"):  # noqa: PTH113 - folders are synced too
            calls.append(descriptor)
            if len(calls) == failing:
                raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OutputError, match="no space left"):
        Write(Target(str(tmp_path), "recipe=r1", "run", "{}"))(inferred(SHARD))
    assert Store(str(tmp_path)).names("segments", "") == []
    assert not list((tmp_path / "_tmp").iterdir())
