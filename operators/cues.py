"""What a transcript beside a video says: cues, their words, and the limits that hold for every format."""

import html
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

MAX_CUES = 50_000
"""A 12-hour film has some 20,000; what claims more is no transcript."""

LATEST_MS = 100 * 3600 * 1000
"""Times beyond are typing errors or attacks; no video is so long."""

LONGEST_TEXT = 4_000
"""Characters of a cue; nobody says more before the next."""

LONGEST_REASON = 200

_MARKUP = re.compile(r"<[^<>]{0,300}>|\{\\[^{}]{0,100}\}")  # <i>, <c.colour>, <00:00:01.000>, {\an8}
_NOISES = re.compile(r"\[[^\[\]]{0,100}\]|\([^()]{0,100}\)|\+\+[A-Z]{1,30}\+\+|[♪♫#*]+")
_SPEAKER = re.compile(r"^(?:>>|-|–|—)?\s{0,3}(?:[A-Z][A-Z0-9 .'-]{0,30}:\s)?")


class TranscriptError(Exception):
    """A transcript that can't be used.

    Attributes:
        reason: why, in words for people, without the file's name.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason[:LONGEST_REASON])
        self.reason = reason[:LONGEST_REASON]


@dataclass(frozen=True, order=True)
class Cue:
    """Words said somewhere within [start_ms, end_ms) of the presentation time line."""

    start_ms: int
    end_ms: int
    text: str


@dataclass(frozen=True)
class Script:
    """A transcript: its cues by time, the language if the file names one, and a remark on how it was read."""

    cues: tuple[Cue, ...]
    language: str | None = None
    remark: str | None = None


def clean(text: str) -> str:
    """The spoken words of a cue on one line: no markup, no noises in brackets, no names of speakers, no controls."""
    plain = _NOISES.sub(" ", _MARKUP.sub(" ", html.unescape(text)))
    lines = (_SPEAKER.sub("", line.strip(), count=1) for line in plain.splitlines())
    words = " ".join(lines).split()
    kept = ("".join(char for char in word if unicodedata.category(char)[0] != "C") for word in words)
    return " ".join(word for word in kept if any(char.isalnum() for char in word))


def make_cue(start_s: float, end_s: float, text: str) -> Cue | None:
    """A cue from what a file says, in seconds; None where no words are left or the times are none.

    Comparisons are written so that NaN fails them.
    """
    if not 0 <= start_s < end_s <= LATEST_MS / 1000:
        return None
    start_ms, end_ms = round(start_s * 1000), round(end_s * 1000)
    words = clean(text[:LONGEST_TEXT])
    return Cue(start_ms, end_ms, words) if words and start_ms < end_ms else None


def collect(found: Iterable[Cue | None]) -> tuple[Cue, ...]:
    """The cues of a file by time.

    Raises:
        TranscriptError: there are none, or too many.
    """
    cues: list[Cue] = []
    useless = 0
    for cue in found:
        if cue is None:
            useless += 1
        else:
            cues.append(cue)
        if len(cues) + useless > MAX_CUES:
            raise TranscriptError(f"it has more than {MAX_CUES:,} cues")
    if not cues:
        raise TranscriptError("it has cues, but no words with possible times" if useless else "it has no cues")
    return tuple(sorted(cues))
