"""Structured logs as a collector sees them: every line of stderr is one JSON object, whatever files are called."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.faults import ROOT
from tests.chaos.nights import SETTINGS
from tests.labelling import fv2es

EVIL = '\x1b[2J\n{"event": "faked"}.mp4'


def label(folder: Path, **settings: str) -> tuple[int, list[str]]:
    """Label a good file, a broken one and one with a wicked name; the exit code and the lines of stderr."""
    corpus = folder / "corpus"
    corpus.mkdir()
    for name, broken in (("good.mp4", False), ("broken.mp4", True), (EVIL.replace("/", "-"), False)):
        (corpus / name).write_text(json.dumps({"said": 1, "seconds": 7, "broken": broken}))
    arguments = ["label", corpus, "--out", folder / "out", "--engine", "local", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.stub_night", *map(str, arguments)],
        env=os.environ | SETTINGS | {"NIGHT_MOODS": str(folder / "moods")} | settings,
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stderr.decode().splitlines()


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    code, lines = label(tmp_path_factory.mktemp("logs"), FV2ES_JOB__LOG_FORMAT="json")
    assert code == 3
    assert not any("\x1b" in line for line in lines)
    return [json.loads(line) for line in lines]


def test_every_line_says_when_how_grave_and_of_which_run(events: list[dict[str, Any]]) -> None:
    assert all(event["time"].endswith("+00:00") for event in events)
    assert len({event["run_id"] for event in events}) == 1
    assert {event["level"] for event in events} == {"info", "warning"}


def test_a_run_can_be_followed_from_plan_to_end(events: list[dict[str, Any]]) -> None:
    names = [event["event"] for event in events]
    assert (names[0], names[-1]) == ("planned", "ended")
    assert events[0]["videos"] == 3
    assert events[0]["media_s"] == 14.0
    assert events[-1]["exit_code"] == 3
    shards = {event["shard_id"] for event in events if event["event"] == "shard committed"}
    done = [(event["shard_id"], event["stage"]) for event in events if event["event"] == "stage done"]
    assert set(done) == {(name, stage) for name in shards for stage in ("decode", "transcribe", "infer", "write")}


def test_every_segment_is_told_of_by_video_with_its_status(events: list[dict[str, Any]]) -> None:
    segments = {Path(event["uri"]).name: event for event in events if event["event"] == "segment"}
    assert segments.keys() == {"good.mp4", "broken.mp4", EVIL}
    broken = segments["broken.mp4"]
    assert (broken["level"], broken["status"], broken["reason"]) == ("warning", "unreadable", "it is broken")
    good = segments["good.mp4"]
    assert (good["level"], good["status"], good["end_ms"]) == ("info", "ok", 7000)
    assert good["video_id"]
    assert "faked" not in [event["event"] for event in events]


def test_less_grave_events_can_be_left_out(tmp_path: Path) -> None:
    _, lines = label(tmp_path, FV2ES_JOB__LOG_FORMAT="json", FV2ES_JOB__LOG_LEVEL="warning")
    assert [(event["event"], event["status"]) for event in map(json.loads, lines)] == [("segment", "unreadable")]


def test_an_error_is_a_line_as_well(tmp_path: Path) -> None:
    done = fv2es("status", tmp_path, env=os.environ | {"FV2ES_JOB__LOG_FORMAT": "json"})
    assert done.returncode == 2
    event = json.loads(done.stderr)
    assert (event["event"], event["level"]) == ("failed", "error")
    assert "no run of FV2ES has written here" in event["error"]
