import numpy as np
import pytest

from models.emotions import EMOTIONS
from pipelines.report.drift import FEWEST_FILES, Z_95, change, shares_of

MIX = np.array([8.0, 3, 1, 1, 0.5, 0.5, 1])


def videos(rng: np.random.Generator, number: int, mix: np.ndarray = MIX) -> np.ndarray:
    """Labelled ms [number, 7]: each video has a mood of its own around the mix, and a length of its own."""
    return rng.dirichlet(mix, number) * rng.lognormal(12, 0.7, (number, 1))


def test_shares_are_of_time_and_add_up_to_one():
    found = shares_of(np.array([[3000.0, 1000, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 4000]]))
    assert found.shares.tolist() == [0.375, 0.125, 0, 0, 0, 0, 0.5]


def test_one_file_has_no_margin():
    assert shares_of(np.ones((1, 7))).errors is None


def test_the_interval_holds_the_truth_nineteen_times_in_twenty():
    rng = np.random.default_rng(7)
    truth = MIX / MIX.sum()
    tries = [shares_of(videos(rng, 200)) for _ in range(300)]
    held = np.mean([np.abs(t.shares - truth) <= Z_95 * t.errors for t in tries])
    assert held == pytest.approx(0.95, abs=0.02)


def test_chance_alone_is_seldom_called_a_shift():
    rng = np.random.default_rng(8)
    shifts = [change(shares_of(videos(rng, 120)), shares_of(videos(rng, 60))).shifted for _ in range(300)]
    assert np.mean([bool(shift) for shift in shifts]) < 0.08


def test_a_planted_shift_is_named_with_its_size():
    rng = np.random.default_rng(9)
    after = MIX + np.array([-4, 0, 0, 4, 0, 0, 0])
    found = change(shares_of(videos(rng, 400)), shares_of(videos(rng, 400, after)))
    assert set(found.shifted) == {"neutral", "angry"}
    assert found.differences[EMOTIONS.index("angry")] == pytest.approx(4 / 15, abs=0.04)
    assert found.stability > 0.25


def test_nothing_is_called_a_shift_of_too_few_files():
    rng = np.random.default_rng(10)
    few = np.tile([0.0, 0, 0, 1, 0, 0, 0], (FEWEST_FILES - 1, 1))
    assert change(shares_of(videos(rng, 400)), shares_of(few)).shifted == ()


def test_the_same_shares_are_perfectly_stable():
    same = shares_of(videos(np.random.default_rng(11), 30))
    assert change(same, same).stability == 0
