"""Pictures of faces for the face branch: reading and augmentation."""

import math
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from models.train.manifest import Item, read_manifest
from models.train.splits import Part, fit_or_tune

CORPORA = {"FER2013", "CK+48", "muxspace facial_expressions"}
SIDE_PX = 48
TUNE_FRACTION = 1 / 15


def part_of(item: Item) -> Part:
    """FER2013's public test and CK+'s test subjects report; a fifteenth of the rest tunes, by subject where known."""
    if item.split in ("val", "test"):
        return "report"
    return fit_or_tune(item.speaker or item.path.name, TUNE_FRACTION)


def load_pictures(data: Path, part: Part) -> tuple[Tensor, Tensor, list[str]]:
    """Grey pictures uint8 [N, 1, 48, 48], labels int64 [N], and the corpus of each."""
    items = [item for item in read_manifest(data, CORPORA, "face") if part_of(item) == part]
    pictures = np.empty((len(items), 1, SIDE_PX, SIDE_PX), np.uint8)
    for picture, item in zip(pictures, items, strict=True):
        grey = cv2.imread(str(item.path), cv2.IMREAD_GRAYSCALE)
        if grey is None:
            raise ValueError(f"{item.path} is not a picture that OpenCV can read")
        picture[0] = cv2.resize(grey, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    labels = torch.tensor([item.label for item in items])
    return torch.from_numpy(pictures), labels, [item.corpus for item in items]


def uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """[n] numbers from [low, high)."""
    return low + (high - low) * torch.rand(n, generator=generator)


def augment(
    pictures: Tensor,
    generator: torch.Generator,
    strength: float = 1.0,
    side_px: int = SIDE_PX,
    cropped: bool = False,
) -> Tensor:
    """uint8 [N, 1, 48, 48] -> float [N, 1, side, side] of 0..255, each flipped, turned, moved, blurred, re-lit.

    The changes are as large as those of a detector's box around the same face; less strength makes them smaller.
    cropped: a smaller side is a window into the picture at its own scale, and not the whole of it shrunk.
    """
    n = len(pictures)
    window = side_px / SIDE_PX if cropped else 1.0
    scale_x = window * uniform(n, 1 - 0.15 * strength, 1 + 0.15 * strength, generator)
    scale_y = scale_x * uniform(n, 0.93, 1.07, generator)
    flip = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    angle = strength * uniform(n, -0.2, 0.2, generator)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = flip * scale_x * angle.cos(), -scale_y * angle.sin()
    theta[:, 1, 0], theta[:, 1, 1] = flip * scale_x * angle.sin(), scale_y * angle.cos()
    reach = 0.12 * strength + 1 - window
    theta[:, 0, 2] = uniform(n, -reach, reach, generator)
    theta[:, 1, 2] = uniform(n, -reach, reach, generator)
    grid = nn.functional.affine_grid(theta, [n, 1, side_px, side_px], align_corners=False)
    x = nn.functional.grid_sample(pictures.float(), grid, padding_mode="border", align_corners=False)

    blurred = torch.rand(n, generator=generator) < 0.15 * strength  # upscaled small faces and motion
    sigma = float(uniform(1, 0.5, 1.2, generator))
    taps = torch.tensor([math.exp(-(t * t) / (2 * sigma * sigma)) for t in (-2, -1, 0, 1, 2)])
    kernel = (taps[:, None] * taps[None, :] / taps.sum() ** 2)[None, None]
    x[blurred] = nn.functional.conv2d(nn.functional.pad(x[blurred], (2, 2, 2, 2), mode="replicate"), kernel)

    gamma = (strength * uniform(n, -0.4, 0.4, generator)).exp()[:, None, None, None]
    x = 255 * (x / 255).clamp(0, 1) ** gamma
    return x + torch.randn(x.shape, generator=generator) * strength * uniform(n, 0, 5, generator)[:, None, None, None]


def erase(x: Tensor, generator: torch.Generator, share: float = 0.33) -> Tensor:
    """Grey out a rectangle of a share of the standardised pictures (hands, microphones, subtitles)."""
    side = x.shape[-1]
    for i in torch.nonzero(torch.rand(len(x), generator=generator) < share)[:, 0].tolist():
        height, width = (int(v) for v in torch.randint(side // 8, int(0.42 * side), (2,), generator=generator))
        top = int(torch.randint(0, side - height, (1,), generator=generator))
        left = int(torch.randint(0, side - width, (1,), generator=generator))
        x[i, :, top : top + height, left : left + width] = 0
    return x
