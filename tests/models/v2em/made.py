"""Utterances in miniature, on disk and in memory, whose label is told by every modality."""

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from models.corpora.item import Corpus, Item, Part
from models.train.v2em_augment import Augmentation
from models.train.v2em_data import V2emPart, look_through
from models.v2em.config import V2emConfig
from models.v2em.crops import FaceDetector

EMOTIONS = ("ang", "exc", "fru", "hap", "neu", "sad")
RATE_HZ = 16_000
ALL = Augmentation(sound=True, time_mask_s=0.5, band_mask=16, flip=True, shift=0.1, light=0.4)


def tokenize(texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    rows = [[1, *(3 + sum(map(ord, word)) % 50 for word in text.split()), 2] for text in texts]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    return ids, torch.arange(longest) < torch.tensor([len(row) for row in rows])[:, None]


def tone(path: Path, hz: float, seconds: float = 0.5) -> Path:
    samples = 8000 * np.sin(2 * np.pi * hz * np.arange(int(RATE_HZ * seconds)) / RATE_HZ)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(samples.astype(np.int16).tobytes())
    return path


def items(folder: Path, part: Part, count: int) -> tuple[Item, ...]:
    """Utterances whose label is told by a word, by the pitch of a tone, and by how bright a face is."""
    made = []
    for k in range(count):
        label = k % 6
        image = np.full((60, 60, 3), 20 + 40 * label, np.uint8)
        image[:10] = k
        sound = tone(folder / f"{part}{k}.wav", 200 * 2 ** (label / 2))
        text = f"{'abcdef'[label] * 3} and so on"
        made.append(Item("Made", f"{part} {k}", f"{k % 3}", part, (label,), text=text, sound=sound, image=image))
    return tuple(made)


def no_detector() -> FaceDetector:
    raise AssertionError("there is no picture to look for faces in")


def part_of(folder: Path, part: Part, count: int, config: V2emConfig) -> V2emPart:
    made = Corpus(items(folder, part, count), EMOTIONS)
    return look_through(made, config, no_detector, folder / f"{part}.pt")
