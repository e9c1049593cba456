"""Who trains, who calibrates, who reports: three parts that share no speaker, subject, dialogue or picture."""

import hashlib
from typing import Literal

Part = Literal["fit", "tune", "report"]
"""fit: gradients. tune: early stopping, temperatures, fusion weights. report: the numbers of the model card."""


def hashed_fraction(key: str) -> float:
    """A number in [0, 1) that depends on `key` alone: the same split on every machine and in every order."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def fit_or_tune(key: str, tune_fraction: float) -> Part:
    """Part of an item of a corpus that has no tuning part of its own."""
    return "tune" if hashed_fraction(key) < tune_fraction else "fit"
