"""Cut a face out of a frame, as the face branch wants to see it."""

import cv2
import numpy as np

CROP_SIDE_PX = 48
CROP_SIDE_PER_BOX_HEIGHT = 1.03
"""Side of the square that is cut out: what makes a crop of ours look like a picture of FER2013, which the face branch
has learnt from. On FER2013's own pictures this detector's boxes are 0.97 of a picture high and in its middle (medians).
"""


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
