"""Utterances of a corpus for V2EM: looked through once, with their faces cut out and kept; read anew in every epoch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.corpora.item import Corpus, Item
from models.evaluate.inputs import PICTURE_STEP_S, as_crop, read_frame, sound_of
from models.evaluate.scored import Scored
from models.train.checkpoint import load_checkpoint, save_checkpoint
from models.train.loop import TrainingError
from models.train.team import current_team
from models.train.v2em_augment import Augmentation, augment_faces, augment_sound, mask_spectrum
from models.v2em.batch import Utterance
from models.v2em.config import V2emConfig
from models.v2em.crops import Crop, FaceDetector, face_crop
from models.v2em.mel import mel_slices
from models.whisper_states import PCM_RATE_HZ

FRAMES_AT_ONCE = 32


@dataclass(frozen=True)
class Looked:
    """What one look at an item found.

    crops uint8 RGB [F, 3, 48, 48], found bool [F], times_s float32 [F]: pictures are two a second. sound_s: length.
    """

    crops: Tensor
    found: Tensor
    times_s: Tensor
    sound_s: float


@dataclass(frozen=True)
class V2emPart:
    """N utterances of one part of a corpus, none of them empty, with targets float32 [N, E] of 0 and 1."""

    items: tuple[Item, ...]
    looked: tuple[Looked, ...]
    emotions: tuple[str, ...]
    config: V2emConfig
    left_out: int

    def __len__(self) -> int:
        return len(self.items)

    @property
    def targets(self) -> Tensor:
        """Which emotions each utterance has."""
        return torch.tensor([[float(c in item.labels) for c in range(len(self.emotions))] for item in self.items])

    def present(self, row: int) -> Tensor:
        """bool [3]: whether the model can read text, vision and audio of an utterance."""
        return _present(self.items[row], self.looked[row], self.config)

    def utterance(self, row: int, augmentation: Augmentation, rng: np.random.Generator) -> Utterance:
        """Read an utterance, changed as the augmentation has it. UnreadableError when its sound has gone."""
        item, looked = self.items[row], self.looked[row]
        pcm = augment_sound(sound_of(item), augmentation, rng)
        mel, valid = mel_slices(pcm, self.config.legacy)
        return Utterance(
            faces=augment_faces(looked.crops, augmentation, rng),
            face_t=looked.times_s,
            face_ok=looked.found,
            mel=mask_spectrum(mel, valid, augmentation, rng),
            mel_valid=valid,
            text=item.text,
        )

    def scored(self, probabilities: Tensor) -> Scored:
        """The utterances with a model's probabilities [N, E], to fit thresholds on and to measure."""
        first = self.items[0]
        return Scored(
            name=f"v2em, {first.corpus}, {first.part}",
            corpus=first.corpus,
            part=first.part,
            emotions=self.emotions,
            ids=tuple(item.id for item in self.items),
            speakers=tuple(item.speaker for item in self.items),
            labels=tuple(item.labels for item in self.items),
            probabilities=probabilities.double().numpy(),
            left_out=self.left_out,
        )


def look_through(corpus: Corpus, config: V2emConfig, detector: Callable[[], FaceDetector], cache: Path) -> V2emPart:
    """Look at every item, or at what an earlier look left at `cache`; items without anything to read are left out.

    detector: builds the detector of faces, where there are pictures to look at. Of several processes the first looks.
    Raises TrainingError when nothing is left, UnreadableError when a file cannot be read.
    """
    team = current_team()
    cache = Path(team.share(str(cache)))
    if team.first:
        _keep(corpus.items, config, detector, cache)
    team.share(None)  # the others wait until it is there
    looked = _kept(corpus.items, config, cache)
    if looked is None:
        raise TrainingError(f"{cache} is not to be seen from here: --out must be a folder that all workers share")
    pairs = [(i, at) for i, at in zip(corpus.items, looked, strict=True) if bool(_present(i, at, config).any())]
    if not pairs:
        raise TrainingError(
            f"none of {len(corpus.items)} items has anything that modalities {config.modalities!r} could read"
        )
    items, kept = zip(*pairs, strict=True)
    return V2emPart(items, kept, corpus.label_space, config, len(corpus.items) - len(items))


def _present(item: Item, looked: Looked, config: V2emConfig) -> Tensor:
    faces = len(looked.found) > 0 if config.legacy else bool(looked.found.any())
    readable = {"t": bool(item.text and item.text.strip()), "v": faces, "a": looked.sound_s > 0}
    return torch.tensor([readable[letter] and letter in config.modalities for letter in "tva"])


def _keys(items: Sequence[Item], config: V2emConfig) -> list[str]:
    """What a kept look depends on: another corpus, or another way to cut, is looked at anew."""
    way = f"legacy {config.legacy}, vision {'v' in config.modalities}"
    return [f"{item.corpus}/{item.id}: {len(item.pictures)} pictures, {way}" for item in items]


def _kept(items: Sequence[Item], config: V2emConfig, cache: Path) -> list[Looked] | None:
    kept = load_checkpoint(cache)
    if kept is None or kept["keys"] != _keys(items, config):
        return None
    crops, found, times_s = (kept[name].split(kept["lengths"]) for name in ("crops", "found", "times_s"))
    return [Looked(*parts) for parts in zip(crops, found, times_s, kept["sounds_s"], strict=True)]


def _keep(items: Sequence[Item], config: V2emConfig, detector: Callable[[], FaceDetector], cache: Path) -> None:
    if _kept(items, config, cache) is not None:
        return
    to_look_at = "v" in config.modalities and any(item.pictures for item in items)
    detect = detector() if to_look_at else None
    looked = [_look(item, detect, config) for item in items]
    kept = {
        "keys": _keys(items, config),
        "lengths": [len(at.crops) for at in looked],
        "crops": torch.cat([at.crops for at in looked]),
        "found": torch.cat([at.found for at in looked]),
        "times_s": torch.cat([at.times_s for at in looked]),
        "sounds_s": [at.sound_s for at in looked],
    }
    save_checkpoint(cache, kept)


def _look(item: Item, detect: FaceDetector | None, config: V2emConfig) -> Looked:
    sound_s = len(sound_of(item)) / PCM_RATE_HZ
    times_s: list[float] = []
    crops: list[Crop] = []
    if "v" in config.modalities and item.image is not None:  # a face that somebody has cut out
        times_s, crops = [0.0], [Crop(as_crop(item.image), found=True)]
    elif detect is not None and item.pictures:
        times_s = [PICTURE_STEP_S * place for place in range(len(item.pictures))]
        crops = list(_cut(item.pictures, detect, config.legacy))
    pixels = np.stack([crop.pixels for crop in crops]) if crops else np.zeros((0, 48, 48, 3), np.uint8)
    return Looked(
        torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),
        torch.tensor([crop.found for crop in crops], dtype=torch.bool),
        torch.tensor(times_s, dtype=torch.float32),
        sound_s,
    )


def _cut(paths: Sequence[Path], detect: FaceDetector, legacy: bool) -> Iterator[Crop]:
    for start in range(0, len(paths), FRAMES_AT_ONCE):
        read = [read_frame(path) for path in paths[start : start + FRAMES_AT_ONCE]]
        for _, alike in groupby(read, key=np.shape):
            frames = list(alike)
            for frame, box in zip(frames, detect(np.stack(frames)), strict=True):
                yield face_crop(frame, box, legacy)
