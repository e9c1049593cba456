"""Cutting a time line: nothing lost, nothing twice, and never a word about the segment it was read with."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.settings import WindowSettings
from operators.vad import FRAME_MS, SpeechCurve, near_ms
from operators.windows import (
    Chunk,
    Window,
    chunks,
    cut_ms,
    gaps,
    merge,
    pave,
    quietest_ms,
    speech_regions,
    split,
    utterances,
)

SETTINGS = WindowSettings()
THRESHOLD = 0.5
MINUTE_MS = 60_000


def curve_of(speech: list[tuple[int, int]], duration_ms: int) -> SpeechCurve:
    """A curve on which somebody speaks in these stretches, given in ms, and nowhere else."""
    frames = -(-duration_ms // FRAME_MS)
    probability = np.zeros(frames, np.float32)
    for start_ms, end_ms in speech:
        probability[start_ms // FRAME_MS : end_ms // FRAME_MS] = 0.95
    return SpeechCurve(0, probability, np.where(probability > 0.5, -20, -70).astype(np.float32))


def label(curve: SpeechCurve | None, duration_ms: int, segment_ms: int) -> list[list[Window]]:
    """The windows of every segment, each made from the part of the curve that the segment knows."""
    found = []
    for start_ms in range(0, duration_ms, segment_ms):
        end_ms = min(start_ms + segment_ms, duration_ms)
        known = None
        if curve is not None:
            first, last = start_ms - near_ms(SETTINGS), min(end_ms + near_ms(SETTINGS), duration_ms)
            known = curve.between(max(0, first) // FRAME_MS, -(-last // FRAME_MS))
        windows: list[Window] = []
        for chunk in chunks(known, start_ms, end_ms, duration_ms, SETTINGS):
            said = utterances(known, chunk, THRESHOLD, SETTINGS) if known is not None else []
            windows += sorted([*said, *gaps(said, known, chunk, THRESHOLD, SETTINGS)], key=lambda w: w.start_ms)
        found.append(windows)
    return found


@st.composite
def curves(draw: st.DrawFn) -> tuple[SpeechCurve, int]:
    """Speech, pauses and noise at random, over up to seven minutes, with the true duration in ms."""
    duration_ms = draw(st.integers(1, 7 * MINUTE_MS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    frames = -(-duration_ms // FRAME_MS)
    mean_speech, mean_pause = draw(st.sampled_from([(100, 20), (30, 10), (300, 5), (5, 100), (60, 200), (2, 2)]))
    lengths = rng.exponential([mean_speech, mean_pause], (frames // 2 + 1, 2)).astype(int) + 1
    speaks = np.repeat(np.tile([1.0, 0.0], len(lengths)), lengths.ravel())[:frames]
    blur = draw(st.floats(0, 0.6))
    probability = np.clip(speaks * (1 - blur) + blur * rng.random(frames), 0, 1).astype(np.float32)
    level_db = (-60 + 40 * speaks + rng.normal(0, 6, frames)).astype(np.float32)
    return SpeechCurve(0, probability, level_db), duration_ms


@settings(max_examples=60, deadline=None)
@given(curves(), st.booleans())
def test_segments_of_any_length_give_the_same_windows(drawn: tuple[SpeechCurve, int], has_sound: bool) -> None:
    curve, duration_ms = drawn
    heard = curve if has_sound else None
    (whole,) = label(heard, duration_ms, 8 * MINUTE_MS)
    for segment_ms in (20_000, MINUTE_MS, 2 * MINUTE_MS, 5 * MINUTE_MS):
        segments = label(heard, duration_ms, segment_ms)
        assert [window for windows in segments for window in windows] == whole
        for index, windows in enumerate(segments):  # none strays further than the frames that its segment decodes
            for window in windows:
                assert window.start_ms >= index * segment_ms - SETTINGS.anchor_search_ms
                assert window.end_ms <= (index + 1) * segment_ms + SETTINGS.anchor_search_ms


@settings(max_examples=60, deadline=None)
@given(curves())
def test_windows_are_in_order_and_cover_the_speech(drawn: tuple[SpeechCurve, int]) -> None:
    curve, duration_ms = drawn
    (windows,) = label(curve, duration_ms, 8 * MINUTE_MS)
    for window in windows:
        assert 0 <= window.start_ms < window.end_ms <= duration_ms
        assert window.length_ms <= (SETTINGS.max_utterance_ms if window.speech else SETTINGS.max_gap_window_ms)
        assert window.speech or window.length_ms >= 1000
    assert all(a.end_ms <= b.start_ms for a, b in itertools.pairwise(windows))
    # Speech that is left out is shorter than a click, at a cut or by itself.
    spoken = [window for window in windows if window.speech]
    cuts = [chunk.start_ms for chunk in chunks(curve, 0, duration_ms, duration_ms, SETTINGS)]
    for start, end in speech_regions(curve, THRESHOLD, SETTINGS):
        inside = sorted({start, min(end, duration_ms), *(cut for cut in cuts if start < cut < end)})
        for a, b in itertools.pairwise(inside):
            covered = sum(max(0, min(b, w.end_ms) - max(a, w.start_ms)) for w in spoken)
            assert b - a - covered < 200


@given(curves())
@settings(max_examples=40, deadline=None)
def test_chunks_cover_the_video_and_are_short_enough_for_speech_recognition(drawn: tuple[SpeechCurve, int]) -> None:
    curve, duration_ms = drawn
    found = chunks(curve, 0, -(-duration_ms // MINUTE_MS) * MINUTE_MS, duration_ms, SETTINGS)
    assert found[0].start_ms == 0
    assert found[-1].end_ms == duration_ms
    assert all(a.end_ms == b.start_ms for a, b in itertools.pairwise(found))
    assert all(0 < chunk.end_ms - chunk.start_ms <= 26_000 for chunk in found)
    assert len(found) == 1 or found[-1].end_ms - found[-1].start_ms >= 1000


def test_a_cut_is_made_in_the_pause_near_the_anchor_and_not_in_a_word() -> None:
    curve = curve_of([(0, 18_200), (18_900, 40_000)], 40_000)
    assert 18_200 < cut_ms(curve, 20_000, 40_000, SETTINGS) < 18_900


def test_of_two_pauses_the_longer_is_cut() -> None:
    curve = curve_of([(0, 19_000), (19_160, 21_500), (22_300, 40_000)], 40_000)
    assert 21_500 < cut_ms(curve, 20_000, 40_000, SETTINGS) < 22_300


def test_in_silence_the_cut_is_at_the_anchor() -> None:
    assert abs(cut_ms(curve_of([], 40_000), 20_000, 40_000, SETTINGS) - 20_000) <= FRAME_MS
    assert cut_ms(None, 20_000, 40_000, SETTINGS) == 20_000


def test_in_speech_without_a_pause_the_cut_is_where_it_is_softest() -> None:
    curve = curve_of([(0, 40_000)], 40_000)
    curve.level_db[21_000 // FRAME_MS : 21_200 // FRAME_MS] = -45
    assert 21_000 <= cut_ms(curve, 20_000, 40_000, SETTINGS) <= 21_200


@pytest.mark.parametrize("duration_ms", [20_001, 22_999])
def test_a_last_anchor_too_near_the_end_makes_no_splinter(duration_ms: int) -> None:
    curve = curve_of([(0, duration_ms)], duration_ms)
    assert [chunk.end_ms for chunk in chunks(curve, 0, 20_000, duration_ms, SETTINGS)] == [duration_ms]
    assert chunks(curve, 20_000, duration_ms, duration_ms, SETTINGS) == []


def test_a_segment_must_start_and_end_at_an_anchor() -> None:
    with pytest.raises(ValueError, match="multiples of 20000 ms"):
        chunks(None, 0, 30_000, 60_000, SETTINGS)


def test_short_pauses_do_not_end_an_utterance_and_long_ones_do() -> None:
    curve = curve_of([(1_000, 3_000), (3_200, 5_000), (5_800, 8_000)], 10_000)
    found = utterances(curve, Chunk(0, 10_000, 0, 10_000), THRESHOLD, SETTINGS)
    assert [(round(w.start_ms, -3), round(w.end_ms, -3)) for w in found] == [(1_000, 5_000), (6_000, 8_000)]


def test_a_click_is_no_speech() -> None:
    curve = curve_of([(3_000, 3_064)], 10_000)
    assert utterances(curve, Chunk(0, 10_000, 0, 10_000), THRESHOLD, SETTINGS) == []


def test_a_lone_word_gets_a_second_and_one_near_others_joins_them() -> None:
    chunk = Chunk(0, 20_000, 0, 20_000)
    (alone,) = utterances(curve_of([(5_000, 5_400)], 20_000), chunk, THRESHOLD, SETTINGS)
    assert alone.length_ms == SETTINGS.min_utterance_ms
    assert alone.start_ms < 5_000 < 5_400 < alone.end_ms
    (joined,) = utterances(curve_of([(5_000, 5_400), (5_900, 8_000)], 20_000), chunk, THRESHOLD, SETTINGS)
    assert joined.start_ms < 5_000 < 8_000 <= joined.end_ms + FRAME_MS


def test_long_speech_is_split_at_its_pauses_first() -> None:
    curve = curve_of([(0, 6_500), (6_700, 13_000)], 13_000)
    found = split(curve, 0, 13_000, SETTINGS)
    assert len(found) == 2
    assert 6_500 <= found[0][1] <= 6_720


def test_merge_leaves_alone_what_would_grow_too_long() -> None:
    assert merge([(0, 9_500), (9_900, 10_600)], SETTINGS) == [(0, 9_500), (9_900, 10_600)]
    assert merge([(0, 500), (900, 1_300), (1_700, 2_000)], SETTINGS) == [(0, 2_000)]
    assert merge([(0, 500), (1_300, 4_000)], SETTINGS) == [(0, 500), (1_300, 4_000)]


def test_a_silence_over_a_cut_counts_as_a_whole() -> None:
    curve = curve_of([(0, 18_600), (21_400, 40_000)], 40_000)  # 1.4 s on either side of the cut at 20 s
    (whole,) = label(curve, 40_000, 40_000)
    assert [w.length_ms > 1_000 for w in whole if not w.speech] == [True, True]
    short = curve_of([(0, 19_300), (20_700, 40_000)], 40_000)
    assert all(window.speech for window in label(short, 40_000, 40_000)[0])


def test_a_long_silence_is_paved_evenly() -> None:
    assert [w.length_ms for w in pave(0, 13_000, SETTINGS)] == [4_333, 4_333, 4_334]
    assert pave(0, 999, SETTINGS) == []


def test_a_video_without_sound_is_paved_from_end_to_end() -> None:
    windows = [window for segment in label(None, 65_000, MINUTE_MS) for window in segment]
    assert (windows[0].start_ms, windows[-1].end_ms) == (0, 65_000)
    assert all(a.end_ms == b.start_ms for a, b in itertools.pairwise(windows))


def test_where_nothing_may_be_cut_the_wanted_moment_is_kept_inside() -> None:
    assert quietest_ms(curve_of([], 1_000), 5_000, 6_000, 4_000) == 5_000
