"""Whether a transcript fits a video, and which of its words belong to which stretch of sound. Pure arithmetic."""

import itertools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from operators.align import TimedWord
from operators.asr import split_words
from operators.attribute import place
from operators.cues import Cue, Script, TranscriptError
from operators.settings import WindowSettings
from operators.windows import Chunk, Window, neighbours

SLACK_MS = 500
"""Cues of subtitles come and go so much beside the speech."""

LATE_MS = 2_000
MAX_LATE_SHARE = 0.1
"""Cues that begin so long after the video's end are not of this video, if they are more than a few (credits)."""

MIN_COVERED_SHARE = 0.5
"""Where more of the speech has no cue, the transcript is silent for most and speech is recognised instead."""

MAX_LETTERS_PER_S = 40
"""Nobody speaks faster: fast English has 20 letters a second."""

MIN_LETTERS_TO_TELL = 40
LETTERS_LOOKED_AT = 20_000

_LATIN = (
    "af az bs ca cs cy da de en es et eu fi fr gl hr hu id is it la lb lt lv mi ms mt nl nn no pl "
    "pt ro sk sl sq sv sw tl tr uz vi"
)
SCRIPTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_LATIN.split(), ("LATIN",)),
    **dict.fromkeys("be bg mk ru tg uk".split(), ("CYRILLIC",)),
    **dict.fromkeys("ar fa ps sd ur".split(), ("ARABIC",)),
    **dict.fromkeys("he yi".split(), ("HEBREW",)),
    **dict.fromkeys("hi mr ne sa".split(), ("DEVANAGARI",)),
    **dict.fromkeys("zh yue".split(), ("CJK", "BOPOMOFO")),
    "ja": ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"),
    "ko": ("HANGUL", "CJK"),
    "el": ("GREEK",),
    "th": ("THAI",),
    "ka": ("GEORGIAN",),
    "hy": ("ARMENIAN",),
    "bn": ("BENGALI",),
    "ta": ("TAMIL",),
}
"""Letters that a language is written in, as Unicode names them; languages not named here are not checked."""

Span = tuple[int, int]


@dataclass(frozen=True)
class Part:
    """What a chunk has of a cue: its time, and those of its words that are said in the chunk."""

    start_ms: int
    end_ms: int
    words: tuple[str, ...]


def check(script: Script, duration_ms: int, language: str | None) -> tuple[Cue, ...]:
    """The cues of a script that lie in the video, once it is known that it can be this video's.

    Raises:
        TranscriptError: its times or its language can't be.
    """
    late = [cue for cue in script.cues if cue.start_ms >= duration_ms + LATE_MS]
    if len(late) > MAX_LATE_SHARE * len(script.cues):
        last_s, end_s = script.cues[-1].start_ms / 1000, duration_ms / 1000
        raise TranscriptError(f"its times go to {last_s:.0f} s, but the video ends at {end_s:.0f} s")
    if language and script.language and script.language != language:
        raise TranscriptError(f"its language is {script.language!r}, but speech.language is {language!r}")
    if language in SCRIPTS:
        _check_letters(script, language, SCRIPTS[language])
    return tuple(cue for cue in script.cues if cue.start_ms < duration_ms)


def _check_letters(script: Script, language: str, expected: tuple[str, ...]) -> None:
    counts: dict[str, int] = {}
    looked_at = 0
    for cue in script.cues:
        for letter in filter(str.isalpha, cue.text):
            name = unicodedata.name(letter, "?").partition(" ")[0]
            counts[name] = counts.get(name, 0) + 1
            looked_at += 1
        if looked_at > LETTERS_LOOKED_AT:
            break
    fitting = sum(counts.get(name, 0) for name in expected)
    if looked_at >= MIN_LETTERS_TO_TELL and fitting < looked_at / 2:
        most = max(counts, key=lambda name: counts[name])
        raise TranscriptError(f"it is written in {most.capitalize()} letters, but speech.language is {language!r}")


def middles_ms(cue: Cue, words: Sequence[str]) -> list[float]:
    """A guess of when each word of a cue is said: as many letters a second everywhere."""
    letters = sum(map(len, words))
    said, found = 0, []
    for word in words:
        found.append(cue.start_ms + (said + len(word) / 2) / letters * (cue.end_ms - cue.start_ms))
        said += len(word)
    return found


def words_of(cue: Cue, language: str) -> list[str]:
    """The words of a cue, as the aligners want them."""
    return split_words(cue.text, language)


def too_fast(letters: float, length_ms: int) -> bool:
    """Whether nobody could say so many letters in so short a time."""
    return letters > MAX_LETTERS_PER_S * (length_ms + 2 * SLACK_MS) / 1000


def fits(parts: Sequence[Part], speech: Sequence[Span]) -> bool:
    """Whether the parts of a chunk have words for most of its speech, and not more than can be said."""
    speech_ms = sum(end - start for start, end in speech)
    wide = union([(part.start_ms - SLACK_MS, part.end_ms + SLACK_MS) for part in parts])
    covered_ms = sum(overlap_ms(span, cover) for span in speech for cover in wide)
    if not parts or covered_ms < MIN_COVERED_SHARE * speech_ms:
        return False
    return not any(too_fast(sum(map(len, part.words)), part.end_ms - part.start_ms) for part in parts)


def heard_parts(parts: Sequence[Part], speech: Sequence[Span]) -> list[Part]:
    """The parts in whose time somebody speaks, drawn together to the speech in them."""
    heard = []
    for part in parts:
        inside = [span for span in speech if overlap_ms(span, (part.start_ms, part.end_ms)) > 0]
        if inside:
            start, end = max(part.start_ms, inside[0][0]), min(part.end_ms, inside[-1][1])
            heard.append(Part(start, end, part.words))
        elif any(overlap_ms(span, (part.start_ms - SLACK_MS, part.end_ms + SLACK_MS)) > 0 for span in speech):
            heard.append(part)
    return heard


def pieces(parts: Sequence[Part], speech: Sequence[Span], chunk: Chunk, settings: WindowSettings) -> list[Span]:
    """The stretches that become utterances: the parts, disjoint and in order, and speech that has no words at all.

    Speech beside a part that is too short to be an utterance goes to it.
    """
    found: list[Span] = []
    for part in parts:
        start = max(part.start_ms, found[-1][1] if found else chunk.start_ms)
        end = min(part.end_ms, chunk.end_ms)
        if end > start:
            found.append((start, end))
    for rest in [rest for span in speech for rest in subtract(span, found)]:
        touching = next((span for span in found if rest[0] == span[1] or rest[1] == span[0]), None)
        if rest[1] - rest[0] >= settings.min_utterance_ms or touching is None:
            found.append(rest)
        else:
            found[found.index(touching)] = min(rest[0], touching[0]), max(rest[1], touching[1])
    return sorted(found)


def grouped(
    windows: Sequence[Window], parts: Sequence[Part], settings: WindowSettings
) -> list[tuple[list[Window], list[Part]]]:
    """Neighbouring windows together (see `windows.neighbours`), with the parts said in them.

    Windows in which a part is said and those that have none are kept apart: words must not stray into sound whose words
    are not known.
    """
    runs: list[tuple[list[Window], list[Part]]] = []
    owners = [_owner(part, windows) for part in parts]
    for has_words, run in itertools.groupby(range(len(windows)), key=lambda index: index in owners):
        for group in neighbours([windows[index] for index in run], settings):
            said = [part for part, owner in zip(parts, owners, strict=True) if has_words and windows[owner] in group]
            runs.append((group, said))
    return runs


def _owner(part: Part, windows: Sequence[Window]) -> int:
    """The window that a part overlaps most, or that is nearest."""
    shared = [min(part.end_ms, w.end_ms) - max(part.start_ms, w.start_ms) for w in windows]  # negative: so far apart
    return shared.index(max(shared))


def between_words(parts: Sequence[Part], timed: Sequence[TimedWord], settings: WindowSettings) -> list[Part]:
    """The parts with the borders between those that touch moved to where the words of the one end.

    `timed` are the words of all parts, in order.
    """
    moved = list(parts)
    words = by_part(parts, timed)
    for index in range(len(parts) - 1):
        before, after = moved[index], moved[index + 1]
        ends = [word.end_ms for word in words[index] if word.end_ms is not None]
        starts = [word.start_ms for word in words[index + 1] if word.start_ms is not None]
        if not ends or not starts or after.start_ms - before.end_ms >= settings.min_pause_ms:
            continue
        border = (ends[-1] + starts[0]) // 2
        if before.start_ms < border < after.end_ms:
            moved[index], moved[index + 1] = replace(before, end_ms=border), replace(after, start_ms=border)
    return moved


def by_part(parts: Sequence[Part], timed: Sequence[TimedWord]) -> list[list[TimedWord]]:
    """The words of all parts, in order, part by part."""
    left = iter(timed)
    return [list(itertools.islice(left, len(part.words))) for part in parts]


def places(parts: Sequence[Part], timed: Sequence[TimedWord], windows: Sequence[Window]) -> list[int]:
    """The index of each word's window, as `attribute.place` has it; but words without times stay in their part.

    The first words of a part go with the first of its words that has a time, not with the part before.
    """
    found = place(timed, windows)
    at = 0
    for words in by_part(parts, timed):
        first = next((index for index, word in enumerate(words) if word.start_ms is not None), 0)
        found[at : at + first] = [found[at + first]] * first if first else []
        at += len(words)
    return found


def first_times(words: Sequence[str]) -> list[bool]:
    """Whether each word follows the one before it for the first time: a model expects what it has read already."""
    pairs = [(before.lower(), word.lower()) for before, word in zip(["", *words], words, strict=False)]
    return [pair not in pairs[:index] for index, pair in enumerate(pairs)]


def overlap_ms(one: Span, other: Span) -> int:
    """How much of two stretches is common to both."""
    return max(0, min(one[1], other[1]) - max(one[0], other[0]))


def union(spans: Sequence[Span]) -> list[Span]:
    """The same time as disjoint stretches, in order."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def subtract(span: Span, taken: Sequence[Span]) -> list[Span]:
    """What of a stretch lies in none of the disjoint, ordered stretches."""
    left, position = [], span[0]
    for start, end in taken:
        if start > position:
            left.append((position, min(start, span[1])))
        position = max(position, end)
    left.append((position, span[1]))
    return [(start, end) for start, end in left if end > start]
