"""What has become slower is named, and nothing else is."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from benchmarks.compare import Comparison, compare, differences, main

FIGURES = {
    "speed": {"value": 10.0, "unit": "x real time", "better": "higher"},
    "cpu": {"value": 0.2, "unit": "CPU-s", "better": "lower"},
    "spilled": {"value": 0, "unit": "bytes", "better": "lower"},
}


def report(**values: float | None) -> dict[str, Any]:
    figures = {name: figure | {"value": values.get(name, figure["value"])} for name, figure in FIGURES.items()}
    return {
        "machine": {"cpu": "a cpu", "cores": 2, "commit": "0123", "busy": False, "load_before": 0.1},
        "footage": {"720p30": "4 videos"},
        "figures": {name: figure for name, figure in figures.items() if figure["value"] is not None},
    }


@pytest.mark.parametrize(
    ("changed", "worse"),
    [
        ({}, []),
        ({"speed": 9.2, "cpu": 0.21}, []),
        ({"speed": 12.0, "cpu": 0.1}, []),
        ({"speed": 9.0}, ["speed"]),
        ({"cpu": 0.23}, ["cpu"]),
        ({"spilled": 1}, ["spilled"]),
        ({"cpu": None}, ["cpu"]),
    ],
)
def test_what_is_worse_by_more_than_a_tenth_is_found(changed: dict[str, float | None], worse: list[str]) -> None:
    assert [item.name for item in compare(report(), report(**changed)) if item.is_worse(0.1)] == worse


def test_a_figure_that_is_new_is_not_worse() -> None:
    new = Comparison("start", "s", "lower", base=None, new=12.0)
    assert new.ratio is None
    assert not new.is_worse(0.1)


def test_a_figure_without_better_and_worse_is_never_worse() -> None:
    assert not Comparison("reached", "of the light", None, base=0.9, new=0.5).is_worse(0.1)


def test_a_ratio_is_new_for_one_of_base() -> None:
    assert Comparison("speed", "x", "higher", base=4.0, new=5.0).ratio == 1.25


def test_other_machines_footage_and_work_are_told() -> None:
    other = report()
    other["machine"] |= {"cores": 64, "busy": True, "load_before": 3.0}
    other["footage"] = {"720p30": "1 video"}
    assert [text.partition(":")[0] for text in differences(report(), other)] == [
        "cores",
        "footage",
        "the machine had other work (load 3.0)",
    ]
    assert differences(report(), report()) == []


def test_the_command_exits_with_1_where_something_is_worse(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(main)

    def run(new: dict[str, Any], *options: str) -> tuple[int, str]:
        for name, content in (("base", report()), ("new", new)):
            (tmp_path / f"{name}.json").write_text(json.dumps(content), "utf-8")
        done = CliRunner().invoke(app, [str(tmp_path / "base.json"), str(tmp_path / "new.json"), *options])
        return done.exit_code, done.output

    assert run(report())[0] == 0
    code, said = run(report(cpu=0.25))
    assert code == 1
    assert "Worse by more than 10%: cpu" in said
    assert run(report(cpu=0.25), "--tolerance", "0.3")[0] == 0
