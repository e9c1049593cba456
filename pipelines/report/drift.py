"""Drift: whether the labels of a run are like those of the runs before it.

Utterances of one video are alike, so a video is what counts as one observation: margins come from how much videos
differ (a ratio estimator, linearised), not from the number of utterances.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.emotions import EMOTIONS

Z_95 = 1.96
Z_CHANGED = 2.69
"""Two-sided 5% for seven emotions at once (Bonferroni)."""
FEWEST_FILES = 10
"""With fewer files on either side no change is called more than chance."""
_SMALLEST_SHARE = 0.001
"""The population stability index has logarithms in it; a share of 0 counts as this."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shares:
    """Shares of time by emotion [7], and their standard errors [7]; None where one file is all there is."""

    shares: Floats
    errors: Floats | None
    files: int


@dataclass(frozen=True)
class Change:
    """From one to another: differences of shares [7], which of them are beyond chance, and the stability index."""

    differences: Floats
    shifted: tuple[str, ...]
    stability: float


def shares_of(ms: Floats) -> Shares:
    """Shares over files; `ms` [files, 7] is the labelled time of each by emotion, more than 0 in all."""
    of_file = ms.sum(axis=1)
    total, files = of_file.sum(), len(ms)
    shares = ms.sum(axis=0) / total
    if files < 2:
        return Shares(shares, None, files)
    residuals = ms - of_file[:, None] * shares
    return Shares(shares, np.sqrt((residuals**2).sum(axis=0) * files / (files - 1)) / total, files)


def change(before: Shares, after: Shares) -> Change:
    """What has changed from `before` to `after`."""
    differences = after.shares - before.shares
    shifted: tuple[str, ...] = ()
    if before.errors is not None and after.errors is not None and min(before.files, after.files) >= FEWEST_FILES:
        is_beyond = np.abs(differences) > Z_CHANGED * np.hypot(before.errors, after.errors)
        shifted = tuple(name for name, is_so in zip(EMOTIONS, is_beyond, strict=True) if is_so)
    old, new = (np.maximum(side.shares, _SMALLEST_SHARE) for side in (before, after))
    return Change(differences, shifted, float(((new - old) * np.log(new / old)).sum()))
