"""The learning rate's way through a training."""

import math


def one_cycle(progress: float, warmup: float) -> float:
    """Factor of the learning rate at `progress` in 0..1: linear to 1 over `warmup`, then half a cosine to 0."""
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
