"""The script of the CronJob, against a server that answers as Kubernetes does."""

import http.client
import json
import runpy
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.deploy.files import KUBERNETES

SCRIPT = KUBERNETES / "overlays" / "nightly" / "start_rayjob.py"
TEMPLATE = {
    "apiVersion": "ray.io/v1",
    "kind": "RayJob",
    "metadata": {"name": "fv2es", "uid": "1", "resourceVersion": "7", "labels": {"app.kubernetes.io/name": "fv2es"}},
    "spec": {"entrypoint": "fv2es-job nightly s3://videos --out s3://labels", "suspend": True},
    "status": {"jobDeploymentStatus": "Suspended"},
}
NIGHT, UID = "fv2es-nightly-29401", "6d1c"


class Kubernetes(ThreadingHTTPServer):
    """Keeps RayJobs; each look at one brings it to its next state."""

    def __init__(self, states: list[dict[str, str]]) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.rayjobs: dict[str, Any] = {"fv2es": TEMPLATE}
        self.states = states
        self.created: list[str] = []
        self.broken = 0

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.server_port, timeout=10)


class Answers(BaseHTTPRequestHandler):
    server: Kubernetes
    collection = "/apis/ray.io/v1/namespaces/videos/rayjobs"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: dict[str, Any]) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def allowed(self) -> bool:
        if self.server.broken:
            self.server.broken -= 1
            self.answer(503, {"message": "the server is currently unable to handle the request"})
            return False
        if self.headers["Authorization"] != "Bearer the-token":
            self.answer(403, {"message": "rayjobs.ray.io is forbidden"})
            return False
        return True

    def do_GET(self) -> None:
        if not self.allowed():
            return
        name = self.path.removeprefix(f"{self.collection}/")
        rayjob = self.server.rayjobs.get(name)
        if rayjob is None:
            self.answer(404, {"message": f'rayjobs.ray.io "{name}" not found'})
            return
        if name != "fv2es" and self.server.states:
            rayjob["status"] = self.server.states.pop(0)
        self.answer(200, rayjob)

    def do_POST(self) -> None:
        if not self.allowed():
            return
        assert self.path == self.collection
        rayjob = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = rayjob["metadata"]["name"]
        if name in self.server.rayjobs:
            self.answer(409, {"message": f'rayjobs.ray.io "{name}" already exists'})
            return
        self.server.rayjobs[name] = rayjob
        self.server.created.append(name)
        self.answer(201, rayjob)


COMPLETE = [{}, {"jobDeploymentStatus": "Running"}, {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}]


@pytest.fixture
def kubernetes() -> Iterator[Kubernetes]:
    with Kubernetes([dict(state) for state in COMPLETE]) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


@pytest.fixture
def account(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("the-token")
    return tmp_path


def run(script: SimpleNamespace, kubernetes: Kubernetes, account: Path, patience_s: float = 30) -> int:
    rayjobs = script.RayJobs("videos", kubernetes.connect, account)
    return script.run(rayjobs, "fv2es", NIGHT, UID, poll_s=0.01, patience_s=patience_s)


def test_tonights_rayjob_is_the_template_awake_and_belongs_to_the_job(
    script: SimpleNamespace, kubernetes: Kubernetes, account: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(script, kubernetes, account) == 0
    tonight = kubernetes.rayjobs[NIGHT]
    assert tonight["spec"] == TEMPLATE["spec"] | {"suspend": False}
    assert tonight["metadata"] == {
        "name": NIGHT,
        "labels": {"app.kubernetes.io/name": "fv2es"},
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": NIGHT, "uid": UID}],
    }
    assert kubernetes.rayjobs["fv2es"] == TEMPLATE
    assert capsys.readouterr().out.splitlines() == [f"RayJob {NIGHT}: {s}" for s in ("New", "Running", "Complete")]


def test_a_pod_that_takes_over_waits_for_the_same_rayjob(
    script: SimpleNamespace, kubernetes: Kubernetes, account: Path
) -> None:
    assert run(script, kubernetes, account) == 0
    assert run(script, kubernetes, account) == 0
    assert kubernetes.created == [NIGHT]


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ({"jobDeploymentStatus": "Failed", "reason": "AppFailed", "message": "exit code 1"}, "AppFailed: exit code 1"),
        ({"jobDeploymentStatus": "Failed"}, "no reason given"),
        ({"jobDeploymentStatus": "Complete", "jobStatus": "STOPPED"}, "stopped before its end"),
    ],
)
def test_a_night_that_went_wrong_is_a_failure_with_its_reason(
    script: SimpleNamespace,
    kubernetes: Kubernetes,
    account: Path,
    capsys: pytest.CaptureFixture[str],
    end: dict[str, str],
    said: str,
) -> None:
    kubernetes.states = [{"jobDeploymentStatus": "Running"}, end]
    assert run(script, kubernetes, account) == 1
    assert said in capsys.readouterr().err


def test_a_kubernetes_that_is_away_for_a_while_is_waited_for(
    script: SimpleNamespace, kubernetes: Kubernetes, account: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kubernetes.broken = 3
    assert run(script, kubernetes, account) == 0
    assert capsys.readouterr().err.count("trying again") == 3


def test_a_kubernetes_that_stays_away_ends_the_wait(
    script: SimpleNamespace, kubernetes: Kubernetes, account: Path
) -> None:
    kubernetes.broken = 1_000_000
    with pytest.raises(ConnectionError, match="503"):
        run(script, kubernetes, account, patience_s=0.2)


def test_a_right_that_is_missing_is_said_at_once(
    script: SimpleNamespace, kubernetes: Kubernetes, account: Path
) -> None:
    (account / "token").write_text("another")
    with pytest.raises(script.RefusedError, match=r"403: rayjobs\.ray\.io is forbidden"):
        run(script, kubernetes, account)


def test_a_rayjob_that_was_deleted_ends_the_wait(
    script: SimpleNamespace, kubernetes: Kubernetes, account: Path
) -> None:
    rayjobs = script.RayJobs("videos", kubernetes.connect, account)
    with pytest.raises(script.RefusedError, match=r'404: .*"fv2es-nightly-29401" not found'):
        script.patiently(lambda: rayjobs.get(NIGHT), 0.01, 1)


def test_outside_a_cluster_it_says_what_is_missing() -> None:
    environment = {"NAMESPACE": "videos", "RAYJOB_TEMPLATE": "fv2es", "JOB_NAME": NIGHT, "JOB_UID": UID}
    done = subprocess.run([sys.executable, "-I", SCRIPT], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Tonight's RayJob could not be started or watched" in done.stderr
