"""Tiers: what annotators' tools show below one another. Emotions, utterances, words, and what each modality says."""

import re
from dataclasses import dataclass
from typing import Any

from models.emotions import EMOTIONS

_MODALITIES = (("text_p", "emotion: words"), ("audio_p", "emotion: voice"), ("face_p", "emotion: face"))
# What XML 1.0 can't hold; Praat shows none of it either.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Interval:
    """A stretch [start_ms, end_ms) and what is said of it."""

    start_ms: int
    end_ms: int
    text: str


def tiers(labels: list[dict[str, Any]]) -> dict[str, list[Interval]]:
    """The tiers of a video by name, each in order of time and without overlaps."""
    made = {
        "utterance": [Interval(row["start_ms"], row["end_ms"], row["text"]) for row in labels if row["text"]],
        "word": [
            Interval(word["start_ms"], word["end_ms"], word["word"])
            for row in labels
            for word in row["words"]
            if word["start_ms"] is not None and word["end_ms"] is not None
        ],
        "emotion": [Interval(row["start_ms"], row["end_ms"], row["emotion"]) for row in labels],
        "confidence": [Interval(row["start_ms"], row["end_ms"], f"{row['confidence']:.3f}") for row in labels],
    }
    for column, name in _MODALITIES:
        made[name] = [
            Interval(row["start_ms"], row["end_ms"], EMOTIONS[max(range(len(EMOTIONS)), key=row[column].__getitem__)])
            for row in labels
            if row[column]
        ]
    return {name: _in_line(intervals) for name, intervals in made.items()}


def _in_line(intervals: list[Interval]) -> list[Interval]:
    """In order, each cut off where the one before ends; aligned words may overlap by a little."""
    line: list[Interval] = []
    for item in sorted(intervals, key=lambda interval: (interval.start_ms, interval.end_ms)):
        start_ms = max(item.start_ms, line[-1].end_ms) if line else item.start_ms
        if start_ms < item.end_ms:
            line.append(Interval(start_ms, item.end_ms, _CONTROL.sub("\ufffd", item.text)))
    return line
