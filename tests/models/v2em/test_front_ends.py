"""What V2EM hears and sees: slices of the mel spectrum and crops of faces."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.detections import Detections
from models.v2em.crops import face_crop, largest_face
from models.v2em.mel import frame_count, mel_slices, slice_count

RATE_HZ = 16_000


def tone(hz: float, samples: int, gain: float = 0.1) -> np.ndarray:
    return (gain * np.sin(2 * np.pi * hz * np.arange(samples) / RATE_HZ)).astype(np.float32)


@settings(deadline=None, max_examples=40)
@given(samples=st.integers(1, 40_000), legacy=st.booleans())
def test_every_length_gives_its_count_of_slices(samples: int, legacy: bool) -> None:
    slices, valid = mel_slices(tone(440, samples), legacy)
    assert slices.shape == (-(-(samples // 200 + 1) // 32), 4, 32, 32)
    assert len(slices) == slice_count(samples)
    assert slices.isfinite().all()
    assert int(valid.sum()) == frame_count(samples)
    assert valid.min() >= 1
    assert not slices[-1, :, :, int(valid[-1]) :].any()  # filled up with zeros


@pytest.mark.parametrize("legacy", [False, True])
def test_silence_and_nothing_are_no_trouble(legacy: bool) -> None:
    assert mel_slices(np.zeros(RATE_HZ, np.float32), legacy)[0].isfinite().all()
    slices, valid = mel_slices(np.zeros(0, np.float32), legacy)
    assert (slices.shape, valid.shape) == ((0, 4, 32, 32), (0,))


def test_the_published_spectrum_is_linear_power_with_four_empty_filters() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE_HZ).astype(np.float32)
    slices, _ = mel_slices(noise, legacy=True)
    bands = slices[:2].permute(1, 2, 0, 3).reshape(128, -1)
    assert torch.nonzero(bands.sum(dim=1) == 0)[:, 0].tolist() == [0, 3, 6, 13]
    twice, _ = mel_slices(2 * noise, legacy=True)
    torch.testing.assert_close(twice, 4 * slices)  # power, and no logarithm: twice as loud is four times as much


def test_the_mended_spectrum_has_no_empty_filter_and_does_not_mind_loudness() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE_HZ).astype(np.float32)
    slices, valid = mel_slices(noise, legacy=False)
    bands = slices[:2].permute(1, 2, 0, 3).reshape(128, -1)
    assert (bands.std(dim=1) > 0).all()
    real = torch.cat([s[:, :, : int(v)].flatten() for s, v in zip(slices, valid, strict=True)])
    assert abs(float(real.mean())) < 1e-3
    assert abs(float(real.std()) - 1) < 1e-3
    torch.testing.assert_close(mel_slices(noise / 2, legacy=False)[0], slices, atol=1e-3, rtol=0)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(("hz", "channel"), [(100, 0), (1000, 1), (2500, 2), (6000, 3)])
def test_a_channel_is_a_quarter_of_the_bands(hz: float, channel: int, legacy: bool) -> None:
    slices, _ = mel_slices(tone(hz, RATE_HZ), legacy)
    loudest = slices[0].amax(dim=(1, 2))
    assert int(loudest.argmax()) == channel


def test_a_click_shows_in_its_slice_and_column() -> None:
    pcm = np.zeros(RATE_HZ, np.float32)
    pcm[200 * 40] = 1.0  # frame 40: slice 1, column 8
    slices, _ = mel_slices(pcm, legacy=True)
    assert [tuple(place) for place in torch.nonzero(slices.sum(dim=(1, 2)) > 0).tolist()] == [(1, 8)]


def picture(height: int, width: int) -> np.ndarray:
    """Red is the row, green the column: a crop shows where it is from."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows % 256, columns % 256, np.zeros_like(rows)], axis=-1).astype(np.uint8)


def test_a_box_is_cut_out_with_its_margin_and_squeezed_to_48_px() -> None:
    frame = np.zeros((100, 100, 3), np.uint8)
    frame[20:66, 30:76] = 255
    crop = face_crop(frame, (30.0, 20.0, 76.0, 66.0), legacy=False)
    assert crop.found
    assert crop.pixels.shape == (48, 48, 3)  # 46 px and 1 px on each side: cut as it is
    assert crop.pixels[1:-1, 1:-1].min() == 255
    assert not crop.pixels[[0, -1]].any()
    assert not crop.pixels[:, [0, -1]].any()


def test_a_box_may_reach_out_of_the_frame() -> None:
    crop = face_crop(picture(60, 60), (-20.0, -10.0, 30.0, 40.0), legacy=False)
    assert crop.found
    assert crop.pixels[0, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("side", "legacy", "row", "column"), [(224, True, 88, 64), (360, True, 156, 132), (224, False, 88, 88)]
)
def test_without_a_face_the_middle_is_cut_and_marked(side: int, legacy: bool, row: int, column: int) -> None:
    crop = face_crop(picture(side, side), None, legacy)
    assert not crop.found
    assert crop.pixels[0, 0].tolist() == [row, column, 0]
    assert crop.pixels[-1, -1].tolist() == [row + 47, column + 47, 0]


@settings(deadline=None, max_examples=60)
@given(height=st.integers(1, 130), width=st.integers(1, 130), legacy=st.booleans())
def test_frames_of_any_size_give_a_patch(height: int, width: int, legacy: bool) -> None:
    crop = face_crop(picture(height, width), None, legacy)
    assert (crop.pixels.shape, crop.found) == ((48, 48, 3), False)


def test_a_box_outside_of_the_frame_is_no_face() -> None:
    assert not face_crop(picture(60, 60), (70.0, 70.0, 90.0, 90.0), legacy=False).found


def test_the_largest_face_is_taken_if_it_is_large_enough() -> None:
    boxes = np.array([[0, 0, 19, 80], [10, 10, 40, 40], [0, 0, 50, 50]], np.float32)
    assert largest_face(Detections(boxes, np.array([0.9, 0.9, 0.7]))) == (0, 0, 50, 50)
    assert largest_face(Detections(boxes[:1], np.array([0.9]))) is None
    assert largest_face(Detections(np.zeros((0, 4), np.float32), np.zeros(0))) is None
