"""What cuts cost against waiting, by value."""

import random

import pytest

from benchmarks import lengths


def test_one_worker_and_no_cut_take_as_long_as_the_media(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lengths, "SPREAD", 0.0)
    shards = lengths.shards_of([120, 120], workers=1, divisor=1.0)
    assert [shard.media_ms for shard in shards] == [120_000, 120_000]
    assert lengths.excess(shards, 1, seed=0) == pytest.approx(1.0)
    assert lengths.excess(shards, 3, seed=0) == pytest.approx(1.5)  # the third has nothing to do


def test_each_side_of_a_cut_takes_its_half(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lengths, "SPREAD", 0.0)
    shards = lengths.shards_of([600], workers=1, divisor=1.0)
    assert [shard.media_ms for shard in shards] == [240_000, 360_000]
    assert [lengths.takes_s(shard, random.Random(0)) for shard in shards] == [245.0, 365.0]


def test_a_larger_divisor_cuts_more_often() -> None:
    counts = [len(lengths.shards_of([1800], 2, divisor)) for divisor in (1.0, 2.0, 3.0)]
    assert counts == sorted(set(counts))
