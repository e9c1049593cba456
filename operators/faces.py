"""Find the faces of frames and cut them out: the only pixels that leave decoding."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from models.retinaface import Detections, load_mobilenet, load_resnet50
from operators.schema import CROP_SIDE_PX
from operators.settings import FaceSettings

CROP_SIDE_PER_BOX_HEIGHT = 1.03
"""Side of the square that is cut out: what makes a crop of ours look like a picture of FER2013, which the face branch
has learnt from. On FER2013's own pictures this detector's boxes are 0.97 of a picture high and in its middle (medians).
"""


@dataclass(frozen=True)
class Face:
    """One face of one frame: box as fractions of the frame's width and height, and crop uint8 RGB [48, 48, 3]."""

    x0: float
    y0: float
    x1: float
    y1: float
    score: float
    crop: np.ndarray


class Detector(Protocol):
    """What finds boxes: a `models.retinaface.RetinaFace`, or a stand-in of a test."""

    def detect(self, frames: np.ndarray, min_score: float) -> list[Detections]:
        """Boxes and scores of each frame of uint8 RGB [n, H, W, 3]."""


class FaceDetector:
    """Faces of frames, largest first, as crops for the face branch."""

    def __init__(self, settings: FaceSettings, detector: Detector) -> None:
        self.settings = settings
        self._detector = detector

    @classmethod
    def load(cls, settings: FaceSettings, weights: Path, device: str = "cpu") -> "FaceDetector":
        """Load the detector that the settings name.

        Args:
            settings: which detector, and which of its faces are kept.
            weights: the state dict of the detector that the settings name.
            device: "cpu" or "cuda".
        """
        load = load_resnet50 if settings.detector == "resnet50" else load_mobilenet
        return cls(settings, load(weights, device))

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
            faces.append(Face(x0, y0, x1, y1, float(detections.scores[index]), crop_face(frame, boxes[index])))
        return faces


def crop_face(frame: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Cut one face out of a frame: a square around the box's middle, as the box is high, so that no face is stretched.

    What of the square lies beyond the frame repeats the frame's edge.

    Args:
        frame: uint8 RGB [H, W, 3].
        box: x0, y0, x1, y1 in pixels, within the frame and not empty.

    Returns:
        uint8 RGB [48, 48, 3].
    """
    height, width, _ = frame.shape
    x0, y0, x1, y1 = (float(edge) for edge in box)
    side = max(round(CROP_SIDE_PER_BOX_HEIGHT * (y1 - y0)), 1)
    left, top = min(round((x0 + x1 - side) / 2), width - 1), min(round((y0 + y1 - side) / 2), height - 1)
    seen = frame[max(top, 0) : min(top + side, height), max(left, 0) : min(left + side, width)]
    beyond = (max(-top, 0), max(top + side - height, 0), max(-left, 0), max(left + side - width, 0))
    if any(beyond):
        seen = cv2.copyMakeBorder(seen, *beyond, cv2.BORDER_REPLICATE)
    return cv2.resize(seen, (CROP_SIDE_PX, CROP_SIDE_PX), interpolation=cv2.INTER_AREA)
