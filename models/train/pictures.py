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


def part_of(item: Item) -> Part:
    """FER2013's public test and CK+'s test subjects report; a fifteenth of the rest tunes, by subject where known."""
    if item.split in ("val", "test"):
        return "report"
    return fit_or_tune(item.speaker or item.path.name, tune_fraction=1 / 15)


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


def augment(pictures: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """uint8 [N, 1, 48, 48] -> float [N, 1, 48, 48] of 0..255, each flipped, turned, shifted, cut, blurred, re-lit.

    At full strength half are cut as the corpora are (loose, square), half as detectors' boxes are (tight, and narrower
    than high before they are stretched to a square). Less strength means smaller changes, and fewer tight cuts.
    """
    n = len(pictures)
    tight = torch.rand(n, generator=generator) < 0.5 * strength
    loose = 0.15 * strength
    scale_x = torch.where(tight, uniform(n, 0.62, 0.9, generator), uniform(n, 1 - loose, 1 + loose, generator))
    scale_y = torch.where(tight, uniform(n, 0.8, 1.08, generator), scale_x * uniform(n, 0.92, 1.08, generator))
    flip = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    angle = strength * uniform(n, -0.2, 0.2, generator)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = flip * scale_x * angle.cos(), -scale_y * angle.sin()
    theta[:, 1, 0], theta[:, 1, 1] = flip * scale_x * angle.sin(), scale_y * angle.cos()
    theta[:, 0, 2] = strength * uniform(n, -0.12, 0.12, generator)
    theta[:, 1, 2] = strength * uniform(n, -0.1, 0.12, generator)
    grid = nn.functional.affine_grid(theta, [n, 1, SIDE_PX, SIDE_PX], align_corners=False)
    x = nn.functional.grid_sample(pictures.float(), grid, padding_mode="border", align_corners=False)

    blurred = torch.rand(n, generator=generator) < 0.25 * strength  # upscaled small faces and motion
    sigma = float(uniform(1, 0.5, 1.3, generator))
    taps = torch.tensor([math.exp(-(t * t) / (2 * sigma * sigma)) for t in (-2, -1, 0, 1, 2)])
    kernel = (taps[:, None] * taps[None, :] / taps.sum() ** 2)[None, None]
    x[blurred] = nn.functional.conv2d(nn.functional.pad(x[blurred], (2, 2, 2, 2), mode="replicate"), kernel)

    gamma = (strength * uniform(n, -0.4, 0.4, generator)).exp()[:, None, None, None]
    x = 255 * (x / 255).clamp(0, 1) ** gamma
    return x + torch.randn(x.shape, generator=generator) * strength * uniform(n, 0, 6, generator)[:, None, None, None]


def erase(x: Tensor, generator: torch.Generator) -> Tensor:
    """Grey out a rectangle of a third of the standardised pictures (hands, microphones, subtitles)."""
    for i in torch.nonzero(torch.rand(len(x), generator=generator) < 0.33)[:, 0].tolist():
        height, width = (int(v) for v in torch.randint(6, 20, (2,), generator=generator))
        top = int(torch.randint(0, SIDE_PX - height, (1,), generator=generator))
        left = int(torch.randint(0, SIDE_PX - width, (1,), generator=generator))
        x[i, :, top : top + height, left : left + width] = 0
    return x
