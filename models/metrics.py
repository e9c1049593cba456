"""Measures of a labelling, in numpy: what the model card reports, and the paper's two accuracies.

truth and predicted are int [N], indices of classes; probabilities [N, C].
"""

from collections.abc import Callable

import numpy as np

ECE_BINS = 15


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Share of items named rightly."""
    return float(np.mean(truth == predicted))


def unweighted_recall(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean recall over the classes that occur in `truth` (UAR, balanced accuracy)."""
    return float(np.mean([np.mean(predicted[truth == c] == c) for c in np.unique(truth)]))


def weighted_binary_accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """WAcc of one emotion as the paper's predecessors define it, (TP N / P + TN) / 2N: the mean of both recalls.

    truth and predicted are bool [N]. Raises ValueError when only one of the two classes occurs.
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        raise ValueError("weighted accuracy needs both positive and negative items")
    hits, rejections = int((truth & predicted).sum()), int((~truth & ~predicted).sum())
    return (hits * negatives / positives + rejections) / (2 * negatives)


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
    return float(np.mean(list(f1_by_class(truth, predicted).values())))


def weighted_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """F1 of each class weighted by how often it occurs."""
    return float(sum(score * np.mean(truth == c) for c, score in f1_by_class(truth, predicted).items()))


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = ECE_BINS) -> float:
    """Mean distance of confidence from accuracy over equal bins of confidence, weighted by their items (ECE)."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(confidence[place == b].mean() - right[place == b].mean()) * np.mean(place == b) for b in np.unique(place)
    ]
    return float(sum(gaps))


def bootstrap_interval(
    measure: Callable[[np.ndarray, np.ndarray], float],
    truth: np.ndarray,
    predicted: np.ndarray,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """95% interval of a measure: the middle of its values on items drawn again with replacement."""
    rng = np.random.default_rng(seed)
    picks = (rng.integers(0, len(truth), len(truth)) for _ in range(draws))
    values = [measure(truth[pick], predicted[pick]) for pick in picks]
    return float(np.percentile(values, 2.5)), float(np.percentile(values, 97.5))
