"""The speed of light and the share of it that is reached, by value."""

import pytest

from benchmarks.alone import per_media_s
from benchmarks.light import Light, light_speed, median_light, reached

LIGHT = Light(alone={"decode": 0.06, "detect": 0.04}, together={"decode": 0.08, "detect": 0.045}, workers=2)


def test_light_is_the_workers_over_the_sum_of_the_kernels() -> None:
    assert light_speed({"decode": 0.06, "detect": 0.04}, 2) == pytest.approx(20)
    assert LIGHT.cpu_s_per_media_s == pytest.approx(0.1)
    assert LIGHT.speed_together == pytest.approx(16)


def test_share_reached_with_and_without_start_up() -> None:
    share = reached(LIGHT, media_s=1000, last_commit_s=100, cpu_s=160, start_s=20, start_cpu_s=35)
    assert share.speed == pytest.approx(0.5)  # 10 x real time of 20
    assert share.speed_without_start == pytest.approx(0.625)  # 12.5 of 20
    assert share.speed_of_together == pytest.approx(0.625)  # 10 of 16
    assert share.cpu == pytest.approx(0.625)  # 100 CPU-seconds of 160
    assert share.cpu_without_start == pytest.approx(0.8)


def test_a_run_that_is_shorter_than_start_up_has_no_share_without_it() -> None:
    share = reached(LIGHT, media_s=10, last_commit_s=20, cpu_s=30, start_s=21, start_cpu_s=31)
    assert (share.speed_without_start, share.cpu_without_start) == (None, None)


def test_costs_are_means_of_the_processes_for_a_second_of_media() -> None:
    said = [{"media_s": 10, "cpu_s": {"decode": 1.0}}, {"media_s": 20, "cpu_s": {"decode": 4.0}}]
    assert per_media_s(said) == {"decode": pytest.approx(0.15)}


def test_of_several_measurements_each_stages_median_counts() -> None:
    lights = [Light({"decode": a, "infer": b}, {"decode": b, "infer": a}, 2) for a, b in ((1, 9), (2, 8), (3, 1))]
    assert median_light(lights) == Light({"decode": 2, "infer": 8}, {"decode": 8, "infer": 2}, 2)
