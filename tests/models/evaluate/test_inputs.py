"""What the model is given of an item: the face that is in a frame, and not the frame."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.catalogue import CatalogueError, locate
from models.corpora.item import Item
from models.evaluate.inputs import UnreadableError, read_input
from models.retinaface import load_mobilenet
from models.v2em.crops import Box, FaceDetector, detect_with


def item(paths: Sequence[Path]) -> Item:
    return Item("MOSEI", "one", "a", "report", (0,), pictures=tuple(paths), pictures_show="frame")


def never() -> FaceDetector:
    raise AssertionError("nothing was to be detected")


def write(path: Path, frame: np.ndarray) -> Path:
    cv2.imwrite(str(path), frame)
    return path


def test_faces_are_cut_out_of_frames_and_keep_their_times(tmp_path: Path) -> None:
    frame = np.zeros((360, 640, 3), np.uint8)
    frame[100:200, 300:400] = 200
    paths = [write(tmp_path / "0.png", frame), write(tmp_path / "1.png", frame * 0), write(tmp_path / "2.png", frame)]

    def detect(frames: np.ndarray) -> list[Box | None]:
        return [(300, 100, 400, 200) if shown.any() else None for shown in frames]

    utterance = read_input(item(paths), trim=True, detector=lambda: detect)
    assert utterance.faces is not None
    assert utterance.faces.shape == (2, 48, 48, 3)
    assert utterance.faces[:, 4:-4, 4:-4].min() == 200
    assert utterance.face_times_s.tolist() == [0.0, 1.0]


def test_large_frames_are_looked_at_as_labelling_does(tmp_path: Path) -> None:
    seen = []

    def detect(frames: np.ndarray) -> list[Box | None]:
        seen.append(frames.shape)
        return [None]

    path = write(tmp_path / "0.png", np.zeros((1080, 1920, 3), np.uint8))
    utterance = read_input(item([path]), trim=True, detector=lambda: detect)
    assert seen == [(1, 360, 640, 3)]
    assert utterance.faces is None


def test_a_face_in_a_real_picture_is_found(tmp_path: Path) -> None:
    try:
        video, weights = cv2.VideoCapture(str(locate("sample-face"))), locate("retinaface-mobilenet0.25")
    except CatalogueError as error:
        pytest.skip(f"a sample or the detector was not pulled: {error}")
    read, picture = video.read()
    assert read
    frame = np.full((720, 1280, 3), 90, np.uint8)
    high = 400
    wide = round(high * picture.shape[1] / picture.shape[0])
    frame[200:600, 700 : 700 + wide] = cv2.resize(picture, (wide, high))
    path = write(tmp_path / "0.png", frame)
    utterance = read_input(item([path]), trim=True, detector=lambda: detect_with(load_mobilenet(weights)))
    assert utterance.faces is not None
    grey = (np.abs(utterance.faces[0].astype(int) - 90) < 3).all(axis=2)
    assert grey.mean() < 0.3  # the face fills the crop; of the whole frame four fifths are grey


def test_pictures_of_faces_are_taken_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "0.png", np.full((96, 96, 3), 50, np.uint8))
    face = Item("FER2013", "one", "", "report", (0,), pictures=(path,))
    utterance = read_input(face, trim=True, detector=never)
    assert utterance.faces is not None
    assert (utterance.faces == 50).all()


def test_a_frame_that_is_no_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "0.png"
    path.write_bytes(b"no picture")
    with pytest.raises(UnreadableError, match=str(path)):
        read_input(item([path]), trim=True, detector=lambda: lambda frames: [None])
