"""Items of many lengths through a network, those of like length together, so that little is padded."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from models.emotions import EMOTIONS


def in_batches(lengths: Sequence[int], batch_size: int, classify: Callable[[list[int]], Tensor]) -> Tensor:
    """Run `classify` over all rows, those of like length together, and give its logits in the rows' own order."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    logits = torch.empty(len(lengths), len(EMOTIONS))
    for first in range(0, len(order), batch_size):
        chosen = order[first : first + batch_size]
        logits[chosen] = classify(chosen).float().cpu()
    return logits
