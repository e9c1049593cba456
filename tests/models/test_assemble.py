"""Fusion weights and how much a branch knows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.calibration import fit_calibration, log_odds
from models.train.assemble import evidence_of, fusion_weights, information_share


@given(st.tuples(*[st.floats(0.01, 1)] * 3))
def test_fusion_weights_sum_to_one_and_follow_the_shares(shares: tuple[float, ...]) -> None:
    weights = list(fusion_weights(dict(zip("abc", shares, strict=True))).values())
    assert sum(weights) == pytest.approx(1)
    for weight, share in zip(weights, shares, strict=True):
        assert weight == pytest.approx(share / sum(shares), abs=2e-4)


def test_a_branch_that_knows_more_weighs_more() -> None:
    torch.manual_seed(0)
    truth = torch.randint(0, 7, (2000,))
    hot = torch.nn.functional.one_hot(truth, 7).float()
    shares = []
    for knowledge in (0.0, 1.0, 3.0):
        logits = torch.randn(2000, 7) + knowledge * hot
        shares.append(information_share(logits, truth))
    assert shares[0] < 0.02 < shares[1] < shares[2] < 1


def test_evidence_does_not_repeat_what_is_common() -> None:
    """Logits that know nothing but that emotion 0 is common: alone they say so, as evidence they say nothing."""
    torch.manual_seed(0)
    truth = torch.multinomial(torch.tensor([0.7, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05]), 4000, replacement=True)
    logits = 0.01 * torch.randn(4000, 7)
    alone = log_odds(logits, fit_calibration(logits, truth)).sigmoid().mean(dim=0)
    evidence = log_odds(logits, evidence_of(logits, truth)).sigmoid().mean(dim=0)
    assert alone[0] > 0.55
    assert evidence == pytest.approx(torch.full((7,), 1 / 7), abs=0.03)
