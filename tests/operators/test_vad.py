"""Hearing speech: the same answer for a moment, whichever segment it is reached from."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.settings import SpeechSettings, WindowSettings
from operators.vad import (
    FRAME_MS,
    FRAME_SAMPLES,
    Sound,
    SpeechCurve,
    blocks,
    hear,
    load_detector,
    near_ms,
    warm_up_frames,
)
from tests.operators.transcribing import RATE, sample_speech, silence

SETTINGS = WindowSettings()


@given(start=st.integers(0, 100_000), length=st.integers(1, 20_000), anchor_s=st.integers(10, 24))
def test_blocks_cover_the_frames_and_lie_where_they_lie(start: int, length: int, anchor_s: int) -> None:
    settings = WindowSettings(anchor_ms=anchor_s * 1000)
    found = blocks(start, start + length, settings)
    assert found[0][0] <= start
    assert found[-1][1] >= start + length
    assert all(a[1] == b[0] for a, b in itertools.pairwise(found))
    assert set(found) <= set(blocks(0, start + length, settings))


def test_around_an_anchor_nothing_is_heard_of_what_is_farther_than_the_context() -> None:
    near = near_ms(SETTINGS)
    first, last = (100_000 - near) // FRAME_MS, (100_000 + near) // FRAME_MS
    found = blocks(first, last, SETTINGS)
    assert (found[0][0] - warm_up_frames(SETTINGS)) * FRAME_MS >= 100_000 - SETTINGS.context_ms
    assert found[-1][1] * FRAME_MS <= 100_000 + SETTINGS.context_ms


@given(start_ms=st.integers(0, 50), first=st.integers(-5, 2000), length=st.integers(0, 2000))
def test_sound_is_silence_where_there_is_none(start_ms: int, first: int, length: int) -> None:
    sound = Sound(np.arange(1, 801, dtype=np.int16), start_ms)
    first = max(0, first)
    expected = np.zeros(4000, np.float32)
    expected[start_ms * 16 : start_ms * 16 + 800] = np.arange(1, 801) / 32768
    np.testing.assert_allclose(sound.between(first, first + length), expected[first : first + length])


def test_a_curve_is_cut_by_absolute_frames() -> None:
    curve = SpeechCurve(10, np.arange(10, 20, dtype=np.float32), np.zeros(10, np.float32))
    part = curve.between(15, 99)
    assert (part.first_frame, part.end_frame, part.probability.tolist()) == (15, 20, [15, 16, 17, 18, 19])
    assert curve.between(0, 12).probability.tolist() == [10, 11]
    assert curve.between(30, 40).probability.tolist() == []


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    """Two minutes of noise that comes and goes."""
    rng = np.random.default_rng(1)
    return (rng.normal(0, 3000, 120 * 16_000) * np.repeat(rng.random(240) > 0.5, 8_000)).astype(np.int16)


@pytest.mark.parametrize(("start_ms", "end_ms"), [(40_000, 60_000), (60_000, 120_000), (0, 20_000)])
def test_a_segment_hears_what_the_whole_file_hears(noise: np.ndarray, start_ms: int, end_ms: int) -> None:
    detector = load_detector(SpeechSettings(), "cpu")
    near, context, last_ms = near_ms(SETTINGS), SETTINGS.context_ms, 120_000
    whole = hear(Sound(noise, 0), (0, last_ms), last_ms, detector, SETTINGS)
    from_ms, to_ms = max(0, start_ms - context), min(end_ms + context, last_ms)
    sound = Sound(noise[from_ms * 16 : to_ms * 16], from_ms)
    span_ms = max(0, start_ms - near), min(end_ms + near, last_ms)
    part = hear(sound, span_ms, last_ms, detector, SETTINGS)
    same = whole.between(part.first_frame, part.end_frame)
    np.testing.assert_array_equal(part.probability, same.probability)
    np.testing.assert_allclose(part.level_db, same.level_db, atol=1e-3)


def test_nothing_is_heard_behind_the_end_of_a_video(noise: np.ndarray) -> None:
    """A clip that ends just behind a border of blocks would take as long as one of a whole block more."""
    silero, asked = load_detector(SpeechSettings(), "cpu"), []

    def detector(samples: np.ndarray) -> np.ndarray:
        asked.append(len(samples) // FRAME_SAMPLES)
        return silero(samples)

    duration_ms = 5_100
    clip = Sound(noise[: duration_ms * 16], 0)
    curve = hear(clip, (0, duration_ms), duration_ms, detector, SETTINGS)
    frames = -(-duration_ms // FRAME_MS)
    assert (curve.first_frame, curve.end_frame) == (0, frames)
    assert asked == [156, 160], "five seconds, and what is behind them with as much before it"
    as_in_a_longer_one = hear(clip, (0, duration_ms), 60_000, silero, SETTINGS)
    np.testing.assert_allclose(curve.probability, as_in_a_longer_one.probability, atol=1e-6)


def test_levels_are_in_decibels_of_full_scale() -> None:
    loud = np.full(FRAME_SAMPLES * 4, 16_384, np.int16)
    loud[: FRAME_SAMPLES * 2] = 0
    length_ms = 4 * FRAME_MS
    curve = hear(Sound(loud, 0), (0, length_ms), length_ms, load_detector(SpeechSettings(), "cpu"), SETTINGS)
    np.testing.assert_allclose(curve.level_db, [-90, -90, -6.02, -6.02], atol=0.01)
    assert len(curve.probability) == 4


def test_pyannote_hears_the_same_speech_as_silero(no_network: None, capsys: pytest.CaptureFixture[str]) -> None:
    sound = Sound(np.concatenate([silence(3), sample_speech()[: 5 * RATE], silence(3)]), 0)
    heard = []
    for name in ("silero", "pyannote"):
        detector = load_detector(SpeechSettings(vad=name), "cpu")
        heard.append(hear(sound, (0, 11_000), 11_000, detector, SETTINGS).probability > 0.5)
    assert np.mean(heard[0] == heard[1]) > 0.9
    assert not heard[1][:80].any()
    assert capsys.readouterr().out == ""
