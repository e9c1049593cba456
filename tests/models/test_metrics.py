"""The measures agree with scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from models import metrics

labels = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=60)


@given(labels)
def test_they_agree_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    occurring = np.unique(truth)
    options = {"labels": occurring, "zero_division": 0}
    assert metrics.accuracy(truth, predicted) == pytest.approx(sk.accuracy_score(truth, predicted))
    recall = sk.recall_score(truth, predicted, average="macro", **options)
    assert metrics.unweighted_recall(truth, predicted) == pytest.approx(recall)
    assert metrics.macro_f1(truth, predicted) == pytest.approx(
        sk.f1_score(truth, predicted, average="macro", **options)
    )
    weighted = sk.f1_score(truth, predicted, average="weighted", **options)
    assert metrics.weighted_f1(truth, predicted) == pytest.approx(weighted)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_weighted_accuracy_is_the_balanced_accuracy(pairs: list[tuple[bool, bool]]) -> None:
    truth, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    if truth.all() or not truth.any():
        with pytest.raises(ValueError, match="both"):
            metrics.weighted_binary_accuracy(truth, predicted)
        return
    value = metrics.weighted_binary_accuracy(truth, predicted)
    assert value == pytest.approx(sk.balanced_accuracy_score(truth, predicted))


def test_calibration_error_of_known_cases() -> None:
    right = np.array([True] * 7 + [False] * 3)
    assert metrics.expected_calibration_error(np.full(10, 0.7), right) == pytest.approx(0)
    assert metrics.expected_calibration_error(np.full(10, 1.0), right) == pytest.approx(0.3)


def test_the_bootstrap_interval_holds_the_value_and_narrows_with_more_items() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for n in (50, 5000):
        truth = rng.integers(0, 2, n)
        predicted = np.where(rng.random(n) < 0.8, truth, 1 - truth)
        low, high = metrics.bootstrap_interval(metrics.accuracy, truth, predicted, draws=300)
        assert low <= metrics.accuracy(truth, predicted) <= high
        widths.append(high - low)
    assert widths[1] < widths[0] / 5
