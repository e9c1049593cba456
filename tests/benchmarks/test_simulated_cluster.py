"""The simulated cluster against what can be worked out by hand."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.cluster_simulation import planned_s
from benchmarks.simulated_cluster import Cluster, Costs, Outcome, Simulation, Work

BARE = Costs(driver_s=0.0, write_s=0.0, start_s=0.0)
"""Nothing takes time but the stages."""


def run(cluster: Cluster, work: Work, costs: Costs = BARE, seed: int = 1) -> Outcome:
    return Simulation(cluster, work, costs, seed).run()


def test_one_core_takes_the_sum_of_all_costs() -> None:
    outcome = run(Cluster(1, cores=1), Work(40, 600))
    assert outcome.hours * 3600 == pytest.approx(40 * 600 * BARE.in_all)
    assert outcome.efficiency == pytest.approx(1.0)
    assert outcome.core_hours == pytest.approx(outcome.hours)


def test_one_shard_takes_the_sum_of_its_stages_however_many_cores_there_are() -> None:
    costs = Costs(driver_s=2.0, write_s=3.0, start_s=60.0)
    outcome = run(Cluster(5, cores=16), Work(1, 600), costs)
    assert outcome.hours * 3600 == pytest.approx(60 + 2 + 600 * costs.in_all + 3)


def test_two_tasks_share_a_core_evenly() -> None:
    """Two shards are decoded side by side on two cores; the second waits for the only transcriber."""
    costs = Costs(decode=1.0, transcribe=0.5, infer=0.0, driver_s=0.0, write_s=0.0, start_s=0.0)
    assert run(Cluster(1, cores=2), Work(2, 10), costs).hours * 3600 == pytest.approx(10 + 5 + 5)
    # Three: the third is decoded beside the two transcriptions, two tasks on two cores.
    assert run(Cluster(1, cores=2), Work(3, 10), costs).hours * 3600 == pytest.approx(10 + 5 + 5 + 5)


def test_a_transcriber_that_is_too_slow_sets_the_pace() -> None:
    """What waits for it is bounded, so that decoding stops; but for sharing its core at times, it is never held up."""
    costs = Costs(decode=0.1, transcribe=1.0, infer=0.0, driver_s=0.0, write_s=0.0, start_s=0.0)
    outcome = run(Cluster(1, cores=2), Work(50, 10), costs)
    assert outcome.hours * 3600 == pytest.approx(1 + 50 * 10, rel=0.03)
    assert outcome.most_in_flight <= 2 + 2 + 1 + 1  # decoding, waiting for the transcriber, there, and leaving


def test_a_slow_driver_sets_the_pace() -> None:
    outcome = run(Cluster(100), Work(3_000, 60), Costs(driver_s=1.0, write_s=0.0, start_s=0.0))
    assert outcome.hours * 3600 == pytest.approx(3_000 + 60 * BARE.in_all, rel=0.01)
    assert outcome.driver_busy == pytest.approx(1.0, abs=0.01)


def test_ten_machines_are_ten_times_as_fast() -> None:
    one, ten = (run(Cluster(count), Work(8_000, 600)) for count in (1, 10))
    assert ten.speed == pytest.approx(10 * one.speed, rel=0.02)


def test_shards_as_they_are_planned_end_together() -> None:
    planned, equal = (planned_s(2_000, 160, minutes) for minutes in (None, 60))
    assert planned.sum() == equal.sum() == 2_000 * 3_600
    assert (planned.max(), planned[-2:].max()) == (3_600, 60)
    cluster, uneven = Cluster(20), {"spread": 0.3, "heavy": 0.01}
    tails = [run(cluster, Work(len(shards_s), shards_s, **uneven)).tail_hours for shards_s in (planned, equal)]
    assert tails[0] < tails[1] / 4


def test_what_losses_cost_is_what_the_page_on_sizing_says() -> None:
    """L x w x m / (2 x v): losses an hour, shards in a machine's hands, hours of video a shard, a machine's speed."""
    costs, lost = Costs(0.13, 0.05, 0.01, driver_s=0.0, write_s=0.0, start_s=0.0), 2.0
    outcome = run(Cluster(20, losses_per_hour=lost, notice_s=0.0, replace_s=0.1), Work(15_000, 1800), costs)
    in_hand = outcome.shards_begun_anew / outcome.losses
    expected = lost * in_hand * 0.5 / (2 * 8 / costs.in_all)
    assert outcome.losses > 300
    # What is done anew can be lost again; and shards in the later stages are more than half done.
    assert outcome.repeated == pytest.approx(expected / (1 - expected), rel=0.25)


@settings(max_examples=25)
@given(
    nodes=st.integers(1, 6),
    cores=st.integers(1, 9),
    shards=st.integers(1, 80),
    losses=st.sampled_from([0.0, 0.5, 5.0]),
    late=st.sampled_from([0.0, 0.5, 1.0]),
    slow=st.sampled_from([0.0, 0.5]),
    spread=st.sampled_from([0.0, 0.5]),
    heavy=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 1_000),
)
def test_whatever_befalls_a_run_each_shard_is_committed_once(
    nodes: int, cores: int, shards: int, losses: float, late: float, slow: float, spread: float, heavy: float, seed: int
) -> None:
    cluster = Cluster(nodes, cores, losses_per_hour=losses, late=late, slow=slow)
    simulation = Simulation(cluster, Work(shards, 600, spread, heavy), Costs(), seed)
    outcome = simulation.run()  # which fails where a shard is committed twice
    assert simulation.committed == shards
    assert outcome.hours >= outcome.hours_ideal
    assert 0 <= outcome.tail_hours <= outcome.hours
    assert (outcome.repeated == 0) or outcome.losses
    assert math.isfinite(outcome.speed)
    assert outcome.core_hours * (1 - 1e-9) >= outcome.hours_ideal * nodes * cores * (1 + outcome.repeated)


def test_the_same_seed_gives_the_same_run() -> None:
    cluster, work = Cluster(3, losses_per_hour=1.0, late=0.5), Work(60, 600, 0.3, 0.1)
    first, again, other = (run(cluster, work, seed=seed) for seed in (1, 1, 2))
    assert first.hours == again.hours != other.hours
