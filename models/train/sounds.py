"""Clips of speech for the voice branch: reading, trimming of silence, augmentation."""

from pathlib import Path

import av
import numpy as np

from models.train.manifest import Item, read_manifest
from models.train.splits import Part
from models.whisper_states import PCM_RATE_HZ

CORPORA = {"RAVDESS", "EMO-DB", "URDU"}
URDU_TUNE = {"urdu_SF7", "urdu_SF8", "urdu_SM22", "urdu_SM26", "urdu_SM27"}
URDU_REPORT = {"urdu_SM2", "urdu_SM3", "urdu_SM21", "urdu_SM24", "urdu_SF1", "urdu_SF3"}
"""URDU has no split here: some speakers are kept apart. Angry and sad then have one speaker each in fit and report."""


def part_of(item: Item) -> Part:
    """The corpora's own speaker-disjoint splits; for URDU the speakers above."""
    if item.split == "test" or item.speaker in URDU_REPORT:
        return "report"
    return "tune" if item.split == "val" or item.speaker in URDU_TUNE else "fit"


def list_clips(data: Path, part: Part) -> list[Item]:
    """Clips of that part of RAVDESS, EMO-DB and URDU, and what annotators judged, if the folder has `annotations/`."""
    listed = [item for item in read_manifest(data, CORPORA, "audio") if part_of(item) == part]
    return [*listed, *_annotated(data, part)]


def _annotated(data: Path, part: Part) -> list[Item]:
    """Stretches of videos in which somebody speaks; each video counts as a speaker of its own."""
    from models.corpora import annotations  # its package lists clips by this module

    def spoken(of: Part) -> list[Item]:
        return [
            Item(item.sound, item.corpus, item.id.rpartition("/")[0], of, item.labels[0], item.start_s, item.end_s)
            for item in annotations.read(data, of).items
            if item.text and item.sound is not None
        ]

    if not (data / "annotations").is_dir() or not (fit := spoken("fit")):
        return []  # a corpus is tuned only where it was fitted
    return fit if part == "fit" else spoken(part)


def read_clip(item: Item) -> np.ndarray:
    """float32 samples [N] at 16 kHz, mono.

    Raises:
        ValueError: a file that is a clip as a whole has another rate, or more channels.
        UnreadableError: there is no sound in the file that a stretch is of.
    """
    if item.start_s is not None and item.end_s is not None:
        from models.evaluate.inputs import read_sound  # it trims silence by this module

        return read_sound(item.path)[round(item.start_s * PCM_RATE_HZ) : round(item.end_s * PCM_RATE_HZ)]
    return _read_file(item.path)


def _read_file(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        if stream.rate != PCM_RATE_HZ or stream.channels != 1:
            raise ValueError(f"{path}: {stream.rate} Hz, {stream.channels} channels; expected 16000 Hz, mono")
        frames = [frame.to_ndarray()[0] for frame in container.decode(stream)]
    samples = np.concatenate(frames)
    return samples.astype(np.float32) / (np.iinfo(samples.dtype).max if samples.dtype.kind == "i" else 1)


def trim_silence(pcm: np.ndarray, below_peak_db: float = 35.0, keep_s: float = 0.1) -> np.ndarray:
    """Without the silence at both ends: acted corpora have a second of it, utterances cut by a detector have none."""
    hop = PCM_RATE_HZ // 100
    levels = np.sqrt(np.mean(pcm[: len(pcm) // hop * hop].reshape(-1, hop) ** 2, axis=1))
    loud = np.flatnonzero(levels > levels.max() * 10 ** (-below_peak_db / 20))
    if not len(loud):
        return pcm
    keep = int(keep_s * PCM_RATE_HZ)
    return pcm[max(0, loud[0] * hop - keep) : (loud[-1] + 1) * hop + keep]


def augment_clip(pcm: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The clip trimmed, cut short, faster or slower, in a room, through a narrow band, in noise: each at times."""
    if rng.random() < 0.7:
        pcm = trim_silence(pcm)
    if rng.random() < 0.25 and len(pcm) > 2 * PCM_RATE_HZ:
        length = int(rng.uniform(1.5 * PCM_RATE_HZ, len(pcm)))
        start = int(rng.integers(0, len(pcm) - length + 1))
        pcm = pcm[start : start + length]
    if rng.random() < 0.7:
        speed = rng.uniform(0.88, 1.12)  # as a tape: pitch moves with it
        places = np.arange(0, len(pcm) - 1, speed)
        pcm = np.interp(places, np.arange(len(pcm)), pcm)
    if rng.random() < 0.3:
        pcm = _reverberate(pcm, rng)
    if rng.random() < 0.25:
        pcm = _narrow(pcm, rng)
    if rng.random() < 0.6:
        pcm = _add_noise(pcm, rng)
    return pcm.astype(np.float32)


def _reverberate(pcm: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    decay_s = rng.uniform(0.05, 0.25)
    tail = rng.standard_normal(int(4 * decay_s * PCM_RATE_HZ))
    tail *= np.exp(-np.arange(len(tail)) / (decay_s * PCM_RATE_HZ))
    response = np.concatenate([[1.0], rng.uniform(0.1, 0.5) * tail / np.linalg.norm(tail)])
    size = len(pcm) + len(response)
    return np.fft.irfft(np.fft.rfft(pcm, size) * np.fft.rfft(response, size), size)[: len(pcm)]


def _narrow(pcm: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    spectrum = np.fft.rfft(pcm)
    hz = np.fft.rfftfreq(len(pcm), 1 / PCM_RATE_HZ)
    spectrum[(hz < rng.uniform(50, 300)) | (hz > rng.uniform(3000, 7000))] *= 0.05
    return np.fft.irfft(spectrum, len(pcm))


def _add_noise(pcm: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    spectrum = np.fft.rfft(rng.standard_normal(len(pcm)))
    spectrum /= np.maximum(np.arange(len(spectrum)), 1) ** rng.uniform(0, 1)  # from white to brown
    noise = np.fft.irfft(spectrum, len(pcm))
    snr_db = rng.uniform(8, 35)
    gain = np.sqrt(np.mean(pcm**2) / max(float(np.mean(noise**2)), 1e-12)) * 10 ** (-snr_db / 20)
    return pcm + gain * noise
