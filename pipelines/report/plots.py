"""Plots of a report, as SVG to stand in a page; the figures are in a table beside each of them.

They are narrow, so that their text can still be read on a phone, where the page makes them smaller.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from models.emotions import EMOTIONS
from models.svg import COLOURS, as_svg, drawing, new_figure
from pipelines.report.facts import Coverage, Drift, Emotion, Stage

WIDTH_INCHES = 4.8
FONT_POINTS = 11
INK, ACCENT, LINE, PAPER = (COLOURS[name] for name in ("ink", "accent", "line", "paper"))
PERCENT = PercentFormatter(1, decimals=0)


def emotions_plot(emotions: Sequence[Emotion]) -> str:
    """A bar for each emotion's share of time by its labels, and a stroke for that by its probabilities."""
    says = "Share of labelled time: " + ", ".join(f"{item.emotion} {item.share:.0%}" for item in emotions)
    with drawing(FONT_POINTS):
        figure = new_figure(WIDTH_INCHES, 3.1)
        axes = figure.add_subplot()
        rows = range(len(emotions))
        widest = max(max(item.share, item.expected_share) for item in emotions)
        axes.barh(
            rows, [item.share for item in emotions], color=[COLOURS[item.emotion] for item in emotions], height=0.62
        )
        expected = [item.expected_share for item in emotions]
        for colour, width in ((PAPER, 5), (INK, 2)):  # a rim, so that it stands out from any bar
            axes.plot(expected, rows, "|", color=colour, markersize=17, markeredgewidth=width)
        for row, item in enumerate(emotions):
            at = max(item.share, item.expected_share) + widest * 0.03
            axes.text(at, row, f"{item.share:.1%}", va="center", ha="left")
        axes.set(xlim=(0, widest * 1.22), ylim=(len(emotions) - 0.5, -0.5))
        axes.set_yticks(rows, [item.emotion for item in emotions])
        _only_rows(axes)
        return as_svg(figure, says)


def confidence_plot(bins: Sequence[int]) -> str:
    """How many utterances there are of each confidence."""
    total = sum(bins)
    sure = sum(bins[len(bins) // 2 :]) / total
    with drawing(FONT_POINTS):
        figure = new_figure(WIDTH_INCHES, 2.5)
        axes = figure.add_subplot()
        step = 1 / len(bins)
        axes.bar(
            [step * at for at in range(len(bins))],
            [n / total for n in bins],
            width=step * 0.86,
            align="edge",
            color=ACCENT,
        )
        axes.set(xlim=(0, 1), xlabel="confidence")
        axes.yaxis.set_major_formatter(PERCENT)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        _grid(axes, "y")
        return as_svg(figure, f"Utterances by confidence: {sure:.0%} have a confidence of one half or more")


def stages_plot(stages: Sequence[Stage]) -> str:
    """Seconds of work for a minute of media, by stage."""
    says = "Seconds of work for a minute of media: " + ", ".join(f"{s.stage} {s.per_minute_s:.1f}" for s in stages)
    with drawing(FONT_POINTS):
        figure = new_figure(WIDTH_INCHES, 1.9)
        axes = figure.add_subplot()
        widest = max(max(stage.per_minute_s for stage in stages), 1e-9)
        axes.barh(range(len(stages)), [stage.per_minute_s for stage in stages], color=ACCENT, height=0.62)
        for row, stage in enumerate(stages):
            axes.text(stage.per_minute_s + widest * 0.02, row, f"{stage.per_minute_s:.1f} s", va="center")
        axes.set(xlim=(0, widest * 1.2), ylim=(len(stages) - 0.5, -0.5))
        axes.set_yticks(range(len(stages)), [stage.stage for stage in stages])
        _only_rows(axes)
        return as_svg(figure, says)


def coverage_plot(coverage: Sequence[Coverage], names: Sequence[str]) -> str:
    """The share of labelled time of which each modality says something."""
    says = "Share of labelled time: " + ", ".join(
        f"{name} {item.share_of_time:.0%}" for name, item in zip(names, coverage, strict=True)
    )
    with drawing(FONT_POINTS):
        figure = new_figure(WIDTH_INCHES, 1.5)
        axes = figure.add_subplot()
        rows = range(len(coverage))
        axes.barh(rows, [1] * len(coverage), color=LINE, height=0.62)
        axes.barh(rows, [item.share_of_time for item in coverage], color=ACCENT, height=0.62)
        for row, item in enumerate(coverage):
            axes.text(1.02, row, f"{item.share_of_time:.0%}", va="center")
        axes.set(xlim=(0, 1.15), ylim=(len(coverage) - 0.5, -0.5))
        axes.set_yticks(rows, names)
        _only_rows(axes)
        return as_svg(figure, says)


def drift_plot(drift: Sequence[Drift]) -> str:
    """Each emotion's share of time over the runs, with its 95% interval; a ring where it has shifted."""
    says = (
        f"Share of labelled time of each emotion over {len(drift)} runs, from {drift[0].first_at[:10]} to "
        f"{drift[-1].first_at[:10]}"
    )
    with drawing(FONT_POINTS):
        figure = new_figure(WIDTH_INCHES, 5.6)
        panels = figure.subplots(4, 2, sharex=True).ravel()
        for at, (axes, emotion) in enumerate(zip(panels, EMOTIONS, strict=False)):
            _drift_panel(axes, drift, at, emotion)
        panels[-1].plot([run.mean_confidence for run in drift], color=INK, marker="o", markersize=3.5)
        panels[-1].set_ylim(0, 1)
        panels[-1].set_title("mean confidence", loc="left", fontsize=FONT_POINTS)
        for axes in panels:
            axes.set_xticks([])
            axes.yaxis.set_major_formatter(PERCENT)
            axes.yaxis.set_major_locator(MaxNLocator(3))
            _grid(axes, "y")
        for axes in panels[-2:]:
            axes.set_xlabel("runs, in order of time")
        return as_svg(figure, says)


def _drift_panel(axes: Axes, drift: Sequence[Drift], at: int, emotion: str) -> None:
    runs = range(len(drift))
    shares = [run.shares[at] for run in drift]
    margins = [run.margins[at] or 0.0 for run in drift]
    axes.errorbar(
        runs, shares, yerr=[[min(m, s) for m, s in zip(margins, shares, strict=True)], margins],
        color=COLOURS[emotion], ecolor=COLOURS[emotion], marker="o", markersize=4, elinewidth=1, linewidth=1.8,
    )  # fmt: skip
    shifted = [number for number in runs if emotion in drift[number].shifted]
    axes.plot(shifted, [shares[number] for number in shifted], "o", markersize=10, mfc="none", mec=INK, mew=1.5)
    axes.set_ylim(0, max(max(s + m for s, m in zip(shares, margins, strict=True)) * 1.1, 0.01))
    axes.set_title(emotion, loc="left", fontsize=FONT_POINTS)


def _only_rows(axes: Axes) -> None:
    """Names of rows, and nothing else around the plot: its figures stand at the bars."""
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _grid(axes: Axes, axis: str) -> None:
    axes.grid(axis=axis, color=LINE, linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
