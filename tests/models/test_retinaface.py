"""RetinaFace: the published weights load strictly, finding faces doesn't depend on how frames are batched, and what
ships for the CPU, in ONNX Runtime, gives the boxes of the published network."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from retinaface.box_utils import encode
from retinaface.predict_single import Model

from models import detections
from models.catalogue import CatalogueError, locate
from models.convert_detector import convert
from models.detections import VARIANCES, Detections
from models.retinaface import (
    CAFFE_BGR,
    IMAGENET_RGB,
    MobileNetRetinaFace,
    RetinaFace,
    fold_batch_norms,
    load_mobilenet,
    load_resnet50,
    mobilenet_from_state,
    prior_boxes,
)
from models.retinaface_onnx import OnnxRetinaFace
from operators.timeline import scaled_size

HEIGHT, WIDTH = 180, 320


@pytest.fixture(scope="module")
def weights() -> Path:
    try:
        return locate("retinaface-mobilenet0.25")
    except CatalogueError as error:
        pytest.skip(f"default weights were not pulled: {error}")


class Answers(torch.nn.Module):
    """A network whose answer is given: these boxes, at these scores, in each frame."""

    def __init__(self, boxes: np.ndarray, scores: np.ndarray) -> None:
        super().__init__()
        priors = prior_boxes(HEIGHT, WIDTH)
        fractions = torch.tensor(boxes, dtype=torch.float32) / torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT])
        self.offsets = torch.zeros(len(priors), 4)
        self.logits = torch.tensor([10.0, -10.0]).repeat(len(priors), 1)
        for index, (box, score) in enumerate(zip(fractions, scores, strict=True)):
            prior = 40 * index
            self.offsets[prior] = encode(box[None], priors[prior : prior + 1], VARIANCES)[0]
            self.logits[prior] = torch.tensor([0.0, float(np.log(score / (1 - score)))])
        self.seen: torch.Tensor | None = None

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        self.seen = images
        count = len(images)
        return self.offsets.repeat(count, 1, 1), self.logits.repeat(count, 1, 1), torch.zeros(count, 1, 10)


def detect(boxes: list, scores: list, min_score: float = 0.5) -> list[Detections]:
    network = Answers(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores))
    return RetinaFace(network, CAFFE_BGR).detect(np.zeros((2, HEIGHT, WIDTH, 3), np.uint8), min_score)


def test_the_small_detector_has_the_published_size() -> None:
    assert sum(parameter.numel() for parameter in MobileNetRetinaFace().parameters()) == 426_608


def test_published_weights_load_strictly(weights: Path) -> None:
    state = torch.load(weights, map_location="cpu", weights_only=True)
    mobilenet_from_state(state)
    state.popitem()
    with pytest.raises(ValueError, match=r"not the weights of RetinaFace MobileNet-0\.25"):
        mobilenet_from_state(state)


def test_boxes_are_decoded_and_doubles_suppressed() -> None:
    boxes = [[10, 20, 60, 90], [12, 22, 62, 92], [200, 30, 260, 110], [100, 100, 120, 130]]
    for found in detect(boxes, [0.9, 0.8, 0.95, 0.4]):
        np.testing.assert_allclose(found.boxes, [boxes[2], boxes[0]], atol=1e-2)
        np.testing.assert_allclose(found.scores, [0.95, 0.9], atol=1e-5)


def test_no_face_is_an_empty_answer() -> None:
    for found in detect([], []):
        assert found.boxes.shape == (0, 4)
        assert found.scores.shape == (0,)


@pytest.mark.parametrize(
    ("normalisation", "expected"),
    [(CAFFE_BGR, [30 - 104, 20 - 117, 10 - 123]), (IMAGENET_RGB, [-113.675 / 58.395, -96.28 / 57.12, -73.53 / 57.375])],
)
def test_the_network_gets_the_channels_it_was_trained_on(normalisation: object, expected: list[float]) -> None:
    network = Answers(np.empty((0, 4)), np.empty(0))
    frames = np.full((1, HEIGHT, WIDTH, 3), (10, 20, 30), np.uint8)
    RetinaFace(network, normalisation).detect(frames, 0.5)  # type: ignore[arg-type]
    assert network.seen is not None
    np.testing.assert_allclose(network.seen[0, :, 0, 0], expected, atol=1e-3)


def test_folding_batch_norms_changes_no_output() -> None:
    torch.manual_seed(0)
    network = MobileNetRetinaFace().train()
    with torch.inference_mode():
        network(torch.randn(2, 3, 64, 64))  # running statistics other than 0 and 1
        network.eval()
        images = torch.randn(1, 3, HEIGHT, WIDTH)
        before = network(images)
        after = fold_batch_norms(network)(images)
    for first, second in zip(before, after, strict=True):
        torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-4)


def test_a_face_is_found_where_it_is_whatever_the_batch(weights: Path, test_data: Path) -> None:
    frames = np.stack([first_frame(path) for path in sorted((test_data / "clips" / "grid_s1").glob("*.mp4"))[:5]])
    detector = load_mobilenet(weights)
    together = detector.detect(frames, 0.6)
    assert [len(found.scores) for found in together] == [1] * 5
    # GRID's speakers sit still in the middle of the picture.
    for found in together:
        x0, y0, x1, y1 = found.boxes[0]
        assert 0.3 < (x0 + x1) / 2 / 360 < 0.7
        assert 0.3 < (y0 + y1) / 2 / 288 < 0.8
        assert 60 < x1 - x0 < 200
    for index, found in enumerate(together):
        (alone,) = detector.detect(frames[index : index + 1], 0.6)
        np.testing.assert_allclose(alone.boxes, found.boxes, atol=0.05)
        np.testing.assert_allclose(alone.scores, found.scores, atol=1e-4)


def matches(found: Detections, expected: Detections, off_px: float) -> None:
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=off_px)


def test_onnx_runtime_gives_the_boxes_of_the_published_network(weights: Path, test_data: Path) -> None:
    reference, shipped = load_mobilenet(weights), OnnxRetinaFace(locate("retinaface-mobilenet0.25-onnx"))
    for path in sorted((test_data / "clips").rglob("*.mp4")):
        frame = first_frame(path)
        frame = cv2.resize(frame, scaled_size(frame.shape[1], frame.shape[0], 640), interpolation=cv2.INTER_AREA)
        for found, expected in zip(*(of.detect(frame[None], 0.3) for of in (shipped, reference)), strict=True):
            matches(found, expected, off_px=0.05)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 33), (360, 640), (480, 203)])
def test_any_size_of_frame_is_read_alike(weights: Path, height: int, width: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), np.uint8)
    reference, shipped = load_mobilenet(weights), OnnxRetinaFace(locate("retinaface-mobilenet0.25-onnx"))
    for found, expected in zip(*(of.detect(frames, 0.02) for of in (shipped, reference)), strict=True):
        matches(found, expected, off_px=0.05)
    np.testing.assert_allclose(detections.prior_boxes(height, width), prior_boxes(height, width), atol=1e-6)


def test_what_ships_is_what_the_conversion_makes(weights: Path, tmp_path: Path) -> None:
    convert(weights, tmp_path / "again.onnx")
    frames = np.random.default_rng(0).integers(0, 256, (2, HEIGHT, WIDTH, 3), np.uint8)
    models = (tmp_path / "again.onnx", locate("retinaface-mobilenet0.25-onnx"))
    for found, expected in zip(*(OnnxRetinaFace(model).detect(frames, 0.02) for model in models), strict=True):
        matches(found, expected, off_px=1e-3)


def test_a_small_face_is_looked_for_in_the_whole_frame_once_the_quick_look_has_found_none(
    weights: Path, test_data: Path
) -> None:
    """GRID's speakers, 140 px of 360: as they are the quick look finds them; shrunk to a sixth it doesn't."""
    model = locate("retinaface-mobilenet0.25-onnx")
    quick, whole = OnnxRetinaFace(model, quick_side_px=180), OnnxRetinaFace(model)
    near = first_frame(min((test_data / "clips" / "grid_s1").glob("*.mp4")))
    far = np.zeros_like(near)
    small = cv2.resize(near, None, fx=1 / 6, fy=1 / 6, interpolation=cv2.INTER_AREA)
    far[100 : 100 + small.shape[0], 100 : 100 + small.shape[1]] = small
    (of_near, of_far), (near_as_is, far_as_is) = (of.detect(np.stack([near, far]), 0.6) for of in (quick, whole))
    matches(of_far, far_as_is, off_px=0.05)
    assert len(of_far.scores) == len(of_near.scores) == 1
    assert 0 < np.abs(of_near.boxes - near_as_is.boxes).max() < 0.1 * (near_as_is.boxes[0, 3] - near_as_is.boxes[0, 1])


def test_a_file_that_is_no_detector_is_named(tmp_path: Path) -> None:
    (tmp_path / "some.onnx").write_bytes(b"no graph")
    with pytest.raises(ValueError, match=r"some\.onnx holds no face detector that can be loaded"):
        OnnxRetinaFace(tmp_path / "some.onnx")


def first_frame(path: Path) -> np.ndarray:
    capture = cv2.VideoCapture(str(path))
    done, frame = capture.read()
    assert done
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def test_resnet50_runs_with_any_state_of_its_shape(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(Model(max_size=1).model.state_dict(), tmp_path / "random.pth")
    (found,) = load_resnet50(tmp_path / "random.pth").detect(np.zeros((1, 64, 96, 3), np.uint8), 0.0)
    assert found.boxes.shape[1] == 4
    assert len(found.boxes) == len(found.scores) > 0


def test_resnet50_refuses_a_file_that_holds_code(tmp_path: Path) -> None:
    torch.save({"weight": print}, tmp_path / "hostile.pth")
    with pytest.raises(ValueError, match=r"hostile\.pth holds something else than weights and is not loaded"):
        load_resnet50(tmp_path / "hostile.pth")
