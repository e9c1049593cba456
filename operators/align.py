"""When each word of a transcript is said.

An aligner gets the sound of a chunk and what was said in it, and answers with one `TimedWord` for every word, in order.
Words it can't place come without times.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from operators.asr import AsrError, Recogniser, join_words, split_words
from operators.pronounce import letters_to_sounds, spoken
from operators.quiet import quiet_speech_libraries
from operators.schema import PCM_RATE_HZ
from operators.settings import SpeechSettings
from operators.vad import Floats


@dataclass(frozen=True)
class TimedWord:
    """A word as it was written, [start_ms, end_ms) or None where nobody could tell, and its confidence if any."""

    word: str
    start_ms: int | None = None
    end_ms: int | None = None
    score: float | None = None

    def shifted(self, by_ms: int) -> "TimedWord":
        """The same word `by_ms` later."""
        if self.start_ms is None or self.end_ms is None:
            return self
        return replace(self, start_ms=self.start_ms + by_ms, end_ms=self.end_ms + by_ms)


class Aligner(Protocol):
    """Places the words of a transcript in a stretch of 16 kHz sound, in ms from its start; None if it can't at all."""

    def __call__(self, samples: Floats, words: Sequence[str], language: str) -> list[TimedWord] | None:
        """One TimedWord for each word, in order."""
        ...


class PocketSphinx:
    """Forced alignment with the US English acoustic model inside pocketsphinx: no network, 0.02 x real time."""

    FRAME_MS = 10

    def __init__(self) -> None:
        from pocketsphinx import Decoder

        self._decoder = Decoder(lm=None, loglevel="FATAL", cmn="batch")

    def __call__(self, samples: Floats, words: Sequence[str], language: str) -> list[TimedWord] | None:
        """One TimedWord for each word; None for other languages and where the sound doesn't fit the words."""
        said = [spoken(word) for word in words]
        flat = [token for tokens in said for token in tokens]
        if language != "en" or not flat:
            return None
        for token in flat:
            if self._decoder.lookup_word(token) is None:
                self._decoder.add_word(token, letters_to_sounds(token), True)
        found = self._align(np.clip(samples * 32768, -32768, 32767).astype("<i2").tobytes(), flat)
        if len(found) != len(flat):
            return None
        timed, at = [], 0
        for word, tokens in zip(words, said, strict=True):
            span = found[at : at + len(tokens)]
            at += len(tokens)
            timed.append(TimedWord(word, span[0][0], span[-1][1]) if span else TimedWord(word))
        return timed

    def _align(self, pcm: bytes, tokens: list[str]) -> list[tuple[int, int]]:
        """The [start, end) of each token in ms; nothing where the search found no way through the sound."""
        # The front end remembers the sound before, batch normalisation or not; the answer may not depend on it.
        self._decoder.reinit_feat()
        try:
            self._decoder.set_align_text(" ".join(tokens))
            self._decoder.start_utt()
            self._decoder.process_raw(pcm, full_utt=True)
            self._decoder.end_utt()
        except RuntimeError:
            return []
        segments = [s for s in self._decoder.seg() or () if not s.word.startswith(("<", "[", "("))]
        return [(s.start_frame * self.FRAME_MS, (s.end_frame + 1) * self.FRAME_MS) for s in segments]


class WhisperAttention:
    """Word times from the cross-attention of the model that wrote the words: any language, 35 to 85 ms off."""

    def __init__(self, recogniser: Recogniser) -> None:
        self._recogniser = recogniser

    def __call__(self, samples: Floats, words: Sequence[str], language: str) -> list[TimedWord] | None:
        """One TimedWord for each word; None where the model's own words can't be told apart."""
        times = self._recogniser.word_times(samples, words, language) if words else []
        if not times:
            return None
        return [TimedWord(word, *time) for word, time in zip(words, times, strict=True)]


class WhisperxAlign:
    """whisperx.align: a wav2vec2 model for each language, from a folder or from the hub.

    Raises:
        AsrError: The model, or the sentence splitter that whisperx wants beside it, can't be had.
    """

    def __init__(self, settings: SpeechSettings, device: str) -> None:
        self._settings = settings
        self._device = device
        self._models: dict[str, Any] = {}
        if settings.language:
            self._load(settings.language)

    def __call__(self, samples: Floats, words: Sequence[str], language: str) -> list[TimedWord] | None:
        """One TimedWord for each word; None where the model found no path through the sound."""
        import whisperx

        model, metadata = self._models.get(language) or self._load(language)
        segment = {"text": join_words(words, language), "start": 0.0, "end": len(samples) / PCM_RATE_HZ}
        with quiet_speech_libraries(offline=False):
            try:
                found = whisperx.align([segment], model, metadata, samples, self._device)["word_segments"]
            except LookupError as error:
                raise AsrError(
                    "whisperx.align needs nltk's sentence splitter: python -m nltk.downloader punkt_tab"
                ) from error
        if [split_words(item["word"], language) for item in found] != [[word] for word in words]:
            return None
        return [
            TimedWord(word, _ms(item.get("start")), _ms(item.get("end")), item.get("score"))
            for word, item in zip(words, found, strict=True)
        ]

    def _load(self, language: str) -> tuple[Any, Any]:
        name = self._settings.align_model
        folder = Path(name).expanduser() if name else None
        offline = folder is not None and folder.is_dir()
        with quiet_speech_libraries(offline):
            import whisperx

            try:
                self._models[language] = whisperx.load_align_model(language, self._device, name)
            except Exception as error:
                raise AsrError(
                    f"the whisperx aligner has no model for {language!r} ({name or 'its own choice'}): {error}. Set "
                    "speech.align_model to a folder, connect to the hub, or choose the aligner pocketsphinx or whisper"
                ) from error
        return self._models[language]


def load_aligners(settings: SpeechSettings, recogniser: Recogniser, device: str) -> list[Aligner]:
    """The aligner that the settings name, loaded, and the one to ask where it has no answer. None at all for "none"."""
    attention = WhisperAttention(recogniser)
    if settings.aligner == "pocketsphinx":
        return [PocketSphinx(), attention]
    if settings.aligner == "whisperx":
        return [WhisperxAlign(settings, device), attention]
    return [attention] if settings.aligner == "whisper" else []


def in_order(timed: Sequence[TimedWord], end_ms: int) -> list[TimedWord]:
    """The words with times that go forward, within [0, end_ms); words whose times don't, or last nothing, lose them."""
    words, reached = [], 0
    for word in timed:
        if word.start_ms is not None and word.end_ms is not None:
            start, end = max(word.start_ms, reached), min(word.end_ms, end_ms)
            word = replace(word, start_ms=start, end_ms=end) if start < end else TimedWord(word.word, score=word.score)
            reached = max(reached, end) if start < end else reached
        words.append(word)
    return words


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None or np.isnan(seconds) else round(seconds * 1000)
