"""RetinaFace for a GPU: the network of `models.retinaface`, with all that surrounds it on the device as well.

Frames go there as bytes, by pinned memory, and only the boxes of faces come back. What is done to whole batches
(normalisation, network, boxes from prior boxes) is recorded once for each size of frames; see `models.runner`.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from retinaface.box_utils import decode as decode_boxes
from torch import Tensor, nn
from torchvision.ops import batched_nms

from models.batches import rows_of
from models.detections import NMS_IOU, VARIANCES, Detections, look_quickly
from models.device import Execution, to_device
from models.retinaface import (
    CAFFE_BGR,
    IMAGENET_RGB,
    Normalisation,
    fold_batch_norms,
    load_resnet50,
    load_tensors,
    mobilenet_from_state,
    prior_boxes,
)
from models.runner import Recorder, Runner

FRAMES_A_PASS = 16
SIZES_KEPT = 16


class GpuRetinaFace:
    """A loaded detector with the interface, and the boxes, of `models.retinaface.RetinaFace`.

    Always in float32: what a detector misses by a hair is missed by all that follows.

    Args:
        network: gives box offsets, class logits and landmarks over the prior boxes; it is changed for inference.
        normalisation: of the network's input.
        execution: where; a GPU, or a CPU to compare with.
        recorder: of graphs, where the execution has them; by default CUDA's.
        quick_side_px: as `models.retinaface_onnx.OnnxRetinaFace` has it: frames are made smaller before they are sent.
    """

    def __init__(
        self,
        network: nn.Module,
        normalisation: Normalisation,
        execution: Execution,
        recorder: Recorder | None = None,
        quick_side_px: int = 0,
    ) -> None:
        self.execution = execution
        self._quick_side_px = quick_side_px
        device = execution.device
        self._network = fold_batch_norms(network.eval()).to(device)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._order = normalisation.order
        self._mean = torch.tensor(normalisation.mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(normalisation.std, device=device).view(1, 3, 1, 1)
        self._look = Runner(self._candidates, execution, recorder)
        self._priors = lru_cache(SIZES_KEPT)(self._priors_px)

    def detect(self, frames: np.ndarray, min_score: float) -> list[Detections]:
        """Find the faces of a batch of frames; see `RetinaFace.detect`.

        Args:
            frames: uint8 RGB [n, H, W, 3].
            min_score: detections below are dropped.
        """
        return look_quickly(lambda seen: self._find(seen, min_score), frames, self._quick_side_px)

    @torch.inference_mode()
    def _find(self, frames: np.ndarray, min_score: float) -> list[Detections]:
        priors = self._priors(*frames.shape[1:3])
        parts = torch.from_numpy(frames).split(FRAMES_A_PASS)
        queued = [self._look(self._filled(part), priors)[: len(part)] for part in parts]  # nothing is waited for
        return [detections for candidates in queued for detections in self._best(candidates, min_score)]

    def _filled(self, frames: Tensor) -> Tensor:
        """The frames, with black ones behind where shapes are fixed."""
        count = len(frames)
        if self.execution.fixed_shapes:
            count = next(rows for rows in rows_of(FRAMES_A_PASS) if rows >= count)
        missing = count - len(frames)
        return torch.cat([frames, frames.new_zeros(missing, *frames.shape[1:])]) if missing else frames

    def _candidates(self, frames: Tensor, priors: Tensor) -> Tensor:
        """uint8 RGB [n, H, W, 3], prior boxes in pixels [P, 4] -> x0, y0, x1, y1 and score of each: [n, P, 5]."""
        channels = frames.unbind(dim=-1)
        images = torch.stack([channels[index] for index in self._order], dim=1).float()
        images = images.sub_(self._mean).div_(self._std).contiguous(memory_format=torch.channels_last)
        offsets, logits, _ = self._network(images)
        count = len(frames)
        boxes = decode_boxes(offsets.flatten(0, 1), priors.repeat(count, 1), VARIANCES).unflatten(0, (count, -1))
        return torch.cat([boxes, torch.softmax(logits, dim=-1)[..., 1:]], dim=-1)

    def _best(self, candidates: Tensor, min_score: float) -> list[Detections]:
        """The faces among the candidates [n, P, 5] of frames, doubles suppressed, best first."""
        frame, prior = torch.nonzero(candidates[..., 4] >= min_score, as_tuple=True)
        found = candidates[frame, prior]
        kept = batched_nms(found[:, :4], found[:, 4], frame, NMS_IOU)
        faces = torch.cat([found[kept], frame[kept, None].float()], dim=1).cpu().numpy()
        of_frames = [faces[faces[:, 5] == index] for index in range(len(candidates))]
        return [Detections(faces[:, :4].copy(), faces[:, 4].copy()) for faces in of_frames]

    def _priors_px(self, height: int, width: int) -> Tensor:
        """Prior boxes of frames of one size, on the device: float32 [P, 4], centre and size in pixels."""
        return to_device(
            prior_boxes(height, width) * torch.tensor([width, height, width, height]), self.execution.device
        )


def load_on_gpu(
    detector: str, weights: Path, execution: Execution, recorder: Recorder | None = None, quick_side_px: int = 0
) -> GpuRetinaFace:
    """Load the detector "mobilenet0.25" or "resnet50" from its published state dict. The latter has no quick look.

    Raises:
        ValueError: the file holds other weights, or anything but tensors.
    """
    if detector == "resnet50":
        return GpuRetinaFace(load_resnet50(weights).network, IMAGENET_RGB, execution, recorder)
    network = mobilenet_from_state(load_tensors(weights))
    return GpuRetinaFace(network, CAFFE_BGR, execution, recorder, quick_side_px)
