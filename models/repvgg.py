"""RepVGG: a plain stack of 3x3 convolutions that is trained with three branches a block (arXiv 2101.03697).

In training a block is ReLU(BN(conv3x3 x) + BN(conv1x1 x) [+ BN(x) where the shape stays]). All three are linear, so for
inference they are summed into one biased 3x3 convolution.
"""

import copy
from typing import cast

import torch
from torch import Tensor, nn


def _fold_batch_norm(kernel: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Kernel and bias of a bias-free convolution followed by `norm`, as one convolution.

    With t = gamma / sqrt(var + eps) for each output channel: K' = t K, b' = beta - mean t.
    """
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    return kernel * scale[:, None, None, None], norm.bias - mean * scale


class RepVGGBlock(nn.Module):
    """[N, C_in, H, W] -> [N, C_out, H/stride, W/stride], multi-branch: the form that is trained and stored.

    multi_branch: False leaves the 3x3 branch alone, a plain block of the fused shape, to compare with.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, multi_branch: bool = True) -> None:
        super().__init__()
        self.stride = stride
        self.conv3 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(out_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False) if multi_branch else None
        self.norm1 = nn.BatchNorm2d(out_channels) if multi_branch else None
        has_identity = multi_branch and in_channels == out_channels and stride == 1
        self.norm_identity = nn.BatchNorm2d(in_channels) if has_identity else None

    def forward(self, x: Tensor) -> Tensor:
        """Sum of the branches, then ReLU."""
        y = self.norm3(self.conv3(x))
        if self.conv1 is not None and self.norm1 is not None:
            y = y + self.norm1(self.conv1(x))
        if self.norm_identity is not None:
            y = y + self.norm_identity(x)
        return torch.relu(y)

    @torch.no_grad()
    def fused(self) -> nn.Sequential:
        """One 3x3 convolution and a ReLU that give what this block gives in eval mode."""
        kernel, bias = _fold_batch_norm(self.conv3.weight, self.norm3)
        if self.conv1 is not None and self.norm1 is not None:
            centre = nn.functional.pad(self.conv1.weight, (1, 1, 1, 1))  # a 1x1 kernel is a 3x3 one, zero but there
            kernel1, bias1 = _fold_batch_norm(centre, self.norm1)
            kernel, bias = kernel + kernel1, bias + bias1
        if self.norm_identity is not None:
            identity = torch.zeros_like(kernel)
            nn.init.dirac_(identity)
            kernel0, bias0 = _fold_batch_norm(identity, self.norm_identity)
            kernel, bias = kernel + kernel0, bias + bias0
        conv = nn.Conv2d(self.conv3.in_channels, self.conv3.out_channels, 3, self.stride, padding=1)
        conv.weight.copy_(kernel)
        conv.bias.copy_(bias)  # type: ignore[union-attr]
        return nn.Sequential(conv, nn.ReLU()).requires_grad_(False).eval()


class RepVGG(nn.Module):
    """[N, C_in, H, W] -> [N, widths[-1]]: a stem at full resolution, stages that halve it, and the mean over space.

    widths: channels of the stem and of each stage. depths: blocks in each stage; the first has stride 2.
    multi_branch: False trains the plain network of the fused shape.
    """

    def __init__(
        self, in_channels: int, widths: tuple[int, ...], depths: tuple[int, ...], multi_branch: bool = True
    ) -> None:
        super().__init__()
        if len(widths) != len(depths) + 1:
            raise ValueError(f"widths {widths} names the stem and {len(depths)} stages: give {len(depths) + 1} numbers")
        blocks: list[nn.Module] = [RepVGGBlock(in_channels, widths[0], multi_branch=multi_branch)]
        for previous, width, depth in zip(widths, widths[1:], depths, strict=False):
            blocks += [RepVGGBlock(previous, width, 2, multi_branch)]
            blocks += [RepVGGBlock(width, width, 1, multi_branch) for _ in range(depth - 1)]
        self.blocks = nn.Sequential(*blocks)
        self.out_channels = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Feature vector of each picture."""
        return cast(Tensor, self.blocks(x)).mean(dim=(2, 3))

    def fused(self) -> "RepVGG":
        """A fused copy for inference; this module, and so a training that goes on, stays as it is."""
        clone = copy.copy(self)
        clone._modules = dict(self._modules)
        blocks = [block.fused() if isinstance(block, RepVGGBlock) else block for block in self.blocks]
        clone.blocks = nn.Sequential(*blocks)
        return clone.eval()
