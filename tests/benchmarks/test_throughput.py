"""What scale costs, by value, and the corpora that it is measured on."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import throughput
from benchmarks.footage import Format
from benchmarks.scale import Measured
from benchmarks.throughput import costs_of, overhead_ms, several
from pipelines.config import load
from pipelines.job import preview
from tests.benchmarks.test_speed import a_run


def test_overhead_is_what_is_beyond_start_up_and_the_light_of_the_media() -> None:
    start = replace(a_run(10.0, cpu_s=20.0), media_s=1.0)
    run = replace(a_run(100.0, cpu_s=180.0), media_s=1000.0)
    overhead = overhead_ms(run, start, light_cpu_s=0.1, light_speed=20.0, clips=200)
    assert overhead == {"by the clock": pytest.approx(200), "CPU": pytest.approx(300)}


def test_costs_are_for_one_shard() -> None:
    phases = {"list": 0.5, "plan": 1.0, "store the plan": 0.5, "commit": 4.0}
    half = Measured(wall_s=8.0, cpu_s=6.0, phases=phases, found={"shards": 1000})
    costs = costs_of(
        {
            "plan": Measured(wall_s=2.0, cpu_s=2.0, peak_mb=150.0),
            "label, the other half": half,
            "label, nothing to do": Measured(wall_s=3.0),
        }
    )
    assert costs["commit of a shard, ms"] == pytest.approx(4.0)
    assert costs["shard, all but its work, CPU-ms"] == pytest.approx(4.0)
    assert costs["resume at half until the first shard, s"] == pytest.approx(2.0)
    assert costs["resume with nothing left, s"] == 3.0


@pytest.mark.media
def test_many_videos_are_a_few_under_many_names_and_each_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throughput, "DIFFERENT", 2)
    corpus = several(None, tmp_path / "kept", tmp_path, seconds=2, count=5, form=Format("small", 64, 36, 100))
    files = sorted(corpus.iterdir())
    assert len(files) == 5
    assert len({path.stat().st_ino for path in files}) == 2
    planned = preview([str(corpus)], None, load(None, {"engine": {"engine": "local"}}))
    assert len({segment.video.video_id for shard in planned.shards for segment in shard.segments}) == 5


@pytest.mark.soak
def test_overhead_of_real_clips(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.throughput", "clips", "--count", "3", "--seconds", "2"]
    command += ["--light-minutes", "0.2", "--workers", "1", "--work", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["runs"]["3 clips"]["media_s"] == pytest.approx(6, abs=0.5)
    assert set(report["overhead_ms_a_clip"]) == set(report["light"]) == {"of a long video", "of the clips"}
    assert all(set(overhead) == {"by the clock", "CPU"} for overhead in report["overhead_ms_a_clip"].values())
