"""The whole benchmark: its figures, its picture, and one real run of all parts."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.footage import HD
from benchmarks.speed_plot import plot, ways_of
from benchmarks.speed_report import figures_of, ratio_to_reference
from benchmarks.watch import Traffic
from benchmarks.whole_command import Run


def a_run(last_commit_s: float, cpu_s: float = 120.0) -> Run:
    return Run(
        media_s=600,
        first_commit_s=20,
        last_commit_s=last_commit_s,
        wall_s=last_commit_s + 5,
        cpu_s=cpu_s,
        stages_s={"decode": 40.0, "faces": 30.0, "transcribe": 30.0, "infer": 8.0},
        peak_bytes=3_000_000_000,
        peak_object_store_bytes=50_000_000,
        spilled_bytes=0,
        traffic=Traffic(600_000_000, 60_000_000, 6_000_000, 600_000),
        utterances=150,
        labels_bytes=30_000,
    )


@pytest.fixture
def report() -> dict[str, Any]:
    alone = {"decode": 0.06, "detect": 0.03, "vad": 0.003, "asr": 0.03, "align": 0.01, "infer": 0.01}
    light = {"alone": alone, "together": alone, "cpu_s_per_media_s": 0.143, "speed": 14.0, "speed_together": 14.0}
    return {
        "machine": {"cpu": "a cpu", "cores": 2, "commit": "0123", "busy": False, "load_before": 0.1},
        "workers": 2,
        "footage": {HD.name: str(HD)},
        "start": a_run(10.0).as_json(),
        "whole": {HD.name: [a_run(seconds).as_json() for seconds in (50.0, 60.0, 80.0)]},
        "ray": {HD.name: [a_run(75.0).as_json()]},
        "light": {HD.name: light},
        "reached": {HD.name: {"speed": 0.71}},
        "two_step": {"cpu_s_per_media_s": {"extract and store": 0.16, "read and label": 0.02}},
        "reference": {"cpu_s_per_media_s": {"decode": 0.2, "detect": 0.6, "infer": 0.5}},
    }


def test_figures_are_medians_with_unit_and_direction(report: dict[str, Any]) -> None:
    figures = figures_of(report)
    assert figures["720p30 speed"] == {"value": 10.0, "unit": "x real time", "better": "higher"}
    assert figures["720p30 cpu_s_per_media_s"]["value"] == pytest.approx(0.2)
    assert figures["720p30 read_by_calls"] == {"value": 1e6, "unit": "bytes a media-s", "better": "lower"}
    assert figures["720p30 on Ray, speed"] == {"value": 8.0, "unit": "x real time", "better": "higher"}
    assert figures["720p30 light, asr"]["value"] == 0.03
    assert figures["720p30 reached, speed"] == {"value": 0.71, "unit": "of the light", "better": None}
    assert figures["reference for ours"]["value"] == pytest.approx(6.5)


def test_a_report_of_one_part_has_its_figures_alone(report: dict[str, Any]) -> None:
    del report["whole"], report["reached"], report["start"], report["ray"]
    assert ratio_to_reference(report) is None
    assert {name.partition(",")[0] for name in figures_of(report)} == {"720p30 light"}


def test_what_is_not_the_kernels_is_shown_as_the_rest(report: dict[str, Any]) -> None:
    ways = ways_of(report)
    assert sum(ways["fv2es label, 720p30"].values()) == pytest.approx(0.2)
    assert ways["fv2es label, 720p30"]["everything else"] == pytest.approx(0.057)
    assert [name.partition(",")[0] for name in ways] == ["light", "fv2es label", "two steps", "the reference's way"]


@pytest.mark.parametrize(
    "missing", [(), ("whole", "reached", "start", "ray"), ("light", "reached", "two_step", "reference")]
)
def test_a_picture_is_drawn_of_whatever_was_measured(
    report: dict[str, Any], missing: tuple[str, ...], tmp_path: Path
) -> None:
    plot({key: value for key, value in report.items() if key not in missing}, tmp_path / "speed.svg")
    assert (tmp_path / "speed.svg").read_text("utf-8").startswith("<?xml")


@pytest.mark.soak
def test_all_parts_on_the_demos_sample(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.speed", "--minutes", "0.6", "--runs", "1", "--reference-seconds", "2"]
    command += ["--json", str(tmp_path / "speed.json"), "--plot", str(tmp_path / "speed.svg")]
    command += ["--baseline", str(tmp_path / "none.json"), "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "speed.json").read_text("utf-8"))
    assert set(report["footage"]) == {"720p30", "1080p30"}
    for form in report["footage"]:
        (run,) = report["whole"][form]
        assert 0 < run["first_commit_s"] <= run["last_commit_s"] <= run["wall_s"]
        assert run["spilled_bytes"] == 0
        assert run["traffic"]["read_by_calls"] > run["labels_bytes"]
        assert 0 < report["reached"][form]["cpu"] < 1
    assert report["ray"]["720p30"][0]["utterances"] == report["whole"]["720p30"][0]["utterances"]
    assert report["light"]["1080p30"]["alone"]["decode"] > report["light"]["720p30"]["alone"]["decode"]
    assert report["two_step"]["written_bytes"] > 0
    assert report["reference"]["frames_bytes"] / report["reference"]["media_s"] > 80e6
    assert (tmp_path / "speed.svg").exists()
