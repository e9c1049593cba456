"""Weights that are pickles with a purpose are refused in words, and nothing in them runs."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from models.retinaface import load_mobilenet
from models.v2em.published import PublishedWeightsError, load_published
from models.weights_header import WeightsError, check_weights


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.mark),)


@pytest.fixture(params=["pickle", "torch.save", "old torch.save"])
def bomb(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path, content = tmp_path / "weights", {"a": Bomb(tmp_path / "it went off")}
    if request.param == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=request.param == "torch.save")
    return path


def test_it_would_go_off(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "mark")))  # noqa: S301
    assert (tmp_path / "mark").is_dir()


def test_a_detector_of_pickles_is_refused(bomb: Path) -> None:
    with pytest.raises(ValueError, match="holds something else than weights and is not loaded"):
        load_mobilenet(bomb)
    assert not (bomb.parent / "it went off").exists()


def test_an_emotion_model_of_pickles_is_refused(bomb: Path) -> None:
    with pytest.raises(WeightsError, match="is not a safetensors file"):
        check_weights(bomb)
    assert not (bomb.parent / "it went off").exists()


def test_published_weights_of_pickles_are_refused(bomb: Path) -> None:
    with pytest.raises(PublishedWeightsError, match="cannot be read as a PyTorch file of tensors alone"):
        load_published(bomb)
    assert not (bomb.parent / "it went off").exists()


def test_a_header_that_promises_exabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes((1 << 60).to_bytes(8, "little") + b"{}")
    with pytest.raises(WeightsError, match="is not a safetensors file"):
        check_weights(path)
