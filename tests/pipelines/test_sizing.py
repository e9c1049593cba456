"""The calculator: figures that can be worked out by hand, and what it doesn't claim to know."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from benchmarks.simulated_cluster import Costs
from pipelines import sizing
from pipelines.cli.app import app
from pipelines.config import Config
from pipelines.errors import SettingsError
from pipelines.sizing import CARDS, CPU_S, FACES_IN_FULL_S, MEASURED_SPEED, STAYS, Estimate, estimate


def made(cpu_cores: int = 64, card: str | None = None, gpus: float = 0.0, **settings: Any) -> Estimate:
    engine = {"gpus": gpus} | settings.pop("engine", {})
    return estimate(Config(engine=engine, **settings), 1000, cpu_cores, card)


def test_without_a_gpu_it_is_what_was_measured_for_as_many_cores() -> None:
    speed = MEASURED_SPEED["processes"]
    small = made(cpu_cores=2)
    assert small.limits["CPU"] == pytest.approx(speed)
    assert (small.speed, small.limited_by) == (small.limits["CPU"], "CPU")
    assert made(cpu_cores=64).speed == pytest.approx(speed * 32)
    assert small.wall_hours == pytest.approx(1000 / speed)
    assert small.gpu_share_gb is None
    assert {stage.workers for stage in small.stages} == {2}


def test_on_ray_it_is_what_was_measured_there_and_every_stage_has_workers_of_its_own() -> None:
    found = made(cpu_cores=16, engine={"engine": "ray"})
    assert found.limits["CPU"] == pytest.approx(MEASURED_SPEED["ray"] * 8)
    assert [stage.workers for stage in found.stages] == [16, 16, 8, 4]
    assert set(found.limits) == {"CPU", "decoders", "transcribers", "inferrers"}


def test_the_costs_are_those_of_the_page_on_sizing_and_of_the_simulated_cluster() -> None:
    assert sum(CPU_S.values()) == pytest.approx(0.102)
    assert Costs().in_all == pytest.approx(0.102)


def test_a_gpu_takes_the_networks_and_leaves_the_rest_to_the_cpu() -> None:
    stages = {stage.stage: stage for stage in made(card="a10g", gpus=4).stages}
    assert {name: stage.on_gpu for name, stage in stages.items()} == {
        "decode": False,
        "faces": False,
        "transcribe": True,
        "infer": True,
    }
    assert stages["transcribe"].cpu_s == pytest.approx(CPU_S["transcribe"] * STAYS["transcribe"])
    assert stages["decode"].cpu_s == CPU_S["decode"]
    # 0.57e9 multiply-adds at 30% of 70e12 operations a second.
    assert stages["infer"].gpu_s == pytest.approx(2 * 0.57e9 / 70e12 / 0.3)
    # The decoder's weights take longer to read, 29.5 MB at 30% of 600 GB/s, than to multiply; and 30 launches of 5 us.
    assert stages["transcribe"].gpu_s == pytest.approx(29.5e6 / 600e9 / 0.3 + 30 * 5e-6)
    assert (stages["transcribe"].workers, stages["infer"].workers) == (12, 4)


def test_nvdec_decodes_so_many_frames_a_second() -> None:
    found = made(card="a10g", gpus=4, decode={"hardware": "cuda"})
    assert found.limits["the GPU's video decoders"] == pytest.approx(4 * 2 * 700 / (30 * 4 / 9))
    assert found.limited_by == "the GPU's video decoders"
    stages = {stage.stage: stage for stage in found.stages}
    assert stages["decode"].on_gpu
    assert stages["faces"].on_gpu  # decoders have a share of the GPU anyway
    assert found.gpu_share_gb == pytest.approx(2.0, rel=0.01)  # 12 processes share 24 GB
    on_cpu = made(card="a10g", gpus=4, decode={"hardware": "cuda"}, engine={"faces_on": "cpu"})
    assert not on_cpu.stages[1].on_gpu


def test_larger_models_cost_what_they_are_larger() -> None:
    usual, large = made(), made(faces={"detector": "resnet50"}, speech={"asr": "base.en"})
    assert large.stages[1].cpu_s == pytest.approx(FACES_IN_FULL_S * 25.3 / 0.558)
    assert large.stages[2].cpu_s > usual.stages[2].cpu_s
    assert large.speed < usual.speed / 5
    on_gpu = made(faces={"detector": "resnet50"}, card="h100", gpus=1)
    assert on_gpu.stages[1].on_gpu
    # 2 frames of 25.3e9 multiply-adds in float32.
    assert on_gpu.stages[1].gpu_s == pytest.approx(4 * 25.3e9 / 67e12 / 0.3)


@given(st.sampled_from(sorted(CARDS)), st.integers(1, 8), st.integers(1, 128), st.booleans())
def test_more_of_anything_is_never_slower_and_the_limit_is_the_least(
    card: str, gpus: int, cores: int, by_nvdec: bool
) -> None:
    settings = {"decode": {"hardware": "cuda"}} if by_nvdec else {}
    found = made(cores, card, gpus, **settings)
    assert found.speed == min(found.limits.values()) == found.limits[found.limited_by] > 0
    assert found.calculated
    assert made(2 * cores, card, gpus, **settings).limits["CPU"] == pytest.approx(2 * found.limits["CPU"])
    assert made(cores, card, 2 * gpus, **settings).limits["GPU"] == pytest.approx(2 * found.limits["GPU"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"card": "voodoo2", "gpus": 1}, "Which GPU"),
        ({"gpus": 1}, "Which GPU"),
        ({"speech": {"asr": "someones/whisper"}}, "nothing is known of what it costs"),
        ({"decode": {"hardware": "cuda"}}, "wants a GPU"),
    ],
)
def test_what_it_does_not_know_it_says(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        made(**arguments)


def test_the_command_says_that_it_calculates() -> None:
    ran = CliRunner().invoke(app, ["sizing", "--hours", "1000", "--cpu-cores", "64", "--gpu", "a10g", "--gpus", "4"])
    assert ran.exit_code == 0, ran.output
    assert "Calculated, not measured" in ran.output
    assert "limited by CPU" in ran.output
    assert f"about {made(card='a10g', gpus=4).speed:,.0f} x real time" in ran.output


def test_json_has_the_same_and_says_so_too() -> None:
    ran = CliRunner().invoke(app, ["sizing", "--hours", "100", "--cpu-cores", "8", "--gpu", "L4", "--json"])
    values = json.loads(ran.output)
    assert values["calculated"] is True
    assert values["speed"] == pytest.approx(made(8, "l4", 1).speed)
    assert values["wall_hours"] == pytest.approx(100 / values["speed"])
    assert [stage["stage"] for stage in values["stages"]] == list(sizing.CPU_S)
