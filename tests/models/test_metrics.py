"""The measures agree with scikit-learn's and torchmetrics'."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk
from torchmetrics.functional.classification import binary_calibration_error

from models import metrics

labels = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=60)
decisions = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60)
scored = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=40)


def columns(pairs: list[tuple]) -> tuple[np.ndarray, np.ndarray]:
    truth, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    return truth, predicted


@given(labels)
def test_they_agree_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = columns(pairs)
    options = {"labels": np.unique(truth), "zero_division": 0}
    assert metrics.accuracy(truth, predicted) == pytest.approx(sk.accuracy_score(truth, predicted))
    recall = sk.recall_score(truth, predicted, average="macro", **options)
    assert metrics.unweighted_recall(truth, predicted) == pytest.approx(recall)
    for average, measure in (("macro", metrics.macro_f1), ("weighted", metrics.weighted_f1)):
        expected = sk.f1_score(truth, predicted, average=average, **options)
        assert measure(truth, predicted) == pytest.approx(expected)
    by_class = metrics.f1_by_class(truth, predicted)
    assert list(by_class.values()) == pytest.approx(sk.f1_score(truth, predicted, average=None, **options))


@given(labels)
def test_the_confusion_matrix_and_what_is_read_off_it_agree_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = columns(pairs)
    matrix = metrics.confusion_matrix(truth, predicted, 7)
    np.testing.assert_array_equal(matrix, sk.confusion_matrix(truth, predicted, labels=range(7)))
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        truth, predicted, labels=range(7), zero_division=np.nan
    )
    np.testing.assert_allclose(metrics.recalls_of(matrix), recall)
    np.testing.assert_allclose(metrics.precisions_of(matrix), precision)
    np.testing.assert_allclose(metrics.f1s_of(matrix), np.where(support > 0, f1, np.nan))


@given(decisions)
def test_the_two_accuracies_of_the_literature_are_apart(pairs: list[tuple[bool, bool]]) -> None:
    truth, predicted = columns(pairs)
    assert metrics.accuracy(truth, predicted) == pytest.approx(sk.accuracy_score(truth, predicted))
    assert metrics.f1(truth, predicted) == pytest.approx(sk.f1_score(truth, predicted, zero_division=0))
    if truth.all() or not truth.any():
        with pytest.raises(ValueError, match="both"):
            metrics.weighted_binary_accuracy(truth, predicted)
        return
    value = metrics.weighted_binary_accuracy(truth, predicted)
    assert value == pytest.approx(sk.balanced_accuracy_score(truth, predicted))
    hits, rejections = (truth & predicted).sum(), (~truth & ~predicted).sum()
    positives, negatives = truth.sum(), (~truth).sum()
    assert value == pytest.approx((hits * negatives / positives + rejections) / (2 * negatives))  # as the paper has it


@given(scored, st.integers(0, 1000))
def test_the_area_under_the_curve_agrees_with_scikit_learn_in_every_draw(
    pairs: list[tuple[bool, int]], seed: int
) -> None:
    truth, scores = columns(pairs)
    counts = np.random.default_rng(seed).integers(0, 3, (3, len(truth)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for count, area in zip(counts, metrics.area_under_roc(truth, scores / 8, counts), strict=True):
            drawn = np.repeat(np.arange(len(truth)), count)
            if len(set(truth[drawn].tolist())) < 2:
                assert np.isnan(area)
            else:
                assert area == pytest.approx(sk.roc_auc_score(truth[drawn], scores[drawn]))
    if len(set(truth.tolist())) == 2:
        assert metrics.area_under_roc(truth, scores)[0] == pytest.approx(sk.roc_auc_score(truth, scores))


@given(st.lists(st.tuples(st.floats(0.001, 0.999), st.booleans()), min_size=1, max_size=60))
def test_the_calibration_error_agrees_with_torchmetrics(pairs: list[tuple[float, bool]]) -> None:
    confidence, right = columns(pairs)
    near_an_edge = np.abs(confidence * 15 - np.round(confidence * 15)) < 1e-4
    confidence = np.where(near_an_edge, confidence - 1e-3, confidence)  # float32 may put it on the other side
    theirs = binary_calibration_error(torch.tensor(confidence), torch.tensor(right).int(), n_bins=15, norm="l1")
    # Theirs bins the probability of "yes"; ours the confidence: the same numbers, when "yes" stands for being right.
    assert metrics.expected_calibration_error(confidence, right) == pytest.approx(float(theirs), abs=1e-5)


def test_calibration_error_of_known_cases() -> None:
    right = np.array([True] * 7 + [False] * 3)
    assert metrics.expected_calibration_error(np.full(10, 0.7), right) == pytest.approx(0)
    assert metrics.expected_calibration_error(np.full(10, 1.0), right) == pytest.approx(0.3)
    assert [(b.items, b.confidence, b.accuracy) for b in metrics.reliability(np.full(10, 1.0), right)] == [(10, 1, 0.7)]


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


def test_an_interval_over_speakers_is_as_wide_as_speakers_differ() -> None:
    # Ten speakers of 200 items; of every speaker the model is always right or always wrong.
    speakers = np.repeat(np.arange(10), 200)
    truth = np.zeros(2000, int)
    predicted = (speakers < 3).astype(int)
    over_items = metrics.bootstrap_interval(metrics.accuracy, truth, predicted, draws=300)
    over_speakers = metrics.bootstrap_interval(metrics.accuracy, truth, predicted, draws=300, groups=speakers)
    assert over_items[1] - over_items[0] < 0.06
    assert over_speakers[1] - over_speakers[0] > 0.4


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.integers(0, 100))
def test_a_draw_of_groups_holds_whole_groups(groups: list[int], seed: int) -> None:
    names, sizes = np.unique(groups, return_counts=True)
    for pick in metrics.resample(len(groups), 5, seed, np.array(groups)):
        times = np.bincount(pick, minlength=len(groups))
        for name, size in zip(names, sizes, strict=True):
            assert len(set(times[np.array(groups) == name])) == 1, (name, size)
