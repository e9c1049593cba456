"""Put the words of a transcript into the sound of one chunk, if they fit it."""

from collections.abc import Sequence

from operators.align import Aligner, TimedWord
from operators.asr import Recogniser, Transcript
from operators.attribute import Spoken, attribute
from operators.cues import Cue
from operators.script_fit import (
    Part,
    between_words,
    first_times,
    fits,
    grouped,
    heard_parts,
    middles_ms,
    pieces,
    places,
    too_fast,
    words_of,
)
from operators.scripts import MAX_CUES_IN_A_CHUNK, Reading, cues_in, letters_in, part_of
from operators.settings import WindowSettings
from operators.timing import time_words
from operators.vad import Sound, SpeechCurve
from operators.windows import Chunk, Window, in_windows

MIN_PROBABILITY = 0.15
"""The mean over a chunk: words that were said have 0.7 to 0.95 by Whisper's reckoning, other words 0.01 to 0.07."""

MAX_CUES_AT_A_CUT = 4
"""More people don't talk at once; words of so many are shared out by a guess."""


class Scripted:
    """Makes utterances of the parts of a transcript that lie in a chunk.

    What comes of a chunk depends on its sound and the transcript alone, not on the segment it is read with.

    Args:
        recogniser: tells how likely words are, and the language where none is set.
        aligners: from `align.load_aligners`.
        windows: how the time line is cut.
    """

    def __init__(self, recogniser: Recogniser, aligners: Sequence[Aligner], windows: WindowSettings) -> None:
        self._recogniser = recogniser
        self._aligners = aligners
        self._windows = windows
        self._cut_reach_ms = windows.context_ms - windows.anchor_search_ms

    def __call__(
        self, reading: Reading, sound: Sound, curve: SpeechCurve, chunk: Chunk, speech: list[tuple[int, int]]
    ) -> list[Spoken] | None:
        """The utterances of a chunk, some perhaps without words; None where the transcript doesn't fit its sound."""
        cues = cues_in(reading.cues, chunk)
        speech_ms = sum(end - start for start, end in speech)
        if not cues or len(cues) > MAX_CUES_IN_A_CHUNK or too_fast(letters_in(cues, chunk) / 2, speech_ms):
            return None
        language = self._recogniser.language or reading.language or self._heard_language(sound, speech)
        parts = [part for cue in cues if (part := self._part(cue, cues, chunk, sound, language)).words]
        if not fits(parts, speech):
            return None
        parts = heard_parts(parts, speech)
        groups = self._groups(parts, curve, chunk, speech)
        if not self._likely(sound, groups, language):
            return None
        exact: list[Part] = []
        for group, said in groups:
            timed = self._time(sound, group, said, language)
            exact += between_words(said, timed, self._windows)
        spoken = []
        for group, said in self._groups(exact, curve, chunk, speech):
            timed = self._time(sound, group, said, language)
            spoken += attribute(timed, group, language, self._windows, places(said, timed, group))
        return spoken

    def _groups(
        self, parts: Sequence[Part], curve: SpeechCurve, chunk: Chunk, speech: list[tuple[int, int]]
    ) -> list[tuple[list[Window], list[Part]]]:
        stretches = pieces(parts, speech, chunk, self._windows)
        return grouped(in_windows(curve, stretches, chunk, self._windows), parts, self._windows)

    def _time(self, sound: Sound, group: Sequence[Window], parts: Sequence[Part], language: str) -> list[TimedWord]:
        words = [word for part in parts for word in part.words]
        return time_words(self._aligners, sound, group, Transcript(words, language)) if words else []

    def _heard_language(self, sound: Sound, speech: list[tuple[int, int]]) -> str:
        return self._recogniser.language_of(sound.between_ms(speech[0][0], speech[-1][1]))

    def _part(self, cue: Cue, cues: Sequence[Cue], chunk: Chunk, sound: Sound, language: str) -> Part:
        """What the chunk has of a cue; where a cut goes through it, the sound around the cut decides about words."""
        before: list[int | None] = []
        for cut_ms in (chunk.start_ms, chunk.end_ms):
            across = sum(other.start_ms < cut_ms < other.end_ms for other in cues)
            through = cue.start_ms < cut_ms < cue.end_ms and across <= MAX_CUES_AT_A_CUT
            before.append(self._words_before(cue, cut_ms, sound, language) if through else None)
        return part_of(cue, chunk, language, (before[0], before[1]))

    def _words_before(self, cue: Cue, cut_ms: int, sound: Sound, language: str) -> int | None:
        """How many words of a cue are said before a cut; None where the sound doesn't tell.

        Looks only at sound that the segments on both sides of the cut know, so that they agree.
        """
        start, end = max(cue.start_ms, cut_ms - self._cut_reach_ms), min(cue.end_ms, cut_ms + self._cut_reach_ms)
        words = words_of(cue, language)
        near = [index for index, middle in enumerate(middles_ms(cue, words)) if start <= middle < end]
        said = [words[index] for index in near]
        if not said or too_fast(sum(map(len, said)), end - start):
            return None
        timed = time_words(self._aligners, sound, [Window(start, end, True)], Transcript(said, language))
        middles = [(w.start_ms + w.end_ms) / 2 for w in timed if w.start_ms is not None and w.end_ms is not None]
        if len(middles) < len(said):
            return None
        return near[0] + sum(middle < cut_ms for middle in middles)

    def _likely(self, sound: Sound, groups: Sequence[tuple[list[Window], list[Part]]], language: str) -> bool:
        """Whether the model that recognises speech thinks that these words were said."""
        scores: list[float] = []
        for group, parts in groups:
            words = [word for part in parts for word in part.words]
            if words:
                piece = sound.between_ms(group[0].start_ms, group[-1].end_ms)
                found = [score for _, _, score in self._recogniser.word_times(piece, words, language)]
                telling = zip(found or [0.0] * len(words), first_times(words), strict=True)
                scores += [score for score, first in telling if first]
        return bool(scores) and sum(scores) / len(scores) >= MIN_PROBABILITY
