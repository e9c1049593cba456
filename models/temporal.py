"""What joins the parts of an utterance in time: a transformer over items with times, and attention pooling."""

import math

import torch
from torch import Tensor, nn

SHORTEST_PERIOD_S, LONGEST_PERIOD_S = 0.2, 60.0


def time_encoding(times_s: Tensor, dim: int) -> Tensor:
    """Sinusoids of times: [B, T] seconds -> [B, T, dim], periods from 0.2 s to 60 s in geometric steps.

    Real times, not ranks, as faces are missing from some frames (the paper's encoders had no position at all).
    """
    steps = torch.linspace(0, 1, dim // 2, device=times_s.device)
    period_s = SHORTEST_PERIOD_S * (LONGEST_PERIOD_S / SHORTEST_PERIOD_S) ** steps
    phase = 2 * math.pi * times_s.float()[..., None] / period_s
    return torch.cat([phase.sin(), phase.cos()], dim=-1)


class TransformerLayer(nn.Module):
    """Pre-norm self-attention and MLP over [B, T, dim]; key_mask [B, T] is True where an item is real, or None.

    Without a mask any number of dimensions may come before T. drop_path: how often each of the two is left out in
    training, for a whole entry of the first dimension (stochastic depth, arXiv 1603.09382).
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        mlp_ratio: int = 2,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(dim, norm_eps)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim, norm_eps)
        self.mlp = nn.Sequential(
            nn.Linear(dim, mlp_ratio * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(mlp_ratio * dim, dim)
        )
        self.dropout = nn.Dropout(dropout)
        self.drop_path = _stochastic_depth(drop_path)

    def forward(self, x: Tensor, key_mask: Tensor | None = None) -> Tensor:
        """Same shape; items that the mask hides are never attended to."""
        length, dim = x.shape[-2:]
        q, k, v = self.qkv(self.norm1(x)).view(-1, length, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        mask = None if key_mask is None else key_mask[:, None, None, :]
        attended = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.drop_path(self.dropout(self.out(attended.transpose(1, 2).reshape(x.shape))))
        return x + self.drop_path(self.dropout(self.mlp(self.norm2(x))))


def _stochastic_depth(probability: float) -> nn.Module:
    if not probability:
        return nn.Identity()
    from torchvision.ops import StochasticDepth  # it takes a second to import, for training alone

    return StochasticDepth(probability, mode="row")


class TemporalEncoder(nn.Module):
    """Items [B, T, in_dim] at times [B, T] s -> [B, T, dim], each knowing the others and when they were."""

    def __init__(self, in_dim: int, dim: int, heads: int, layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.project = nn.Linear(in_dim, dim)
        self.layers = nn.ModuleList(TransformerLayer(dim, heads, dropout=dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def forward(self, items: Tensor, times_s: Tensor, mask: Tensor) -> Tensor:
        """mask [B, T]: True where an item is real. Each row needs at least one real item."""
        x = self.project(items)
        x = x + 0.1 * time_encoding(times_s, x.shape[-1]).to(x.dtype)
        for layer in self.layers:
            x = layer(x, mask)
        return self.norm(x)


class AttentionPool(nn.Module):
    """Weighted mean of values [B, T, V], weights from contexts [B, T, dim] by a learned query."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(dim, dim), nn.Tanh(), nn.Linear(dim, 1))

    def forward(self, contexts: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """[B, V]; hidden items have weight 0, and a single item has weight 1."""
        scores = self.score(contexts)[..., 0].masked_fill(~mask, float("-inf"))
        return torch.einsum("bt,btv->bv", scores.softmax(dim=-1), values)
