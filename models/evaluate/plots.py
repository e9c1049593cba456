"""Plots of a report, as SVG to stand in a page."""

from collections.abc import Mapping, Sequence

from models.evaluate.report import Bin, SetReport
from models.svg import COLOURS, as_svg, drawing, new_figure

INK, ACCENT, FAINT = COLOURS["ink"], COLOURS["accent"], COLOURS["faint"]


def reliability_plot(bins: Sequence[Bin]) -> str:
    """How often the model was right against how sure it was; a bar's darkness says nothing, its label the items."""
    with drawing():
        figure = new_figure(3.6, 3.4)
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1)
        for b in bins:
            axes.bar(b.low, b.accuracy, width=b.high - b.low, align="edge", color=ACCENT, edgecolor=INK, linewidth=0.4)
            axes.text((b.low + b.high) / 2, b.accuracy + 0.01, str(b.items), ha="center", fontsize=6)
        axes.plot([b.confidence for b in bins], [b.accuracy for b in bins], "o", color=INK, markersize=3)
        axes.set(xlim=(0, 1), ylim=(0, 1.08), xlabel="how sure the model was", ylabel="how often it was right")
        return as_svg(figure)


def overview_plot(reports: Mapping[str, SetReport]) -> str:
    """Accuracy of every set with its interval over items; a stroke where naming the commonest emotion would stand."""
    with drawing():
        figure = new_figure(7.6, 0.6 + 0.27 * len(reports))
        axes = figure.add_subplot()
        for row, report in enumerate(reports.values()):
            low, high = report.accuracy.interval_95 or (0.0, 0.0)
            axes.plot([low, high], [row, row], color=ACCENT, linewidth=3, solid_capstyle="butt")
            axes.plot([report.accuracy.value or 0.0], [row], "o", color=INK, markersize=4)
            axes.plot([report.accuracy.baselines["majority"]], [row], "|", color=INK, markersize=9)
        axes.set(xlim=(0, 1), ylim=(len(reports) - 0.5, -0.5), xlabel="accuracy (dot), 95% interval, majority (stroke)")
        axes.set_yticks(range(len(reports)), list(reports))
        axes.tick_params(axis="y", length=0)
        return as_svg(figure)
