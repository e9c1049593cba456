"""Calibration turns logits into log-odds that mean what they say."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from models.calibration import Calibration, fit_calibration, log_odds

PLAIN = Calibration(1.0, (0.0,) * 7)


@given(st.lists(st.floats(-4, 4, width=32), min_size=7, max_size=7), st.floats(0.7, 3))
def test_a_sigmoid_turns_the_log_odds_back_into_the_softmax(z: list[float], temperature: float) -> None:
    logits = torch.tensor([z])
    odds = log_odds(logits, Calibration(temperature, (0.0,) * 7))
    torch.testing.assert_close(odds.sigmoid(), (logits / temperature).softmax(dim=1), atol=1e-5, rtol=1e-4)


def test_extreme_logits_stay_finite() -> None:
    odds = log_odds(torch.tensor([[1e4, -1e4, 0, 0, 0, 0, 0.0]]), PLAIN)
    assert odds.isfinite().all()


def test_an_overconfident_branch_is_cooled_to_the_temperature_it_was_heated_by() -> None:
    generator = torch.Generator().manual_seed(0)
    honest = 1.5 * torch.randn(20_000, 7, generator=generator)
    truth = torch.multinomial(honest.softmax(dim=1), 1, generator=generator)[:, 0]
    fitted = fit_calibration(2.5 * honest, truth)
    assert abs(fitted.temperature - 2.5) < 0.1
    assert max(abs(b) for b in fitted.bias) < 0.1


def test_soft_targets_and_weights_count() -> None:
    logits = torch.zeros(4, 7)
    truth = torch.tensor([0, 1, 1, 1])
    targets = torch.nn.functional.one_hot(truth, 7).float()
    weights = torch.tensor([3.0, 1.0, 1.0, 1.0])
    bias = fit_calibration(logits, targets, weights).bias
    assert abs(bias[0] - bias[1]) < 0.05  # 3 against 1 + 1 + 1
    assert fit_calibration(logits, targets, with_bias=False).bias == (0.0,) * 7
