"""Where there is speech: a probability and a sound level for every 32 ms of absolute time.

The detectors keep a state, so what they say about a moment depends on what they heard before it. Here each hears the
sound in blocks laid out around the anchors of the video's time line (see operators.windows), every block from the same
warm-up on, so the same moment gets the same answer whichever segment it is reached from.
"""

import itertools
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from operators.quiet import quiet_speech_libraries
from operators.schema import PCM_RATE_HZ
from operators.settings import SpeechSettings, WindowSettings

FRAME_SAMPLES = 512
FRAME_MS = FRAME_SAMPLES * 1000 // PCM_RATE_HZ
"""32 ms, exactly: frame i covers the absolute milliseconds [32 i, 32 i + 32)."""

SILENCE_DB = -90.0  # the level of digital silence: below it 16 bit samples hold nothing

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SpeechCurve:
    """What was heard in the frames from `first_frame` on, counted from the start of the video."""

    first_frame: int
    probability: Floats  # [frames], 0 to 1, that somebody speaks
    level_db: Floats  # [frames], 0 = full scale

    @property
    def end_frame(self) -> int:
        """The frame after the last one."""
        return self.first_frame + len(self.probability)

    def between(self, first_frame: int, end_frame: int) -> "SpeechCurve":
        """The part of the curve in these frames; less where the curve is shorter."""
        part = slice(max(0, first_frame - self.first_frame), max(0, end_frame - self.first_frame))
        return SpeechCurve(max(first_frame, self.first_frame), self.probability[part], self.level_db[part])


@dataclass(frozen=True)
class Sound:
    """Mono sound at 16 kHz on the video's time line: 16 bit samples, the first at `start_ms`."""

    samples: npt.NDArray[np.int16]
    start_ms: int

    def between(self, first_sample: int, end_sample: int) -> Floats:
        """Samples [end - first] by absolute number, float32 in -1..1; silence where there is no sound."""
        offset = self.start_ms * PCM_RATE_HZ // 1000
        part = self.samples[max(0, first_sample - offset) : max(0, end_sample - offset)]
        before = min(max(0, offset - first_sample), end_sample - first_sample)
        return np.pad(part / np.float32(32768), (before, end_sample - first_sample - before - len(part)))

    def between_ms(self, start_ms: int, end_ms: int) -> Floats:
        """The samples of these milliseconds; silence where there is no sound."""
        return self.between(start_ms * PCM_RATE_HZ // 1000, end_ms * PCM_RATE_HZ // 1000)


class SpeechDetector(Protocol):
    """Hears a stretch of 16 kHz sound, whole frames of it; answers the probability of speech in each frame."""

    def __call__(self, samples: Floats) -> Floats:
        """[512 n] samples to [n] probabilities."""
        ...


class Silero:
    """The Silero detector that comes inside faster-whisper: one thread, no network."""

    def __init__(self) -> None:
        from faster_whisper.vad import get_vad_model

        self._model = get_vad_model()

    def __call__(self, samples: Floats) -> Floats:
        """[512 n] samples to [n] probabilities."""
        return np.asarray(self._model(samples), dtype=np.float32).reshape(-1)


class Pyannote:
    """The pyannote segmentation model that comes inside whisperx: slower, stricter with music and noise."""

    def __init__(self, device: str) -> None:
        with quiet_speech_libraries(offline=True):
            import torch
            from whisperx.vads import Pyannote as WhisperxPyannote

            # The two thresholds are of its own cutting into segments, which is not used.
            self._model = WhisperxPyannote(torch.device(device), vad_onset=0.5, vad_offset=0.363)
        self._torch = torch

    def __call__(self, samples: Floats) -> Floats:
        """[512 n] samples to [n] probabilities."""
        waveform = self._torch.from_numpy(np.ascontiguousarray(samples))[None]
        scores = self._model({"waveform": waveform, "sample_rate": PCM_RATE_HZ})
        middle_s = np.array([scores.sliding_window[i].middle for i in range(len(scores.data))])
        frame_s = (np.arange(len(samples) // FRAME_SAMPLES) + 0.5) * FRAME_SAMPLES / PCM_RATE_HZ
        return np.interp(frame_s, middle_s, scores.data[:, 0]).astype(np.float32)


def load_detector(settings: SpeechSettings, device: str) -> SpeechDetector:
    """The detector that the settings name, loaded."""
    return Silero() if settings.vad == "silero" else Pyannote(device)


def hear(
    sound: Sound, span_ms: tuple[int, int], duration_ms: int, detector: SpeechDetector, settings: WindowSettings
) -> SpeechCurve:
    """The curve over a span, in whole frames: the first may start earlier, the last end later. The video is that long.

    Needs sound from `settings.context_ms` before the anchor (or the end of a block) that the span's start follows.
    """
    first_frame, end_frame = span_ms[0] // FRAME_MS, -(-span_ms[1] // FRAME_MS)
    # Behind the video's end there is nothing to hear; Silero doesn't hear the end of the last frame that it is given.
    last_frame = -(-duration_ms // FRAME_MS) + 1
    probability = []
    for block_start, block_end in blocks(first_frame, end_frame, settings):
        block_end = min(block_end, last_frame)
        warm_up = max(0, block_start - warm_up_frames(settings))
        heard = detector(sound.between(warm_up * FRAME_SAMPLES, block_end * FRAME_SAMPLES))[block_start - warm_up :]
        probability.append(heard[max(0, first_frame - block_start) : end_frame - block_start])
    samples = sound.between(first_frame * FRAME_SAMPLES, end_frame * FRAME_SAMPLES).reshape(-1, FRAME_SAMPLES)
    power = np.mean(np.square(samples), axis=1)
    level_db = 10 * np.log10(power + 10 ** (SILENCE_DB / 10))
    return SpeechCurve(first_frame, np.concatenate([*probability, np.zeros(0, np.float32)]), level_db)


def near_ms(settings: WindowSettings) -> int:
    """How far around an anchor every segment that touches it knows the curve."""
    return min(settings.context_ms, settings.anchor_ms) // 2


def warm_up_frames(settings: WindowSettings) -> int:
    """How much sound the detector hears before the part of a block that counts."""
    return (settings.context_ms - near_ms(settings)) // FRAME_MS - 1  # blocks may start a part of a frame early


def blocks(first_frame: int, end_frame: int, settings: WindowSettings) -> list[tuple[int, int]]:
    """The blocks, as frames, that cover these frames: around each anchor, and between two such.

    With anchors every 20 s and 10 s of context: [T - 5 s, T + 5 s) and [T + 5 s, T + 15 s), each with the 5 s before
    it as warm-up, so that nothing outside [T - 10 s, T + 10 s) tells on what is heard around T.
    """
    near, borders = near_ms(settings), [0]
    first_anchor = first_frame * FRAME_MS // settings.anchor_ms
    last_anchor = end_frame * FRAME_MS // settings.anchor_ms + 1
    for anchor in range(first_anchor, last_anchor + 1):
        borders += [(anchor * settings.anchor_ms + side) // FRAME_MS for side in (-near, near)]
    borders = sorted({border for border in borders if border >= 0})
    return [(a, b) for a, b in itertools.pairwise(borders) if b > first_frame and a < end_frame]
