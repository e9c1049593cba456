"""Thresholds come from validation data, and judge other items than those they were fitted on."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluate.measure import measure_set
from models.evaluate.thresholds import GRID, LeakError, Thresholds
from models.metrics import f1
from tests.models.evaluate.sets import likely, multi_label, single_label


def test_the_grid_is_the_reference_s() -> None:
    assert GRID[:2] == (0.05, 0.1)
    assert GRID[-1] == 0.95
    assert len(GRID) == 19


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=2, max_size=30))
def test_no_threshold_of_the_grid_has_a_better_f1(pairs: list[tuple[bool, int]]) -> None:
    truth = np.array([yes for yes, _ in pairs])
    p = np.array([twentieths / 20 for _, twentieths in pairs])
    thresholds = Thresholds.fit(multi_label([(0,) if yes else () for yes in truth], p[:, None], "tune"))
    best = max(f1(truth, p > threshold) for threshold in GRID)
    assert f1(truth, p > thresholds.values[0]) == best


def test_a_probability_equal_to_its_threshold_is_a_no() -> None:
    decided = Thresholds.unfitted(2).decide(single_label([0], np.array([[0.5, 0.51]])))
    assert decided.tolist() == [[False, True]]


@pytest.mark.parametrize("part", ["fit", "report", "test"])
def test_they_are_fitted_on_the_tune_part_alone(part: str) -> None:
    with pytest.raises(LeakError, match="fitted on the tune part alone"):
        Thresholds.fit(likely(20, 0, part))  # type: ignore[arg-type]


def test_they_refuse_to_judge_what_they_were_fitted_on() -> None:
    tune = likely(50, 0, "tune")
    thresholds = Thresholds.fit(tune)
    with pytest.raises(LeakError, match="may not judge"):
        measure_set(tune, thresholds)
    with pytest.raises(LeakError, match="may not judge"):
        measure_set(replace(likely(50, 1), ids=tune.ids), thresholds)  # the same items under another part's name
    assert measure_set(likely(50, 1), thresholds).decisions.thresholds_from == tune.name
    assert measure_set(tune, Thresholds.unfitted(7)).decisions.thresholds_from is None
