"""The files for systemd and cron."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipelines.errors import EXIT_FAILED_SEGMENTS
from tests.deploy.files import DEPLOY

SERVICE = DEPLOY / "systemd" / "fv2es-nightly.service"
TIMER = DEPLOY / "systemd" / "fv2es-nightly.timer"
CRON = DEPLOY / "cron" / "fv2es-nightly"
EXIT_WORK_LEFT = 6
PROGRAM = "/opt/fv2es/.venv/bin/fv2es"


def verify(folder: Path, service: str) -> str:
    """What systemd finds wrong with the units; fv2es itself isn't installed where they look for it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    shutil.copy(TIMER, folder)
    (folder / SERVICE.name).write_text(service.replace(PROGRAM, "/bin/true"), "utf-8")
    units = [folder / TIMER.name, folder / SERVICE.name]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
    return done.stdout + done.stderr


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    assert verify(tmp_path, SERVICE.read_text("utf-8")) == ""


def test_a_wrong_word_in_a_unit_would_be_found(tmp_path: Path) -> None:
    assert "KillMood" in verify(tmp_path, SERVICE.read_text("utf-8").replace("KillMode", "KillMood"))


def test_broken_files_and_a_night_that_was_too_short_are_no_failure_of_the_unit() -> None:
    assert f"\nSuccessExitStatus={EXIT_FAILED_SEGMENTS} {EXIT_WORK_LEFT}\n" in SERVICE.read_text("utf-8")


def test_the_service_takes_from_its_settings_what_it_uses() -> None:
    used = set(re.findall(r"\$\{(\w+)\}", SERVICE.read_text("utf-8")))
    settings = (DEPLOY / "systemd" / "nightly.env").read_text("utf-8")
    assert set(re.findall(r"^(\w+)=", settings, re.MULTILINE)) == used


def test_the_line_for_cron_has_a_time_a_user_and_the_command() -> None:
    lines = [line for line in CRON.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    (job,) = [line for line in lines if not re.match(r"\w+=", line)]
    *when, user, program = job.split(maxsplit=7)[:7]
    assert re.fullmatch(r"[\d*/, -]+", " ".join(when))
    assert (user, program) == ("fv2es", PROGRAM)
    assert "%" not in job  # cron would take it for the end of the line
    assert CRON.read_text("utf-8").endswith("\n")  # cron reads no line without its end
