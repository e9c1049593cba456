"""The plan loses nothing, doubles nothing, and does not depend on the order of the listing."""

import heapq
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.schema import PLANNED
from pipelines.plan import (
    MAX_SEGMENTS_PER_SHARD,
    Lengths,
    Segment,
    Shard,
    Video,
    cut,
    from_table,
    pack,
    round_to_anchor,
    segments_of,
    subtract,
    to_table,
)

ANCHOR_MS = 20_000
DURATIONS_MS = st.one_of(st.integers(1, 30_000), st.integers(1, 4 * 3_600_000))


def a_video(number: int, duration_ms: int) -> Video:
    return Video(f"/corpus/{number:04d}.mp4", 1000 + number, str(number), duration_ms, 1280, 720, 25.0, "h264", "aac")


@st.composite
def corpora(draw: st.DrawFn) -> list[Video]:
    durations = draw(st.lists(DURATIONS_MS, max_size=30))
    return [a_video(number, duration_ms) for number, duration_ms in enumerate(durations)]


def plan(videos: list[Video], lengths: Lengths, recipe_id: str = "r") -> list[Shard]:
    return pack(segments_of(videos, {}, lengths), lengths, recipe_id)


SEGMENT_MS = st.integers(1, 90).map(lambda number: number * ANCHOR_MS)
SET = st.builds(Lengths, st.just(1), st.just(ANCHOR_MS), SEGMENT_MS, st.integers(60_000, 60 * 60_000))
GUIDED = st.builds(Lengths, st.integers(1, 200), st.just(ANCHOR_MS))
LENGTHS = st.one_of(SET, GUIDED)
MINUTE = Lengths(1, ANCHOR_MS, 60_000, 120_000)


@given(corpora(), LENGTHS)
def test_shards_tile_every_video(videos: list[Video], lengths: Lengths) -> None:
    covered: dict[str, list[tuple[int, int]]] = {}
    for shard in plan(videos, lengths):
        for segment in shard.segments:
            covered.setdefault(segment.video.uri, []).append((segment.start_ms, segment.end_ms))
    assert set(covered) == {video.uri for video in videos}
    for video in videos:
        intervals = sorted(covered[video.uri])
        assert intervals[0][0] == 0
        assert intervals[-1][1] == video.duration_ms
        assert all(left[1] == right[0] for left, right in itertools.pairwise(intervals))
        assert all(start_ms % ANCHOR_MS == 0 for start_ms, _ in intervals)


@given(corpora(), LENGTHS, st.randoms())
def test_ids_do_not_depend_on_the_listing(videos: list[Video], lengths: Lengths, rng: random.Random) -> None:
    shuffled = videos[:]
    rng.shuffle(shuffled)
    first, second = plan(videos, lengths), plan(shuffled, lengths)
    assert first == second
    assert len({shard.shard_id for shard in first}) == len(first)


@given(corpora(), LENGTHS)
def test_shards_keep_their_size(videos: list[Video], lengths: Lengths) -> None:
    shards = plan(videos, lengths)
    left_ms = sum(shard.media_ms for shard in shards)
    for shard in shards:
        assert len(shard.segments) <= MAX_SEGMENTS_PER_SHARD
        assert len(shard.segments) == 1 or shard.media_ms <= lengths.shard_ms(left_ms)
        left_ms -= shard.media_ms


@given(corpora(), GUIDED)
def test_workers_end_together(videos: list[Video], lengths: Lengths) -> None:
    shards = plan(videos, lengths)
    busy_until_ms = [0] * lengths.workers
    for shard in shards:  # whoever is free first takes the next
        heapq.heapreplace(busy_until_ms, busy_until_ms[0] + shard.media_ms)
    evenly_ms = sum(shard.media_ms for shard in shards) / lengths.workers
    assert max(busy_until_ms) <= evenly_ms + 1.5 * 60_000


@given(corpora(), LENGTHS)
def test_a_stored_plan_reads_back(videos: list[Video], lengths: Lengths) -> None:
    shards = plan(videos, lengths)
    table = to_table(shards)
    assert table.schema.equals(PLANNED)
    assert from_table(table, "r") == shards


@given(
    st.integers(1, 4_000_000),
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 50)), max_size=6),
    LENGTHS,
)
def test_what_is_done_is_never_planned_again(duration_ms: int, done: list[tuple[int, int]], lengths: Lengths) -> None:
    video = a_video(0, duration_ms)
    committed = [(start * ANCHOR_MS, (start + length) * ANCHOR_MS) for start, length in done]
    left = [(item.start_ms, item.end_ms) for item in segments_of([video], {video.video_id: committed}, lengths)]
    second = range(0, duration_ms, ANCHOR_MS)
    for moment in second:
        is_done = any(start <= moment < end for start, end in committed)
        times_planned = sum(start <= moment < end for start, end in left)
        assert times_planned == (0 if is_done else 1)


@given(st.integers(1, 5_000_000), SEGMENT_MS)
def test_the_last_piece_is_neither_tiny_nor_huge(length_ms: int, segment_ms: int) -> None:
    pieces = cut((0, length_ms), Lengths(1, ANCHOR_MS, segment_ms), length_ms)
    assert all(end - start == segment_ms for start, end in pieces[:-1])
    last_ms = pieces[-1][1] - pieces[-1][0]
    assert last_ms <= 1.5 * segment_ms
    assert len(pieces) == 1 or last_ms >= 0.5 * segment_ms


def test_subtracting_everything_leaves_nothing() -> None:
    assert subtract(100, [(0, 60), (60, 100)]) == []
    assert subtract(100, []) == [(0, 100)]
    assert subtract(100, [(20, 40), (30, 50)]) == [(0, 20), (50, 100)]


def test_a_broken_video_gets_one_empty_segment_so_that_the_ledger_tells_of_it() -> None:
    broken = Video("/corpus/bad.mp4", 3, "1", status="unreadable", reason="no media")
    assert list(segments_of([broken], {}, MINUTE)) == [Segment(broken, 0, 0, 0)]
    assert list(segments_of([broken], {broken.video_id: [(0, 0)]}, MINUTE)) == []


def test_ids_change_with_what_they_stand_for() -> None:
    video = a_video(1, 50_000)
    ids = {
        plan([video], MINUTE)[0].shard_id,
        plan([video], MINUTE, recipe_id="other")[0].shard_id,
        plan([a_video(1, 50_001)], MINUTE)[0].shard_id,
        plan([Video(video.uri, video.size, "newer", 50_000)], MINUTE)[0].shard_id,
    }
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("hours_left", "workers", "minutes"), [(0.1, 2, 1), (0.5, 2, 2.5), (3, 2, 15), (1000, 16, 60), (10, 300, 1)]
)
def test_shard_size_keeps_workers_busy(hours_left: float, workers: int, minutes: float) -> None:
    assert Lengths(workers, ANCHOR_MS).shard_ms(int(hours_left * 3_600_000)) == minutes * 60_000


@pytest.mark.parametrize(
    ("minutes_left", "workers", "minutes"), [(60, 2, 4), (5, 2, 8 / 3), (3, 2, 4 / 3), (1, 2, 1), (60, 100, 1)]
)
def test_a_segment_is_what_is_left_for_each_worker(minutes_left: float, workers: int, minutes: float) -> None:
    """In whole anchors of 20 s, halves to the even one: 2.5 minutes become 8 of them."""
    assert Lengths(workers, ANCHOR_MS).segment_ms(int(minutes_left * 60_000)) == round(minutes * 60_000)


def test_segments_are_whole_anchors() -> None:
    assert round_to_anchor(5_000, ANCHOR_MS) == 20_000
    assert round_to_anchor(115_000, ANCHOR_MS) == 120_000
