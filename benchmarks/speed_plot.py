"""The picture of a report of `benchmarks.speed`: what a second of media costs each way, speeds against the goals."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.speed_report import GOAL_REACHED, GOAL_SPEED, median

COLOURS = {
    "decode": "#4e79a7",
    "detect": "#f28e2b",
    "vad": "#76b7b2",
    "asr": "#59a14f",
    "align": "#9c755f",
    "infer": "#b07aa1",
    "extract and store": "#a0cbe8",
    "read and label": "#d4a6c8",
    "everything else": "#bab0ac",
}


def plot(report: Mapping[str, Any], file: Path) -> None:
    """Draw the picture."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    figure, (costs, speeds) = pyplot.subplots(2, 1, figsize=(9, 6.5), layout="constrained", height_ratios=(3, 2))
    _draw_costs(costs, ways_of(report))
    _draw_speeds(speeds, report)
    machine = report["machine"]
    figure.suptitle(f"{machine['cpu']}, {machine['cores']} cores, commit {machine['commit']}", fontsize=9)
    figure.savefig(file)
    pyplot.close(figure)


def ways_of(report: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """By way, CPU-seconds for a second of media by stage; of the whole command, what isn't its kernels' is the rest."""
    ways: dict[str, dict[str, float]] = {}
    for form, light in report.get("light", {}).items():
        ways[f"light, {form}"] = light["alone"]
        if form in report.get("whole", {}):
            whole = median(report["whole"][form], "cpu_s_per_media_s")
            rest = max(0.0, whole - light["cpu_s_per_media_s"])
            ways[f"fv2es label, {form}"] = light["alone"] | {"everything else": rest}
    for name, key in (("two steps", "two_step"), ("the reference's way,\nno speech recognition", "reference")):
        if key in report:
            ways[name] = report[key]["cpu_s_per_media_s"]
    return ways


def _draw_costs(axes: Any, ways: Mapping[str, Mapping[str, float]]) -> None:
    shown: set[str] = set()
    for row, spent in enumerate(ways.values()):
        left = 0.0
        for stage, cost in spent.items():
            axes.barh(row, cost, left=left, color=COLOURS[stage], label=None if stage in shown else stage)
            shown.add(stage)
            left += cost
        axes.text(left, row, f" {left:.3f}", va="center", fontsize=9)
        axes.set_yticks(range(len(ways)), ways)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("CPU-seconds for a second of media")
    if shown:
        axes.legend(fontsize=8, ncols=2, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_speeds(axes: Any, report: Mapping[str, Any]) -> None:
    bars: dict[str, tuple[float, str]] = {}
    for form, light in report.get("light", {}).items():
        bars[f"light, {form}"] = (light["speed"], "#f1ce63")
        bars[f"light, all workers at once, {form}"] = (light["speed_together"], "#d7b5a6")
        if form in report.get("whole", {}):
            bars[f"fv2es label, {form}"] = (median(report["whole"][form], "speed"), "#4e79a7")
        if form in report.get("ray", {}):
            bars[f"the same on Ray, {form}"] = (median(report["ray"][form], "speed"), "#a0cbe8")
    for row, (name, (speed, colour)) in enumerate(bars.items()):
        axes.barh(row, speed, color=colour)
        axes.text(speed, row, f" {speed:.1f}", va="center", fontsize=9)
        if name.startswith("fv2es"):
            goal = GOAL_REACHED * bars[name.replace("fv2es label", "light")][0]
            axes.plot([goal, goal], [row - 0.45, row + 0.45], color="black", label=f"{GOAL_REACHED:.0%} of the light")
    axes.axvline(GOAL_SPEED, color="#e15759", linestyle="--", label=f"{GOAL_SPEED:g} x real time")
    axes.set_yticks(range(len(bars)), bars)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel(f"seconds of media a second, {report['workers']} workers")
    handles = {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    axes.legend(handles.values(), handles, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
