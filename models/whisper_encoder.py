"""Whisper's encoder in PyTorch, its weights read from the CTranslate2 file that transcription uses.

CTranslate2 gives the last states alone, which are about words. How a voice sounds is plainer in the layers before, and
to stop there is cheaper than to go on.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from models import unset

DTYPES = (np.dtype("<f4"), np.dtype("i1"), np.dtype("<i2"), np.dtype("<i4"), np.dtype("<f2"))
"""Of a stored tensor, by its number in the file."""
BINARY_VERSIONS = (4, 5, 6)
HEAD_DIM = 64  # of every Whisper


class EncoderFileError(ValueError):
    """A file that is no CTranslate2 Whisper model, or one that is stored in a way this version does not read."""


class WhisperEncoder(nn.Module):
    """Log-mel [B, bands, 2T] -> states [B, T, D] of each layer, 0 being what the convolutions give."""

    positions: Tensor

    def __init__(self, bands: int, dim: int, layers: int, positions: int = 1500) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(bands, dim, 3, padding=1)
        self.conv2 = nn.Conv1d(dim, dim, 3, stride=2, padding=1)
        self.register_buffer("positions", torch.zeros(positions, dim))
        self.layers = nn.ModuleList(EncoderLayer(dim) for _ in range(layers))

    def forward(self, mel: Tensor) -> list[Tensor]:
        """Each as the next layer would see it: the norm behind the last layer is left out."""
        x = gelu(self.conv2(gelu(self.conv1(mel)))).transpose(1, 2)
        states = [x + self.positions[: x.shape[1]]]
        for layer in self.layers:
            states.append(layer(states[-1]))
        return states


class EncoderLayer(nn.Module):
    """Pre-norm attention and MLP, [B, T, D] -> same."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.qkv = unset.Linear(dim, 3 * dim)
        self.out = unset.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.up = unset.Linear(dim, 4 * dim)
        self.down = unset.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Every state attends to every other."""
        batch, length, dim = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, -1, HEAD_DIM).permute(2, 0, 3, 1, 4)
        attended = scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, length, dim)
        x = x + self.out(attended)
        return x + self.down(gelu(self.up(self.norm2(x))))


PLACES = {
    "self_attention/layer_norm": "norm1",
    "self_attention/linear_0": "qkv",
    "self_attention/linear_1": "out",
    "ffn/layer_norm": "norm2",
    "ffn/linear_0": "up",
    "ffn/linear_1": "down",
}


def read_encoder(model_bin: Path, layers: int | None = None) -> WhisperEncoder:
    """The encoder of a CTranslate2 Whisper model, float32, in eval mode; of its layers the first `layers`, or all.

    Raises EncoderFileError when the file is another model, damaged, quantised to int8, or has fewer layers.
    """
    stored = dict(_encoder_tensors(model_bin))
    if "encoder/conv1/weight" not in stored:
        raise EncoderFileError(f"{model_bin} has no Whisper encoder")
    dim, bands, _ = stored["encoder/conv1/weight"].shape
    there = len({name.split("/")[1] for name in stored if name.startswith("encoder/layer_") and "norm" not in name})
    kept = there if layers is None else layers
    if kept > there:
        raise EncoderFileError(f"{model_bin} has an encoder of {there} layers; {kept} are needed")
    positions = stored["encoder/position_encodings/encodings"]
    state = {"positions": positions}
    for conv in ("conv1", "conv2"):
        state |= {f"{conv}.{kind}": stored[f"encoder/{conv}/{kind}"] for kind in ("weight", "bias")}
    for layer in range(kept):
        for theirs, ours in PLACES.items():
            names = ("gamma", "beta") if theirs.endswith("norm") else ("weight", "bias")
            for name, kind in zip(names, ("weight", "bias"), strict=True):
                state[f"layers.{layer}.{ours}.{kind}"] = stored[f"encoder/layer_{layer}/{theirs}/{name}"]
    encoder = WhisperEncoder(bands, dim, kept, len(positions))
    encoder.load_state_dict(state, strict=True)
    return encoder.eval().requires_grad_(False)


def _encoder_tensors(model_bin: Path) -> Iterator[tuple[str, Tensor]]:
    """Names and float32 tensors of the encoder, as they lie in the file."""
    size = model_bin.stat().st_size
    with model_bin.open("rb") as file:
        try:
            version = _number(file, "I")
            if version not in BINARY_VERSIONS:
                raise EncoderFileError(f"{model_bin} is no CTranslate2 model, or of another version ({version})")
            spec = _text(file)
            if spec != "WhisperSpec":
                raise EncoderFileError(f"{model_bin} is a {spec} of CTranslate2, not a Whisper model")
            _number(file, "I")  # revision of the spec
            for _ in range(_number(file, "I")):
                name = _text(file)
                shape = tuple(_number(file, "I") for _ in range(_number(file, "B")))
                kind, length = _number(file, "B"), _number(file, "I")
                if length > size - file.tell():
                    raise EncoderFileError(f"{model_bin} is cut short: {name} should be {length} bytes")
                if not name.startswith("encoder/") or len(shape) == 0:
                    file.seek(length, 1)
                    continue
                if name.endswith("_scale") or kind >= len(DTYPES) or DTYPES[kind].kind != "f":
                    raise EncoderFileError(f"{model_bin} is quantised ({name}): a float16 or float32 model is needed")
                values = np.frombuffer(file.read(length), DTYPES[kind])
                yield name, torch.from_numpy(values.astype(np.float32).reshape(shape))
        except (struct.error, UnicodeDecodeError, ValueError) as error:
            if isinstance(error, EncoderFileError):
                raise
            raise EncoderFileError(f"{model_bin} is damaged, or no CTranslate2 model: {error}") from error


def _number(file: BinaryIO, kind: str) -> int:
    return int(struct.unpack(f"<{kind}", file.read(struct.calcsize(f"<{kind}")))[0])


def _text(file: BinaryIO) -> str:
    return file.read(_number(file, "H")).rstrip(b"\0").decode("utf-8")
