"""Masked late fusion of the three branches (the paper's Linear(3 -> 1) without bias, made fit for missing branches)."""

import torch
from torch import Tensor


def fuse_logits(logits: Tensor, present: Tensor, weights: Tensor) -> Tensor:
    """logits_c = sum_m w_m present_m z_mc * sum_m |w_m| / sum_m |w_m| present_m.

    logits [B, M, C], present bool [B, M], weights [M] -> [B, C]. Logits of absent branches are never read, be they NaN.
    With all branches present this is the reference's linear layer. Raises ValueError when a row has no branch whose
    weight is not zero.
    """
    held = weights.abs() * present
    norm = held.sum(dim=1)
    if bool((norm == 0).any()):
        row = int(torch.nonzero(norm == 0)[0, 0])
        raise ValueError(f"utterance {row} has neither text, nor sound, nor a face: there is nothing to label it from")
    known = torch.where(present[..., None], logits, torch.zeros_like(logits))
    return torch.einsum("m,bmc->bc", weights, known) * (weights.abs().sum() / norm)[:, None]
