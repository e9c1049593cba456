"""Thresholds: from a probability for each emotion to yes or no. They are fitted on validation data, nowhere else."""

from dataclasses import dataclass

import numpy as np

from models.corpora.item import Part
from models.evaluate.scored import Scored
from models.metrics import f1

GRID = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""0.05, 0.10 ... 0.95, as the reference has it."""
UNFITTED = 0.5
VALIDATION: Part = "tune"


class LeakError(ValueError):
    """Thresholds were about to be fitted on, or to judge, items that they must not have seen."""


@dataclass(frozen=True)
class Thresholds:
    """One threshold for each emotion, and what they were fitted on: they judge no item of that.

    Made by `fit` or `unfitted`; `decide` is the only way to use them.
    """

    values: tuple[float, ...]
    fitted_on: str | None  # name of the set; None: not fitted at all
    corpus: str = ""
    seen: frozenset[str] = frozenset()  # ids in that corpus

    @classmethod
    def fit(cls, validation: Scored) -> "Thresholds":
        """For each emotion the threshold of GRID with the best F1, the lowest of equals.

        Raises LeakError for any set but one of the tune part.
        """
        if validation.part != VALIDATION:
            raise LeakError(
                f"thresholds are fitted on the {VALIDATION} part alone; {validation.name} is of the part "
                f"{validation.part}"
            )
        hot, p = validation.hot(), validation.probabilities
        scores = [[f1(hot[:, c], p[:, c] > t) for t in GRID] for c in range(hot.shape[1])]
        best = [GRID[int(np.argmax(row))] if hot[:, c].any() else UNFITTED for c, row in enumerate(scores)]
        return cls(tuple(best), validation.name, validation.corpus, frozenset(validation.ids))

    @classmethod
    def unfitted(cls, emotions: int) -> "Thresholds":
        """0.5 for each emotion: where there is nothing to fit on."""
        return cls((UNFITTED,) * emotions, None)

    def decide(self, items: Scored) -> np.ndarray:
        """bool [N, C]: probability > threshold, strictly. LeakError when they were fitted on any of these items."""
        if self.fitted_on is not None:
            known = self.seen & set(items.ids) if items.corpus == self.corpus else frozenset()
            if items.part == VALIDATION or known:
                raise LeakError(f"these thresholds were fitted on {self.fitted_on}: they may not judge {items.name}")
        return items.probabilities > np.array(self.values)
