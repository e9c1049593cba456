"""A Ray cluster of several nodes on this machine, with its dashboard's job server, in a process of its own.

Each node is a raylet with its own resources, workers and cache folder. The head does no work: drivers run there.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.pipelines.conftest import free_ports

ROOT = Path(__file__).parent.parent
TOKEN = "token-of-the-tests-which-opens-the-dashboard"  # noqa: S105 - of clusters that live for a test
PATIENCE = {
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "600",
    "RAY_DASHBOARD_SUBPROCESS_MODULE_WAIT_READY_TIMEOUT": "600",
    "RAY_gcs_server_request_timeout_seconds": "600",
    "RAY_agent_register_timeout_ms": "600000",
    "RAY_worker_register_timeout_seconds": "600",
}
"""Ray gives its own parts half a minute to start; on a machine that is busy just then that is too little."""

DRIVER = """#!/bin/sh
# A node's `python`: drivers of runs have the light operators, or, by the name of what they label, do nothing.
case "$*" in
  "-m pipelines "*asleep*)
    trap 'echo handing back; exit 143' TERM
    echo at work
    while :; do sleep 0.2; done ;;
esac
if [ "$1 $2" = "-m pipelines" ]; then
  shift 2
  exec {python} -m tests.chaos.light "$@"
fi
exec {python} "$@"
"""


@dataclass
class LocalCluster:
    """A cluster that is up: where its dashboard and its GCS are, and the head's folder.

    Processes of a node are in its folder: that of other nodes is the cache's.
    """

    dashboard: str
    gcs: str
    head_folder: Path
    _process: subprocess.Popen[str]

    def add_node(self, cache: Path, cpus: float = 2) -> int:
        """Have another node join, whose weights go to `cache`; the pid of its raylet."""
        return int(self._ask({"cache": str(cache), "cpus": cpus})["raylet"])

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return answer_of(self._process)


def answer_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout
    line = process.stdout.readline()
    assert line, f"the cluster did not come up: exit code {process.wait()}"
    answer: dict[str, Any] = json.loads(line)
    return answer


@contextmanager
def local_cluster(env: Mapping[str, str], log: Path) -> Iterator[LocalCluster]:
    """A head without CPUs and its job server; nodes are added. What it says goes to `log`."""
    command = [sys.executable, "-m", "tests.clusters"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with tempfile.TemporaryDirectory(prefix="fv2es-ray-", dir="/tmp") as folder, log.open("ab") as said:
        own = {
            "RAY_TMPDIR": folder,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": TOKEN,
            "RAY_worker_niceness": "0",
        } | PATIENCE
        process = subprocess.Popen(command, cwd=ROOT, env=dict(env) | own, stderr=said, **pipes)
        try:
            up = answer_of(process)
            yield LocalCluster(up["dashboard"], up["gcs"], Path(folder), process)
        finally:
            process.stdin.close()
            process.wait(120)


def light_driver(folder: Path) -> dict[str, str]:
    """Variables of nodes whose drivers have light operators. They know the tests, but not the packages beside them."""
    folder.mkdir()
    (folder / "tests").symlink_to(ROOT / "tests")
    python = folder / "python"
    python.write_text(DRIVER.format(python=sys.executable))
    python.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(folder)}


def credentials() -> dict[str, str]:
    """Variables of who may use the cluster."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}


def serve() -> None:
    """Start the head, in its folder, then a node for each line of standard input, until that ends."""
    from ray.cluster_utils import Cluster

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Ray prints as it likes
    os.chdir(os.environ["RAY_TMPDIR"])
    port, agent_port = free_ports(2)
    quiet = {"include_log_monitor": False}
    head = {"num_cpus": 0, "include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": port}
    cluster = Cluster(
        initialize_head=True,
        head_node_args=head | quiet | {"dashboard_agent_listen_port": agent_port},
    )
    print(json.dumps({"dashboard": f"http://127.0.0.1:{port}", "gcs": cluster.address}), file=answers, flush=True)
    for number, line in enumerate(sys.stdin):
        asked = json.loads(line)
        os.environ["FV2ES_CACHE"] = asked["cache"]
        Path(asked["cache"]).mkdir(parents=True, exist_ok=True)
        os.chdir(asked["cache"])
        node = cluster.add_node(num_cpus=asked["cpus"], temp_dir=os.environ["RAY_TMPDIR"] + f"/{number}", **quiet)
        raylet = node.all_processes["raylet"][0].process.pid
        print(json.dumps({"raylet": raylet}), file=answers, flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    serve()
