"""What the voice branch is given: Whisper's states, and log-mel slices."""

from pathlib import Path

import ctranslate2
import numpy as np
import pytest
import torch
from faster_whisper.feature_extractor import FeatureExtractor
from hypothesis import given, settings
from hypothesis import strategies as st

from models.log_mel import log_mel_slices, mel_filters
from models.whisper_encoder import EncoderFileError, _encoder_tensors, read_encoder
from models.whisper_states import PCM_RATE_HZ, WhisperStates, normalise_loudness, to_float_pcm


@pytest.fixture(scope="module", params=[(), (1, 3)], ids=["last states", "inner states"])
def whisper(whisper_dir: Path, request: pytest.FixtureRequest) -> WhisperStates:
    return WhisperStates(whisper_dir, layers=request.param)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def test_a_clip_is_encoded_alike_alone_and_in_company(whisper: WhisperStates) -> None:
    lengths = [1_600, 7_999, 8_000, 24_001, 24_001, 170_000]
    clips = [noise(length, seed) for seed, length in enumerate(lengths)]
    together = whisper.encode(clips)
    samples_a_state = 640 if whisper.layers else 320
    assert [len(states) for states in together] == [-(-length // samples_a_state) for length in lengths]
    for clip, states in zip(clips, together, strict=True):
        torch.testing.assert_close(whisper.encode([clip])[0], states, atol=1e-4, rtol=1e-4)


def test_clips_longer_than_a_piece_are_encoded_piece_by_piece(whisper: WhisperStates) -> None:
    clip = normalise_loudness(noise(15 * PCM_RATE_HZ))
    whole = whisper.encode([clip])[0]
    tail = whisper.encode([clip[10 * PCM_RATE_HZ :]])[0]
    assert len(whole) == (375 if whisper.layers else 750)
    assert (whole[len(whole) * 2 // 3 :] - tail).abs().mean() < 0.05  # the tail alone has almost the same loudness


def test_inner_states_are_had_in_pairs_side_by_side(whisper_dir: Path) -> None:
    both, third = (WhisperStates(whisper_dir, layers=layers).encode([noise(24_001)])[0] for layers in ((1, 3), (3,)))
    assert both.shape == (38, 2 * 384)  # 76 states of 20 ms
    torch.testing.assert_close(both[:, 384:], third)


def test_our_encoder_gives_what_ctranslate2_gives(whisper_dir: Path) -> None:
    """CTranslate2's in float32, behind the norm that the published model has at the end."""
    path = whisper_dir / "model.bin"
    stored = dict(_encoder_tensors(path))
    mel = FeatureExtractor(feature_size=80)(noise(48_000), padding=False)[None, :, :300].astype(np.float32)
    last = read_encoder(path)(torch.from_numpy(mel))[-1]
    gamma, beta = stored["encoder/layer_norm/gamma"], stored["encoder/layer_norm/beta"]
    ours = torch.nn.functional.layer_norm(last, last.shape[-1:], gamma, beta)
    reference = ctranslate2.models.Whisper(str(whisper_dir), compute_type="float32", intra_threads=1)
    theirs = np.asarray(reference.encode(ctranslate2.StorageView.from_array(np.ascontiguousarray(mel)), to_cpu=True))
    np.testing.assert_allclose(ours.numpy(), theirs, atol=2e-3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged, or no CTranslate2 model"),
        (b"\x09\x00\x00\x00rest", "another version"),
        (b"\x06\x00\x00\x00\x08\x00BertSpec", "BertSpec of CTranslate2, not a Whisper model"),
    ],
)
def test_a_file_that_is_no_whisper_model_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(EncoderFileError, match=message):
        read_encoder(tmp_path / "model.bin")


def test_a_model_that_is_cut_short_or_too_shallow_is_refused(whisper_dir: Path, tmp_path: Path) -> None:
    whole = (whisper_dir / "model.bin").read_bytes()
    (tmp_path / "model.bin").write_bytes(whole[: len(whole) // 3])
    with pytest.raises(EncoderFileError, match=r"cut short|damaged"):
        read_encoder(tmp_path / "model.bin")
    with pytest.raises(EncoderFileError, match="an encoder of 4 layers; 5 are needed"):
        read_encoder(whisper_dir / "model.bin", 5)


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
