"""The detector for GPUs finds the very faces that the other one finds, recorded or not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from retinaface.predict_single import Model

from models.detections import Detections
from models.device import Execution
from models.retinaface import RetinaFace, load_mobilenet, load_resnet50
from models.retinaface_gpu import FRAMES_A_PASS, load_on_gpu
from models.retinaface_onnx import OnnxRetinaFace
from tests.models.conftest import located
from tests.models.recorders import Repeats
from tests.models.test_retinaface import first_frame

PLAIN = Execution("cpu")
RECORDED = Execution("cpu", fixed_shapes=True, graphs=True)


@pytest.fixture(scope="module")
def weights() -> Path:
    return located("retinaface-mobilenet0.25")


@pytest.fixture(scope="module")
def reference(weights: Path) -> RetinaFace:
    return load_mobilenet(weights)


def assert_same(found: list[Detections], expected: list[Detections]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=0.05)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-3)
        assert one.boxes.dtype == one.scores.dtype == np.float32


@pytest.mark.parametrize("execution", [PLAIN, RECORDED], ids=["plain", "recorded"])
def test_the_same_faces_are_found_in_real_frames(
    reference: RetinaFace, weights: Path, execution: Execution, test_data: Path
) -> None:
    frames = np.stack([first_frame(path) for path in sorted((test_data / "clips" / "grid_s1").glob("*.mp4"))[:3]])
    detector = load_on_gpu("mobilenet0.25", weights, execution, Repeats())
    for chosen in (frames, frames[:1], frames[::-1].copy()):
        expected = reference.detect(chosen, 0.6)
        assert all(len(detections.scores) for detections in expected)
        assert_same(detector.detect(chosen, 0.6), expected)


@pytest.mark.parametrize("execution", [PLAIN, RECORDED], ids=["plain", "recorded"])
def test_noise_of_any_size_and_number_gives_the_same_candidates(
    reference: RetinaFace, weights: Path, execution: Execution
) -> None:
    """With so low a score that there are many, in frames of other sizes than before."""
    recorder = Repeats()
    detector = load_on_gpu("mobilenet0.25", weights, execution, recorder)
    rng = np.random.default_rng(0)
    for count, height, width in ((1, 64, 96), (3, 120, 90), (FRAMES_A_PASS + 3, 64, 96), (2, 64, 96)):
        frames = rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
        expected = reference.detect(frames, 0.001)
        assert sum(len(detections.scores) for detections in expected) > 0
        assert_same(detector.detect(frames, 0.001), expected)
    if execution.graphs:
        assert recorder.recorded == 4  # of 1 at 96x64, 3 (as 4) at 90x120, 16 and 4 at 96x64; 2 are 4 again
        assert recorder.replayed == 5


def test_what_the_cpu_looks_at_in_small_is_looked_at_in_small_here(weights: Path, test_data: Path) -> None:
    """A frame with a face, and one without, which is looked at in full as well."""
    shown = first_frame(next(iter(sorted((test_data / "clips" / "grid_s1").glob("*.mp4")))))
    frames = np.stack([np.zeros_like(shown), shown])
    expected = OnnxRetinaFace(located("retinaface-mobilenet0.25-onnx"), 180).detect(frames, 0.6)
    assert [len(detections.scores) for detections in expected] == [0, 1]
    assert_same(load_on_gpu("mobilenet0.25", weights, RECORDED, Repeats(), 180).detect(frames, 0.6), expected)


def test_no_face_is_an_empty_answer(weights: Path) -> None:
    detector = load_on_gpu("mobilenet0.25", weights, RECORDED, Repeats())
    for detections in detector.detect(np.zeros((2, 64, 96, 3), np.uint8), 0.99):
        assert (detections.boxes.shape, detections.scores.shape) == ((0, 4), (0,))


def test_resnet50_is_normalised_its_own_way(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "random.pth"
    torch.save(Model(max_size=1).model.state_dict(), path)
    frames = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), dtype=np.uint8)
    expected = load_resnet50(path).detect(frames, 0.4)
    assert len(expected[0].scores)
    assert_same(load_on_gpu("resnet50", path, PLAIN).detect(frames, 0.4), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_finds_what_a_cpu_finds(reference: RetinaFace, weights: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 64, 96, 3), dtype=np.uint8)
    found = load_on_gpu("mobilenet0.25", weights, Execution.on("cuda")).detect(frames, 0.003)
    assert_same(found, reference.detect(frames, 0.003))
