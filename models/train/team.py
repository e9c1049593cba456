"""The processes that train one module together, if there are several: torch.distributed knows them.

Whoever starts them (a cluster's scheduler, or torchrun) sets torch.distributed up before the training begins; a process
of which it knows nothing trains alone.
"""

from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


@dataclass(frozen=True)
class Team:
    """`size` processes, of which this one is number `rank`; the first validates, and writes files.

    All of them must call `share`, `mean` and what `averaging` gave in the same order: each call waits for the others.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process speaks for all."""
        return self.rank == 0

    def averaging(self, loss: nn.Module) -> nn.Module:
        """`loss`, whose backward pass leaves the mean of all processes' gradients; weights are the first one's.

        Buffers, such as a batch norm's running mean, are the first process' before every pass.
        """
        if self.size == 1:
            return loss
        return DistributedDataParallel(loss, find_unused_parameters=True)  # a pass may leave whole branches out

    def share(self, value: T) -> T:
        """The first process' value; that of the others is not looked at."""
        if self.size == 1:
            return value
        box = [value if self.first else None]
        dist.broadcast_object_list(box, src=0)
        return box[0]  # type: ignore[return-value]

    def mean(self, value: float, device: torch.device) -> float:
        """Mean over the processes."""
        if self.size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=device)
        dist.all_reduce(total)
        return float(total) / self.size


def current_team() -> Team:
    """The processes that torch.distributed knows, or this one alone."""
    if dist.is_available() and dist.is_initialized():
        return Team(dist.get_rank(), dist.get_world_size())
    return Team()
