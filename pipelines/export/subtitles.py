"""Subtitles: SubRip (.srt), and WebVTT (.vtt) with each cue's emotion as its class."""

import re
from typing import Any

from models.emotions import EMOTIONS

_COLOURS = ("#cccccc", "#f0e442", "#56b4e9", "#d55e00", "#cc79a7", "#009e73", "#e69f00")
_BLANK_LINES = re.compile(r"\s*\n\s*")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


def srt(labels: list[dict[str, Any]]) -> str:
    """The utterances with words, one subtitle each."""
    cues = [
        f"{number}\n{_time(row['start_ms'], ',')} --> {_time(row['end_ms'], ',')}\n{_one_line(row['text'])}\n"
        for number, row in enumerate(_spoken(labels), 1)
    ]
    return "\n".join(cues)


def vtt(labels: list[dict[str, Any]]) -> str:
    """The same; players show each in the colour of its emotion, and a note says the confidence."""
    styles = "\n".join(
        f"::cue(c.{name}) {{ color: {colour} }}" for name, colour in zip(EMOTIONS, _COLOURS, strict=True)
    )
    cues = [
        f"NOTE {row['emotion']} {row['confidence']:.3f}\n\n"
        f"{number}\n{_time(row['start_ms'], '.')} --> {_time(row['end_ms'], '.')}\n"
        f"<c.{row['emotion']}>{_escaped(_one_line(row['text']))}</c>\n"
        for number, row in enumerate(_spoken(labels), 1)
    ]
    return "\n".join([f"WEBVTT\n\nSTYLE\n{styles}\n", *cues])


def _spoken(labels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in labels if row["text"] and row["text"].strip()]


def _time(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{rest:03}"


def _one_line(text: str) -> str:
    """A blank line would end the cue, and an arrow begin another."""
    return _CONTROL.sub(" ", _BLANK_LINES.sub(" ", text)).strip().replace("-->", "->")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
