"""The Dockerfile, and the program that it adds. No test here builds it: that takes a Docker daemon and a network."""

import os
import re
import subprocess
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from models.catalogue import CACHE_VARIABLE
from tests.deploy.files import DEPLOY

ROOT = DEPLOY.parent
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
INSTRUCTIONS = [
    line for line in DOCKERFILE.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")
]


def instructions(name: str) -> list[str]:
    return [line.removeprefix(f"{name} ") for line in INSTRUCTIONS if line.startswith(f"{name} ")]


def test_what_is_copied_is_there_and_reaches_the_builder() -> None:
    allowed = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    copied = [words for line in instructions("COPY") if "--from=" not in (words := line)]
    sources = [word for line in copied for word in line.split()[:-1] if not word.startswith("--")]
    assert sources
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in allowed
    assert allowed[0] == "*"


def test_the_base_has_an_exact_tag_and_every_stage_stands_on_it() -> None:
    assert re.fullmatch(r"PYTHON=3\.11\.\d+-slim-\w+", instructions("ARG")[0])
    stages = [line.split() for line in instructions("FROM")]
    assert [stage[-1] for stage in stages] == ["build", "base", "gpu", "cpu"]  # without --target: the last, cpu
    assert {stage[0] for stage in stages} == {"python:${PYTHON}", "base"}


def test_packages_are_installed_by_hash_and_nothing_is_resolved_anew() -> None:
    steps = [step for line in INSTRUCTIONS for step in line.split("&&")]
    installs = [step for step in steps if "pip install" in step]
    assert len(installs) == 3
    for words in installs:
        locked = "--require-hashes" in words and "requirements" in words
        own = "--no-deps" in words and "--no-build-isolation" in words
        assert locked or own


def test_it_runs_as_a_user_that_is_not_root_and_of_whom_kubernetes_can_see_it() -> None:
    (user,) = instructions("USER")
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    assert f"--uid {user.split(':')[0]} " in DOCKERFILE
    assert INSTRUCTIONS.index(f"USER {user}") > max(i for i, line in enumerate(INSTRUCTIONS) if "apt-get" in line)


def test_weights_are_pulled_into_the_image_unless_they_are_left_to_the_start() -> None:
    assert "WEIGHTS=image" in instructions("ARG")
    assert f"{CACHE_VARIABLE}=/var/lib/fv2es/weights" in DOCKERFILE
    assert "image) fv2es models pull ;;" in DOCKERFILE


@pytest.mark.parametrize(
    ("code", "seen"), [(0, 0), (1, 1), (2, 2), (3, 0), (4, 4), (5, 5), (6, 0), (7, 7), (130, 130), (143, 143)]
)
def test_a_scheduler_sees_failure_only_where_somebody_must_act(tmp_path: Path, code: int, seen: int) -> None:
    program = tmp_path / "fv2es"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@"\nexit {code}\n', "utf-8")
    program.chmod(0o755)
    done = subprocess.run(
        [DEPLOY / "fv2es-job", "nightly", "a folder", "--out", "b"],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.splitlines()) == (seen, ["nightly", "a folder", "--out", "b"])


def test_the_lock_has_what_rays_job_server_dashboard_and_metrics_want() -> None:
    """Without them a Ray head starts all the same, and takes no jobs."""
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    wanted = [Requirement(line) for line in requires("ray") or []]
    names = {
        canonicalize_name(requirement.name)
        for requirement in wanted
        if requirement.marker and requirement.marker.evaluate({"extra": "default"})
    }
    assert "opencensus" in names
    assert {name for name in names if f"\n{name}==" not in f"\n{lock}"} == set()


def test_ray_reports_to_nobody() -> None:
    assert "RAY_USAGE_STATS_ENABLED=0" in DOCKERFILE
