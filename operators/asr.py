"""Speech to text: whisperx's pipeline over pieces of sound, in batches over a whole shard."""

import re
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from operators.quiet import import_whisperx_asr, quiet_speech_libraries
from operators.schema import PCM_RATE_HZ
from operators.settings import SpeechSettings
from operators.vad import Floats

WHISPER_S = 30
"""Whisper was trained on stretches of 30 s, speech followed by silence, and the encoder can't take more."""
MIN_WINDOW_S, WINDOW_STEP_S, MIN_TAIL_S = 15, 3, 3
"""Windows of 15, 18 ... 30 s with at least 3 s of silence at the end are as good and cost half of 30 s for each; below
12 s the model no longer sees that the speech is over and repeats itself."""

BATCH_ON_CPU, BATCH_ON_GPU = 2, 8
"""A CPU gains nothing by more, and the attention over a window of 30 s is 54 MB. A GPU is idle with few."""

LOOP_COMPRESSION = 2.4  # text that zlib makes this many times smaller says the same again and again
LOOP_TIMES = 3  # a phrase said this often in a row is a loop of the model's, not of the speaker's
LOOP_WORDS = 12  # the longest phrase looked for

MAX_TEXT_TOKENS = 440
"""The decoder of Whisper has room for 448, its own marks included."""

WITHOUT_SPACES = frozenset({"ja", "lo", "my", "th", "yue", "zh"})


class AsrError(Exception):
    """A speech model can't be had or loaded; the message says what to do."""


@dataclass(frozen=True)
class Transcript:
    """What was said in a piece of sound: words as the model wrote them, punctuation and all, and the language."""

    words: list[str]
    language: str


class Recogniser:
    """A Whisper model behind whisperx, loaded once.

    Args:
        settings: language, arithmetic, batch and beam size.
        model: a folder with a CTranslate2 Whisper model (nothing touches the network then), or a name of the hub.
        device: "cpu" or "cuda".
        cpu_threads: for the arithmetic on a CPU.

    Raises:
        AsrError: The model can't be loaded.
    """

    def __init__(self, settings: SpeechSettings, model: Path | str, device: str, cpu_threads: int = 1) -> None:
        self._settings = settings
        self._batch_size = settings.batch_size or (BATCH_ON_CPU if device == "cpu" else BATCH_ON_GPU)
        self._pipeline = load_pipeline(settings, model, device, cpu_threads)
        self._tokenizers: dict[str, Any] = {}
        if settings.language not in (None, "en") and not self._pipeline.model.model.is_multilingual:
            raise AsrError(f"the speech model {str(model)!r} knows English only, not {settings.language!r}")

    @property
    def language(self) -> str | None:
        """The language of all speech, None where it is detected piece by piece."""
        return self._settings.language if self._pipeline.model.model.is_multilingual else "en"

    def __call__(self, pieces: Sequence[Floats]) -> list[Transcript]:
        """Transcripts of pieces of sound of at most 30 s, in their order. No piece's depends on the others'."""
        languages = [self.language_of(piece) for piece in pieces]
        batches = defaultdict(list)
        for index, piece in enumerate(pieces):
            batches[window_samples(len(piece)), languages[index]].append(index)
        transcripts: dict[int, Transcript] = {}
        for (length, language), indices in sorted(batches.items()):
            for start in range(0, len(indices), self._batch_size):
                batch = indices[start : start + self._batch_size]
                texts = self._recognise([pieces[index] for index in batch], length, language)
                for index, text in zip(batch, texts, strict=True):
                    if is_loop(text) and length < WHISPER_S * PCM_RATE_HZ:
                        text = self._recognise([pieces[index]], WHISPER_S * PCM_RATE_HZ, language)[0]
                    transcripts[index] = Transcript(without_loops(split_words(text, language)), language)
        return [transcripts[index] for index in range(len(pieces))]

    def language_of(self, piece: Floats) -> str:
        """The language of a piece of sound: the one that is set, or else the one heard."""
        return self.language or str(self._pipeline.detect_language(piece))

    def word_times(self, piece: Floats, words: Sequence[str], language: str) -> list[tuple[int, int, float]]:
        """[start_ms, end_ms) and probability of each word by the model's own attention; empty where that fails."""
        length = window_samples(len(piece))
        tokenizer = self._tokenizer(language)
        tokens = tokenizer.encode(" " + join_words(words, language))
        if not 0 < len(tokens) <= MAX_TEXT_TOKENS:
            return []
        encoded = self._pipeline.model.encode(self._features([piece], length))
        frames = min(len(piece), length) * 100 // PCM_RATE_HZ
        found = self._pipeline.model.find_alignment(tokenizer, [tokens], encoded, frames)[0]
        return regroup([(item["word"], item["start"], item["end"], item["probability"]) for item in found], words)

    def _recognise(self, pieces: list[Floats], length: int, language: str) -> list[str]:
        model, options = self._pipeline.model, self._pipeline.options
        found = model.generate_segment_batched(self._features(pieces, length), self._tokenizer(language), options)
        return [str(text) for text in found["text"]]

    def _features(self, pieces: Sequence[Floats], length: int) -> npt.NDArray[np.float32]:
        """Log-mel spectra, [pieces, mels, length / 160], of the pieces with silence after them up to `length`."""
        from whisperx.audio import log_mel_spectrogram

        mels = self._pipeline.model.feat_kwargs.get("feature_size") or 80
        spectra = [
            log_mel_spectrogram(np.ascontiguousarray(piece[:length]), mels, padding=max(0, length - len(piece))).numpy()
            for piece in pieces
        ]
        return np.stack(spectra)

    def _tokenizer(self, language: str) -> Any:
        if language not in self._tokenizers:
            from faster_whisper.tokenizer import Tokenizer

            model = self._pipeline.model
            self._tokenizers[language] = Tokenizer(
                model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language=language
            )
        return self._tokenizers[language]


def load_pipeline(settings: SpeechSettings, model: Path | str, device: str, cpu_threads: int) -> Any:
    """whisperx's pipeline with the named model; without its own voice activity detection, which is ours."""
    local = isinstance(model, Path)
    from models.device import device_and_index  # with torch, which only those who load a model should wait for

    kind, index = device_and_index(device)
    if isinstance(model, Path) and not (model / "tokenizer.json").is_file():
        raise AsrError(f"{model} is no speech model: a CTranslate2 Whisper folder with a tokenizer.json is needed")
    with quiet_speech_libraries(offline=local):
        try:
            return import_whisperx_asr().load_model(
                str(model),
                kind,
                device_index=index,
                compute_type=compute_type(settings, kind),
                language=settings.language,
                asr_options={"beam_size": settings.beam_size},
                vad_model=object(),  # what it would hear speech with: not used
                threads=cpu_threads,
            )
        except Exception as error:
            where = "" if local else ", which is looked for on the model hub"
            raise AsrError(f"the speech model {str(model)!r}{where} can't be loaded: {error}") from error


def compute_type(settings: SpeechSettings, kind: str) -> str:
    """CTranslate2's arithmetic on a device of that kind, "cpu" or "cuda".

    A CPU computes float16 in float32, so that labels of GPUs can be gone on with where there is none.
    """
    if settings.compute_type == "auto":
        return "float16" if kind == "cuda" else "int8"
    return "float32" if (settings.compute_type, kind) == ("float16", "cpu") else settings.compute_type


def window_samples(samples: int) -> int:
    """The length of the window that a piece is recognised in; it depends on nothing but the piece's own length."""
    step = WINDOW_STEP_S * PCM_RATE_HZ
    wanted = -(-(samples + MIN_TAIL_S * PCM_RATE_HZ) // step) * step
    return min(max(wanted, MIN_WINDOW_S * PCM_RATE_HZ), WHISPER_S * PCM_RATE_HZ)


def split_words(text: str, language: str) -> list[str]:
    """The words of a text; its characters in languages that put no spaces between words."""
    return [c for c in text if not c.isspace()] if language in WITHOUT_SPACES else text.split()


def join_words(words: Sequence[str], language: str) -> str:
    """What `split_words` takes apart."""
    return ("" if language in WITHOUT_SPACES else " ").join(words)


def is_loop(text: str) -> bool:
    """Whether the model has lost itself in repetition."""
    data = text.encode()
    return len(data) > 40 and len(data) / len(zlib.compress(data)) > LOOP_COMPRESSION


def without_loops(words: list[str]) -> list[str]:
    """The words with every phrase that comes `LOOP_TIMES` or more in a row left in once."""
    plain = [re.sub(r"\W", "", word).lower() for word in words]
    kept: list[str] = []
    at = 0
    while at < len(words):
        for size in range(1, LOOP_WORDS + 1):
            phrase, times = plain[at : at + size], 1
            while plain[at + size * times : at + size * (times + 1)] == phrase:
                times += 1
            if times >= LOOP_TIMES + (size == 1):  # "no, no, no" is said
                kept += words[at : at + size]
                at += size * times
                break
        else:
            kept.append(words[at])
            at += 1
    return kept


def regroup(found: Sequence[tuple[str, float, float, float]], words: Sequence[str]) -> list[tuple[int, int, float]]:
    """Times of `words` from those of the tokenizer's words, which may divide them differently; seconds to ms."""
    timed, at = [], 0
    for word in words:
        letters, parts = "", []
        while letters != word and at < len(found):
            letters += found[at][0].strip()
            parts.append(found[at])
            at += 1
        if letters != word:
            return []
        score = sum(part[3] for part in parts) / len(parts)
        timed.append((round(parts[0][1] * 1000), round(parts[-1][2] * 1000), score))
    return timed
