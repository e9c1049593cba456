"""The figures of a report of `benchmarks.speed`, by name, and its tables."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

GOAL_SPEED = 10.0
GOAL_REACHED = 0.9
GOAL_RATIO = 6.0

Report = Mapping[str, Any]
Figure = dict[str, Any]

OF_RUNS = {
    "speed": ("x real time", "higher"),
    "cpu_s_per_media_s": ("CPU-s a media-s", "lower"),
    "first_commit_s": ("s", "lower"),
    "peak_bytes": ("bytes", "lower"),
    "peak_object_store_bytes": ("bytes", None),
    "spilled_bytes": ("bytes", "lower"),
}
"""What is told of the runs of the whole command: unit, and which way is better; None for what isn't compared."""


def figures_of(report: Report) -> dict[str, Figure]:
    """All figures that are compared from one time to the next: value, unit, and which way is better, if any."""
    return {name: {"value": value, "unit": unit, "better": better} for name, value, unit, better in _figures(report)}


def _figures(report: Report) -> Iterator[tuple[str, float, str, str | None]]:
    if "start" in report:
        yield "start-up", report["start"]["last_commit_s"], "s", "lower"
        yield "start-up, CPU", report["start"]["cpu_s"], "CPU-s", "lower"
    for form, runs in report.get("whole", {}).items():
        for key, (unit, better) in OF_RUNS.items():
            yield f"{form} {key}", median(runs, key), unit, better
        for key in ("read_by_calls", "written_by_calls"):  # disks: whatever the system's cache leaves to them
            moved = statistics.median(run["traffic"][key] / run["media_s"] for run in runs)
            yield f"{form} {key}", moved, "bytes a media-s", "lower"
    for form, runs in report.get("ray", {}).items():
        for key in ("speed", "cpu_s_per_media_s"):
            yield f"{form} on Ray, {key}", median(runs, key), *OF_RUNS[key]
    for form, light in report.get("light", {}).items():
        yield f"{form} light", light["cpu_s_per_media_s"], "CPU-s a media-s", "lower"
        for stage, cost in light["alone"].items():
            yield f"{form} light, {stage}", cost, "CPU-s a media-s", "lower"
    for form, shares in report.get("reached", {}).items():
        for key, share in shares.items():
            yield f"{form} reached, {key}", share, "of the light", None
    if ratio := ratio_to_reference(report):
        yield "reference for ours", ratio, "CPU-s for CPU-s", "higher"


def ratio_to_reference(report: Report) -> float | None:
    """CPU-seconds of the reference's way for one of the whole command's, on footage of the same format."""
    if "reference" not in report or "whole" not in report:
        return None
    runs = next(iter(report["whole"].values()))
    return sum(report["reference"]["cpu_s_per_media_s"].values()) / median(runs, "cpu_s_per_media_s")


def median(runs: Sequence[Mapping[str, float]], key: str) -> float:
    """Of a figure over the runs."""
    return statistics.median(run[key] for run in runs)


def show(report: Report, console: Console) -> None:
    """Print the tables for people."""
    machine = report["machine"]
    console.print(
        f"\n{machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB, Python "
        f"{machine['python']}, commit {machine['commit']}; {report['workers']} workers"
    )
    for name, text in report["footage"].items():
        console.print(f"{name}: {text}")
    if machine["busy"]:
        console.print(
            f"The machine had other work (load {machine['load_before']:.1f}): don't use these figures.", style="yellow"
        )
    for table in tables(report):
        console.print()
        console.print(table)
    if (ratio := ratio_to_reference(report)) is not None:
        console.print(f"\nThe reference's way takes {ratio:.1f} times our CPU-seconds (goal: {GOAL_RATIO:g}).")


def tables(report: Report) -> Iterator[Table]:
    """One for what runs took, one for the light, one for other ways."""
    if "whole" in report:
        yield _whole(report)
    if "light" in report:
        yield _light(report)
    ways = Table("CPU-seconds a second of media", "all", "by stage", "memory, bytes", box=None)
    for name, key in (("two steps", "two_step"), ("the reference's way", "reference")):
        if key in report:
            spent = report[key]["cpu_s_per_media_s"]
            parts = ", ".join(f"{stage} {cost:.3f}" for stage, cost in spent.items())
            ways.add_row(name, f"{sum(spent.values()):.3f}", parts, _of_way(report[key]))
    if ways.row_count:
        yield ways


def _whole(report: Report) -> Table:
    table = Table("whole command", "median", "of the runs", box=None)
    if "start" in report:
        table.add_row("start-up, s to the last commit", f"{report['start']['last_commit_s']:.1f}")
    for form, runs in report["whole"].items():
        for key, (unit, _) in OF_RUNS.items():
            scale, unit = (1e9, "GB") if unit == "bytes" else (1.0, unit)
            values = [run[key] / scale for run in runs]
            each = ", ".join(f"{value:.3g}" for value in values)
            table.add_row(f"{form} {key}, {unit}", f"{statistics.median(values):.3g}", each)
        for stage in runs[0]["stages_s"]:
            values = [run["stages_s"][stage] for run in runs]
            each = ", ".join(f"{value:.0f}" for value in values)
            table.add_row(f"{form} {stage}, s of the clock, all workers", f"{statistics.median(values):.0f}", each)
        moved = runs[0]["traffic"]
        table.add_row(f"{form} traffic, MB", "", ", ".join(f"{key} {value / 1e6:.0f}" for key, value in moved.items()))
    for form, runs in report.get("ray", {}).items():
        for key in ("speed", "cpu_s_per_media_s", "peak_bytes"):
            unit, scale = ("GB", 1e9) if key == "peak_bytes" else (OF_RUNS[key][0], 1.0)
            each = ", ".join(f"{run[key] / scale:.3g}" for run in runs)
            table.add_row(f"{form} on Ray, {key}, {unit}", f"{median(runs, key) / scale:.3g}", each)
    return table


def _light(report: Report) -> Table:
    table = Table("the light: CPU-seconds a second of media", "alone", "all workers at once", box=None)
    for form, light in report["light"].items():
        for stage, cost in light["alone"].items():
            table.add_row(f"{form} {stage}", f"{cost:.4f}", f"{light['together'][stage]:.4f}")
        table.add_row(f"{form} all", f"{light['cpu_s_per_media_s']:.4f}", f"{sum(light['together'].values()):.4f}")
        table.add_row(f"{form} speed, x real time", f"{light['speed']:.1f}", f"{light['speed_together']:.1f}")
        for key, share in report.get("reached", {}).get(form, {}).items():
            table.add_row(f"{form} reached, {key}", f"{share:.0%}", "")
    return table


def _of_way(way: Mapping[str, Any]) -> str:
    if "written_bytes" in way:
        return f"stores {way['written_bytes'] / way['media_s'] / 1e3:,.0f} kB a second in {way['files']:,} files"
    held = way["frames_bytes"] / way["media_s"]
    return f"frames {held / 1e6:,.0f} MB a second; peak {way['peak_bytes'] / 1e9:.1f} GB for {way['media_s']:.0f} s"
