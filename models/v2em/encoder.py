"""Encoder over the faces, or the slices, of an utterance: a transformer that is read at a learned first vector."""

import torch
from torch import Tensor, nn

from models.temporal import time_encoding
from models.v2em.config import EncoderSizes

TIME_SCALE = 0.1  # of the sinusoids beside the vectors, as in models/temporal.py


class SequenceEncoder(nn.Module):
    """Vectors of B utterances, packed one after the other, -> [B, dim].

    knows_times: False leaves the order of the vectors unknown, as published.
    """

    def __init__(self, sizes: EncoderSizes, knows_times: bool) -> None:
        super().__init__()
        self.knows_times = knows_times
        self.first = nn.Parameter(torch.randn(1, sizes.dim))
        layer = nn.TransformerEncoderLayer(
            sizes.dim, sizes.heads, sizes.feed_forward, sizes.dropout, activation="relu", batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, sizes.layers, enable_nested_tensor=False)

    def forward(self, vectors: Tensor, times_s: Tensor, lengths: Tensor) -> Tensor:
        """vectors [N, dim] at times [N] s of their utterance, lengths [B] with sum N, 0 allowed -> [B, dim]."""
        if self.knows_times:
            vectors = vectors + TIME_SCALE * time_encoding(times_s[None], vectors.shape[-1])[0].to(vectors.dtype)
        items, real = pad_packed(vectors, lengths)
        first = self.first.to(items.dtype).expand(len(items), 1, -1)
        x = torch.cat([first, items], dim=1)
        hidden = torch.cat([torch.zeros_like(real[:, :1]), ~real], dim=1) if real.shape[1] else None
        encoded: Tensor = self.encoder(x, src_key_padding_mask=hidden)
        return encoded[:, 0]


def pad_packed(vectors: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """[N, D] and lengths [B] -> zero-padded [B, T, D] and bool [B, T], True where a vector is real."""
    longest = int(lengths.max()) if len(lengths) else 0
    real = torch.arange(longest, device=vectors.device) < lengths[:, None]
    padded = vectors.new_zeros(*real.shape, vectors.shape[-1])
    padded[real] = vectors
    return padded, real
