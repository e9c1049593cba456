"""Vision branch: a small RepVGG on 48x48 face crops, one vector a face."""

import copy
from typing import cast

import torch
from torch import Tensor, nn

from models.repvgg import RepVGGBlock
from models.v2em.config import VisionSizes

CROP_SIDE_PX = 48
PIXEL_MEAN, PIXEL_STD = (159.0, 111.0, 102.0), (37.0, 33.0, 32.0)  # of RGB in 0..255
HALVED_AFTER = (False, False, True, True, True)  # max pooling after the third, fourth and fifth block


class VisionNetwork(nn.Module):
    """uint8 RGB [F, 3, 48, 48] -> [F, dim]; dim is what the encoder reads.

    The stem halves the grid, as do the last three blocks: 24, 24, 24, 12, 6, 3 cells a side.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, sizes: VisionSizes, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(PIXEL_STD).view(1, 3, 1, 1), persistent=False)
        self.stem = nn.Sequential(
            nn.Conv2d(3, sizes.stem, 5, padding=2), nn.BatchNorm2d(sizes.stem), nn.ReLU(), nn.MaxPool2d(2)
        )
        widths = (sizes.stem, *sizes.blocks)
        blocks = zip(widths, sizes.blocks, strict=False)
        self.blocks = nn.ModuleList(RepVGGBlock(width_in, width_out) for width_in, width_out in blocks)
        self.flatten = nn.Sequential(nn.Linear(sizes.blocks[-1] * 3 * 3, sizes.flatten), nn.ReLU())
        self.project = nn.Linear(sizes.flatten, dim)

    def grid(self, crops: Tensor) -> Tensor:
        """uint8 RGB [F, 3, 48, 48] -> [F, blocks[-1], 3, 3]."""
        x = self.stem((crops.float() - self.mean) / self.std)
        for block, halved in zip(self.blocks, HALVED_AFTER, strict=True):
            x = block(x)
            if halved:
                x = nn.functional.max_pool2d(x, 2)
        return cast(Tensor, x)

    def forward(self, crops: Tensor) -> Tensor:
        """A vector for each face."""
        return cast(Tensor, self.project(self.flatten(self.grid(crops).flatten(1))))

    def fused(self) -> "VisionNetwork":
        """A copy for inference whose blocks are single convolutions; this network stays as it is."""
        clone = copy.deepcopy(self).eval().requires_grad_(False)
        clone.blocks = nn.ModuleList(
            block.fused() if isinstance(block, RepVGGBlock) else block for block in clone.blocks
        )
        return clone
