"""Calibration: from a branch's logits to log-odds that mean what they say.

A branch is trained with softmax. Its logits z become probabilities p = softmax(z / T + b), with the temperature T and
the biases b fitted on held-out items, and one log-odds for each emotion, log(p / (1 - p)): what a sigmoid turns back
into p. Fusion then adds like with like.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

BIAS_PENALTY = 0.02  # keeps biases of rare emotions near 0
MAX_LOG_ODDS = 12.0  # finite for any input


@dataclass(frozen=True)
class Calibration:
    """Temperature and biases [7] of one branch."""

    temperature: float
    bias: tuple[float, ...]


def log_odds(logits: Tensor, calibration: Calibration) -> Tensor:
    """Logits [B, C] -> calibrated log-odds [B, C]: u_c - log sum_{j != c} exp u_j with u = z / T + b."""
    u = logits.float() / calibration.temperature + torch.tensor(calibration.bias, device=logits.device)
    classes = u.shape[-1]
    others = u[:, None, :].expand(-1, classes, classes)
    others = others.masked_fill(torch.eye(classes, dtype=torch.bool, device=u.device), float("-inf"))
    return (u - others.logsumexp(dim=-1)).clamp(-MAX_LOG_ODDS, MAX_LOG_ODDS)


def fit_calibration(
    logits: Tensor, targets: Tensor, weights: Tensor | None = None, with_bias: bool = True
) -> Calibration:
    """The calibration of least cross-entropy on held-out items.

    logits [N, C]; targets int [N], or [N, C] that sum to 1; weights [N] of the items, equal when None.
    """
    if targets.ndim == 1:
        targets = nn.functional.one_hot(targets, logits.shape[1]).float()
    weights = torch.ones(len(logits)) if weights is None else weights
    weights = weights / weights.sum()
    logits = logits.detach().double()
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(logits.shape[1], dtype=torch.float64, requires_grad=with_bias)
    optimiser = torch.optim.LBFGS(
        [log_temperature, bias] if with_bias else [log_temperature], max_iter=200, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        scaled = logits / log_temperature.exp() + bias
        value = -(weights[:, None] * targets * scaled.log_softmax(dim=1)).sum() + BIAS_PENALTY * bias.square().mean()
        value.backward()
        return value

    optimiser.step(loss)
    centred = (bias - bias.mean()).detach()  # a common bias changes nothing
    return Calibration(float(log_temperature.detach().exp()), tuple(float(b) for b in centred))
