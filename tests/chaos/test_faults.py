"""The fast half of the chaos suite: one run of each kind of fault. `make chaos` does them all, many times over."""

import json
import random
import shutil
import signal
import time
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.chaos import faults
from tests.labelling import segments, wait_until_gone

pytestmark = [pytest.mark.ray, pytest.mark.media]

LOCAL, RAY = ("--engine", "local"), ("--engine", "ray")


class Undisturbed(NamedTuple):
    corpus: Path
    out: Path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """What a run gives to which nothing happens."""
    base = tmp_path_factory.mktemp("undisturbed")
    corpus = faults.build_corpus(base / "corpus")
    env = faults.environment(base / "watch")
    assert faults.finish("label", corpus, "--out", base / "out", *LOCAL, env=env, log=base / "log") == 3
    return Undisturbed(corpus, base / "out")


def test_workers_and_the_driver_are_killed_and_nothing_is_lost(undisturbed: Undisturbed, tmp_path: Path) -> None:
    rng, watch, out = random.Random(4), tmp_path / "watch", tmp_path / "out"
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    env = faults.environment(watch, pace_s=0.7, TMPDIR=str(temporary))
    arguments = ("label", undisturbed.corpus, "--out", out, "--workers", 1, *RAY)
    process = faults.start(*arguments, env=env, log=tmp_path / "log")
    faults.kill_worker(watch, "decode", rng)
    faults.kill_worker(watch, "infer", rng)
    faults.wait_for_commits(out, 2, process)
    workers = [child for child in faults.children_of(process.pid) if "MapWorker" in child.name()]
    assert workers
    process.kill()
    process.wait()
    assert faults.wait_until_ended(workers) == []
    committed = len(list(out.glob("segments/**/*.parquet")))
    assert 2 <= committed < 6
    env = faults.environment(watch, TMPDIR=str(temporary))
    assert faults.finish("label", undisturbed.corpus, "--out", out, *LOCAL, env=env, log=tmp_path / "log") == 3
    assert faults.same_tables(out, undisturbed.out)
    assert not (out / "_tmp").exists()
    assert not list((out / "_runs").rglob("*.decode.json"))
    assert wait_until_gone(temporary) == []
    assert faults.finish("validate", out, env=env, log=tmp_path / "log") == 0


@pytest.mark.parametrize("signal_name", ["SIGTERM", "SIGINT"])
def test_a_signal_lets_what_is_in_flight_end_and_begins_nothing_new(
    undisturbed: Undisturbed, tmp_path: Path, signal_name: str
) -> None:
    number = signal.Signals[signal_name]
    watch, out, log = tmp_path / "watch", tmp_path / "out", tmp_path / "log"
    env = faults.environment(watch, pace_s=0.5, TMPDIR=str(tmp_path))
    process = faults.start("label", undisturbed.corpus, "--out", out, *LOCAL, env=env, log=log)
    faults.at_work(watch, "infer")
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    assert "Stopping" in log.read_text()
    assert "run the same command again" in log.read_text().replace("\n", " ")
    committed = len(list(out.glob("segments/**/*.parquet")))
    assert 1 <= committed < 6  # that which was in flight came to its end
    assert not list(tmp_path.glob("fv2es-*"))
    assert not (out / "_runs/lock.json").exists()
    (state,) = out.glob("_runs/*/state.json")
    assert json.loads(state.read_text())["outcome"] == "interrupted"
    env = faults.environment(watch)
    assert faults.finish("label", undisturbed.corpus, "--out", out, *LOCAL, env=env, log=log) == 3
    assert faults.same_tables(out, undisturbed.out)


def test_a_second_run_is_told_that_the_output_is_in_use(undisturbed: Undisturbed, tmp_path: Path) -> None:
    watch, out, log = tmp_path / "watch", tmp_path / "out", tmp_path / "log"
    env = faults.environment(watch, pace_s=5)
    first = faults.start("label", undisturbed.corpus, "--out", out, *LOCAL, env=env, log=tmp_path / "first")
    try:
        faults.at_work(watch, "decode")
        assert faults.finish("label", undisturbed.corpus, "--out", out, *LOCAL, env=env, log=log) == 5
        assert f"process {first.pid}" in log.read_text().replace("\n", " ")
    finally:
        first.kill()
        first.wait()


@pytest.mark.parametrize(
    ("what", "status", "reason"),
    [
        (faults.CRASH, "unreadable", "the decoder crashed (SIGSEGV)"),
        (faults.HANG, "too_long_to_decode", "stopped at its time limit"),
    ],
)
def test_an_ffmpeg_that_crashes_or_hangs_costs_one_segment(
    undisturbed: Undisturbed, tmp_path: Path, what: str, status: str, reason: str
) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    fake = faults.fake_ffmpeg(tmp_path / "ffmpeg", "clip-1", what)
    env = faults.environment(tmp_path / "watch", **fake, **(faults.SHORT_TIME if what == faults.HANG else {}))
    started = time.monotonic()
    assert faults.finish("label", undisturbed.corpus, "--out", out, *LOCAL, env=env, log=log) == 3
    assert time.monotonic() - started < 200
    rows = {Path(row["uri"]).stem: row for row in segments(out).to_pylist()}
    assert rows["clip-1"]["status"] == status
    assert reason in rows["clip-1"]["reason"]
    assert [rows[f"clip-{number}"]["status"] for number in (0, 2, 3, 4, 5)] == ["ok"] * 5
    # With an ffmpeg that works, a retry gives what an undisturbed run gives.
    env = faults.environment(tmp_path / "watch")
    assert faults.finish("retry", out, "--all", *LOCAL, env=env, log=log) == 3
    assert faults.same_tables(out, undisturbed.out, retried=True)


def test_a_video_that_wants_too_much_memory_costs_one_segment(undisturbed: Undisturbed, tmp_path: Path) -> None:
    mixed, out, log = tmp_path / "corpus", tmp_path / "out", tmp_path / "log"
    shutil.copytree(undisturbed.corpus, mixed)
    faults.build_huge(mixed / "huge.mp4")
    env = faults.environment(tmp_path / "watch", **faults.LITTLE_MEMORY, FV2ES_PLAN__SHARD_MINUTES="10")
    assert faults.finish("label", mixed, "--out", out, *LOCAL, env=env, log=log) == 3
    assert faults.huge_and_others(out, undisturbed.out)


def test_a_decoder_that_hangs_dies_with_its_worker(undisturbed: Undisturbed, tmp_path: Path) -> None:
    fake, watch = tmp_path / "ffmpeg", tmp_path / "watch"
    fake.write_text('#!/bin/sh\ncase "$*" in *-version*) echo ffmpeg version 7.0 ;; *) exec sleep 1000 ;; esac\n')
    fake.chmod(0o755)
    env = faults.environment(watch, FV2ES_FFMPEG=str(fake))
    arguments = ("label", undisturbed.corpus, "--out", tmp_path / "out", *LOCAL)
    process = faults.start(*arguments, env=env, log=tmp_path / "log")
    faults.at_work(watch, "decode")
    deadline = time.monotonic() + 60
    while not (sleeping := [c for c in faults.children_of(process.pid) if c.name() == "sleep"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert faults.wait_until_ended(sleeping, 10) == []
    assert psutil.pid_exists(process.pid) is False
