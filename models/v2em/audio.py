"""Audio branch: NesT on slices of 0.4 s of the mel spectrum, folded to 4 x 32 x 32, one vector a slice."""

from typing import cast

from torch import Tensor, nn

from models.nest import Nest
from models.v2em.config import AudioSizes

SLICE_CHANNELS, SLICE_SIDE, BLOCK_EDGE = 4, 32, 8


class AudioNetwork(nn.Module):
    """[S, 4, 32, 32] -> [S, dim]; the last map (8 x 8 of three levels) is flattened whole, without pooling."""

    def __init__(self, sizes: AudioSizes, dim: int) -> None:
        super().__init__()
        self.nest = Nest(
            SLICE_CHANNELS,
            SLICE_SIDE,
            tuple(sizes.dims),
            tuple(sizes.heads),
            tuple(sizes.depths),
            BLOCK_EDGE,
            drop_path=sizes.drop_path,
            norm_eps=1e-6,
        )
        self.nest.apply(_draw_weights)
        edge = SLICE_SIDE >> (len(sizes.dims) - 1)
        self.flatten = nn.Sequential(nn.Linear(sizes.dims[-1] * edge**2, sizes.flatten), nn.ReLU())
        self.project = nn.Linear(sizes.flatten, dim)

    def forward(self, slices: Tensor) -> Tensor:
        """A vector for each slice."""
        return cast(Tensor, self.project(self.flatten(self.nest.grid(slices).flatten(1))))


def _draw_weights(module: nn.Module) -> None:
    """NesT's own start: normal with deviation 0.02, cut at 2, and no bias."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
