"""RetinaFace: finds faces in frames.

The single-stage detector of Deng et al., "RetinaFace: Single-stage Dense Face Localisation in the Wild" (CVPR 2020),
put together from retinaface-pytorch's own feature pyramid, context modules, heads, prior boxes and box decoding. That
package builds it on ResNet-50 only; `MobileNetV1Quarter` is the small body (0.43 M parameters). On a CPU that one runs
from `models.retinaface_onnx`, for which this is the reference.
"""

import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from retinaface.box_utils import decode as decode_boxes
from retinaface.net import FPN, SSH, conv_bn, conv_dw
from retinaface.network import RetinaFace as ResNetRetinaFace
from retinaface.prior_box import priorbox
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.ops import batched_nms

from models.detections import ANCHORS, NMS_IOU, PRIOR_SIZES_PX, STRIDES_PX, VARIANCES, Detections

PYRAMID_CHANNELS = 64


class MobileNetV1Quarter(nn.Module):
    """MobileNetV1 with a quarter of the channels: [n, 3, H, W] -> features at strides 8, 16, 32 of 64, 128, 256."""

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(
            conv_bn(3, 8, 2, leaky=0.1),
            conv_dw(8, 16, 1),
            conv_dw(16, 32, 2),
            conv_dw(32, 32, 1),
            conv_dw(32, 64, 2),
            conv_dw(64, 64, 1),
        )
        self.stage2 = nn.Sequential(conv_dw(64, 128, 2), *[conv_dw(128, 128, 1) for _ in range(5)])
        self.stage3 = nn.Sequential(conv_dw(128, 256, 2), conv_dw(256, 256, 1))

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute the three feature maps, finest first."""
        fine = self.stage1(images)
        middle = self.stage2(fine)
        return {"1": fine, "2": middle, "3": self.stage3(middle)}


class MobileNetRetinaFace(nn.Module):
    """RetinaFace on `MobileNetV1Quarter`: [n, 3, H, W] -> box offsets [n, P, 4], class logits [n, P, 2], landmarks."""

    def __init__(self) -> None:
        super().__init__()
        self.body = MobileNetV1Quarter()
        self.fpn = FPN([64, 128, 256], PYRAMID_CHANNELS)
        self.ssh1 = SSH(PYRAMID_CHANNELS, PYRAMID_CHANNELS)
        self.ssh2 = SSH(PYRAMID_CHANNELS, PYRAMID_CHANNELS)
        self.ssh3 = SSH(PYRAMID_CHANNELS, PYRAMID_CHANNELS)
        # The package's own makers: static methods of a class whose constructor insists on ResNet-50.
        self.ClassHead = ResNetRetinaFace._make_class_head(3, PYRAMID_CHANNELS, ANCHORS)
        self.BboxHead = ResNetRetinaFace._make_bbox_head(3, PYRAMID_CHANNELS, ANCHORS)
        self.LandmarkHead = ResNetRetinaFace._make_landmark_head(3, PYRAMID_CHANNELS, ANCHORS)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Compute the three heads over all prior boxes, finest level first."""
        levels = self.fpn(self.body(images))
        features = [ssh(level) for ssh, level in zip((self.ssh1, self.ssh2, self.ssh3), levels, strict=True)]
        boxes, classes, landmarks = (
            torch.cat([head(feature) for head, feature in zip(heads, features, strict=True)], dim=1)
            for heads in (self.BboxHead, self.ClassHead, self.LandmarkHead)
        )
        return boxes, classes, landmarks


@dataclass(frozen=True)
class Normalisation:
    """What a network expects: pixel values 0..255 less `mean`, divided by `std`, channels in `order` of RGB."""

    order: tuple[int, int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


CAFFE_BGR = Normalisation((2, 1, 0), (104.0, 117.0, 123.0), (1.0, 1.0, 1.0))
IMAGENET_RGB = Normalisation((0, 1, 2), (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


class RetinaFace:
    """A loaded detector.

    Args:
        network: gives box offsets, class logits and landmarks over the prior boxes; it is changed for inference.
        normalisation: of the network's input.
        device: "cpu" or "cuda".
    """

    def __init__(self, network: nn.Module, normalisation: Normalisation, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.network = fold_batch_norms(network.eval()).to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._order = list(normalisation.order)
        self._mean = torch.tensor(normalisation.mean, device=self.device).view(1, 3, 1, 1)
        self._std = torch.tensor(normalisation.std, device=self.device).view(1, 3, 1, 1)

    @torch.inference_mode()
    def detect(self, frames: np.ndarray, min_score: float) -> list[Detections]:
        """Find the faces of a batch of frames.

        Args:
            frames: uint8 RGB [n, H, W, 3].
            min_score: detections below are dropped.

        Returns:
            One `Detections` a frame.
        """
        count, height, width, _ = frames.shape
        # [n, H, W, 3] seen as [n, 3, H, W] already lies in memory as channels_last wants it.
        images = torch.from_numpy(frames).to(self.device).permute(0, 3, 1, 2)[:, self._order]
        images = images.float().contiguous(memory_format=torch.channels_last).sub_(self._mean).div_(self._std)
        offsets, logits, _ = self.network(images)
        scores = torch.softmax(logits, dim=-1)[:, :, 1]
        frame, prior = torch.nonzero(scores >= min_score, as_tuple=True)
        scores = scores[frame, prior]
        priors = prior_boxes(height, width).to(self.device)
        boxes = decode_boxes(offsets[frame, prior], priors[prior], VARIANCES)
        boxes *= torch.tensor([width, height, width, height], device=self.device)
        kept = batched_nms(boxes, scores, frame, NMS_IOU)  # by falling score
        frame, boxes, scores = frame[kept].cpu(), boxes[kept].cpu(), scores[kept].cpu()
        return [Detections(boxes[frame == index].numpy(), scores[frame == index].numpy()) for index in range(count)]


@lru_cache(maxsize=16)
def prior_boxes(height: int, width: int) -> torch.Tensor:
    """Prior boxes of frames of one size: float32 [P, 4], centre and size as fractions of the frame."""
    return priorbox(PRIOR_SIZES_PX, STRIDES_PX, clip=False, image_size=(height, width))


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """Fold every batch norm that follows a convolution in a `Sequential` into it, in place: same outputs, less work."""
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            for index in range(len(module) - 1):
                first, second = module[index], module[index + 1]
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    module[index], module[index + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
    return network


def load_mobilenet(weights: Path, device: str = "cpu") -> RetinaFace:
    """Load the MobileNet-0.25 detector from its published state dict (keys prefixed `module.`).

    Raises:
        ValueError: the file holds other weights, or anything but tensors.
    """
    state = load_tensors(weights)
    return RetinaFace(mobilenet_from_state(state), CAFFE_BGR, device)


def load_tensors(weights: Path) -> dict[str, torch.Tensor]:
    """The state dict in a file of torch.save. A pickle that asks for anything else to be made or run is refused.

    Raises:
        ValueError: the file holds anything but tensors.
    """
    try:
        state: dict[str, torch.Tensor] = torch.load(weights, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        # PyTorch's own message goes on to advise how to load such a file all the same: not shown.
        raise ValueError(f"{weights} holds something else than weights and is not loaded") from error
    return state


def mobilenet_from_state(state: Mapping[str, torch.Tensor]) -> MobileNetRetinaFace:
    """Build the network from a state dict; every tensor must be there and used."""
    network = MobileNetRetinaFace()
    try:
        network.load_state_dict({key.removeprefix("module."): value for key, value in state.items()}, strict=True)
    except RuntimeError as error:
        raise ValueError(f"these are not the weights of RetinaFace MobileNet-0.25: {error}") from error
    return network


def load_resnet50(weights: Path, device: str = "cpu") -> RetinaFace:
    """Load retinaface-pytorch's own ResNet-50 detector from its published state dict.

    Raises:
        ValueError: the file holds anything but tensors.
    """
    # Imported here: it pulls in albumentations, which only this detector needs, and which would look for updates.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    from retinaface.predict_single import Model

    # Not through the package's get_model, which unpickles whatever it has downloaded.
    model = Model(max_size=1, device="cpu")
    model.load_state_dict(load_tensors(weights))
    return RetinaFace(model.model, IMAGENET_RGB, device)
