"""The colours of the seven emotions and of the page around them, one table for the report and the viewer.

Any two emotions stay apart for people with normal vision and with each of three kinds of colour blindness, and every
colour stands out from its background by 3:1, text by 4.5:1 (tests/pipelines/test_palette.py holds it). A colour never
says anything alone: the emotion's name stands beside it or is told by a pointer, a key or a screen reader.
"""

from collections.abc import Mapping

from models.emotions import EMOTIONS

LIGHT: Mapping[str, str] = {
    "neutral": "#8b8580",
    "happy": "#b37b04",
    "sad": "#265ace",
    "angry": "#c50542",
    "fear": "#591994",
    "disgust": "#326206",
    "surprise": "#1898be",
}
DARK: Mapping[str, str] = {
    "neutral": "#a1a3ad",
    "happy": "#f7e04a",
    "sad": "#5384f9",
    "angry": "#ea3d33",
    "fear": "#a65bb0",
    "disgust": "#94cf96",
    "surprise": "#5cf5ee",
}

PAGE_LIGHT: Mapping[str, str] = {
    "paper": "#ffffff",
    "raised": "#f5f6f8",
    "line": "#d5d9e0",
    "ink": "#16191f",
    "soft": "#565d6b",
    "accent": "#1d4fb8",
    "bad": "#b3153a",
}
PAGE_DARK: Mapping[str, str] = {
    "paper": "#14171c",
    "raised": "#1e232b",
    "line": "#3a414d",
    "ink": "#eceef2",
    "soft": "#a9b1bf",
    "accent": "#8ab4ff",
    "bad": "#ff8a9b",
}
"""`paper` is the background, `raised` that of boxes on it, `ink` text, `soft` lighter text, `line` rules that only
divide, `accent` links, focus and plots of one colour, `bad` what went wrong."""


def style_sheet() -> str:
    """Custom properties of a page, `--happy`, `--paper` and more: dark where the reader asks for it, light on paper."""
    light, dark = _properties(PAGE_LIGHT, LIGHT), _properties(PAGE_DARK, DARK)
    return (
        f":root {{ color-scheme: light dark; {light} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
    )


def _properties(page: Mapping[str, str], emotions: Mapping[str, str]) -> str:
    colours = {**page, **{name: emotions[name] for name in EMOTIONS}}
    return " ".join(f"--{name}: {value};" for name, value in colours.items())
