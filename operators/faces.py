"""Find the faces of frames and cut them out: the only pixels that leave decoding."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from models.detections import Detections
from models.face_crop import crop_face
from operators.settings import FaceSettings

CROPS_A_BLOCK = 256


@dataclass(frozen=True)
class Face:
    """One face of one frame: box as fractions of the frame's width and height; bytes of the crop, RGB [48, 48, 3]."""

    x0: float
    y0: float
    x1: float
    y1: float
    score: float
    crop: memoryview


class _Kept:
    """Crops that lie together, many in a block of memory, which is freed when none of them is in use.

    They outlive all else that looking at frames makes. Each in a place of its own, they would lie scattered over what
    is freed around them, so that the next frames fit in nowhere: two gigabytes in half an hour of video. That goes for
    a single small block, too, as every array has: they are handed out as memoryviews, which have none.
    """

    def __init__(self) -> None:
        self._block = memoryview(b"")
        self._used = 0

    def keep(self, crop: np.ndarray) -> memoryview:
        """The crop, in its place."""
        if self._used == len(self._block):
            self._block, self._used = memoryview(bytearray(CROPS_A_BLOCK * crop.nbytes)), 0
        kept = self._block[self._used : self._used + crop.nbytes]
        kept[:] = crop.reshape(-1).data
        self._used += crop.nbytes
        return kept


class Detector(Protocol):
    """What finds boxes: a `models.retinaface_onnx.OnnxRetinaFace`, a `RetinaFace`, or a stand-in of a test."""

    def detect(self, frames: np.ndarray, min_score: float) -> list[Detections]:
        """Boxes and scores of each frame of uint8 RGB [n, H, W, 3]."""


class FaceDetector:
    """Faces of frames, largest first, as crops for the face branch."""

    def __init__(self, settings: FaceSettings, detector: Detector) -> None:
        self.settings = settings
        self._detector = detector
        self._crops = _Kept()

    @classmethod
    def load(cls, settings: FaceSettings, weights: Path, device: str = "cpu") -> "FaceDetector":
        """Load the detector that the settings name.

        Args:
            settings: which detector, and which of its faces are kept.
            weights: of the detector that the settings name: a graph of ONNX Runtime, or ResNet-50's state dict.
            device: of ResNet-50: "cpu" or "cuda".
        """
        # Only one of them is imported: PyTorch takes seconds.
        if settings.detector == "resnet50":
            from models.retinaface import load_resnet50

            return cls(settings, load_resnet50(weights, device))
        from models.retinaface_onnx import OnnxRetinaFace

        return cls(settings, OnnxRetinaFace(weights, settings.quick_side_px))

    def detect(self, frames: np.ndarray) -> list[list[Face]]:
        """Find and cut out the faces of each frame, the largest first, at most `max_faces_per_frame`.

        Args:
            frames: uint8 RGB [n, H, W, 3], upright, square pixels.
        """
        if len(frames) == 0:
            return []
        found = self._detector.detect(frames, self.settings.min_score)
        return [self._faces(frame, detections) for frame, detections in zip(frames, found, strict=True)]

    def _faces(self, frame: np.ndarray, detections: Detections) -> list[Face]:
        height, width, _ = frame.shape
        boxes = np.clip(detections.boxes, 0, [width, height, width, height])
        sides = boxes[:, 2:] - boxes[:, :2]
        large = np.flatnonzero(sides.min(axis=1, initial=np.inf) >= self.settings.min_face_px)
        by_area = large[np.argsort(-sides[large].prod(axis=1), kind="stable")]
        faces = []
        for index in by_area[: self.settings.max_faces_per_frame]:
            x0, y0, x1, y1 = (boxes[index] / [width, height, width, height]).tolist()
            crop = crop_face(frame, boxes[index])
            faces.append(Face(x0, y0, x1, y1, float(detections.scores[index]), self._crops.keep(crop)))
        return faces
