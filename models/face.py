"""Face branch: RepVGG on each 48x48 crop, attention pooling over the faces of an utterance, one logit per emotion."""

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from models.emotions import EMOTIONS
from models.repvgg import RepVGG
from models.temporal import AttentionPool, TemporalEncoder

Module = TypeVar("Module", bound=nn.Module)

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
MIN_CONTRAST = 8.0  # of 255: flat crops are not blown up into noise


@dataclass(frozen=True)
class FaceConfig:
    """Sizes of the face branch."""

    widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    depths: tuple[int, ...] = (2, 3, 3, 1)
    time_dim: int = 64
    time_heads: int = 4
    dropout: float = 0.3
    multi_branch: bool = True  # False: the plain network that the multi-branch one is compared with


def normalise_crops(crops: Tensor) -> Tensor:
    """uint8 RGB [F, 48, 48, 3] -> float [F, 1, 48, 48], grey, each crop with mean 0 and deviation 1.

    Nearly all training pictures are grey and differ in exposure; colour could only teach skin tone, which must not
    count.
    """
    with torch.autocast(crops.device.type, enabled=False):  # half a grey level is more than bfloat16 can tell
        red, green, blue = crops.float().unbind(dim=-1)
        grey = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue  # no tensor of weights: a CUDA graph can't fetch one
        return standardise(grey[:, None])


def to_channels_last(module: Module) -> Module:
    """The module with its convolution kernels laid out as CPUs and tensor cores like them: twice as fast."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def standardise(grey: Tensor) -> Tensor:
    """[F, 1, H, W] of 0..255 -> mean 0 and deviation 1 for each picture."""
    deviation = grey.std(dim=(1, 2, 3), keepdim=True, correction=0)
    return (grey - grey.mean(dim=(1, 2, 3), keepdim=True)) / deviation.clamp_min(MIN_CONTRAST)


class FaceBranch(nn.Module):
    """Faces of utterances -> logits. An utterance with one face gets that face's logits exactly."""

    def __init__(self, config: FaceConfig) -> None:
        super().__init__()
        self.config = config
        self.body = RepVGG(1, tuple(config.widths), tuple(config.depths), config.multi_branch)
        self.temporal = TemporalEncoder(self.body.out_channels, config.time_dim, config.time_heads, layers=1)
        self.pool = AttentionPool(config.time_dim)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(self.body.out_channels, len(EMOTIONS))

    def embed(self, crops: Tensor) -> Tensor:
        """uint8 RGB [F, 48, 48, 3] -> [F, widths[-1]]."""
        return self.body(normalise_crops(crops).contiguous(memory_format=torch.channels_last))

    def classify(self, embeddings: Tensor, times_s: Tensor, mask: Tensor) -> Tensor:
        """Embeddings [B, T, widths[-1]] at times [B, T] s from the utterance's start, mask [B, T] -> logits [B, 7]."""
        contexts = self.temporal(embeddings, times_s, mask)
        return self.head(self.dropout(self.pool(contexts, embeddings, mask)))

    def fuse(self) -> None:
        """Replace the body by its fused form, for good. For inference only."""
        self.body = to_channels_last(self.body.fused())
