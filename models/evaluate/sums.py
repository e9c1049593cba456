"""Sums over items, as they are and in every bootstrap draw: what all measures are computed from.

A measure is a function of sums (how many of each emotion were named what, say). So one pass makes these sums for the
items and for every draw, and each measure is computed for all of them together: row 0 is its value, the other rows give
its interval.
"""

from collections.abc import Iterator

import numpy as np

from models import metrics
from models.evaluate.scored import Scored

DRAWS_AT_ONCE = 100


class Sums:
    """Sums over the items as they are (row 0) and over R - 1 bootstrap draws of items or of groups of items.

    named, named_shared [R, C, C]: confusion matrices of the most probable emotion, of all and of those in the corpus.
    decided [R, C, 2, 2]: those of the yes-or-no decisions. calibration [R, B]: confidence less rightness, by bin. areas
    [R, C]: AUC.
    """

    def __init__(self, items: Scored, decided: np.ndarray, groups: np.ndarray | None) -> None:
        count, classes = items.probabilities.shape
        hot = items.hot()
        predicted, shared = most_probable(items)
        confidence = items.probabilities.max(axis=1)
        truth = items.truth_beside(predicted)
        places = metrics.confidence_bins(confidence)
        blocks = [
            _one_hot(truth * classes + predicted, classes**2, truth >= 0),
            _one_hot(items.truth_beside(shared) * classes + shared, classes**2, truth >= 0),
            *(_one_hot(2 * hot[:, c] + decided[:, c], 4) for c in range(classes)),
            _one_hot(places, metrics.ECE_BINS, truth >= 0) * (confidence - (predicted == truth))[:, None],
        ]
        features = np.concatenate(blocks, axis=1)
        totals, areas = [], []
        for counts in _counts(count, groups):
            totals.append(counts @ features)
            columns = zip(hot.T, items.probabilities.T, strict=True)
            areas.append(np.stack([metrics.area_under_roc(h, p, counts) for h, p in columns], axis=1))
        edges = np.cumsum([block.shape[1] for block in blocks])[:-1]
        named, named_shared, *binary, self.calibration = np.split(np.concatenate(totals), edges, axis=1)
        self.named = named.reshape(-1, classes, classes)
        self.named_shared = named_shared.reshape(-1, classes, classes)
        self.decided = np.stack(binary, axis=1).reshape(-1, classes, 2, 2)
        self.areas = np.concatenate(areas)

    def ece(self) -> np.ndarray:
        """[R]."""
        return np.abs(self.calibration).sum(axis=1) / np.maximum(self.named.sum(axis=(1, 2)), 1)


def most_probable(items: Scored) -> tuple[np.ndarray, np.ndarray]:
    """int [N] twice: the most probable emotion of all, and of those that occur among the items."""
    occurring = np.flatnonzero(items.hot().any(axis=0))
    predicted = items.probabilities.argmax(axis=1)
    return predicted, occurring[items.probabilities[:, occurring].argmax(axis=1)] if len(occurring) else predicted


def _one_hot(codes: np.ndarray, width: int, where: np.ndarray | None = None) -> np.ndarray:
    hot = np.zeros((len(codes), width))
    rows = np.arange(len(codes)) if where is None else np.flatnonzero(where)
    hot[rows, codes[rows].astype(int)] = 1
    return hot


def _counts(items: int, groups: np.ndarray | None) -> Iterator[np.ndarray]:
    """How often each item counts: once, then in each draw; some draws at a time, [<= 100, N]."""
    yield np.ones((1, items))
    picks = metrics.resample(items, metrics.DRAWS, 0, groups)
    for _ in range(0, metrics.DRAWS, DRAWS_AT_ONCE):
        yield np.stack([np.bincount(next(picks), minlength=items) for _ in range(DRAWS_AT_ONCE)]).astype(float)
