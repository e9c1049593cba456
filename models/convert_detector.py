"""Write the face detector that ships for the CPU, from the published weights.

    python -m models.convert_detector [FILE]

Batch norms are folded, the order of channels and the mean of pixels are part of the graph, the landmarks that nobody
reads are left out. Wants the package onnx.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from models.catalogue import find, folder, locate
from models.retinaface import CAFFE_BGR, MobileNetRetinaFace, fold_batch_norms, load_tensors, mobilenet_from_state
from models.retinaface_onnx import OFFSETS, SCORES

OPSET = 17


class Exported(nn.Module):
    """uint8 RGB [n, H, W, 3] -> box offsets [n, P, 4] and the probability of a face [n, P]."""

    mean: Tensor

    def __init__(self, network: MobileNetRetinaFace) -> None:
        super().__init__()
        self.network = fold_batch_norms(network.eval())
        first = self.network.body.stage1[0][0]  # type: ignore[index,union-attr]
        first.weight = nn.Parameter(first.weight[:, list(CAFFE_BGR.order)])  # type: ignore[union-attr]
        mean = torch.tensor(CAFFE_BGR.mean)[list(CAFFE_BGR.order)]
        self.register_buffer("mean", mean.view(1, 3, 1, 1))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the two answers."""
        offsets, logits, _ = self.network(frames.permute(0, 3, 1, 2).float() - self.mean)
        return offsets, torch.sigmoid(logits[:, :, 1] - logits[:, :, 0])


def convert(weights: Path, target: Path) -> None:
    """Convert the published state dict `weights`."""
    network = Exported(mobilenet_from_state(load_tensors(weights)))
    axes = {"frames": {0: "n", 1: "height", 2: "width"}, OFFSETS: {0: "n", 1: "priors"}, SCORES: {0: "n", 1: "priors"}}
    torch.onnx.export(
        network,
        (torch.zeros(2, 96, 160, 3, dtype=torch.uint8),),
        str(target),
        input_names=["frames"],
        output_names=[OFFSETS, SCORES],
        dynamic_axes=axes,
        opset_version=OPSET,
        dynamo=False,
    )


if __name__ == "__main__":
    entry = find("retinaface-mobilenet0.25-onnx")
    convert(
        locate("retinaface-mobilenet0.25"), Path(sys.argv[1]) if sys.argv[1:] else folder(entry) / entry.files[0].name
    )
