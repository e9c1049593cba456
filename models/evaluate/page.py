"""A report as one page of HTML for people: no script, nothing fetched, light and dark."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from models.evaluate.plots import overview_plot, reliability_plot
from models.evaluate.report import Interval, Report

FEW_SPEAKERS = 10
"""An interval over fewer speakers is little more than the range of what was seen."""

MEASURES = {
    "accuracy": ("Accuracy", "The share of items whose most probable emotion is the right one."),
    "uar": (
        "UAR",
        "Unweighted average recall: of each emotion's items, the share that is found, averaged over the emotions. A "
        "common emotion weighs no more than a rare one. Chance is 1 divided by the number of emotions.",
    ),
    "uar_shared": (
        "UAR, shared emotions",
        "The same when the model may only choose among the emotions that this corpus has.",
    ),
    "macro_f1": (
        "Macro F1",
        "F1 is high only when most items of an emotion are found and most that are named so are so (harmonic mean of "
        "recall and precision). Macro: averaged over the emotions, each weighing alike.",
    ),
    "weighted_f1": ("Weighted F1", "F1 averaged over the emotions by how often each occurs."),
    "ece": (
        "ECE",
        "Expected calibration error: how far the model's confidence is from how often it is right, on average over 15 "
        "bins of confidence. 0 means that of the items labelled with .70 seven in ten are right.",
    ),
}
DECISIONS = {
    "weighted_accuracy": (
        "Weighted accuracy (WAcc)",
        "For yes or no on one emotion: the mean of the share of its items that get a yes and the share of the others "
        "that get a no. Saying no to everything scores .50. The literature reports it on CMU-MOSEI.",
    ),
    "binary_accuracy": (
        "Plain accuracy (Acc)",
        "For yes or no on one emotion: the share of right answers. As most items lack any one emotion, saying no to "
        "everything scores high. The literature reports it on IEMOCAP. Never compare it with WAcc.",
    ),
    "f1": ("F1 of yes", "F1 of the items that have the emotion, averaged over the emotions."),
    "weighted_f1": ("F1 of yes, weighted", "The same, averaged by how many items have each emotion."),
    "auc": (
        "AUC",
        "The chance that an item with the emotion gets a higher probability for it than an item without. It needs no "
        "threshold; .50 is chance.",
    ),
}
BASELINES = {
    "majority": "names the commonest emotion of these items, always",
    "prior": "guesses at random, each emotion as often as it occurs",
    "all_negative": "says no to every emotion",
    "all_positive": "says yes to every emotion",
}


def render_page(report: Report) -> str:
    """The whole page as text; the same report gives the same page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": figure, "interval": interval, "shade": shade}
    return environment.get_template("page.html.j2").render(
        report=report,
        measures=MEASURES,
        decisions=DECISIONS,
        baselines=BASELINES,
        few_speakers=FEW_SPEAKERS,
        # Ours, from numbers and from text that matplotlib has escaped.
        overview=Markup(overview_plot(report.reports)),  # noqa: S704
        plots={name: Markup(reliability_plot(r.reliability)) for name, r in report.reports.items()},  # noqa: S704
    )


def figure(value: float | None) -> str:
    """Three digits behind the point, or a dash for what is not defined."""
    return "–" if value is None else f"{value:.3f}"


def interval(bounds: Interval | None) -> str:
    """0.512 to 0.634, or a dash."""
    return "–" if bounds is None else f"{bounds[0]:.3f} to {bounds[1]:.3f}"


def shade(count: int, row: Sequence[int]) -> int:
    """How dark a cell of a confusion matrix is, in percent: its share of the row's items."""
    return round(100 * count / sum(row)) if sum(row) else 0
