"""Checkpoints of a training: written whole or not at all, so that one that is cut off goes on from its last epoch."""

from pathlib import Path
from typing import Any

import torch


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, dicts and lists of them) under a temporary name, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The state at `path`, or None where there is none yet."""
    return torch.load(path, weights_only=True) if path.is_file() else None


class WeightAverage:
    """Exponential moving average of a module's parameters and buffers: what is evaluated and kept."""

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.state = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: torch.nn.Module) -> None:
        """Take one step towards the module; the first steps weigh more, so that the start is forgotten."""
        self.steps += 1
        keep = min(self.decay, self.steps / (10 + self.steps))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1 - keep)
            else:
                self.state[name].copy_(value)
