"""Plots of a training: its loss, its measures and its learning rate over the epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PANELS = (("loss",), None, ("learning_rate",))
"""None stands for every measure that isn't named elsewhere."""

NOT_PLOTTED = {"epoch", "seconds"}


def plot_curves(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write an SVG picture of metrics.jsonl's rows; nothing where there are none."""
    if not rows:
        return
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "fv2es"  # the same picture from the same rows
    named = {name for panel in PANELS if panel for name in panel}
    measures = tuple(name for name in rows[-1] if name not in named | NOT_PLOTTED)
    figure, axes = pyplot.subplots(1, len(PANELS), figsize=(4 * len(PANELS), 3), layout="constrained")
    for axis, panel in zip(axes, PANELS, strict=True):
        for name in panel or measures:
            axis.plot([row["epoch"] for row in rows], [row[name] for row in rows], marker=".", label=name)
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
        axis.legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
