"""Read Praat's TextGrid, the long form and the short one: text in, cues out.

Both hold the same values in the same order; the long form puts names before them (`xmin = 0.5`, `text = "yes"`) that
carry nothing. So: numbers, quoted strings and flags are taken one after the other, and all else is skipped.
"""

import re
from collections.abc import Iterator

from operators.cues import Cue, Script, TranscriptError, collect, make_cue

PAUSE_S = 0.3
LONGEST_S = 10.0
"""A tier of single words becomes stretches of speech: up to a pause, or so long."""

_NO_WORDS = re.compile(r"phon|segment|syll|tone|pitch|silence|event|noise|emotion", re.IGNORECASE)
_WORDS = re.compile(r"\bwords?\b", re.IGNORECASE)
# Quotes are doubled inside strings. A number stands alone: the 1 of "item [1]:" doesn't.
_VALUE = re.compile(r'"([^"]*(?:""[^"]*)*)"|(?<![^\s=])(-?\d{1,9}(?:\.\d{0,20})?(?:[eE][-+]?\d{1,2})?)(?=\s|$)')

Interval = tuple[float, float, str]


def read_textgrid(text: str) -> Script:
    """The cues of all interval tiers that hold words; tiers of phones, tones and the like are left out.

    Where one speaker's tier of words stands beside one of phrases, the words are taken: both say the same.
    """
    tiers = list(_tiers(text))
    spoken = [(name, intervals) for name, intervals in tiers if not _NO_WORDS.search(name)]
    if not spoken:
        raise TranscriptError("it has no tier of intervals with words")
    words = [intervals for name, intervals in spoken if _WORDS.search(name)]
    found = [_phrases(tier) for tier in words] if words else [tier for _, tier in spoken]
    return Script(collect(_cue(interval) for tier in found for interval in tier if interval[2].strip()))


def _cue(interval: Interval) -> Cue | None:
    return make_cue(*interval)


def _tiers(text: str) -> Iterator[tuple[str, list[Interval]]]:
    """Yield name and intervals of each interval tier."""
    if "ooTextFile" not in text[:200] or "TextGrid" not in text[:400]:
        raise TranscriptError("no TextGrid: its first lines don't say ooTextFile and TextGrid")
    values = _Values(text[text.index("TextGrid") + len("TextGrid") :].lstrip('"'))
    values.number()
    values.number()
    for _ in range(values.count()):
        kind, name = values.string(), values.string()
        values.number()
        values.number()
        intervals: list[Interval] = []
        for _ in range(values.count()):
            start_s = values.number()
            end_s = values.number() if kind == "IntervalTier" else start_s
            intervals.append((start_s, end_s, values.string()))
        if kind == "IntervalTier":
            yield name, intervals


class _Values:
    """The numbers and strings of a TextGrid, one after the other."""

    def __init__(self, text: str) -> None:
        self._found = _VALUE.finditer(text)

    def number(self) -> float:
        """The next value, which must be a number."""
        value = self._next()
        if value[2] is None:
            raise TranscriptError("this TextGrid is damaged: a text stands where a time should")
        return float(value[2])

    def count(self) -> int:
        """The next value, which must be a count."""
        number = self.number()
        if number < 0 or number != int(number):
            raise TranscriptError("this TextGrid is damaged: a count is no whole number")
        return int(number)

    def string(self) -> str:
        """The next value, which must be a string."""
        value = self._next()
        if value[1] is None:
            raise TranscriptError("this TextGrid is damaged: a number stands where a text should")
        return str(value[1]).replace('""', '"')

    def _next(self) -> "re.Match[str]":
        found = next(self._found, None)
        if found is None:
            raise TranscriptError("this TextGrid is damaged: it ends before its last tier")
        return found


def _phrases(words: list[Interval]) -> list[Interval]:
    """Join single words to stretches without a pause of `PAUSE_S`."""
    joined: list[Interval] = []
    for start_s, end_s, word in words:
        if not word.strip():
            continue
        if joined and start_s - joined[-1][1] < PAUSE_S and end_s - joined[-1][0] <= LONGEST_S:
            joined[-1] = (joined[-1][0], end_s, f"{joined[-1][2]} {word}")
        else:
            joined.append((start_s, end_s, word))
    return joined
