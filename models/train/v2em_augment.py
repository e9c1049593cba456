"""What an utterance is turned into while V2EM trains on it: other sound, other light, parts of it hidden."""

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from models.log_mel import BANDS, HOP_SAMPLES
from models.train.loop import Recipe
from models.train.sounds import augment_clip
from models.whisper_states import PCM_RATE_HZ

SHORTEST_S = 0.1  # of a sound that is changed: shorter ones have no silence to trim and no room to cut


class Augmentation(Recipe):
    """What may be changed; by default nothing, as published.

    sound: noise, speed, rooms, narrow bands, see `augment_clip`. time_mask_s, band_mask: up to so many seconds, and so
    many of the 128 mel bands, are hidden. flip: faces are mirrored at times. shift: faces are moved by up to that share
    of their side. light: faces are lighter or darker, by exponents of up to e to that power.
    """

    sound: bool = False
    time_mask_s: float = Field(0.0, ge=0)
    band_mask: int = Field(0, ge=0, lt=BANDS)
    flip: bool = False
    shift: float = Field(0.0, ge=0, le=0.5)
    light: float = Field(0.0, ge=0, le=2)


def augment_sound(pcm: np.ndarray, settings: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Samples [N] -> samples [M], another length where the speed changes."""
    if not settings.sound or len(pcm) < SHORTEST_S * PCM_RATE_HZ:
        return pcm
    return augment_clip(pcm, rng)


def mask_spectrum(mel: Tensor, valid: Tensor, settings: Augmentation, rng: np.random.Generator) -> Tensor:
    """Slices [S, 4, 32, 32] with valid [S] real frames each -> the same, a stretch and a group of bands set to 0.

    0 is the mean of the mended spectrum, and silence in the published one. Never more than a third of the frames.
    """
    if not len(mel) or not (settings.time_mask_s or settings.band_mask):
        return mel
    slices, groups, rows, columns = mel.shape
    spectrum = mel.permute(1, 2, 0, 3).reshape(groups * rows, slices * columns).clone()
    frames = int(valid.sum())
    longest = min(round(settings.time_mask_s * PCM_RATE_HZ / HOP_SAMPLES), frames // 3)
    width, height = int(rng.integers(longest + 1)), int(rng.integers(settings.band_mask + 1))
    first, lowest = int(rng.integers(frames - width + 1)), int(rng.integers(BANDS - height + 1))
    spectrum[:, first : first + width] = 0
    spectrum[lowest : lowest + height] = 0
    return spectrum.view(groups, rows, slices, columns).permute(2, 0, 1, 3).contiguous()


def augment_faces(crops: Tensor, settings: Augmentation, rng: np.random.Generator) -> Tensor:
    """uint8 RGB [F, 3, S, S] -> the same; all faces of an utterance alike, as one camera sees them."""
    flipped, drawn = rng.random() < 0.5, rng.uniform(-1, 1, 3)  # drawn whatever the settings, so that each acts alone
    if not len(crops):
        return crops
    side = crops.shape[-1]
    x = crops.flip(-1) if settings.flip and flipped else crops
    if settings.shift:
        margin = round(settings.shift * side)
        top, left = (margin + round(margin * share) for share in drawn[:2])
        padded = nn.functional.pad(x.float(), (margin,) * 4, mode="replicate")
        x = padded[..., top : top + side, left : left + side].byte()
    if settings.light:
        levels = 255 * torch.linspace(0, 1, 256) ** float(np.exp(settings.light * drawn[2]))
        x = levels.round().byte()[x.long()]
    return x.contiguous()


def drop_modalities(present: Tensor, probability: float, rng: np.random.Generator) -> Tensor:
    """bool [M] -> bool [M]: each present modality is left out with that probability, but never all of them."""
    places = torch.nonzero(present)[:, 0].tolist()
    kept = [place for place in places if rng.random() >= probability]
    if places and not kept:
        kept = [places[int(rng.integers(len(places)))]]
    left = torch.zeros_like(present)
    left[kept] = True
    return left
