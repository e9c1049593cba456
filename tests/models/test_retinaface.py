"""RetinaFace: the published weights load strictly, and finding faces doesn't depend on how frames are batched."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from retinaface.box_utils import encode
from retinaface.predict_single import Model

from models.catalogue import CatalogueError, locate
from models.retinaface import (
    CAFFE_BGR,
    IMAGENET_RGB,
    VARIANCES,
    Detections,
    MobileNetRetinaFace,
    RetinaFace,
    fold_batch_norms,
    load_mobilenet,
    load_resnet50,
    mobilenet_from_state,
    prior_boxes,
)

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
