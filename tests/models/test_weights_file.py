"""Weights that don't fit are refused, in words."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.emotions import EMOTIONS
from models.weights_file import WeightsError, load_strictly, load_weights, save_weights


@pytest.fixture
def linear(tmp_path: Path) -> Path:
    path = tmp_path / "w.safetensors"
    state = {f"face.{name}": value for name, value in torch.nn.Linear(2, 3).state_dict().items()}
    save_weights(path, "test-1", {"sizes": [1, 2]}, state)
    return path


def test_what_was_saved_is_loaded_in_half_precision(linear: Path) -> None:
    model_id, config, state = load_weights(linear)
    assert (model_id, config) == ("test-1", {"sizes": [1, 2]})
    layer = torch.nn.Linear(2, 3)
    load_strictly(layer, state, "face", linear)
    assert layer.weight.dtype == torch.float32
    torch.testing.assert_close(layer.weight.data, layer.weight.data.half().float())


def test_missing_unknown_and_misshapen_tensors_are_named(linear: Path) -> None:
    _, _, state = load_weights(linear)
    with pytest.raises(WeightsError, match=r"missing face\.bias"):
        load_strictly(torch.nn.Linear(2, 3), {"face.weight": state["face.weight"]}, "face", linear)
    with pytest.raises(WeightsError, match=r"unknown face\.bias"):
        load_strictly(torch.nn.Linear(2, 3, bias=False), state, "face", linear)
    with pytest.raises(WeightsError, match=r"face\.weight has shape \[3, 2\], not \[3, 4\]"):
        load_strictly(torch.nn.Linear(4, 3), state, "face", linear)


def test_another_order_of_labels_is_refused_and_both_orders_shown(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    reversed_labels = json.dumps(EMOTIONS[::-1])
    save_file({"face.x": torch.zeros(1)}, str(path), {"format": "v2em-s/1", "emotions": reversed_labels})
    with pytest.raises(WeightsError, match=r"has the emotions \['surprise', .*this version has \['neutral', "):
        load_weights(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights file at"):
        load_weights(tmp_path / "none.safetensors")
    garbage = tmp_path / "garbage.safetensors"
    garbage.write_bytes(b"\x80\x04pickle")
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load_weights(garbage)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"x": torch.zeros(1)}, str(foreign))
    with pytest.raises(WeightsError, match="of format None"):
        load_weights(foreign)
