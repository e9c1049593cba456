"""The dashboard asks for metrics that there are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import ray

from operators.schema import FAILED
from tests.deploy.files import DEPLOY

OURS = {
    "ray_fv2es_media_seconds_total": {"stage"},
    "ray_fv2es_stage_seconds_total": {"stage"},
    "ray_fv2es_segments_total": {"status"},
    "ray_fv2es_shards_committed_total": set(),
    "ray_fv2es_shards_in_flight": {"stage"},
    "ray_fv2es_spilled_bytes": set(),
}
"""Our metrics as Prometheus sees them, which Ray gives its prefix, with their labels."""

RAYS_LABELS = {"SessionName", "instance", "GpuIndex", "Location"}


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    return json.loads((DEPLOY / "grafana" / "fv2es.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def expressions(dashboard: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_every_metric_of_ours_is_shown_and_no_other(expressions: list[str]) -> None:
    assert set(re.findall(r"ray_fv2es_\w+", " ".join(expressions))) == OURS.keys()


def test_rays_own_metrics_are_ones_that_rays_own_dashboards_show(
    dashboard: dict[str, Any], expressions: list[str]
) -> None:
    folder = Path(ray.__file__).parent / "dashboard" / "modules" / "metrics" / "dashboards"
    shown = "".join(path.read_text("utf-8") for path in folder.glob("*_panels.py"))
    variables = [variable.get("definition", "") for variable in dashboard["templating"]["list"]]
    named = set(re.findall(r"\bray_\w+", " ".join(expressions + variables))) - OURS.keys()
    assert {"ray_node_gpus_utilization", "ray_object_store_memory"} == named
    assert all(f"{name}{{" in shown for name in named)


def test_series_are_told_apart_by_labels_that_they_have(expressions: list[str]) -> None:
    labels = RAYS_LABELS.union(*OURS.values())
    for expression in expressions:
        assert set(re.findall(r"(\w+)=~?\"", expression)) <= labels
        for grouping in re.findall(r"by \(([^)]*)\)", expression):
            assert set(grouping.split(", ")) <= labels


def test_counters_are_read_as_rates_and_brackets_are_closed(expressions: list[str]) -> None:
    for expression in expressions:
        assert expression.count("(") == expression.count(")")
        assert expression.count("{") == expression.count("}")
        for counter in re.findall(r"(.{9})ray_\w+_total", expression):
            assert counter.endswith(("rate(", "increase("))


def test_the_failures_are_those_that_fv2es_calls_failures(expressions: list[str]) -> None:
    (listed,) = {found for expression in expressions for found in re.findall(r'status=~"([^"]*)"', expression)}
    assert tuple(listed.split("|")) == FAILED


def test_panels_do_not_overlap_and_each_says_what_it_is(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["title"]
        assert panel["description"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
