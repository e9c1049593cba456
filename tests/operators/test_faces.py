"""Faces: which are kept, and how they are cut out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.detections import Detections
from models.face_crop import crop_face
from operators.faces import CROPS_A_BLOCK, FaceDetector
from operators.settings import FaceSettings

HEIGHT, WIDTH = 120, 200


class Found:
    """A stand-in detector: the same boxes (x0, y0, x1, y1, score) in every frame."""

    def __init__(self, *boxes: tuple[float, float, float, float, float]) -> None:
        self.boxes = np.array(boxes, np.float32).reshape(-1, 5)

    def detect(self, frames: np.ndarray, min_score: float) -> list[Detections]:
        kept = self.boxes[self.boxes[:, 4] >= min_score]
        return [Detections(kept[:, :4], kept[:, 4]) for _ in frames]


def faces_of(*boxes: tuple[float, float, float, float, float], **settings: float) -> list:
    detector = FaceDetector(FaceSettings.model_validate(settings), Found(*boxes))
    first, second = detector.detect(np.zeros((2, HEIGHT, WIDTH, 3), np.uint8))
    assert len(first) == len(second)
    return first


def test_the_largest_faces_are_kept_largest_first() -> None:
    small, large, middle = (0, 0, 30, 30, 0.99), (50, 10, 130, 110, 0.7), (140, 10, 190, 70, 0.9)
    faces = faces_of(small, large, middle, max_faces_per_frame=2)
    assert [round(face.score, 2) for face in faces] == [0.7, 0.9]
    assert (faces[0].x0, faces[0].x1) == pytest.approx((50 / WIDTH, 130 / WIDTH))
    assert (faces[0].y0, faces[0].y1) == pytest.approx((10 / HEIGHT, 110 / HEIGHT))


def test_unsure_and_tiny_faces_are_dropped() -> None:
    assert faces_of((0, 0, 60, 60, 0.59), (70, 0, 130, 15, 0.9), min_score=0.6, min_face_px=20) == []


def test_a_box_beyond_the_edge_is_clipped() -> None:
    (face,) = faces_of((-30, -10, 60, 60, 0.9))
    assert (face.x0, face.y0, face.x1, face.y1) == pytest.approx((0, 0, 60 / WIDTH, 60 / HEIGHT))


def test_each_face_keeps_its_own_crop_and_they_share_a_few_blocks_of_memory() -> None:
    """A block of memory for each would leave holes that the next frames don't fit in (see `operators.faces`)."""
    rng, boxes = np.random.default_rng(0), ((10, 5, 90, 100, 0.9), (100, 20, 160, 90, 0.8))
    detector = FaceDetector(FaceSettings(), Found(*boxes))
    frames = [rng.integers(0, 256, (2, HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(200)]
    found = [face for batch in frames for faces in detector.detect(batch) for face in faces]
    expected = [crop_face(frame, np.array(box[:4])) for batch in frames for frame in batch for box in boxes]
    for face, crop in zip(found, expected, strict=True):
        assert bytes(face.crop) == crop.tobytes()
    blocks = {id(face.crop.obj) for face in found}
    assert len(blocks) == -(-len(found) // CROPS_A_BLOCK)


def test_no_frames_no_faces() -> None:
    detector = FaceDetector(FaceSettings(), Found())
    assert detector.detect(np.empty((0, HEIGHT, WIDTH, 3), np.uint8)) == []


def test_the_crop_is_a_square_around_the_box_as_high_as_the_box() -> None:
    """A box of 30 x 47 px gives a square of 48 px: no resizing, so that each pixel can be told."""
    frame = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    crop = crop_face(frame, np.array([50, 40, 80, 87]))
    np.testing.assert_array_equal(crop, frame[40:88, 41:89])


def test_what_lies_beyond_the_frame_repeats_its_edge() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    crop = crop_face(frame, np.array([0, 40, 28, 87]))  # a square from -10 to 38
    np.testing.assert_array_equal(crop[:, 10:], frame[40:88, :38])
    np.testing.assert_array_equal(crop[:, :10], np.repeat(frame[40:88, :1], 10, axis=1))


def test_the_crop_is_averaged_over_areas() -> None:
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frame[:, ::2] = (200, 100, 50)  # stripes of one pixel: their mean is left when each crop pixel covers two
    crop = crop_face(frame, np.array([10, 10, 102, 102]))
    assert crop.shape == (48, 48, 3)
    assert np.abs(crop.astype(int) - (100, 50, 25)).max() <= 2


@given(
    x0=st.floats(0, WIDTH - 20), y0=st.floats(0, HEIGHT - 20), width=st.floats(20, WIDTH), height=st.floats(20, HEIGHT)
)
def test_any_box_within_the_frame_gives_a_crop(x0: float, y0: float, width: float, height: float) -> None:
    box = np.array([x0, y0, min(x0 + width, WIDTH), min(y0 + height, HEIGHT)])
    crop = crop_face(np.full((HEIGHT, WIDTH, 3), 77, np.uint8), box)
    assert crop.shape == (48, 48, 3)
    assert (crop == 77).all()
