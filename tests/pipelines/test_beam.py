"""The Beam engine from end to end: a real runner, real media; the same table as the plain loop, whatever happens."""

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

from tests.chaos import faults
from tests.labelling import files_below, label_json, labels, segments, wait_until_gone

pytestmark = [pytest.mark.beam, pytest.mark.media]

BEAM, LOCAL = ("--engine", "beam"), ("--engine", "local")
RETRYING = "--beam-args=--runner=BundleBasedDirectRunner"
TWO_PROCESSES = "--beam-args=--direct_num_workers=2 --direct_running_mode=multi_processing"


class Undisturbed(NamedTuple):
    corpus: Path
    out: Path


@pytest.fixture(scope="module")
def job_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of Beam's own job server, to which a pipeline is submitted as to Flink's or Spark's."""
    folder = tmp_path_factory.mktemp("job-server")
    port_file, log = folder / "port", folder / "log"
    command = [sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main"]
    command += [f"--port_file={port_file}", f"--staging_dir={folder}"]
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 120
        while not port_file.exists() or not port_file.read_text().strip():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield f"localhost:{port_file.read_text().strip()}"
    finally:
        server.kill()
        server.wait()


def through(job_server: str) -> str:
    return f"--beam-args=--runner=PortableRunner --job_endpoint={job_server} --environment_type=LOOPBACK"


def states_of_last_job(job_server: str) -> set[str]:
    """The states through which the last job of a server has gone until it ended."""
    with grpc.insecure_channel(job_server) as channel:
        stub = beam_job_api_pb2_grpc.JobServiceStub(channel)
        *_, last = stub.GetJobs(beam_job_api_pb2.GetJobsRequest()).job_info
        request = beam_job_api_pb2.GetJobStateRequest(job_id=last.job_id)
        return {beam_job_api_pb2.JobState.Enum.Name(event.state) for event in stub.GetStateStream(request, timeout=30)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """What the plain loop gives, with light operators."""
    base = tmp_path_factory.mktemp("undisturbed")
    corpus = faults.build_corpus(base / "corpus", files=4)
    env = faults.environment(base / "watch")
    assert faults.finish("label", corpus, "--out", base / "out", *LOCAL, env=env, log=base / "log") == 3
    return Undisturbed(corpus, base / "out")


def test_the_demo_corpus_gives_the_rows_of_the_plain_loop(
    demo_corpus: Path, tmp_path: Path, offline_environment: dict[str, str]
) -> None:
    places = [tmp_path / name for name in ("home", "tmp")]
    for place in places:
        place.mkdir()
    env = offline_environment | {"HOME": str(places[0]), "TMPDIR": str(places[1]), "FV2ES_PLAN__SHARD_MINUTES": "0.34"}
    env.pop("XDG_CACHE_HOME", None)
    code, result = label_json(demo_corpus, "--out", tmp_path / "beam", *BEAM, env=env)
    assert code == 3
    assert result["shards"] > 1
    assert wait_until_gone(*places) == []
    left = {re.sub(r"recipe=\w+", "recipe=ID", Path(name).name) for name in files_below(tmp_path / "beam" / "_runs")}
    assert left == {"config.json", "plan.parquet", "recipe.json", "state.json", "recipe=ID.parquet"}
    code, of_loop = label_json(demo_corpus, "--out", tmp_path / "local", *LOCAL, env=env)
    assert code == 3
    assert labels(tmp_path / "beam").num_rows > 0
    assert labels(tmp_path / "beam").equals(labels(tmp_path / "local"))
    assert segments(tmp_path / "beam").equals(segments(tmp_path / "local"))
    told = ("videos", "shards", "utterances", "media_ms", "segments_by_status", "failed")
    assert [result[name] for name in told] == [of_loop[name] for name in told]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_operators_that_fail_half_the_time_change_nothing(undisturbed: Undisturbed, tmp_path: Path, seed: int) -> None:
    watch, out, log = tmp_path / "watch", tmp_path / "out", tmp_path / "log"
    env = faults.environment(watch, FLAKY_SEED=str(seed))
    arguments = ("label", undisturbed.corpus, "--out", out, *BEAM, RETRYING)
    process = faults.start(*arguments, env=env, log=log, module="tests.chaos.flaky")
    assert process.wait(faults.END_LIMIT_S) == 3, log.read_text()
    failures = [note.name.split("-")[1:3] for note in watch.glob("failed-*")]
    assert len(failures) > 5
    assert ["write", "True"] in failures  # committed, and then said to have failed
    assert faults.same_tables(out, undisturbed.out)
    assert len(list(out.glob("segments/**/*.parquet"))) == len(list(undisturbed.out.glob("segments/**/*.parquet")))
    assert not (out / "_runs" / "attempts").exists()


@pytest.mark.soak
def test_a_file_that_kills_its_worker_is_left_out_and_the_rest_is_labelled(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    corpus, out, log = tmp_path / "corpus", tmp_path / "out", tmp_path / "log"
    shutil.copytree(undisturbed.corpus, corpus)
    shutil.copy(corpus / "clip-1.mp4", corpus / "poison-transcribe.mp4")
    env = faults.environment(tmp_path / "watch", FV2ES_PLAN__SHARD_MINUTES="10")
    assert faults.finish("label", corpus, "--out", out, *BEAM, env=env, log=log) == 3
    rows = {Path(row["uri"]).name: row for row in segments(out).to_pylist()}
    assert rows.pop("poison-transcribe.mp4")["status"] == "crashed_worker"
    assert {name: row["status"] for name, row in rows.items()} == {
        Path(row["uri"]).name: row["status"] for row in segments(undisturbed.out).to_pylist()
    }
    assert set(labels(out)["text"].to_pylist()) == set(labels(undisturbed.out)["text"].to_pylist())


def test_a_signal_lets_what_is_in_flight_end_and_the_same_command_goes_on(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    watch, out, log = tmp_path / "watch", tmp_path / "out", tmp_path / "log"
    env = faults.environment(watch, pace_s=0.5, TMPDIR=str(tmp_path))
    process = faults.start("label", undisturbed.corpus, "--out", out, *BEAM, env=env, log=log)
    faults.at_work(watch, "infer")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    assert "Stopping" in log.read_text()
    assert "run the same command again" in log.read_text().replace("\n", " ")
    assert 1 <= len(list(out.glob("segments/**/*.parquet"))) < 5
    assert not list(tmp_path.glob("fv2es-*"))
    assert not (out / "_runs/lock.json").exists()
    (state,) = out.glob("_runs/*/state.json")
    assert json.loads(state.read_text())["outcome"] == "interrupted"
    assert faults.finish("label", undisturbed.corpus, "--out", out, *BEAM, env=faults.environment(watch), log=log) == 3
    assert faults.same_tables(out, undisturbed.out)


@pytest.mark.soak
def test_after_the_grace_all_processes_are_ended(undisturbed: Undisturbed, tmp_path: Path) -> None:
    watch, out, log = tmp_path / "watch", tmp_path / "out", tmp_path / "log"
    env = faults.environment(watch, pace_s=1000, TMPDIR=str(tmp_path), FV2ES_JOB__GRACE_S="1")
    process = faults.start("label", undisturbed.corpus, "--out", out, *BEAM, env=env, log=log)
    faults.at_work(watch, "decode")
    children = faults.children_of(process.pid)
    assert children
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert faults.wait_until_ended(children, 10) == []
    assert not list(tmp_path.glob("fv2es-*"))


@pytest.mark.soak
def test_a_job_that_is_killed_takes_its_pipeline_along(undisturbed: Undisturbed, tmp_path: Path) -> None:
    watch, out, log = tmp_path / "watch", tmp_path / "out", tmp_path / "log"
    env = faults.environment(watch, pace_s=0.5)
    process = faults.start("label", undisturbed.corpus, "--out", out, *BEAM, env=env, log=log)
    faults.wait_for_commits(out, 1, process)
    children = faults.children_of(process.pid)
    assert children
    process.kill()
    process.wait()
    assert faults.wait_until_ended(children, 10) == []
    assert (
        faults.finish("label", undisturbed.corpus, "--out", out, *LOCAL, env=env | {"CHAOS_PACE_S": "0"}, log=log) == 3
    )
    assert faults.same_tables(out, undisturbed.out)


@pytest.mark.soak
def test_a_run_whose_lease_was_taken_over_commits_nothing_more(undisturbed: Undisturbed, tmp_path: Path) -> None:
    watch, out, log = tmp_path / "watch", tmp_path / "out", tmp_path / "log"
    env = faults.environment(watch, pace_s=1.0)
    process = faults.start("label", undisturbed.corpus, "--out", out, *BEAM, env=env, log=log)
    faults.at_work(watch, "decode")
    lock = out / "_runs" / "lock.json"
    lock.write_text(json.dumps(json.loads(lock.read_text()) | {"run_id": "another"}))
    assert process.wait(120) == 1
    said = log.read_text().replace("\n", " ")
    assert "This run has lost its lease on the output to run another" in said
    assert "Traceback" not in said
    assert not list(out.glob("segments/**/*.parquet"))


@pytest.mark.soak
def test_a_job_server_gives_the_same_table(undisturbed: Undisturbed, tmp_path: Path, job_server: str) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    env = faults.environment(tmp_path / "watch")
    arguments = ("label", undisturbed.corpus, "--out", out, *BEAM, through(job_server))
    assert faults.finish(*arguments, env=env, log=log) == 3, log.read_text()
    assert faults.same_tables(out, undisturbed.out)


@pytest.mark.soak
def test_after_the_grace_a_pipeline_elsewhere_is_cancelled(
    undisturbed: Undisturbed, tmp_path: Path, job_server: str
) -> None:
    watch, out, log = tmp_path / "watch", tmp_path / "out", tmp_path / "log"
    env = faults.environment(watch, pace_s=1000, FV2ES_JOB__GRACE_S="1")
    process = faults.start("label", undisturbed.corpus, "--out", out, *BEAM, through(job_server), env=env, log=log)
    faults.at_work(watch, "decode")
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 143
    assert "CANCELLED" in states_of_last_job(job_server)


@pytest.mark.soak
def test_a_worker_that_is_killed_among_several_costs_nothing(undisturbed: Undisturbed, tmp_path: Path) -> None:
    watch, out, log = tmp_path / "watch", tmp_path / "out", tmp_path / "log"
    env = faults.environment(watch, pace_s=1.0)
    process = faults.start("label", undisturbed.corpus, "--out", out, *BEAM, TWO_PROCESSES, env=env, log=log)
    started = time.monotonic()
    faults.kill_worker(watch, "transcribe", random.Random(1))
    assert process.wait(faults.END_LIMIT_S) == 3, f"after {time.monotonic() - started:.0f} s: {log.read_text()}"
    assert faults.same_tables(out, undisturbed.out)
