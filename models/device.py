"""Where a network runs and in which arithmetic, and how its inputs get there without anybody waiting."""

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Precision = Literal["float32", "bfloat16"]

CONTEXT_BYTES = 512 << 20
"""What a process takes of a GPU before it has a tensor there: CUDA's context and the libraries' kernels."""
LEAST_FRACTION = 0.01


@dataclass(frozen=True)
class Execution:
    """How a network is run.

    device: "cpu", "cuda" or "cuda:1". precision: bfloat16 is autocast: products in bfloat16, sums and what needs it in
    float32. fixed_shapes: batches are padded to a few shapes, so that each can be recorded. graphs: each shape is
    recorded once as a CUDA graph and replayed.
    """

    device: str = "cpu"
    precision: Precision = "float32"
    fixed_shapes: bool = False
    graphs: bool = False

    @classmethod
    def on(cls, device: str, precision: Precision = "float32", graphs: bool | None = None) -> "Execution":
        """The usual way on a device: graphs where there is a GPU, unless it is said; shapes are fixed for graphs."""
        on_gpu = torch.device(device).type == "cuda"
        recorded = on_gpu if graphs is None else graphs and on_gpu
        return cls(device, precision, recorded, recorded)

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return torch.device(self.device).type == "cuda"

    def autocast(self) -> AbstractContextManager[object]:
        """What a forward pass runs in. Without a cache of weights: each is used once, and graphs allow none."""
        enabled = self.precision == "bfloat16"
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=enabled, cache_enabled=False)


def as_execution(device: str | Execution) -> Execution:
    """The usual execution on a device that is named; "auto": on a GPU where there is one."""
    if isinstance(device, Execution):
        return device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return Execution.on(device)


def has_bfloat16(device: str) -> bool:
    """Whether a device computes in bfloat16 faster than in float32: GPUs from Ampere on. Of CPUs, few do."""
    return torch.device(device).type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def device_and_index(device: str) -> tuple[str, int]:
    """What CTranslate2 wants to know: "cuda:1" -> ("cuda", 1). The index is among the GPUs that the process sees."""
    parsed = torch.device(device)
    return parsed.type, parsed.index or 0


def to_device(tensor: Tensor, device: str | torch.device) -> Tensor:
    """The tensor there. To a GPU by pinned memory and without waiting: kernels that use it are queued behind the copy.

    The pinned memory is PyTorch's, which gives it to nobody else before the copy is done.
    """
    target = torch.device(device)
    if target.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(target, non_blocking=target.type == "cuda")


def memory_fraction(share: float, total_bytes: int) -> float:
    """Of a GPU of so many bytes, what PyTorch may take in a process that has this share of it, 0 to 1.

    The share less what the process takes anyway. What CTranslate2 and ffmpeg take isn't PyTorch's to limit.
    """
    if share >= 1:
        return 1.0
    return max(LEAST_FRACTION, math.floor(1000 * (share - CONTEXT_BYTES / total_bytes)) / 1000)


def prepare_gpu(share: float, device: str = "cuda") -> None:
    """Make this process a good neighbour on a GPU that it has a share of, and its float32 what the name says.

    TensorFloat-32, on by default in convolutions, has the precision of bfloat16 in all but name: then labels would
    differ by the card. Nothing without a GPU.
    """
    if not torch.cuda.is_available():
        return
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    total_bytes = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(memory_fraction(share, total_bytes), device)
