"""Layers whose weights are about to be loaded: none are drawn, which would take as long as all else of loading.

Not by the device "meta": to draw numbers that are none, PyTorch imports its compiler, for seconds.
"""

from torch import nn


class Linear(nn.Linear):
    """PyTorch's, with whatever is in memory for weights."""

    def reset_parameters(self) -> None:
        """Leave them."""


class Embedding(nn.Embedding):
    """PyTorch's, with whatever is in memory for rows."""

    def reset_parameters(self) -> None:
        """Leave them."""
