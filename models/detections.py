"""What a face detector answers, and the prior boxes and suppression that RetinaFace's answers are read with.

NumPy and OpenCV only: a process that reads media should not have to load PyTorch for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

ANCHORS = 2  # prior boxes at each place of each level
PRIOR_SIZES_PX = [[16, 32], [64, 128], [256, 512]]
STRIDES_PX = [8, 16, 32]
VARIANCES = [0.1, 0.2]  # how box offsets were scaled in training
NMS_IOU = 0.4


@dataclass(frozen=True)
class Detections:
    """Faces of one frame, best first: boxes float32 [n, 4] (x0, y0, x1, y1 in pixels, may reach out), scores [n]."""

    boxes: np.ndarray
    scores: np.ndarray


def look_quickly(
    look: Callable[[np.ndarray], list[Detections]], frames: np.ndarray, quick_side_px: int
) -> list[Detections]:
    """What `look` finds in frames with this long side, and in those as they are in which it finds no face so.

    Args:
        look: finds the faces of a batch of frames.
        frames: uint8 RGB [n, H, W, 3].
        quick_side_px: 0, or no less than the frames have: as they are at once.
    """
    height, width = frames.shape[1:3]
    factor = quick_side_px / max(height, width)
    if not 0 < factor < 1:
        return look(frames)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])
    back = np.tile(np.array([width / size[0], height / size[1]], np.float32), 2)
    found = [Detections(seen.boxes * back, seen.scores) for seen in look(small)]
    missed = [index for index, seen in enumerate(found) if not len(seen.scores)]
    for index, seen in zip(missed, look(frames[missed]) if missed else [], strict=True):
        found[index] = seen
    return found


@lru_cache(maxsize=16)
def prior_boxes(height: int, width: int) -> np.ndarray:
    """Prior boxes of frames of one size: float32 [P, 4], centre and size as fractions of the frame, finest first."""
    levels = []
    for stride, sizes in zip(STRIDES_PX, PRIOR_SIZES_PX, strict=True):
        rows, columns = -(-height // stride), -(-width // stride)
        y, x, size = np.meshgrid(np.arange(rows) + 0.5, np.arange(columns) + 0.5, sizes, indexing="ij")
        level = np.stack([x * stride / width, y * stride / height, size / width, size / height], axis=-1)
        levels.append(level.reshape(-1, 4))
    return np.concatenate(levels).astype(np.float32)


def read_answer(offsets: np.ndarray, scores: np.ndarray, size: tuple[int, int], min_score: float) -> Detections:
    """The faces of one frame from a network's answer.

    Args:
        offsets: of boxes against their priors, float32 [P, 4].
        scores: probability of a face at each prior, float32 [P].
        size: height and width of the frame in pixels.
        min_score: detections below are dropped.
    """
    height, width = size
    kept = np.flatnonzero(scores >= min_score)
    priors, offsets, scores = prior_boxes(height, width)[kept], offsets[kept], scores[kept]
    centres = priors[:, :2] + offsets[:, :2] * VARIANCES[0] * priors[:, 2:]
    sides = priors[:, 2:] * np.exp(offsets[:, 2:] * VARIANCES[1])
    scale = np.array([width, height], np.float32)
    corners, sides = (centres - sides / 2) * scale, sides * scale
    rectangles = np.concatenate([corners, sides], axis=1)
    best = np.asarray(cv2.dnn.NMSBoxes(rectangles.tolist(), scores.tolist(), min_score, NMS_IOU), np.intp).reshape(-1)
    boxes = np.concatenate([corners, corners + sides], axis=1)
    return Detections(boxes[best].astype(np.float32), scores[best])
