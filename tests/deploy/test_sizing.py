"""The tables of SIZING.md are what its formulas give."""

import math
import re

from pipelines.config import Config
from pipelines.sizing import CARDS, MEASURED_CORES, MEASURED_SPEED, estimate
from tests.deploy.files import DEPLOY

TEXT = (DEPLOY / "SIZING.md").read_text("utf-8")
CORES = 8
NIGHT_HOURS = 10
PRICE = 0.05


GPU_CORES = 16
GPU_SETTINGS = ({}, {"decode": {"hardware": "cuda"}}, {"faces": {"detector": "resnet50"}})


def figure(sign: str) -> float:
    (found,) = re.findall(rf"^\| `{sign}` \|.*\| ([\d.]+) \|$", TEXT, re.MULTILINE)
    return float(found)


def test_the_table_follows_from_the_figures() -> None:
    rows = re.findall(r"^\| ([\d,]+) \| (.*) \|$", TEXT, re.MULTILINE)
    assert [hours for hours, _ in rows] == ["1,000", "10,000", "100,000"]
    for hours, cells in rows:
        video = int(hours.replace(",", ""))
        core_hours = video * 2 / figure("s")
        expected = [
            f"{core_hours:,.0f}",
            f"{video * figure('c'):,.0f}",
            f"{core_hours / CORES / 24:.1f}",
            f"{math.ceil(core_hours / CORES / NIGHT_HOURS)}",
            f"{core_hours * PRICE:,.0f}",
        ]
        assert cells.split(" | ") == expected


def test_the_figures_are_the_ones_of_the_readme() -> None:
    readme = (DEPLOY.parent / "README.md").read_text("utf-8")
    assert f"{figure('s')} s of video a second" in readme
    assert f"{figure('c')} CPU-seconds for a second of video" in readme


def test_the_examples_follow_too() -> None:
    speed = figure("s") / 2 * CORES
    assert f"(`v` = {speed:.1f})" in TEXT
    assert f"{speed * 2:.0f} Mbit/s for 8 cores and videos of 2 Mbit/s" in TEXT
    assert f"makes {1 / 20 * 8 * 0.5 / (2 * speed):.1%} more work" in TEXT
    assert f"{3600 // 20} such requests for an hour" in TEXT


def test_the_table_of_gpus_is_what_the_calculator_says() -> None:
    assert (figure("s"), 2) == (MEASURED_SPEED["ray"], MEASURED_CORES)
    rows = re.findall(rf"^\| (none|{'|'.join(CARDS)}) \| (.*) \|$", TEXT, re.MULTILINE)
    assert [card for card, _ in rows] == ["none", "t4", "a10g", "l4", "h100"]
    for card, cells in rows:
        expected = []
        for settings in GPU_SETTINGS:
            if card == "none" and "decode" in settings:
                expected.append("-")
                continue
            config = Config(engine={"gpus": 0.0 if card == "none" else 1.0}, **settings)
            expected.append(f"{estimate(config, 1, GPU_CORES, card).speed:,.0f}")
        assert cells.split(" | ") == expected
