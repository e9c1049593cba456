"""Face crops of 48x48 as published: around the largest face of a frame, or from its middle where there is none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from models.detections import Detections
from models.retinaface import RetinaFace
from models.v2em.vision import CROP_SIDE_PX

MARGIN_PX = 2  # of the finished crop
MIN_SCORE = 0.6
MIN_FACE_PX = 20

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels; may reach out of the frame."""
FaceDetector = Callable[[np.ndarray], Sequence[Box | None]]
"""uint8 RGB frames [n, H, W, 3] -> the box of the largest face of each, or None."""


@dataclass(frozen=True)
class Crop:
    """uint8 RGB [48, 48, 3], and whether it shows a face that was found."""

    pixels: np.ndarray
    found: bool


def largest_face(detections: Detections) -> Box | None:
    """The box with the largest area whose sides are 20 px or more."""
    sides = detections.boxes[:, 2:] - detections.boxes[:, :2]
    areas = np.where(sides.min(axis=1, initial=np.inf) >= MIN_FACE_PX, sides.prod(axis=1), 0)
    if not areas.any():
        return None
    x0, y0, x1, y1 = detections.boxes[int(np.argmax(areas))].tolist()
    return x0, y0, x1, y1


def detect_with(detector: RetinaFace) -> FaceDetector:
    """RetinaFace as a detector for `face_crop`. The published one is MTCNN, with the same rule of the largest face."""

    def detect(frames: np.ndarray) -> list[Box | None]:
        return [largest_face(found) for found in detector.detect(frames, MIN_SCORE)]

    return detect


def face_crop(frame: np.ndarray, box: Box | None, legacy: bool) -> Crop:
    """Cut the face out of a frame, uint8 RGB [H, W, 3]; its sides are not kept in proportion.

    Without a face, or with a box that lies outside, a patch of the frame's middle is cut and marked as not found;
    `legacy` takes it 24 px too far left and as if the frame were square, as published.
    """
    area = None if box is None else _with_margin(box, frame.shape[0], frame.shape[1])
    if area is None:
        return Crop(_middle(frame, legacy), found=False)
    x0, y0, x1, y1 = area
    pixels = cv2.resize(frame[y0:y1, x0:x1], (CROP_SIDE_PX, CROP_SIDE_PX), interpolation=cv2.INTER_AREA)
    return Crop(pixels, found=True)


def _with_margin(box: Box, height: int, width: int) -> tuple[int, int, int, int] | None:
    """The box with 1 px of the finished crop more on each side, within the frame; None when nothing is left."""
    x0, y0, x1, y1 = box
    spread = MARGIN_PX / (CROP_SIDE_PX - MARGIN_PX) / 2
    across, down = spread * (x1 - x0), spread * (y1 - y0)
    left, top = int(max(x0 - across, 0)), int(max(y0 - down, 0))
    right, bottom = int(min(x1 + across, width)), int(min(y1 + down, height))
    return (left, top, right, bottom) if right > left and bottom > top else None


def _middle(frame: np.ndarray, legacy: bool) -> np.ndarray:
    """A patch of 48x48 px; frames that are smaller are padded with black."""
    height, width, _ = frame.shape
    top, left = (height - CROP_SIDE_PX) // 2, (width - CROP_SIDE_PX) // 2
    if legacy:
        left = top - CROP_SIDE_PX // 2
    patch = np.zeros((CROP_SIDE_PX, CROP_SIDE_PX, 3), np.uint8)
    seen = frame[max(top, 0) : max(top + CROP_SIDE_PX, 0), max(left, 0) : max(left + CROP_SIDE_PX, 0)]
    row, column = max(-top, 0), max(-left, 0)
    patch[row : row + seen.shape[0], column : column + seen.shape[1]] = seen
    return patch
