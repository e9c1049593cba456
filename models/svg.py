"""Figures of matplotlib as SVG that stands in a page: the page's own colours, no date, no random names."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from markupsafe import escape
from matplotlib.figure import Figure

from models.emotions import EMOTIONS

_PROPERTIES = ("accent", "faint", "soft", "line", "paper", *EMOTIONS)
COLOURS = {name: f"#0203{number:02x}" for number, name in enumerate(_PROPERTIES)} | {"ink": "#010203"}
"""Stand-ins for custom properties of the page, and for the colour of its text. They are replaced by what its style
sheet says, so that a plot can be read in light and in dark."""

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "fv2es",  # names inside the SVG depend on its content alone
    "text.parse_math": False,  # a name may have dollar signs
    "font.family": "sans-serif",
    "font.size": 9,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), COLOURS["ink"]),
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@contextmanager
def drawing(font_points: float = 9) -> Iterator[None]:
    """What is drawn and written inside has this style."""
    with mpl.rc_context(_STYLE | {"font.size": font_points}):
        yield


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """An empty figure without a background."""
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    figure.patch.set_visible(False)
    return figure


def as_svg(figure: Figure, says: str | None = None) -> str:
    """The figure as an `<svg>` element; `says` is what a screen reader reads instead of it."""
    for axes in figure.axes:
        axes.patch.set_visible(False)
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r' id="[^"]*_\d+"', "", svg)  # the same in every plot of a page
    for name, stand_in in COLOURS.items():
        svg = svg.replace(stand_in, "currentColor" if name == "ink" else f"var(--{name})")
    if says:
        svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(says)}"', 1)
    return svg
