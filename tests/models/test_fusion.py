"""Masked late fusion, by its formula."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.fusion import fuse_logits

logit = st.floats(-20, 20, width=32)
weight = st.floats(0.0625, 3, width=32) | st.floats(-3, -0.0625, width=32)
weights3 = st.tuples(weight, weight, weight)
logits3 = st.lists(st.lists(logit, min_size=7, max_size=7), min_size=3, max_size=3)
masks = st.tuples(st.booleans(), st.booleans(), st.booleans()).filter(any)


@given(logits3, weights3)
def test_with_all_present_it_is_the_papers_linear_layer(z: list[list[float]], w: tuple[float, ...]) -> None:
    linear = torch.nn.Linear(3, 1, bias=False)
    linear.weight.data = torch.tensor([w])
    expected = linear(torch.tensor([z]).transpose(1, 2))[..., 0]
    fused = fuse_logits(torch.tensor([z]), torch.ones(1, 3, dtype=torch.bool), torch.tensor(w))
    torch.testing.assert_close(fused, expected, atol=1e-4, rtol=1e-5)


@given(logits3, weights3, masks)
def test_what_is_missing_is_never_read_and_the_rest_is_rescaled(
    z: list[list[float]], w: tuple[float, ...], present: tuple[bool, ...]
) -> None:
    logits = torch.tensor([z])
    logits[0, [m for m in range(3) if not present[m]]] = float("nan")
    fused = fuse_logits(logits, torch.tensor([present]), torch.tensor(w))[0]
    scale = sum(abs(v) for v in w) / sum(abs(v) for v, here in zip(w, present, strict=True) if here)
    for c in range(7):
        known = sum(v * z[m][c] for m, v in enumerate(w) if present[m])
        assert fused[c].item() == pytest.approx(known * scale, rel=1e-3, abs=1e-3)


@given(logits3, st.integers(0, 2))
def test_one_branch_alone_keeps_its_logits_when_weights_sum_to_one(z: list[list[float]], only: int) -> None:
    present = torch.zeros(1, 3, dtype=torch.bool)
    present[0, only] = True
    fused = fuse_logits(torch.tensor([z]), present, torch.tensor([0.2, 0.5, 0.3]))
    torch.testing.assert_close(fused[0], torch.tensor(z[only]), atol=1e-4, rtol=1e-4)


def test_nothing_at_all_is_an_error_that_names_the_utterance() -> None:
    present = torch.tensor([[True, False, False], [False, False, False]])
    with pytest.raises(ValueError, match="utterance 1 has neither text, nor sound, nor a face"):
        fuse_logits(torch.zeros(2, 3, 7), present, torch.ones(3))
