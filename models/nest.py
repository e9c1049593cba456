"""NesT: attention inside blocks of a grid, blocks merged from level to level (arXiv 2105.12723)."""

from typing import cast

import torch
from torch import Tensor, nn

from models.temporal import TransformerLayer


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of [N, C, H, W]."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class NestLevel(nn.Module):
    """[N, C, H, W] -> same: transformer layers inside blocks of block_edge x block_edge cells, learned positions.

    drop_paths: how often each layer is left out in training; as many as there are layers.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        drop_paths: tuple[float, ...],
        grid: int,
        block_edge: int,
        dropout: float,
        norm_eps: float,
    ) -> None:
        super().__init__()
        if grid % block_edge:
            raise ValueError(f"a grid of {grid} cells cannot be cut into blocks of {block_edge}")
        self.block_edge = block_edge
        self.position = nn.Parameter(torch.zeros((grid // block_edge) ** 2, block_edge**2, dim))
        nn.init.trunc_normal_(self.position, std=0.02)
        self.layers = nn.ModuleList(
            TransformerLayer(dim, heads, 4, dropout, drop_path, norm_eps) for drop_path in drop_paths
        )

    def forward(self, x: Tensor) -> Tensor:
        """Cut into blocks, attend, put together again."""
        n, dim, grid, _ = x.shape
        edge, count = self.block_edge, grid // self.block_edge
        x = x.view(n, dim, count, edge, count, edge).permute(0, 2, 4, 3, 5, 1).reshape(n, count**2, edge**2, dim)
        x = x + self.position
        for layer in self.layers:
            x = layer(x)
        x = x.view(n, count, count, edge, edge, dim).permute(0, 5, 1, 3, 2, 4)
        return x.reshape(n, dim, grid, grid)


class Nest(nn.Module):
    """[N, C, side, side] -> [N, dims[-1]]: levels of half the grid each, then the mean over the last grid.

    drop_path: of the last layer in training; it rises to that from 0 in equal steps.
    """

    def __init__(
        self,
        in_channels: int,
        side: int,
        dims: tuple[int, ...],
        heads: tuple[int, ...],
        depths: tuple[int, ...],
        block_edge: int,
        patch_stride: int = 1,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        rising = [drop_path * layer / max(sum(depths) - 1, 1) for layer in range(sum(depths))]
        self.patch = nn.Conv2d(in_channels, dims[0], 3, stride=patch_stride, padding=1)
        stages: list[nn.Module] = []
        grid = side // patch_stride
        for level, (dim, head_count, depth) in enumerate(zip(dims, heads, depths, strict=True)):
            if level:
                merge = nn.Conv2d(dims[level - 1], dim, 3, padding=1)
                stages += [merge, ChannelNorm(dim, eps=1e-6), nn.MaxPool2d(3, stride=2, padding=1)]
                grid //= 2
            drop_paths, rising = tuple(rising[:depth]), rising[depth:]
            stages.append(NestLevel(dim, head_count, drop_paths, grid, block_edge, dropout, norm_eps))
        self.stages = nn.Sequential(*stages)
        self.norm = ChannelNorm(dims[-1], eps=1e-6)

    def grid(self, x: Tensor) -> Tensor:
        """The last level as a map: [N, dims[-1], edge, edge]."""
        return cast(Tensor, self.norm(self.stages(self.patch(x))))

    def forward(self, x: Tensor) -> Tensor:
        """Feature vector of each picture."""
        return self.grid(x).mean(dim=(2, 3))
