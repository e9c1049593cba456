"""RetinaFace MobileNet-0.25 in ONNX Runtime: the same boxes as `models.retinaface` gives, at a third of the cost.

`python -m models.convert_detector` makes the file from the published weights. PyTorch is not loaded here: importing it
takes longer, and more memory, than all else that a process which reads media needs.
"""

from pathlib import Path

import numpy as np
import onnxruntime

from models.detections import Detections, look_quickly, read_answer

OFFSETS, SCORES = "offsets", "scores"
"""What the graph gives, from `frames`, uint8 RGB [n, H, W, 3]: float32 [n, P, 4] and [n, P]."""


class OnnxRetinaFace:
    """A loaded detector, on one thread of the CPU.

    Args:
        model: the file that `models.convert_detector` has made.
        quick_side_px: frames are first looked at with this long side, and as they are only if no face is found; 0: as
            they are at once.

    Raises:
        ValueError: the file holds no such detector.
    """

    def __init__(self, model: Path, quick_side_px: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Its arena would keep room for the largest batch of every size of frame that ever came.
        options.enable_cpu_mem_arena = False
        try:
            self._session = onnxruntime.InferenceSession(model.read_bytes(), options, ["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a type for each of its error codes, and no common one
            raise ValueError(f"{model} holds no face detector that can be loaded: {error}") from error
        self._quick_side_px = quick_side_px

    def detect(self, frames: np.ndarray, min_score: float) -> list[Detections]:
        """Find the faces of a batch of frames.

        Args:
            frames: uint8 RGB [n, H, W, 3].
            min_score: detections below are dropped.

        Returns:
            One `Detections` a frame.
        """
        return look_quickly(lambda seen: self._look(seen, min_score), frames, self._quick_side_px)

    def _look(self, frames: np.ndarray, min_score: float) -> list[Detections]:
        offsets, scores = self._session.run([OFFSETS, SCORES], {"frames": np.ascontiguousarray(frames)})
        size = (frames.shape[1], frames.shape[2])
        return [read_answer(*answer, size, min_score) for answer in zip(offsets, scores, strict=True)]
