"""Weights as the authors published them: a state dict of their training code, with that code's names.

Every tensor of ours has one of theirs, and every tensor of theirs is taken, or named here as one that V2EM never uses.
Their evaluation fuses the RepVGG blocks, so that files come in two forms; which one a file has, shows in its names.
"""

import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from models.v2em.config import V2emConfig
from models.v2em.model import V2EM

BLOCKS_AT = (4, 5, 6, 8, 10)  # places of the five RepVGG blocks in their `V`; max pooling lies between
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
AFFINE = ("weight", "bias")
SHOWN = 3  # names of each kind in a message


class PublishedWeightsError(ValueError):
    """A file that does not hold V2EM as published, and what is wrong with it."""


@dataclass(frozen=True)
class Source:
    """Where a tensor of ours comes from: its published name, and what has to be done to it."""

    name: str
    adapt: Callable[[Tensor], Tensor] = lambda value: value


def load_published(path: Path, config: V2emConfig | None = None) -> V2EM:
    """V2EM in its legacy form with the published weights of a file, fused when those are.

    config: of the sizes the weights have, the published ones by default. Raises PublishedWeightsError when the file
    cannot be read, or any tensor is missing, unknown or of another shape.
    """
    config = config or V2emConfig(legacy=True)
    state = _read(path)
    fused = any(".rbr_reparam." in name for name in state)
    with torch.device("meta"):  # for names and shapes
        model = V2EM(config)
        model = model.fused() if fused else model
    sources = published_sources(model, fused)
    _check(path, {s.name for s in sources.values()}, state, fused)
    ours = {name: source.adapt(state[source.name]) for name, source in sources.items()}
    wrong = [
        f"{sources[name].name} is {tuple(ours[name].shape)}, not {tuple(value.shape)}"
        for name, value in model.state_dict().items()
        if ours[name].shape != value.shape
    ]
    if wrong:
        raise PublishedWeightsError(f"{path} holds V2EM of other sizes: {_some(wrong)}")
    model = V2EM(config).fused() if fused else V2EM(config)
    model.load_state_dict(ours, strict=True)
    return model.eval()


def _read(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PublishedWeightsError(
            f"{path} cannot be read as a PyTorch file of tensors alone: {first_line}"
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise PublishedWeightsError(f"{path} is not a state dict: names with a tensor each")
    return dict(state)


def _check(path: Path, wanted: set[str], state: Mapping[str, Tensor], fused: bool) -> None:
    missing, unexpected = sorted(wanted - state.keys()), sorted(state.keys() - wanted - set(unused_names()))
    if missing or unexpected:
        form = "fused" if fused else "multi-branch"
        raise PublishedWeightsError(
            f"{path} is not a state dict of V2EM as published ({form} form): {len(missing)} names are missing"
            f"{_listed(missing)}, {len(unexpected)} unexpected{_listed(unexpected)}"
        )


def _listed(names: list[str]) -> str:
    return f" ({_some(names)})" if names else ""


def _some(parts: list[str]) -> str:
    return ", ".join(parts[:SHOWN]) + (f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else "")


def unused_names() -> Iterator[str]:
    """Tensors of theirs that V2EM does not compute with: they may be there, and are left.

    The classifier that NesT is built with and never asked; the face detector, which they keep inside of the model and
    never train; ALBERT's count of positions, which newer versions of its library make up themselves.
    """
    yield from (f"A.0.head.{kind}" for kind in AFFINE)
    yield "T.albert.embeddings.position_ids"
    layers = {
        "pnet": ("conv1", "conv2", "conv3", "conv4_1", "conv4_2"),
        "rnet": ("conv1", "conv2", "conv3", "dense4", "dense5_1", "dense5_2"),
        "onet": ("conv1", "conv2", "conv3", "conv4", "dense5", "dense6_1", "dense6_2", "dense6_3"),
    }
    for network, names in layers.items():
        yield from (f"mtcnn.{network}.{name}.{kind}" for name in names for kind in AFFINE)
        slopes = {"pnet": 3, "rnet": 4, "onet": 5}[network]
        yield from (f"mtcnn.{network}.prelu{number}.weight" for number in range(1, slopes + 1))


def published_sources(model: V2EM, fused: bool) -> dict[str, Source]:
    """For each tensor of a model, of all three modalities, the published one: `{name in V2EM: Source}`."""
    config = model.config
    pairs = [*_vision(config, fused), *_audio(config), ("fusion.weight", Source("weighted_fusion.weight"))]
    ours = "branches.text.network"
    names = [name.removeprefix(ours) for name in model.state_dict() if name.startswith(ours)]
    pairs += [(f"{ours}{name}", Source(f"T{name}")) for name in names]  # ALBERT is the same library's: its names agree
    for branch, letter in (("vision", "v"), ("audio", "a")):
        pairs += _encoder(config, f"branches.{branch}.encoder", f"{letter}_transformer")
    for branch, letter in (("text", "t"), ("vision", "v"), ("audio", "a")):
        pairs += _same(f"branches.{branch}.head", f"{letter}_out", AFFINE)
    return dict(pairs)


Pairs = Iterator[tuple[str, Source]]


def _same(ours: str, theirs: str, kinds: tuple[str, ...]) -> Pairs:
    return ((f"{ours}.{kind}", Source(f"{theirs}.{kind}")) for kind in kinds)


def _vision(config: V2emConfig, fused: bool) -> Pairs:
    ours = "branches.vision.network"
    yield from _same(f"{ours}.stem.0", "V.0", AFFINE)
    yield from _same(f"{ours}.stem.1", "V.1", NORM)
    widths = (config.vision.stem, *config.vision.blocks)
    for index, place in enumerate(BLOCKS_AT):
        block, theirs = f"{ours}.blocks.{index}", f"V.{place}"
        if fused:
            yield from _same(f"{block}.0", f"{theirs}.rbr_reparam", AFFINE)
            continue
        for side, branch in (("3", "rbr_dense"), ("1", "rbr_1x1")):
            yield from _same(f"{block}.conv{side}", f"{theirs}.{branch}.conv", ("weight",))
            yield from _same(f"{block}.norm{side}", f"{theirs}.{branch}.bn", NORM)
        if widths[index] == widths[index + 1]:
            yield from _same(f"{block}.norm_identity", f"{theirs}.rbr_identity", NORM)
    yield from _same(f"{ours}.flatten.0", "v_flatten.0", AFFINE)
    yield from _same(f"{ours}.project", "v_flatten.2", AFFINE)


def _audio(config: V2emConfig) -> Pairs:
    ours, theirs = "branches.audio.network", "A.0"
    yield from _same(f"{ours}.nest.patch", f"{theirs}.patch_embed.proj", AFFINE)
    for level, (depth, heads) in enumerate(zip(config.audio.depths, config.audio.heads, strict=True)):
        stage, source = f"{ours}.nest.stages.{4 * level}", f"{theirs}.levels.{level}"
        if level:  # before the layers of a level: convolution, norm and pooling
            yield from _same(f"{ours}.nest.stages.{4 * level - 3}", f"{source}.pool.conv", AFFINE)
            yield from _same(f"{ours}.nest.stages.{4 * level - 2}", f"{source}.pool.norm", AFFINE)
        yield f"{stage}.position", Source(f"{source}.pos_embed", lambda value: value.squeeze(0))
        for index in range(depth):
            yield from _layer(f"{stage}.layers.{index}", f"{source}.transformer_encoder.{index}", heads)
    yield from _same(f"{ours}.nest.norm", f"{theirs}.norm", AFFINE)
    yield from _same(f"{ours}.flatten.0", "a_flatten.0", AFFINE)
    yield from _same(f"{ours}.project", "a_flatten.2", AFFINE)


def _layer(ours: str, theirs: str, heads: int) -> Pairs:
    names = {"norm1": "norm1", "qkv": "attn.qkv", "norm2": "norm2", "mlp.0": "mlp.fc1", "mlp.3": "mlp.fc2"}
    for our_name, their_name in names.items():
        yield from _same(f"{ours}.{our_name}", f"{theirs}.{their_name}", AFFINE)
    yield f"{ours}.out.weight", Source(f"{theirs}.attn.proj.weight", lambda value: heads_first(value, heads))
    yield f"{ours}.out.bias", Source(f"{theirs}.attn.proj.bias")


def heads_first(weight: Tensor, heads: int) -> Tensor:
    """Columns of a projection, [D, D], put in order of heads: theirs joins the heads with the head's number last."""
    return weight.view(len(weight), -1, heads).transpose(1, 2).reshape(weight.shape)


def _encoder(config: V2emConfig, ours: str, theirs: str) -> Pairs:
    yield f"{ours}.first", Source(f"{theirs}.cls_emb.weight")
    for index in range(config.encoder.layers):
        layer = f"encoder.layers.{index}"
        yield from _same(f"{ours}.{layer}.self_attn", f"{theirs}.{layer}.self_attn", ("in_proj_weight", "in_proj_bias"))
        for name in ("self_attn.out_proj", "linear1", "linear2", "norm1", "norm2"):
            yield from _same(f"{ours}.{layer}.{name}", f"{theirs}.{layer}.{name}", AFFINE)
