"""The files of deploy/, as the tests of this folder read them."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())

Document = dict[str, Any]


def documents(path: Path) -> list[Document]:
    return [document for document in yaml.safe_load_all(path.read_text("utf-8")) if document]


def render(folder: Path) -> list[Document]:
    """What Kubernetes would be given for a folder; the test is skipped where there is no kustomize."""
    kustomize, kubectl = shutil.which("kustomize"), shutil.which("kubectl")
    if kustomize:
        command = [kustomize, "build", str(folder)]
    elif kubectl:
        command = [kubectl, "kustomize", str(folder)]
    else:
        pytest.skip("neither kustomize nor kubectl is installed: overlays can't be rendered")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def rendered(overlay: str) -> list[Document]:
    return render(KUBERNETES / "overlays" / overlay)


def of_kind(documents: list[Document], kind: str) -> Document:
    (document,) = [document for document in documents if document["kind"] == kind]
    return document


def rayjob_spec(documents: list[Document]) -> Document:
    """The spec of the RayJob, wherever the overlay has put it."""
    for document in documents:
        if document["kind"] == "RayJob":
            return document["spec"]
        if document["kind"] == "RayCronJob":
            return document["spec"]["jobTemplate"]
    raise AssertionError("no RayJob here")


def pod_templates(spec: Document) -> dict[str, Document]:
    """The pod templates of a RayJob by the name of their group."""
    cluster = spec["rayClusterSpec"]
    templates = {group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]}
    return {"head": cluster["headGroupSpec"]["template"]} | templates
