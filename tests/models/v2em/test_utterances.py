"""What V2EM's training reads of an utterance, and what it is changed to."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.corpora.item import Corpus, Item
from models.evaluate.inputs import UnreadableError
from models.train.loop import TrainingError
from models.train.v2em_augment import Augmentation, augment_faces, augment_sound, mask_spectrum
from models.train.v2em_data import look_through
from models.v2em.crops import Box, FaceDetector
from models.v2em.mel import mel_slices
from tests.models.v2em.conftest import small_config
from tests.models.v2em.made import ALL, EMOTIONS, RATE_HZ, no_detector, part_of, tone


def pictures(folder: Path, name: str, bright: Sequence[bool]) -> tuple[Path, ...]:
    paths = []
    for k, lit in enumerate(bright):
        picture = np.zeros((224, 224, 3), np.uint8)
        picture[..., 2] = 200 if lit else 30  # OpenCV's third is red
        paths.append(folder / f"{name}{k}.png")
        cv2.imwrite(str(paths[-1]), picture)
    return tuple(paths)


def lit_faces(calls: list[int]) -> Callable[[], FaceDetector]:
    """A detector that sees a face in red pictures alone, and counts the pictures that it was shown."""

    def detect(frames: np.ndarray) -> list[Box | None]:
        calls.append(len(frames))
        return [(60.0, 60.0, 160.0, 160.0) if frame[0, 0, 0] > 100 else None for frame in frames]

    return lambda: detect


def test_faces_are_cut_out_once_and_pictures_without_one_are_marked(tmp_path: Path) -> None:
    def sound_alone(k: int) -> Item:
        return Item("Made", f"{k}", "", "tune", (), sound=tone(tmp_path / f"{k}.wav", 300))

    faceless = replace(sound_alone(1), pictures=pictures(tmp_path, "dark", [False, False]))
    seen = Item("Made", "2", "", "tune", (2,), pictures=pictures(tmp_path, "lit", [True, False, True]))
    corpus = Corpus((sound_alone(0), faceless, seen, Item("Made", "3", "", "tune", (1,), text=" ")), EMOTIONS)
    calls: list[int] = []
    for _ in range(2):
        part = look_through(corpus, small_config(), lit_faces(calls), tmp_path / "faces.pt")
    assert sum(calls) == 5
    assert [item.id for item in part.items] == ["0", "1", "2"]
    assert part.left_out == 1
    assert [part.present(row).tolist() for row in range(3)] == [
        [False, False, True],
        [False, False, True],
        [False, True, False],
    ]
    assert part.looked[2].found.tolist() == [True, False, True]
    assert part.looked[2].times_s.tolist() == [0, 0.5, 1]
    assert part.looked[2].crops.shape == (3, 3, 48, 48)
    assert part.looked[2].crops.dtype == torch.uint8
    assert part.looked[2].crops[0, :, 24, 24].tolist() == [200, 0, 0]  # red, green, blue
    assert part.targets.tolist() == [[0] * 6, [0] * 6, [0, 0, 1, 0, 0, 0]]
    look_through(corpus, small_config(legacy=True), lit_faces(calls), tmp_path / "faces.pt")
    assert sum(calls) == 10  # patches lie elsewhere: looked at anew
    alone = Corpus((Item("Made", "0", "", "tune", (), text="so it is"),), EMOTIONS)
    with pytest.raises(TrainingError, match="none of 1 items has anything that modalities 'va' could read"):
        look_through(alone, small_config(modalities="va"), no_detector, tmp_path / "none.pt")


def test_a_file_that_cannot_be_read_is_named_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    item = Item("Made", "0", "", "tune", (0,), text="yes")
    for broken in (
        replace(item, pictures=(tmp_path / "broken.jpg",)),
        replace(item, sound=tmp_path / "broken.wav"),
    ):
        with pytest.raises(UnreadableError, match="broken"):
            look_through(Corpus((broken,), EMOTIONS), small_config(), lit_faces([]), tmp_path / "faces.pt")


def test_sound_is_cut_to_the_utterance(tmp_path: Path) -> None:
    whole = Item("Made", "0", "", "tune", (0,), sound=tone(tmp_path / "long.wav", 300, seconds=3))
    part = look_through(
        Corpus((replace(whole, start_s=1.0, end_s=1.5), whole), EMOTIONS),
        small_config(),
        no_detector,
        tmp_path / "f.pt",
    )
    assert [looked.sound_s for looked in part.looked] == [0.5, 3]
    read = part.utterance(0, Augmentation(), np.random.default_rng(0))
    assert int(read.mel_valid.sum()) == RATE_HZ // 2 // 200 + 1


# What is changed


@settings(deadline=None, max_examples=40)
@given(
    samples=st.integers(1, 3 * RATE_HZ),
    seconds=st.floats(0, 2),
    bands=st.integers(0, 127),
    legacy=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_masks_keep_the_shape_and_hide_no_more_than_they_may(
    samples: int, seconds: float, bands: int, legacy: bool, seed: int
) -> None:
    pcm = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    mel, valid = mel_slices(pcm, legacy)
    before = mel.clone()
    settings = Augmentation(time_mask_s=seconds, band_mask=bands)
    masked = mask_spectrum(mel, valid, settings, np.random.default_rng(seed))
    assert torch.equal(mel, before)  # what is given is left as it is
    assert masked.shape == mel.shape
    changed = (masked != mel).permute(1, 2, 0, 3).reshape(128, -1)
    whole_columns = int(changed.sum(dim=0).gt(bands + 8).sum())  # 8: some bands of silence are 0 anyway
    assert whole_columns <= min(round(seconds * 80), int(valid.sum()) // 3)
    assert (masked[masked != mel] == 0).all()
    again = mask_spectrum(mel, valid, settings, np.random.default_rng(seed))
    assert torch.equal(masked, again)


@pytest.mark.parametrize("kind", ["flip", "shift", "light"])
def test_each_change_of_faces_is_one_of_its_own(kind: str) -> None:
    crops = torch.randint(0, 256, (5, 3, 48, 48), dtype=torch.uint8)
    value = True if kind == "flip" else 0.2
    made = [augment_faces(crops, Augmentation(**{kind: value}), np.random.default_rng(seed)) for seed in range(8)]
    assert all(x.shape == crops.shape and x.dtype == torch.uint8 for x in made)
    assert any(not torch.equal(x, crops) for x in made)
    same = augment_faces(crops, Augmentation(**{kind: value}), np.random.default_rng(3))
    assert torch.equal(same, made[3])
    for x in made:
        if kind == "flip":
            assert torch.equal(x, crops) or torch.equal(x.flip(-1), crops)
        if kind == "light":  # darker or lighter in the same order
            assert torch.equal(x[crops == 255], crops[crops == 255])
            levels = torch.stack([x[crops == level].float().mean() for level in range(0, 256, 15)])
            assert (levels.diff() >= 0).all()
    if kind == "shift":
        ramp = torch.arange(48, dtype=torch.uint8).expand(1, 3, 48, 48)
        moved = [
            int(augment_faces(ramp, Augmentation(shift=0.2), np.random.default_rng(s))[0, 0, 24, 24]) for s in range(9)
        ]
        assert len(set(moved)) > 3
        assert all(abs(place - 24) <= 10 for place in moved)
    assert (
        augment_faces(crops[:0], Augmentation(flip=True, shift=0.1, light=0.1), np.random.default_rng(0)).shape[0] == 0
    )


def test_nothing_is_changed_unless_it_is_asked_for(tmp_path: Path) -> None:
    part = part_of(tmp_path, "fit", 6, small_config())
    plain = [part.utterance(2, Augmentation(), np.random.default_rng(seed)) for seed in (0, 1)]
    for name in ("faces", "face_t", "face_ok", "mel", "mel_valid"):
        assert torch.equal(getattr(plain[0], name), getattr(plain[1], name))
    changed = [part.utterance(2, ALL, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert torch.equal(changed[0].mel, changed[1].mel)
    assert torch.equal(changed[0].faces, changed[1].faces)
    assert changed[0].mel.shape != changed[2].mel.shape or not torch.equal(changed[0].mel, changed[2].mel)
    assert changed[0].faces.shape == plain[0].faces.shape


@pytest.mark.parametrize("samples", [0, 1, 159, 1600, 16_000])
def test_sound_of_any_length_can_be_changed(samples: int) -> None:
    for seed in range(10):
        made = augment_sound(np.full(samples, 0.1, np.float32), ALL, np.random.default_rng(seed))
        assert np.isfinite(made).all()
        assert (len(made) > 0) == (samples > 0)
