"""Fusion weights and how much a branch knows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.calibration import fit_calibration
from models.train.assemble import fusion_weights, information_share


@given(st.tuples(*[st.floats(0.01, 1)] * 3))
def test_fusion_weights_sum_to_one_and_follow_the_shares_halfway(shares: tuple[float, ...]) -> None:
    weights = list(fusion_weights(dict(zip("abc", shares, strict=True))).values())
    assert sum(weights) == pytest.approx(1)
    for weight, share in zip(weights, shares, strict=True):
        assert weight == pytest.approx(0.5 * share / sum(shares) + 1 / 6, abs=2e-4)


def test_a_branch_that_knows_more_weighs_more() -> None:
    torch.manual_seed(0)
    truth = torch.randint(0, 7, (2000,))
    hot = torch.nn.functional.one_hot(truth, 7).float()
    shares = []
    for knowledge in (0.0, 1.0, 3.0):
        logits = torch.randn(2000, 7) + knowledge * hot
        shares.append(information_share(logits, truth, fit_calibration(logits, truth)))
    assert shares[0] < 0.02 < shares[1] < shares[2] < 1
