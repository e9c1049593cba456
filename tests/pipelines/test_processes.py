"""The engine of one machine: worker processes that die, fail, hang and are told to stop."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from pipelines import process_engine
from pipelines.config import load
from pipelines.errors import JobError, SettingsError
from pipelines.process_engine import Crew
from tests.chaos import faults
from tests.labelling import segments, wait_until_gone
from tests.pipelines import process_stages as stages

LOCAL, PROCESSES, RAY = ("--engine", "local"), ("--engine", "processes"), ("--engine", "ray")


@pytest.mark.usefixtures("workers_find_tests")
class TestEngine:
    def test_every_shard_comes_through_once_in_as_many_processes_as_were_asked_for(self, tmp_path: Path) -> None:
        found = list(Crew([stages.stage(stages.slow)], tmp_path).run(stages.shards(9), 3))
        assert stages.ids(iter(found)) == [f"shard-{number}" for number in range(9)]
        pids = {summary["pid"][0].as_py() for summary in found}
        assert len(pids) == 3
        assert not any(map(psutil.pid_exists, pids))

    def test_there_are_no_more_workers_than_shards(self, tmp_path: Path) -> None:
        found = list(Crew([stages.stage(stages.passing_on)], tmp_path).run(stages.shards(1), 8))
        assert len(list(tmp_path.glob("worker-*.log"))) == len(found) == 1

    def test_the_plan_is_read_as_the_work_goes_on(self, tmp_path: Path) -> None:
        read = []
        plan = (read.append(shard) or shard for shard in stages.shards(50))
        running = Crew([stages.stage(stages.passing_on)], tmp_path).run(plan, 2)
        next(running)
        assert 2 <= len(read) <= 6
        assert len(list(running)) == 49

    def test_no_shards_are_no_work(self, tmp_path: Path) -> None:
        assert list(Crew([stages.stage(stages.passing_on)], tmp_path).run([], 2)) == []

    def test_a_worker_that_dies_is_replaced_and_its_shard_begun_again(self, tmp_path: Path) -> None:
        dying = stages.stage(partial(stages.dying_once, str(tmp_path)))
        assert stages.ids(Crew([dying], tmp_path).run(stages.shards(4), 2)) == [
            f"shard-{number}" for number in range(4)
        ]

    def test_a_shard_that_goes_on_killing_ends_the_job(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(process_engine, "DEATHS_OF_A_SHARD", 1)
        monkeypatch.setattr(process_engine, "DEATHS_OF_A_SEGMENT", 1)
        with pytest.raises(JobError, match=r"3 workers have died of shard shard-0; .* ended by SIGKILL"):
            list(Crew([stages.stage(stages.always_dying)], tmp_path).run(stages.shards(1), 1))

    @pytest.mark.parametrize(
        ("build", "message"),
        [
            (stages.dying_at_the_start, r"(?s)3 workers have been ended by SIGKILL.*loading what is too large"),
            (stages.failing, r"(?s)^ZeroDivisionError: by nothing\n\nThe whole account:.*process_stages"),
            (stages.unfit, r"^The weights are of another model\.$"),
        ],
        ids=["workers can't be started", "an error of ours", "the job is wrong"],
    )
    def test_what_can_not_go_on_ends_the_job_and_is_said(self, tmp_path: Path, build: object, message: str) -> None:
        with pytest.raises(JobError, match=message):
            list(Crew([stages.stage(build)], tmp_path).run(stages.shards(4), 2))

    def test_workers_at_work_are_ended_at_once_with_the_job(self, tmp_path: Path) -> None:
        running = Crew([stages.stage(stages.hanging)], tmp_path).run(stages.shards(2), 1)
        before = set(psutil.Process().children())
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            interrupted(running)
        assert time.monotonic() - began < 8
        assert [child for child in set(psutil.Process().children()) - before if child.is_running()] == []

    def test_workers_have_one_thread_give_way_and_leave_signals_to_the_job(self, tmp_path: Path) -> None:
        (found,) = Crew([stages.stage(stages.looking_around)], tmp_path).run(stages.shards(1), 1)
        niceness = min(19, os.nice(0) + 10)
        assert found["said"].to_pylist() == [f"1 {niceness} SIG_IGN"]

    def test_nothing_is_imported_from_the_folder_that_a_job_is_started_in(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if sys.version_info < (3, 11):
            pytest.skip("Python 3.10 has no such mode")
        wicked = tmp_path / "cwd" / "pyarrow"
        wicked.mkdir(parents=True)
        (wicked / "__init__.py").write_text("raise SystemExit('wicked')")
        monkeypatch.chdir(wicked.parent)
        assert stages.ids(Crew([stages.stage(stages.passing_on)], tmp_path).run(stages.shards(1), 1)) == ["shard-0"]


def interrupted(running: Iterator[pa.Table]) -> None:
    """Go on with a run until a signal raises an exception in it, as the end of a job's grace does."""

    def on_alarm(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 3)
    try:
        list(running)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.media
class TestRuns:
    @pytest.fixture(scope="class")
    def corpus(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return faults.build_corpus(tmp_path_factory.mktemp("processes") / "corpus")

    @pytest.mark.ray
    def test_the_table_is_that_of_the_plain_loop_and_of_ray(self, corpus: Path, tmp_path: Path) -> None:
        env = faults.environment(tmp_path / "watch", TMPDIR=str(tmp_path))
        for engine in (LOCAL, PROCESSES, RAY):
            out = tmp_path / engine[1]
            assert faults.finish("label", corpus, "--out", out, *engine, env=env, log=tmp_path / "log") == 3
        assert faults.same_tables(tmp_path / "processes", tmp_path / "local")
        assert faults.same_tables(tmp_path / "ray", tmp_path / "local")
        assert not list(tmp_path.glob("fv2es-*"))

    def test_a_killed_job_takes_its_workers_and_their_decoders_along(self, corpus: Path, tmp_path: Path) -> None:
        watch, temporary = tmp_path / "watch", tmp_path / "tmp"
        temporary.mkdir()
        env = faults.environment(watch, pace_s=20, TMPDIR=str(temporary))
        arguments = ("label", corpus, "--out", tmp_path / "out", "--workers", 2)
        process = faults.start(*arguments, env=env, log=tmp_path / "log")
        worker = faults.at_work(watch, "decode")
        children = faults.children_of(process.pid)
        assert worker in {child.pid for child in children}
        assert faults.listening_ports(children) == []  # nobody else can give them work
        process.kill()
        process.wait()
        assert faults.wait_until_ended(children, 10) == []
        env = faults.environment(watch, TMPDIR=str(temporary))
        again = ("label", corpus, "--out", tmp_path / "out")
        assert faults.finish(*again, env=env, log=tmp_path / "log") == 3
        assert wait_until_gone(temporary) == []

    def test_ctrl_c_on_a_terminal_lets_what_is_in_flight_end(self, corpus: Path, tmp_path: Path) -> None:
        watch, out = tmp_path / "watch", tmp_path / "out"
        env = faults.environment(watch, pace_s=0.5)
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.light", "label", str(corpus), "--out", str(out), "--workers", "2"],
                stdout=log,
                stderr=log,
                env=env,
                cwd=faults.ROOT,
                start_new_session=True,
            )
        faults.at_work(watch, "infer")
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        assert process.wait(60) == 130
        assert 1 <= len(list(out.glob("segments/**/*.parquet"))) < 6
        (state,) = out.glob("_runs/*/state.json")
        assert json.loads(state.read_text())["outcome"] == "interrupted"

    def test_killed_workers_cost_nothing(self, corpus: Path, tmp_path: Path) -> None:
        watch, out, rng = tmp_path / "watch", tmp_path / "out", random.Random(7)
        env = faults.environment(watch, pace_s=0.5)
        process = faults.start("label", corpus, "--out", out, "--workers", 2, env=env, log=tmp_path / "log")
        for stage in ("decode", "transcribe", "infer"):
            faults.kill_worker(watch, stage, rng)
        assert process.wait(faults.END_LIMIT_S) == 3
        env = faults.environment(watch)
        local = ("label", corpus, "--out", tmp_path / "local", *LOCAL)
        assert faults.finish(*local, env=env, log=tmp_path / "log") == 3
        assert faults.same_tables(out, tmp_path / "local")

    def test_a_file_that_kills_its_workers_is_left_out(self, corpus: Path, tmp_path: Path) -> None:
        (corpus / "clip-5.mp4").rename(corpus / "poison-infer.mp4")
        try:
            env = faults.environment(tmp_path / "watch", FV2ES_PLAN__SHARD_MINUTES="10")  # one shard holds them all
            code = faults.finish("label", corpus, "--out", tmp_path / "out", env=env, log=tmp_path / "log")
        finally:
            (corpus / "poison-infer.mp4").rename(corpus / "clip-5.mp4")
        assert code == 3
        status = {Path(row["uri"]).name: row["status"] for row in segments(tmp_path / "out").to_pylist()}
        assert status.pop("poison-infer.mp4") == "crashed_worker"
        assert status.pop("notes.mp4") == "unreadable"
        assert set(status.values()) == {"ok"}

    def test_json_logs_of_workers_are_those_of_the_job(self, corpus: Path, tmp_path: Path) -> None:
        env = faults.environment(tmp_path / "watch", FV2ES_JOB__LOG_FORMAT="json")
        assert faults.finish("label", corpus, "--out", tmp_path / "out", "--json", env=env, log=tmp_path / "log") == 3
        events = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
        stages_done = {event.get("stage") for event in events if event.get("event") == "stage done"}
        assert stages_done == {"decode", "transcribe", "infer", "write"}


@pytest.mark.parametrize(
    ("settings", "chosen"),
    [
        ({}, "processes"),
        ({"address": "auto"}, "ray"),
        ({"gpus": 1}, "ray"),
        ({"gpus": 0}, "processes"),
        ({"engine": "local"}, "local"),
        ({"engine": "ray"}, "ray"),
    ],
)
def test_the_engine_follows_from_where_the_work_is_to_be_done(settings: dict[str, object], chosen: str) -> None:
    assert load(None, {"engine": settings}).engine.chosen == chosen


@pytest.mark.parametrize("wrong", [{"address": "auto"}, {"gpus": 1}])
def test_processes_take_nothing_that_only_ray_has(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="set engine to ray"):
        load(None, {"engine": {"engine": "processes"} | wrong})
