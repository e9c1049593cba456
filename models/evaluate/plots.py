"""Plots of a report, as SVG to stand in a page: the page's own colours, no date, no random names."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.evaluate.report import Bin, SetReport

INK, ACCENT, FAINT = "#010203", "#020304", "#030405"
"""Stand-ins, replaced by what the page's style sheet says, so that a plot can be read in light and in dark."""
_PAGE_COLOURS = {INK: "currentColor", ACCENT: "var(--accent)", FAINT: "var(--faint)"}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "fv2es",  # names inside the SVG depend on its content alone
    "text.parse_math": False,  # a set may be called as its corpus is, dollar signs and all
    "font.family": "sans-serif",
    "font.size": 9,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def reliability_plot(bins: Sequence[Bin]) -> str:
    """How often the model was right against how sure it was; a bar's darkness says nothing, its label the items."""
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(3.6, 3.4)
        axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1)
        for b in bins:
            axes.bar(b.low, b.accuracy, width=b.high - b.low, align="edge", color=ACCENT, edgecolor=INK, linewidth=0.4)
            axes.text((b.low + b.high) / 2, b.accuracy + 0.01, str(b.items), ha="center", fontsize=6)
        axes.plot([b.confidence for b in bins], [b.accuracy for b in bins], "o", color=INK, markersize=3)
        axes.set(xlim=(0, 1), ylim=(0, 1.08), xlabel="how sure the model was", ylabel="how often it was right")
        return _svg(figure)


def overview_plot(reports: Mapping[str, SetReport]) -> str:
    """Accuracy of every set with its interval over items; a stroke where naming the commonest emotion would stand."""
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(7.6, 0.6 + 0.27 * len(reports))
        for row, report in enumerate(reports.values()):
            low, high = report.accuracy.interval_95 or (0.0, 0.0)
            axes.plot([low, high], [row, row], color=ACCENT, linewidth=3, solid_capstyle="butt")
            axes.plot([report.accuracy.value or 0.0], [row], "o", color=INK, markersize=4)
            axes.plot([report.accuracy.baselines["majority"]], [row], "|", color=INK, markersize=9)
        axes.set(xlim=(0, 1), ylim=(len(reports) - 0.5, -0.5), xlabel="accuracy (dot), 95% interval, majority (stroke)")
        axes.set_yticks(range(len(reports)), list(reports))
        axes.tick_params(axis="y", length=0)
        return _svg(figure)


def _figure(width_inches: float, height_inches: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    figure.patch.set_visible(False)
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    return figure, axes


def _svg(figure: Figure) -> str:
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r' id="[^"]*_\d+"', "", svg)  # the same in every plot of a page
    for stand_in, colour in _PAGE_COLOURS.items():
        svg = svg.replace(stand_in, colour)
    return svg
