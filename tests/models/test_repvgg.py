"""The fused network gives what the trained one gives."""

import copy

import pytest
import torch

from models.repvgg import RepVGG, RepVGGBlock


def with_lived_in_norms(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Batch norms as after a training: no mean of 0, no variance of 1."""
    generator = torch.Generator().manual_seed(seed)
    for norm in module.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            for values, low, high in (
                (norm.weight.data, 0.5, 1.5),
                (norm.bias.data, -0.5, 0.5),
                (norm.running_mean, -0.5, 0.5),
                (norm.running_var, 0.3, 2.0),
            ):
                values.copy_(low + (high - low) * torch.rand(values.shape, generator=generator))
    return module.eval()


@pytest.mark.parametrize(("channels_in", "channels_out", "stride"), [(8, 8, 1), (8, 8, 2), (3, 8, 1), (8, 4, 2)])
def test_a_fused_block_gives_the_same(channels_in: int, channels_out: int, stride: int) -> None:
    block = with_lived_in_norms(RepVGGBlock(channels_in, channels_out, stride))
    x = torch.randn(4, channels_in, 10, 10)
    with torch.no_grad():
        torch.testing.assert_close(block.fused()(x), block(x), atol=1e-4, rtol=0)


def test_a_fused_network_gives_the_same_and_is_plain_convolutions() -> None:
    network = with_lived_in_norms(RepVGG(1, (4, 8, 16), (2, 2)))
    fused = network.fused()
    assert {type(m) for block in fused.blocks for m in block} == {torch.nn.Conv2d, torch.nn.ReLU}
    x = torch.randn(3, 1, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(fused(x), network(x), atol=1e-4, rtol=0)


def test_a_plain_network_has_the_fused_shape_and_fuses_too() -> None:
    plain = with_lived_in_norms(RepVGG(1, (4, 8, 16), (2, 2), multi_branch=False))
    assert not any("conv1" in name or "identity" in name for name in plain.state_dict())
    fused, multi_branch = plain.fused(), RepVGG(1, (4, 8, 16), (2, 2)).fused()
    shapes = [{name: value.shape for name, value in network.state_dict().items()} for network in (fused, multi_branch)]
    assert shapes[0] == shapes[1]
    x = torch.randn(3, 1, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(fused(x), plain(x), atol=1e-4, rtol=0)


def test_fusing_leaves_the_training_as_it_was() -> None:
    network = RepVGG(1, (4, 8), (2,))
    before = copy.deepcopy(network.state_dict())
    network.fused()
    assert network.training
    assert all(p.requires_grad for p in network.parameters())
    assert network.state_dict().keys() == before.keys()
    network(torch.randn(2, 1, 16, 16)).sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_widths_and_depths_must_fit() -> None:
    with pytest.raises(ValueError, match="give 3 numbers"):
        RepVGG(1, (4, 8), (1, 1))
