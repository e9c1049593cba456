"""What the voice branch is given: Whisper's states, and log-mel slices."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.log_mel import log_mel_slices, mel_filters
from models.whisper_states import PCM_RATE_HZ, WhisperStates, normalise_loudness, state_count, to_float_pcm


@pytest.fixture(scope="module")
def whisper(whisper_dir: Path) -> WhisperStates:
    return WhisperStates(whisper_dir)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def test_a_clip_is_encoded_alike_alone_and_in_company(whisper: WhisperStates) -> None:
    lengths = [1_600, 7_999, 8_000, 24_001, 24_001, 170_000]
    clips = [noise(length, seed) for seed, length in enumerate(lengths)]
    together = whisper.encode(clips)
    assert [len(states) for states in together] == [state_count(length) for length in lengths]
    for clip, states in zip(clips, together, strict=True):
        torch.testing.assert_close(whisper.encode([clip])[0], states, atol=1e-4, rtol=1e-4)


def test_clips_longer_than_a_piece_are_encoded_piece_by_piece(whisper: WhisperStates) -> None:
    clip = normalise_loudness(noise(15 * PCM_RATE_HZ))
    whole = whisper.encode([clip])[0]
    tail = whisper.encode([clip[10 * PCM_RATE_HZ :]])[0]
    assert whole.shape == (750, whisper.state_dim)
    assert (whole[500:] - tail).abs().mean() < 0.05  # the tail alone has almost the same loudness


def test_a_clip_without_samples_is_an_error(whisper: WhisperStates) -> None:
    with pytest.raises(ValueError, match="clip 1 has no samples"):
        whisper.encode([noise(1_600), noise(0)])


@given(st.floats(0.01, 0.9))
def test_loudness_says_nothing(gain: float) -> None:
    clip = noise(4_000)
    np.testing.assert_allclose(normalise_loudness(clip * np.float32(gain)), normalise_loudness(clip), atol=1e-5)


def test_bad_samples_are_made_silence_and_stereo_is_refused() -> None:
    bad = np.array([np.nan, np.inf, -np.inf, 0.5, 3.0], np.float32)
    assert to_float_pcm(bad).tolist() == [0, 0, 0, 0.5, 1.0]
    assert to_float_pcm(np.array([-32768, 16384], np.int16)).tolist() == [-1.0, 0.5]
    assert normalise_loudness(np.zeros(100, np.float32)).tolist() == [0] * 100
    with pytest.raises(ValueError, match="mono"):
        to_float_pcm(np.zeros((2, 5), np.float32))


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 100_000))
def test_the_number_of_slices_follows_the_papers_formula(samples: int) -> None:
    slices = log_mel_slices(noise(samples))
    assert slices.shape == (-(-(samples // 200 + 1) // 32), 4, 32, 32)
    assert slices.isfinite().all()


def test_no_mel_filter_is_dead_and_a_tone_lights_its_own_band() -> None:
    assert (mel_filters().sum(dim=1) > 0).all()
    tone = np.sin(2 * np.pi * 1000 * np.arange(12_800) / PCM_RATE_HZ).astype(np.float32)
    band = int(log_mel_slices(tone)[1].reshape(128, 32).mean(dim=1).argmax())
    centre_hz = float((mel_filters()[band] * torch.linspace(0, 8000, 513)).sum() / mel_filters()[band].sum())
    assert abs(centre_hz - 1000) < 40
