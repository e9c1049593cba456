"""Start tonight's RayJob as a copy of the suspended one, and wait for its end.

Runs in a pod of the CronJob, with Python's standard library alone. The copy has the name of the pod's Job, so that a
pod that takes over from another waits for the same RayJob; and it belongs to that Job, so that it is deleted with it.
"""

import http.client
import json
import os
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
GROUP = "/apis/ray.io/v1"
POLL_S = 30.0
PATIENCE_S = 900.0
"""For so long Kubernetes may be out of reach before we give up; the RayJob goes on meanwhile."""

Connect = Callable[[], http.client.HTTPConnection]


class RefusedError(Exception):
    """Kubernetes answered, and said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"Kubernetes answered {status}: {message}")
        self.status = status


def in_cluster() -> http.client.HTTPConnection:
    """A connection to the Kubernetes that this pod runs on."""
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])
    return http.client.HTTPSConnection(host, port, timeout=30, context=context)


class RayJobs:
    """The RayJobs of a namespace."""

    def __init__(self, namespace: str, connect: Connect = in_cluster, account: Path = ACCOUNT) -> None:
        self._path = f"{GROUP}/namespaces/{namespace}/rayjobs"
        self._connect, self._account = connect, account

    def get(self, name: str) -> dict[str, Any]:
        """One of them."""
        return self._ask("GET", f"{self._path}/{name}")

    def create(self, rayjob: dict[str, Any]) -> None:
        """Add one; one of that name that is there already is left as it is."""
        try:
            self._ask("POST", self._path, rayjob)
        except RefusedError as refusal:
            if refusal.status != http.client.CONFLICT:
                raise

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        token = (self._account / "token").read_text()  # read anew each time: it is changed every hour
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection = self._connect()
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status >= http.client.INTERNAL_SERVER_ERROR or response.status == http.client.TOO_MANY_REQUESTS:
            raise ConnectionError(f"Kubernetes answered {response.status}")
        answer: dict[str, Any] = json.loads(text)
        if response.status >= http.client.BAD_REQUEST:
            raise RefusedError(response.status, str(answer.get("message", text)))
        return answer


def copy_of(template: dict[str, Any], job_name: str, job_uid: str) -> dict[str, Any]:
    """The RayJob of tonight: the template's work, awake, under the name of the Job that it belongs to."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job_name, "uid": job_uid}
    labels = template["metadata"].get("labels", {})
    return {
        "apiVersion": template["apiVersion"],
        "kind": template["kind"],
        "metadata": {"name": job_name, "labels": labels, "ownerReferences": [owner]},
        "spec": template["spec"] | {"suspend": False},
    }


def patiently(ask: Callable[[], Any], poll_s: float, patience_s: float) -> Any:
    """What `ask` gives; connections that break are tried again."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return ask()
        except FileNotFoundError:
            raise  # no service account: that won't mend itself
        except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
            if time.monotonic() >= deadline:
                raise
            print(f"Can't reach Kubernetes, trying again: {error}", file=sys.stderr)
            time.sleep(poll_s)


def run(
    rayjobs: RayJobs, template: str, job_name: str, job_uid: str, poll_s: float = POLL_S, patience_s: float = PATIENCE_S
) -> int:
    """Start the copy, say each state that it comes to, and return 0 when it is complete, 1 when it isn't."""
    tonight = copy_of(patiently(lambda: rayjobs.get(template), poll_s, patience_s), job_name, job_uid)
    patiently(lambda: rayjobs.create(tonight), poll_s, patience_s)
    said = None
    while True:
        status = patiently(lambda: rayjobs.get(job_name), poll_s, patience_s).get("status", {})
        state = status.get("jobDeploymentStatus") or "New"
        if state != said:
            print(f"RayJob {job_name}: {state}")
            said = state
        if state == "Complete":
            if status.get("jobStatus") != "STOPPED":
                return 0
            print(f"RayJob {job_name} was stopped before its end.", file=sys.stderr)
            return 1
        if state == "Failed":
            reasons = [str(status[name]) for name in ("reason", "message") if status.get(name)]
            print(f"RayJob {job_name} failed: {': '.join(reasons) or 'no reason given'}", file=sys.stderr)
            return 1
        time.sleep(poll_s)


def main() -> int:
    """Run as the pod's environment says."""
    environment = os.environ
    rayjobs = RayJobs(environment["NAMESPACE"])
    try:
        return run(rayjobs, environment["RAYJOB_TEMPLATE"], environment["JOB_NAME"], environment["JOB_UID"])
    except (RefusedError, OSError, http.client.HTTPException) as error:
        print(f"Tonight's RayJob could not be started or watched: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
