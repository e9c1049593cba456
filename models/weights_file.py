"""Weights of V2EM-S: one safetensors file, fp16, that says of itself what it is.

Metadata: format, model_id, emotions (their order), modalities, and config (sizes, calibration, fusion weights; JSON).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from models.emotions import EMOTIONS, MODALITIES
from models.weights_header import FORMAT, WeightsError, check_weights, read_metadata


def save_weights(path: Path, model_id: str, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    """Write `state` in fp16 with its metadata; whole numbers keep their type."""
    tensors = {name: (v.half() if v.is_floating_point() else v).contiguous() for name, v in state.items()}
    metadata = {
        "format": FORMAT,
        "model_id": model_id,
        "emotions": json.dumps(EMOTIONS),
        "modalities": json.dumps(MODALITIES),
        "config": json.dumps(config, sort_keys=True),
    }
    write_tensors(path, tensors, metadata)


def load_weights(path: Path) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    """(model_id, config, state in fp32). WeightsError when it is no file of V2EM-S, or orders labels otherwise."""
    metadata = check_weights(path)
    _, state = read_tensors(path, FORMAT)
    floats = {name: (v.float() if v.is_floating_point() else v) for name, v in state.items()}
    return metadata["model_id"], json.loads(metadata["config"]), floats


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file under a temporary name, then rename it: whole, or not at all."""
    temporary = path.with_suffix(".tmp")
    save_file(dict(tensors), str(temporary), metadata)
    temporary.chmod(0o644)  # safetensors makes it private
    temporary.replace(path)


def read_tensors(path: Path, file_format: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a safetensors file. WeightsError when it is none, or says it is of another format."""
    metadata = read_metadata(path, file_format)
    with safe_open(str(path), framework="pt") as file:
        return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], prefix: str, path: Path) -> None:
    """Load the tensors under `prefix.` into `module`; every key must be there, none left, all shapes alike."""
    ours = {name.removeprefix(f"{prefix}."): v for name, v in state.items() if name.startswith(f"{prefix}.")}
    expected = module.state_dict()
    problems = [f"missing {prefix}.{name}" for name in sorted(expected.keys() - ours.keys())]
    problems += [f"unknown {prefix}.{name}" for name in sorted(ours.keys() - expected.keys())]
    problems += [
        f"{prefix}.{name} has shape {list(ours[name].shape)}, not {list(expected[name].shape)}"
        for name in sorted(expected.keys() & ours.keys())
        if ours[name].shape != expected[name].shape
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise WeightsError(f"{path} does not fit the {prefix} branch: {'; '.join(problems[:5])}{more}")
    with torch.no_grad():
        module.load_state_dict(dict(ours), strict=True)
