"""Which utterance each word belongs to. Pure arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from operators.align import TimedWord
from operators.asr import join_words
from operators.settings import WindowSettings
from operators.windows import Window

REACH_MS = 300  # how far into the silence beside it an utterance grows to cover its words


@dataclass(frozen=True)
class Spoken:
    """A window and the words said in it, in order; language None where there are no words."""

    window: Window
    words: list[TimedWord] = field(default_factory=list)
    language: str | None = None

    @property
    def text(self) -> str | None:
        """The words as they were written; None without words."""
        return join_words([word.word for word in self.words], self.language or "") or None


def attribute(
    words: Sequence[TimedWord],
    windows: Sequence[Window],
    language: str,
    settings: WindowSettings,
    places: Sequence[int] | None = None,
) -> list[Spoken]:
    """Share the words of a stretch of speech among its utterances, in order.

    A word belongs to the utterance that it overlaps most, or else to the nearest; one without times stays with the word
    before it; where `places` are given, they say the index of each word's utterance instead. Utterances grow a little
    to cover their words, words are cut where even that doesn't do. Utterances stay disjoint and in order; so do words.
    """
    places = place(words, windows) if places is None else places
    shared: list[Spoken] = []
    for index, window in enumerate(windows):
        mine = [word for word, at in zip(words, places, strict=True) if at == index]
        floor = shared[-1].window.end_ms if shared else window.start_ms
        ceiling = windows[index + 1].start_ms if index + 1 < len(windows) else window.end_ms
        grown = cover(window, mine, floor, ceiling, settings.max_utterance_ms)
        shared.append(Spoken(grown, [clip(word, grown) for word in mine], language if mine else None))
    return shared


def place(words: Sequence[TimedWord], windows: Sequence[Window]) -> list[int]:
    """The index of each word's window, never going back. Without any times: in proportion to the windows' lengths."""
    if not any(word.start_ms is not None for word in words):
        return in_proportion(words, windows)
    places, reached = [], 0
    for word in words:
        if word.start_ms is not None and word.end_ms is not None:
            start, end = word.start_ms, word.end_ms
            overlap = [min(end, w.end_ms) - max(start, w.start_ms) for w in windows]  # negative: so far apart
            reached = max(reached, overlap.index(max(overlap)))
        places.append(reached)
    return places


def in_proportion(words: Sequence[TimedWord], windows: Sequence[Window]) -> list[int]:
    """A guess for words without times: as many letters a second everywhere."""
    speech_ms = sum(window.length_ms for window in windows)
    letters = sum(len(word.word) for word in words)
    places, said = [], 0.0
    for word in words:
        middle_ms = (said + len(word.word) / 2) / letters * speech_ms
        said += len(word.word)
        at = 0
        while at + 1 < len(windows) and middle_ms >= windows[at].length_ms:
            middle_ms -= windows[at].length_ms
            at += 1
        places.append(at)
    return places


def cover(window: Window, words: Sequence[TimedWord], floor_ms: int, ceiling_ms: int, max_ms: int) -> Window:
    """The window, grown towards its words within [floor_ms, ceiling_ms), by at most `REACH_MS` on either side."""
    starts = [word.start_ms for word in words if word.start_ms is not None]
    ends = [word.end_ms for word in words if word.end_ms is not None]
    start, end = window.start_ms, window.end_ms
    if starts and min(starts) < start:
        start = max(min(starts), floor_ms, start - REACH_MS, min(start, end - max_ms))
    if ends and max(ends) > end:
        end = min(max(ends), ceiling_ms, end + REACH_MS, max(end, start + max_ms))
    return replace(window, start_ms=start, end_ms=end)


def clip(word: TimedWord, window: Window) -> TimedWord:
    """The word within the window; without times where it lies outside."""
    if word.start_ms is None or word.end_ms is None:
        return word
    start, end = max(word.start_ms, window.start_ms), min(word.end_ms, window.end_ms)
    return replace(word, start_ms=start, end_ms=end) if start < end else TimedWord(word.word, score=word.score)
