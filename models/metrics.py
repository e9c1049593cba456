"""Measures of a labelling, in numpy: what the model card reports, and the paper's two accuracies.

truth and predicted are int [N], indices of classes. A matrix is [..., C, C], rows the truth, columns what was named:
one for a labelling, or a stack of them, one for each draw of a bootstrap. For a yes or no, C = 2 and 1 means yes.

Accuracies, named apart: `accuracy` is the share of items whose one emotion was named rightly. For yes-or-no decisions
on one emotion, the literature on IEMOCAP calls `accuracy` of them Acc (yes and no count alike, so that saying no always
scores .83 on six emotions), and that on CMU-MOSEI calls `weighted_binary_accuracy` WAcc (the mean of both recalls: no
always is .50).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

ECE_BINS = 15
DRAWS = 1000


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """int [C, C]: how many items of each class (row) were named what (column)."""
    codes = truth.astype(int) * classes + predicted.astype(int)
    return np.bincount(codes, minlength=classes * classes).reshape(classes, classes)


def accuracy_of(matrix: np.ndarray) -> np.ndarray:
    """Share of items on the diagonal, [...]."""
    return _ratio(_hits(matrix).sum(axis=-1), matrix.sum(axis=(-2, -1)))


def recalls_of(matrix: np.ndarray) -> np.ndarray:
    """Recall of each class, [..., C]; NaN for a class that does not occur."""
    return _ratio(_hits(matrix), matrix.sum(axis=-1))


def precisions_of(matrix: np.ndarray) -> np.ndarray:
    """Precision of each class, [..., C]; NaN for a class that was never named."""
    return _ratio(_hits(matrix), matrix.sum(axis=-2))


def f1s_of(matrix: np.ndarray) -> np.ndarray:
    """F1 of each class, [..., C]; NaN for a class that does not occur."""
    occurring = matrix.sum(axis=-1)
    return np.where(occurring > 0, _ratio(2 * _hits(matrix), occurring + matrix.sum(axis=-2)), np.nan)


def unweighted_recall_of(matrix: np.ndarray) -> np.ndarray:
    """Mean recall over the classes that occur, [...]."""
    return mean_of_known(recalls_of(matrix))


def weighted_accuracy_of(matrix: np.ndarray) -> np.ndarray:
    """WAcc of yes-or-no decisions, [..., 2, 2] -> [...]: the mean of both recalls; NaN where one class is absent."""
    return recalls_of(matrix).mean(axis=-1)


def macro_f1_of(matrix: np.ndarray) -> np.ndarray:
    """Mean F1 over the classes that occur, [...]."""
    return mean_of_known(f1s_of(matrix))


def weighted_f1_of(matrix: np.ndarray) -> np.ndarray:
    """F1 of each class weighted by how often it occurs, [...]."""
    return np.nansum(f1s_of(matrix) * _ratio(matrix.sum(axis=-1), matrix.sum(axis=(-2, -1))[..., None]), axis=-1)


def mean_of_known(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is not NaN; NaN where nothing is known."""
    return _ratio(np.nansum(values, axis=-1), np.isfinite(values).sum(axis=-1))


def _hits(matrix: np.ndarray) -> np.ndarray:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan), where=whole != 0)


def _matrix(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return confusion_matrix(truth, predicted, int(max(truth.max(), predicted.max())) + 1)


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Share of items named rightly; of bool [N], the literature's Acc of one emotion."""
    return float(np.mean(truth == predicted))


def unweighted_recall(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean recall over the classes that occur in `truth` (UAR, balanced accuracy)."""
    return float(unweighted_recall_of(_matrix(truth, predicted)))


def weighted_binary_accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """WAcc of one emotion as the paper's predecessors define it, (TP N / P + TN) / 2N: the mean of both recalls.

    truth and predicted are bool [N]. Raises ValueError when only one of the two classes occurs.
    """
    if truth.all() or not truth.any():
        raise ValueError("weighted accuracy needs both positive and negative items")
    return float(weighted_accuracy_of(confusion_matrix(truth, predicted, 2)))


def f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """F1 of the positive class of bool [N]; 0 where nothing is predicted and nothing is there."""
    hits = int((truth & predicted).sum())
    total = int(truth.sum()) + int(predicted.sum())
    return 2 * hits / total if total else 0.0


def f1_by_class(truth: np.ndarray, predicted: np.ndarray) -> dict[int, float]:
    """F1 of each class that occurs in `truth`."""
    return {int(c): f1(truth == c, predicted == c) for c in np.unique(truth)}


def macro_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean F1 over the classes that occur."""
    return float(macro_f1_of(_matrix(truth, predicted)))


def weighted_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """F1 of each class weighted by how often it occurs."""
    return float(weighted_f1_of(_matrix(truth, predicted)))


def area_under_roc(truth: np.ndarray, scores: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """Chance that a positive item scores above a negative one, ties counting half (AUC): [D].

    truth bool [N], scores [N]; counts [D, N] says how often each item counts in each of D draws, once when None. NaN
    for a draw without positives or without negatives. Our own, as no library does a thousand draws in one pass.
    """
    counts = np.ones((1, len(truth))) if counts is None else counts
    order = np.argsort(scores, kind="stable")
    first_of_tie = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    ordered = counts[:, order]
    positives = np.add.reduceat(ordered * truth[order], first_of_tie, axis=1)
    negatives = np.add.reduceat(ordered * ~truth[order], first_of_tie, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    return _ratio((positives * below).sum(axis=1), positives.sum(axis=1) * negatives.sum(axis=1))


@dataclass(frozen=True)
class ReliabilityBin:
    """Items whose confidence is in [low, high): how sure the model was of them, and how often it was right."""

    low: float
    high: float
    items: int
    confidence: float
    accuracy: float


def confidence_bins(confidence: np.ndarray, bins: int = ECE_BINS) -> np.ndarray:
    """Number of each item's bin, int [N], of equal bins of 0..1; 1.0 belongs to the last."""
    return np.minimum((confidence * bins).astype(int), bins - 1)


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = ECE_BINS) -> list[ReliabilityBin]:
    """The bins that hold items, from the least sure to the surest."""
    place = confidence_bins(confidence, bins)
    return [
        ReliabilityBin(
            b / bins, (b + 1) / bins, int(held.sum()), float(confidence[held].mean()), float(right[held].mean())
        )
        for b in np.unique(place)
        for held in [place == b]
    ]


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = ECE_BINS) -> float:
    """Mean distance of confidence from accuracy over equal bins of confidence, weighted by their items (ECE)."""
    filled = reliability(confidence, right, bins)
    return sum(abs(b.confidence - b.accuracy) * b.items for b in filled) / len(confidence)


def resample(items: int, draws: int, seed: int, groups: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Rows of each bootstrap draw: items drawn again with replacement, or whole groups of items (speakers).

    groups [N] names each item's group. A draw of groups holds as many groups as there are, not as many items.
    """
    rng = np.random.default_rng(seed)
    if groups is None:
        for _ in range(draws):
            yield rng.integers(0, items, items)
        return
    names, membership = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(membership == k) for k in range(len(names))]
    for _ in range(draws):
        yield np.concatenate([members[k] for k in rng.integers(0, len(names), len(names))])


def percentile_interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95% of the draws' values, [D] with D >= 1; draws in which the measure is not defined are left out."""
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def bootstrap_interval(
    measure: Callable[[np.ndarray, np.ndarray], float],
    truth: np.ndarray,
    predicted: np.ndarray,
    draws: int = DRAWS,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> tuple[float, float]:
    """95% interval of a measure: the middle of its values on items (or groups of items) drawn again."""
    picks = resample(len(truth), draws, seed, groups)
    return percentile_interval(np.array([measure(truth[pick], predicted[pick]) for pick in picks]))
