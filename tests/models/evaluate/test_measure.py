"""A set's report: its measures are scikit-learn's, with trivial labellers beside them, computed on the same items."""

import numpy as np
import pytest
from sklearn import metrics as sk

from models.evaluate.measure import measure_set
from models.evaluate.report import Measure, SetReport
from models.evaluate.thresholds import Thresholds
from models.metrics import accuracy, bootstrap_interval
from tests.models.evaluate.sets import likely, multi_label, single_label

UNFITTED = Thresholds.unfitted(7)


@pytest.fixture(scope="module")
def report() -> SetReport:
    return measure_set(likely(400, 0), Thresholds.fit(likely(300, 1, "tune")))


def about(value: float) -> object:
    return pytest.approx(value, abs=6e-5)  # reports are rounded to four digits


def test_the_most_probable_emotion_is_measured_as_scikit_learn_does(report: SetReport) -> None:
    items = likely(400, 0)
    truth, predicted = np.array(items.labels)[:, 0], items.probabilities.argmax(axis=1)
    assert report.accuracy.value == about(sk.accuracy_score(truth, predicted))
    assert report.uar.value == about(sk.balanced_accuracy_score(truth, predicted))
    assert report.macro_f1.value == about(sk.f1_score(truth, predicted, average="macro"))
    assert report.weighted_f1.value == about(sk.f1_score(truth, predicted, average="weighted"))
    assert report.confusion == sk.confusion_matrix(truth, predicted).tolist()
    assert (report.accuracy.interval_95) == tuple(about(b) for b in bootstrap_interval(accuracy, truth, predicted))
    over_speakers = bootstrap_interval(accuracy, truth, predicted, groups=np.array(items.speakers))
    assert report.accuracy.interval_95_speakers == tuple(about(b) for b in over_speakers)
    assert sum(b.items for b in report.reliability) == report.items == 400


def test_yes_or_no_is_measured_as_scikit_learn_does_for_each_emotion_and_on_average(report: SetReport) -> None:
    items = likely(400, 0)
    hot = items.hot()
    averages: dict[str, list[float]] = {"weighted_accuracy": [], "binary_accuracy": [], "f1": [], "auc": []}
    for c, (emotion, found) in enumerate(report.decisions.by_emotion.items()):
        said = items.probabilities[:, c] > found.threshold
        expected = {
            "weighted_accuracy": sk.balanced_accuracy_score(hot[:, c], said),
            "binary_accuracy": sk.accuracy_score(hot[:, c], said),
            "f1": sk.f1_score(hot[:, c], said),
            "auc": sk.roc_auc_score(hot[:, c], items.probabilities[:, c]),
        }
        for name, value in expected.items():
            measure: Measure = getattr(found, name)
            assert measure.value == about(value), (emotion, name)
            assert measure.interval_95
            assert measure.interval_95[0] <= value <= measure.interval_95[1]
            averages[name].append(value)
    for name, values in averages.items():
        assert getattr(report.decisions, name).value == about(np.mean(values))
    said = items.probabilities > np.array([e.threshold for e in report.decisions.by_emotion.values()])
    assert report.decisions.weighted_f1.value == about(sk.f1_score(hot, said, average="weighted"))


def test_trivial_labellers_are_measured_on_the_same_items(report: SetReport) -> None:
    items = likely(400, 0)
    truth, hot = np.array(items.labels)[:, 0], items.hot()
    majority = np.full(400, np.bincount(truth).argmax())
    for name, measure in (("accuracy", sk.accuracy_score), ("uar", sk.balanced_accuracy_score)):
        assert getattr(report, name).baselines["majority"] == about(measure(truth, majority))
    assert report.macro_f1.baselines["majority"] == about(sk.f1_score(truth, majority, average="macro"))
    assert report.accuracy.baselines["prior"] == about((hot.mean(axis=0) ** 2).sum())
    for name, said in (("all_negative", np.zeros_like(hot)), ("all_positive", np.ones_like(hot))):
        accuracies = [sk.accuracy_score(hot[:, c], said[:, c]) for c in range(7)]
        f1s = [sk.f1_score(hot[:, c], said[:, c], zero_division=0) for c in range(7)]
        assert report.decisions.binary_accuracy.baselines[name] == about(np.mean(accuracies))
        assert report.decisions.f1.baselines[name] == about(np.mean(f1s))
        assert report.decisions.weighted_accuracy.baselines[name] == 0.5
        assert report.decisions.auc.baselines[name] == 0.5
    always = [sk.accuracy_score(hot[:, c], np.full(400, c == majority[0])) for c in range(7)]
    assert report.decisions.binary_accuracy.baselines["majority"] == about(np.mean(always))


def test_a_guess_by_the_prior_scores_what_its_baseline_says() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(7, 20_000, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05])
    guessed = np.eye(7)[rng.permutation(labels)]
    report = measure_set(single_label(labels.tolist(), guessed), UNFITTED)
    for name in ("accuracy", "uar", "macro_f1", "weighted_f1"):
        assert getattr(report, name).value == pytest.approx(getattr(report, name).baselines["prior"], abs=0.02)
    for name in ("binary_accuracy", "weighted_accuracy", "f1", "auc"):
        found = getattr(report.decisions, name)
        assert found.value == pytest.approx(found.baselines["prior"], abs=0.02)


def test_predicting_no_emotion_scores_what_the_literature_s_accuracy_hides() -> None:
    # Six emotions, one each: no to everything has Acc .8333 and WAcc .5, as on IEMOCAP.
    report = measure_set(
        single_label([c for c in range(6) for _ in range(10)], np.zeros((60, 6))), Thresholds.unfitted(6)
    )
    assert report.decisions.binary_accuracy.value == about(5 / 6)
    assert report.decisions.weighted_accuracy.value == 0.5
    assert report.decisions.f1.value == 0


def test_items_of_several_labels_are_right_when_one_is_named_and_items_of_none_only_take_part_in_yes_or_no() -> None:
    probabilities = np.array([[0.9, 0.6, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8], [0.3, 0.2, 0.1]])
    items = multi_label([(0, 1), (0,), (1, 2), ()], probabilities)
    report = measure_set(items, Thresholds.unfitted(3))
    assert report.accuracy.value == about(2 / 3)
    assert sum(map(sum, report.confusion)) == 3
    assert report.items == 4
    happy = report.decisions.by_emotion["happy"]
    assert (happy.positives, happy.binary_accuracy.value) == (2, 0.5)
    assert report.accuracy.baselines["majority"] == about(2 / 3)  # of two emotions with two items each, neutral


def test_an_emotion_that_a_corpus_lacks_is_no_part_of_its_averages() -> None:
    probabilities = np.array([[0.5, 0.2, 0.9], [0.1, 0.6, 0.9], [0.7, 0.1, 0.2], [0.2, 0.3, 0.1]])
    report = measure_set(single_label([0, 1, 0, 1], probabilities), Thresholds.unfitted(3))
    assert report.classes == ["neutral", "happy"]
    assert (report.uar.value, report.uar_shared.value) == (0.5, 1.0)
    assert list(report.decisions.by_emotion) == ["neutral", "happy"]
    assert report.by_emotion["sad"].recall is None


def test_speakers_are_reported_one_by_one_when_all_are_known() -> None:
    probabilities = np.eye(2)[[0, 0, 1, 1]]
    report = measure_set(single_label([0, 1, 1, 1], probabilities, speakers="aabb"), Thresholds.unfitted(2))
    assert report.speakers == 2
    assert (report.by_speaker["a"].accuracy, report.by_speaker["b"].accuracy) == (0.5, 1.0)
    assert report.accuracy.interval_95_speakers == (0.5, 1.0)
    unknown = measure_set(
        single_label([0, 1, 1, 1], probabilities, speakers=["a", "", "b", "b"]), Thresholds.unfitted(2)
    )
    assert (unknown.speakers, unknown.by_speaker, unknown.accuracy.interval_95_speakers) == (None, {}, None)


def test_what_is_not_defined_is_left_open() -> None:
    report = measure_set(single_label([0, 0], np.array([[0.9, 0.1], [0.4, 0.6]])), Thresholds.unfitted(2))
    assert report.decisions.auc.value is None
    assert report.decisions.by_emotion == {}
    assert report.accuracy.value == 0.5
    with pytest.raises(ValueError, match="no item has a label"):
        measure_set(multi_label([()], np.array([[0.5, 0.5]])), Thresholds.unfitted(2))


def test_scores_that_are_no_probabilities_of_the_items_are_refused() -> None:
    with pytest.raises(ValueError, match="without NaN"):
        single_label([0], np.array([[np.nan, 0.5]]))
    with pytest.raises(ValueError, match="of the same items"):
        single_label([0, 1], np.array([[0.1, 0.5]]))
