"""Every shape and count of V2EM as published. Nothing is computed: the model has no weights here."""

import pytest
import torch
from torch import nn

from models.cost import count_macs
from models.v2em.config import V2emConfig
from models.v2em.model import V2EM

DEAD_HEAD = 513_000  # NesT's classifier of 1000 classes, which the reference builds and never asks


def parameters(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.fixture(scope="module")
def model() -> V2EM:
    with torch.device("meta"):
        return V2EM(V2emConfig(legacy=True)).eval()


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.zeros(*shape, dtype=dtype, device="meta")


def test_the_text_branch_is_albert_base(model: V2EM) -> None:
    text = model.branches["text"]
    assert parameters(text.network) == 11_683_584
    assert (text.head.in_features, text.head.out_features) == (768, 6)


def test_the_vision_branch(model: V2EM) -> None:
    vision, crops = model.branches["vision"].network, meta(2, 3, 48, 48, dtype=torch.uint8)
    assert parameters(vision.stem, vision.blocks) == 1_811_584
    assert parameters(vision.flatten, vision.project) == 4_785_216
    assert vision.grid(crops).shape == (2, 512, 3, 3)
    assert vision(crops).shape == (2, 64)
    with torch.device("meta"):
        fused = vision.fused()
    assert parameters(fused.stem, fused.blocks) == 1_628_032
    assert round(count_macs(lambda: vision.grid(crops[:1])) / 1e6, 1) == 199.8
    assert round(count_macs(lambda: fused.grid(crops[:1])) / 1e6, 1) == 180.9


def test_the_grids_of_the_vision_branch(model: V2EM) -> None:
    seen: list[tuple[int, ...]] = []
    vision = model.branches["vision"].network
    hooks = [
        m.register_forward_hook(lambda _, __, y: seen.append(tuple(y.shape[1:]))) for m in (vision.stem, *vision.blocks)
    ]
    vision.grid(meta(1, 3, 48, 48, dtype=torch.uint8))
    for hook in hooks:
        hook.remove()
    assert seen == [(64, 24, 24), (64, 24, 24), (64, 24, 24), (128, 24, 24), (256, 12, 12), (512, 6, 6)]
    assert [block.norm_identity is not None for block in vision.blocks] == [True, True, False, False, False]


def test_the_audio_branch_is_nest_b(model: V2EM) -> None:
    audio, slices = model.branches["audio"].network, meta(2, 4, 32, 32)
    assert parameters(audio.nest) == 66_735_744
    assert parameters(audio.flatten, audio.project) == 33_621_056
    assert audio.nest.grid(slices).shape == (2, 512, 8, 8)
    assert audio(slices).shape == (2, 64)
    assert round(count_macs(lambda: audio.nest.grid(slices[:1])) / 1e9, 2) == 5.57


def test_the_levels_of_nest(model: V2EM) -> None:
    nest = model.branches["audio"].network.nest
    levels = [nest.stages[place] for place in (0, 4, 8)]
    assert [tuple(level.position.shape) for level in levels] == [(16, 64, 128), (4, 64, 256), (1, 64, 512)]
    assert [len(level.layers) for level in levels] == [2, 2, 20]
    layers = [layer for level in levels for layer in level.layers]
    assert {(layer.qkv.in_features // layer.heads, layer.norm1.eps, layer.norm2.eps) for layer in layers} == {
        (32, 1e-6, 1e-6)
    }
    assert all(
        layer.qkv.bias is not None and layer.mlp[0].out_features == 4 * layer.mlp[0].in_features for layer in layers
    )
    # The first is never left out, and so has nothing that could.
    assert [getattr(layer.drop_path, "p", 0.0) for layer in layers] == pytest.approx(
        [0.5 * place / 23 for place in range(24)]
    )
    assert nest.norm.eps == 1e-6


def test_the_encoders_over_time(model: V2EM) -> None:
    for name in ("vision", "audio"):
        branch = model.branches[name]
        assert parameters(branch.encoder) == 1_124_672
        assert (branch.head.in_features, branch.head.out_features) == (64, 6)
        layer = branch.encoder.encoder.layers[0]
        assert (layer.linear1.out_features, layer.norm_first, layer.dropout.p) == (2048, False, 0.1)
        assert len(branch.encoder.encoder.layers) == 4


def test_the_totals(model: V2EM) -> None:
    assert model.fusion.weight.shape == (1, 3)
    assert model.fusion.bias is None
    assert round((parameters(model) + DEAD_HEAD) / 1e6, 1) == 121.4
    with torch.device("meta"):
        assert round(parameters(model.fused()) / 1e6, 1) == 120.7
    assert parameters(model) == 120_891_925


def test_mending_adds_no_parameter(model: V2EM) -> None:
    with torch.device("meta"):
        mended = V2EM(V2emConfig())
    assert {k: v.shape for k, v in mended.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}


def test_modalities_must_be_known() -> None:
    with pytest.raises(ValueError, match="in that order"):
        V2emConfig(modalities="vt")
