"""Runs that are submitted to a cluster of several nodes, by its job server."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import clusters
from tests.chaos import faults
from tests.labelling import FV2ES, fv2es, labels

pytestmark = [pytest.mark.ray, pytest.mark.media]


class Site(NamedTuple):
    """A cluster, and who may use it."""

    cluster: clusters.LocalCluster
    base: Path
    env: dict[str, str]

    @property
    def watch(self) -> Path:
        return self.base / "watch"

    def jobs(self) -> list[dict[str, Any]]:
        listed = fv2es("jobs", "list", "--json", env=self.env)
        assert listed.returncode == 0, listed.stderr
        found: list[dict[str, Any]] = json.loads(listed.stdout)
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    base = tmp_path_factory.mktemp("site")
    node = faults.environment(base / "watch", 0.2) | clusters.light_driver(base / "node")
    with clusters.local_cluster(node, base / "cluster.log") as cluster:
        cluster.add_node(base / "cache")
        ours = {"FV2ES_ENGINE__ADDRESS": cluster.dashboard} | clusters.credentials()
        yield Site(cluster, base, os.environ | faults.SHARDS | ours)


def test_a_submitted_run_gives_the_table_of_a_run_here(site: Site) -> None:
    corpus, out = faults.build_corpus(site.base / "it's $(a corpus)", files=3), site.base / "out of it"
    done = fv2es("submit", corpus, "--out", out, "--workers", 1, "--json", env=site.env)
    assert done.returncode == 3, done.stderr
    said = json.loads(done.stdout)
    assert (said["new"], said["state"], said["exit_code"]) == (True, "failed", 3)
    assert "3 shards, 8.3 s of media" in done.stderr
    assert "notes.mp4: not a media file" in done.stderr
    local = ("label", corpus, "--out", site.base / "local", "--engine", "local")
    notes = list(site.watch.iterdir())
    assert faults.finish(*local, env=faults.environment(site.base / "unseen"), log=site.base / "log") == 3
    assert faults.same_tables(out, site.base / "local")
    assert labels(out).num_rows > 0
    # Workers ran the code that was sent, though another is installed.
    assert len(notes) >= 3
    assert all("/runtime_resources/" in note.read_text() for note in notes)
    listed = fv2es("jobs", "list", env=site.env)
    assert said["job_id"] in listed.stdout
    assert "done, but for some files (exit code 3)" in listed.stdout
    assert str(corpus) in listed.stdout
    shown = fv2es("jobs", "logs", said["job_id"], env=site.env)
    assert "3 shards, 8.3 s of media" in shown.stdout


@pytest.mark.soak
def test_one_run_comes_of_two_submits_and_ctrl_c_leaves_it_and_stop_ends_it(site: Site) -> None:
    (site.base / "asleep").mkdir()
    command = [str(FV2ES), "submit", str(site.base / "asleep"), "--out", str(site.base / "never")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": site.env}
    both = [subprocess.Popen(command, **pipes) for _ in range(2)]
    heard = [lines_until(process, "at work") for process in both]
    (job,) = [job for job in site.jobs() if "asleep" in job["sources"][0]]
    assert (job["state"], job["command"], job["out"]) == ("running", "label", str(site.base / "never"))
    for process in both:
        process.send_signal(signal.SIGINT)
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [130, 130]
    assert all(f"fv2es jobs stop {job['job_id']} --address {site.cluster.dashboard}" in err for _, err in said)
    assert sorted(f"{job['job_id']}: submitted." in err for _, err in said) == [False, True]
    assert sorted("not begun a second time" in err for _, err in said) == [False, True]
    assert heard[0][-1] == heard[1][-1]
    stopped = fv2es("jobs", "stop", job["job_id"], env=site.env)
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stdout == f"{job['job_id']}: stopped.\n"
    followed = fv2es("jobs", "logs", job["job_id"], "--follow", env=site.env)
    assert followed.returncode == 143
    assert "handing back" in followed.stdout  # it was asked, and not killed
    again = fv2es("submit", *command[2:], "--detach", "--json", env=site.env)
    assert json.loads(again.stdout) == {"job_id": f"{job['job_id']}-2", "new": True}


def lines_until(process: subprocess.Popen[str], last: str) -> list[str]:
    """What a process says on its output, up to a line."""
    assert process.stdout
    lines: list[str] = []
    deadline = time.monotonic() + faults.START_LIMIT_S
    while not lines or last not in lines[-1].splitlines():
        line = process.stdout.readline()
        assert line, f"it ended: {process.communicate()}"
        assert time.monotonic() < deadline
        lines.append(line)
    return lines


def test_who_has_no_right_or_means_no_job_is_told(site: Site) -> None:
    wrong = fv2es("jobs", "list", env=site.env | {"RAY_AUTH_TOKEN": "another"})
    assert wrong.returncode == 2
    assert "asks for another token" in wrong.stderr.replace("\n", " ")
    assert "another" not in wrong.stdout
    unknown = fv2es("jobs", "stop", "fv2es-nothing", env=site.env)
    assert unknown.returncode == 2
    assert "knows no such job" in unknown.stderr.replace("\n", " ")
