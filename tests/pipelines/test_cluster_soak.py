"""Clusters at length: weights on nodes, stops, nodes that die and join late, and the README followed as written."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from models import catalogue
from tests import clusters
from tests.chaos import faults
from tests.labelling import FV2ES, fv2es
from tests.pipelines.conftest import free_ports

pytestmark = [pytest.mark.soak, pytest.mark.ray, pytest.mark.media]

ROOT = Path(__file__).parent.parent.parent
HIDDEN = 'mount -t tmpfs none "$0" && exec "$@"'


def test_weights_come_to_a_node_once_and_a_wrong_file_is_replaced(tmp_path: Path) -> None:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with clusters.local_cluster(env, tmp_path / "log") as cluster:
        cluster.add_node(tmp_path / "cache")
        weights = cluster.head_folder / "mine.bin"
        weights.write_bytes(os.urandom(40 << 20))  # two blocks
        command = [sys.executable, "-m", "tests.pipelines.staging_driver", cluster.gcs, str(weights), "4"]

        def ask() -> list[dict[str, object]]:
            done = subprocess.run(command, env=env | clusters.credentials(), cwd=ROOT, capture_output=True, check=True)
            answers: list[dict[str, object]] = json.loads(done.stdout)
            return answers

        first = ask()
        assert {answer["sha256"] for answer in first} == {catalogue.sha256_of(weights)}
        assert [answer["brought"] for answer in first].count(1) == 1
        (path,) = {str(answer["path"]) for answer in first}
        assert path.startswith(str(tmp_path / "cache"))
        assert sum(answer["brought"] == 1 for answer in ask()) == 0
        content = bytearray(weights.read_bytes())
        content[5] ^= 1
        Path(path).write_bytes(content)
        assert {answer["sha256"] for answer in ask()} == {catalogue.sha256_of(weights)}


def test_a_run_hands_back_when_stopped_and_goes_on_where_a_node_joins(tmp_path: Path) -> None:
    corpus, out, watch = faults.build_corpus(tmp_path / "corpus", files=12), tmp_path / "out", tmp_path / "watch"
    local = ("label", corpus, "--out", tmp_path / "local", "--engine", "local")
    assert faults.finish(*local, env=faults.environment(tmp_path / "unseen"), log=tmp_path / "log") == 3
    node = faults.environment(watch, 2.0) | clusters.light_driver(tmp_path / "node")
    with clusters.local_cluster(node, tmp_path / "cluster.log") as cluster:
        first = cluster.add_node(tmp_path / "cache")
        env = os.environ | faults.SHARDS | {"FV2ES_ENGINE__ADDRESS": cluster.dashboard} | clusters.credentials()
        sent = fv2es("submit", corpus, "--out", out, "--detach", "--json", env=env)
        job_id = json.loads(sent.stdout)["job_id"]
        faults.at_work(watch, "decode")
        assert fv2es("jobs", "stop", job_id, env=env).stdout == f"{job_id}: stopped.\n"
        shown = fv2es("jobs", "logs", job_id, env=env).stdout
        assert "Stopping: nothing new is begun" in shown
        assert "run the same command again to go on" in shown.replace("\n", " ")
        (state,) = out.glob("_runs/*/state.json")
        assert json.loads(state.read_text())["outcome"] == "interrupted"
        assert not (out / "_runs/lock.json").exists()
        assert len(list(out.glob("segments/**/*.parquet"))) < 12
        # Again, and its node dies when another has joined.
        following = subprocess.Popen([str(FV2ES), "submit", str(corpus), "--out", str(out)], env=env)
        for note in watch.iterdir():
            note.unlink()
        faults.at_work(watch, "decode")
        cluster.add_node(tmp_path / "late")
        faults.kill(first)
        assert following.wait(faults.END_LIMIT_S) == 3
        assert faults.same_tables(out, tmp_path / "local")
        # A driver on a machine of the cluster, that nobody has submitted, gives its workers code as well.
        for note in watch.iterdir():
            note.unlink()
        shutil.rmtree(out)
        driver = faults.environment(tmp_path / "of-driver") | clusters.credentials()
        direct = ("label", corpus, "--out", out, "--address", cluster.gcs)
        # Not from the checkout: Ray has workers look first into the folder that the driver is in.
        code = faults.finish(*direct, env=driver, log=tmp_path / "log", cwd=tmp_path)
        assert code == 3, (tmp_path / "log").read_text()
        assert faults.same_tables(out, tmp_path / "local")
        assert all("/runtime_resources/" in note.read_text() for note in watch.iterdir())


def commands_of_readme() -> dict[str, str]:
    """The commands of the section, by their first two or three words."""
    section = (ROOT / "README.md").read_text("utf-8").partition("## On a cluster\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^    (?:\$ )?((?:ray|fv2es) [^#\n]*)", section, re.MULTILINE)
    return {
        " ".join(re.findall(r"^(?:ray start --head|ray start|fv2es jobs \w+|fv2es \w+)", line)): line for line in lines
    }


@contextmanager
def ray_node(command: str, folder: Path, hidden: Path | None, env: dict[str, str]) -> Iterator[Path]:
    """A node started as the README says, with a cache of its own, and without sight of the folder `hidden`; its cache.

    Ray gives its parts half a minute to start; a machine that is busy just then gets more chances.
    """
    cache = folder / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    words = [*command.split(), f"--temp-dir={folder / 'ray'}"]
    words = ["unshare", "-m", "sh", "-c", HIDDEN, str(hidden), *words] if hidden else words
    try:
        for left in (2, 1, 0):
            with (folder / "log").open("wb") as log:
                started = subprocess.run(
                    words, env=env | {"FV2ES_CACHE": str(cache)}, stdout=log, stderr=log, check=False
                )
            if started.returncode == 0:
                break
            switch_off(cache)
            assert left, (folder / "log").read_text()
        yield cache
    finally:
        switch_off(cache)


def switch_off(cache: Path) -> None:
    """Kill all that runs on a node: its processes are those with its cache."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("FV2ES_CACHE") == str(cache):
                process.kill()


def test_the_section_on_a_cluster_is_true_as_written(demo_corpus: Path) -> None:
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no right to hide a folder from a node")
    said = commands_of_readme()
    base = Path("/tmp") / f"fv2es-site-{os.getpid()}"  # noqa: S108 - short, for Ray's sockets
    base.mkdir()
    of_gcs, of_dashboard, of_clients = free_ports(3)
    gcs, dashboard = f"127.0.0.1:{of_gcs}", f"http://127.0.0.1:{of_dashboard}"
    ports = f" --port={of_gcs} --dashboard-port={of_dashboard}"
    ports += f" --ray-client-server-port={of_clients} --dashboard-agent-listen-port=0"
    env = os.environ | clusters.PATIENCE | clusters.credentials() | {"RAY_worker_niceness": "0"}
    env |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}", "FV2ES_PLAN__SHARD_MINUTES": "0.1"}
    env |= {"FV2ES_PLAN__SEGMENT_MINUTES": "0.4"}

    def words(name: str, job_id: str = "") -> list[str]:
        line = said[name].replace("http://HEAD:8265", dashboard).replace("HEAD:6379", gcs)
        line = line.replace("/shared/videos", str(demo_corpus)).replace("/shared/labels", str(base / "out"))
        return line.replace(" ID", f" {job_id}").split()

    def run(name: str, job_id: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(words(name, job_id), env=env, capture_output=True, text=True, check=False, timeout=600)

    try:
        local = ("label", demo_corpus, "--out", base / "local", "--engine", "local")
        assert fv2es(*local, env=env, time_limit_s=900).returncode == 3
        weights = base / "head" / "cache" / "weights"
        for entry in catalogue.entries().values():
            if entry.default and not entry.package_folder:
                shutil.copytree(catalogue.folder(entry), weights / catalogue.folder(entry).name)
        head_line = " ".join(words("ray start --head")) + ports
        node_line = " ".join(words("ray start"))
        hidden = weights.parent
        with (
            ray_node(head_line, base / "head", None, env),
            ray_node(node_line, base / "one", hidden, env) as one,
            ray_node(node_line, base / "two", hidden, env),
        ):
            wait_for(dashboard, env, base / "head" / "log")
            log = (base / "submitted").open("wb")
            process = subprocess.Popen(words("fv2es submit"), env=env, stdout=log, stderr=log)
            faults.wait_for_commits(base / "out", 1, process, limit_s=1200)
            assert process.poll() is None, (base / "submitted").read_text()
            listed = run("fv2es jobs list").stdout
            assert "running" in listed
            assert str(demo_corpus) in listed
            (job_id,) = re.findall(r"fv2es-[0-9a-f]{12}", listed)
            switch_off(one)
            with ray_node(node_line, base / "late", hidden, env):
                assert process.wait(900) == 3, (base / "submitted").read_text()
                followed = run("fv2es jobs logs", job_id)
                assert followed.returncode == 3
                assert "Labels:" in followed.stdout
                assert "done" in run("fv2es jobs stop", job_id).stdout
            assert faults.same_tables(base / "out", base / "local")
            assert fv2es("validate", base / "out", env=env).returncode == 0
            staged = [node for node in ("one", "two", "late") if list((base / node / "cache/weights").rglob("*.bin"))]
            assert staged  # through Ray: the head's cache can't be seen from there
    finally:
        shutil.rmtree(base, ignore_errors=True)


def wait_for(dashboard: str, env: dict[str, str], log: Path) -> None:
    """Wait for the job server."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        asked = fv2es("jobs", "list", "--address", dashboard, env=env)
        if asked.returncode == 0:
            return
        assert asked.returncode == 1, asked.stderr  # nobody answers yet
        time.sleep(1)
    raise TimeoutError(f"the cluster did not come up: {asked.stderr}\n{log.read_text()[-2000:]}")


def test_who_follows_is_told_when_the_server_goes(tmp_path: Path) -> None:
    node = faults.environment(tmp_path / "watch") | clusters.light_driver(tmp_path / "node")
    (tmp_path / "asleep").mkdir()
    with clusters.local_cluster(node, tmp_path / "log") as cluster:
        env = os.environ | clusters.credentials() | {"FV2ES_ENGINE__ADDRESS": cluster.dashboard}
        command = [str(FV2ES), "submit", str(tmp_path / "asleep"), "--out", str(tmp_path / "out")]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, env=env, **pipes)
        assert process.stdout
        while "at work" not in process.stdout.readline():
            assert process.poll() is None
    _, said = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "The run may well go on" in said
    assert "fv2es jobs logs" in said
