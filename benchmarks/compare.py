"""Is it slower than it was? Compares the figures of two reports of `benchmarks.speed`, one by one.

    python -m benchmarks.compare BASE.json NEW.json [--tolerance 0.1]

Prints base, new and their ratio, and exits with 1 when a figure is worse by more than the tolerance, or is missing.
Figures that have no better and worse (the share of the light falls when the light itself becomes faster) are shown.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

TOLERANCE = 0.1
NAMED_ALIKE = ("cpu", "cores")
"""What two machines must have in common for their figures to be compared."""


@dataclass(frozen=True)
class Comparison:
    """A figure in two reports; None where a report lacks it."""

    name: str
    unit: str
    better: str | None  # higher, lower, or neither
    base: float | None
    new: float | None

    @property
    def ratio(self) -> float | None:
        """New for one of base."""
        return self.new / self.base if self.base and self.new is not None else None

    def is_worse(self, tolerance: float) -> bool:
        """Whether it is missing now, or worse by more than the tolerance. Of nothing, anything is more."""
        if self.base is None or self.better is None:
            return False
        if self.new is None:
            return True
        if self.better == "higher":
            return self.new < self.base / (1 + tolerance)
        return self.new > self.base * (1 + tolerance)


def compare(base: Mapping[str, Any], new: Mapping[str, Any]) -> list[Comparison]:
    """The figures of two reports, in the order of the newer one, then those that it lacks."""
    names = [*new["figures"], *(name for name in base["figures"] if name not in new["figures"])]
    found = []
    for name in names:
        old, now = base["figures"].get(name), new["figures"].get(name)
        about = now or old
        values = (figure["value"] if figure else None for figure in (old, now))
        found.append(Comparison(name, about["unit"], about["better"], *values))
    return found


def differences(base: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Why the figures may differ without anything having become slower: other machines, other footage, a busy one."""
    found = [
        f"{key}: {base['machine'][key]} and {new['machine'][key]}"
        for key in NAMED_ALIKE
        if base["machine"][key] != new["machine"][key]
    ]
    if base["footage"] != new["footage"]:
        found.append(f"footage: {base['footage']} and {new['footage']}")
    if new["machine"]["busy"]:
        found.append(f"the machine had other work (load {new['machine']['load_before']:.1f})")
    return found


def show(comparisons: list[Comparison], different: list[str], tolerance: float, console: Console) -> bool:
    """Print the comparison; True when nothing has become worse."""
    table = Table("figure", "unit", "base", "new", "ratio", "", box=None)
    table.columns[0].no_wrap = table.columns[1].no_wrap = True
    for item in comparisons:
        ratio = "" if item.ratio is None else f"{item.ratio:.2f}"
        worse = "[red]worse[/]" if item.is_worse(tolerance) else ""
        table.add_row(item.name, item.unit, shown(item.base), shown(item.new), ratio, worse)
    console.print(table)
    for reason in different:
        console.print(f"Not the same in both: {reason}", style="yellow")
    worse = [item.name for item in comparisons if item.is_worse(tolerance)]
    if worse:
        console.print(f"Worse by more than {tolerance:.0%}: {', '.join(worse)}", style="red")
    return not worse


def shown(value: float | None) -> str:
    """Three digits that count, or a dash."""
    if value is None:
        return "-"
    if abs(value) >= 1e6:
        return f"{value / 1e6:,.3g} M"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main(
    base: Annotated[Path, typer.Argument(help="What it was: a report of --json.")],
    new: Annotated[Path, typer.Argument(help="What it is.")],
    tolerance: Annotated[float, typer.Option(min=0.0, help="A figure may be worse by this share.")] = TOLERANCE,
) -> None:
    """Compare two reports."""
    old, now = (json.loads(path.read_text("utf-8")) for path in (base, new))
    is_well = show(compare(old, now), differences(old, now), tolerance, Console(soft_wrap=True))
    raise typer.Exit(0 if is_well else 1)


if __name__ == "__main__":
    typer.run(main)
