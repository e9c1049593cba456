"""The training's own pieces: who may train, what is drawn, and that a cut-off training goes on."""

import csv
import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.emotions import EMOTIONS
from models.train.bags import MAX_FACES, NEUTRAL, draw_bags
from models.train.checkpoint import WeightAverage, load_checkpoint, save_checkpoint
from models.train.manifest import read_manifest
from models.train.pictures import augment, load_pictures
from models.train.schedule import one_cycle
from models.train.sounds import augment_clip, trim_silence
from models.train.splits import fit_or_tune

COLUMNS = ("path", "dataset", "modality", "speaker", "emotion", "split")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Noise that claims to be FER2013, with a picture of each emotion in each split."""
    rng = np.random.default_rng(0)
    rows = []
    for split, count in (("train", 12), ("val", 2), ("test_av", 2)):
        for emotion in (*EMOTIONS, "contempt"):
            for k in range(count):
                path = f"faces/{split}_{emotion}_{k}.png"
                (tmp_path / "faces").mkdir(exist_ok=True)
                cv2.imwrite(str(tmp_path / path), rng.integers(0, 256, (48, 48), dtype=np.uint8))
                rows.append((path, "FER2013", "face 48x48 grey", "", emotion, split))
    rows.append(("faces/gone.png", "FER2013", "face 48x48 grey", "", "happy", "train"))
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return tmp_path


def test_the_split_test_av_is_never_read_nor_are_labels_outside_the_seven(corpus: Path) -> None:
    items = read_manifest(corpus, {"FER2013"}, "face")
    assert {item.split for item in items} == {"train", "val"}
    assert len(items) == 7 * 14
    with pytest.raises(FileNotFoundError, match="--data"):
        read_manifest(corpus / "faces", {"FER2013"}, "face")


def test_the_three_parts_share_no_picture(corpus: Path) -> None:
    parts = {part: load_pictures(corpus, part) for part in ("fit", "tune", "report")}  # type: ignore[arg-type]
    seen = [picture.numpy().tobytes() for pictures, _, _ in parts.values() for picture in pictures]
    assert len(seen) == len(set(seen)) == 7 * 14
    assert len(parts["report"][1]) == 14


@given(st.text(min_size=1))
def test_a_split_depends_on_the_key_alone(key: str) -> None:
    assert fit_or_tune(key, 0.3) == fit_or_tune(key, 0.3)
    assert fit_or_tune(key, 0) == "fit"
    assert fit_or_tune(key, 1) == "tune"


def test_checkpoints_are_whole_or_absent(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "c.pt") is None
    save_checkpoint(tmp_path / "c.pt", {"x": torch.ones(2), "epoch": 3})
    assert load_checkpoint(tmp_path / "c.pt")["epoch"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


def test_the_average_forgets_the_start_and_then_moves_slowly() -> None:
    layer = torch.nn.Linear(1, 1)
    layer.weight.data.fill_(0)
    average = WeightAverage(layer, decay=0.9)
    layer.weight.data.fill_(1)
    for _ in range(200):
        average.update(layer)
    assert average.state["weight"].item() == pytest.approx(1, abs=1e-3)
    layer.weight.data.fill_(2)
    average.update(layer)
    assert average.state["weight"].item() == pytest.approx(1.1, abs=1e-2)


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    factors = [one_cycle(step / 100, 0.1) for step in range(101)]
    assert factors[0] == 0
    assert max(factors) == factors[10] == 1
    assert factors[-1] == pytest.approx(0)
    assert all(a >= b for a, b in itertools.pairwise(factors[10:]))


def test_bags_show_views_of_one_picture_of_their_label_and_of_one_neutral_face() -> None:
    labels = torch.arange(7).repeat(20)
    bags = draw_bags(labels, 3, 200, torch.Generator().manual_seed(0))
    neutral_shares = []
    for row in range(200):
        pictures = bags.rows[row][bags.mask[row]] % len(labels)
        shown = labels[pictures]
        label = int(bags.labels[row])
        assert label in shown
        assert set(shown.tolist()) <= {label, NEUTRAL}
        assert len(pictures.unique()) <= 2
        assert 1 <= len(pictures) <= MAX_FACES
        neutral_shares += [float((shown == NEUTRAL).float().mean())] if label != NEUTRAL else []
    assert bags.rows.max() < 3 * len(labels)
    assert len((bags.rows // len(labels)).unique()) == 3
    assert 0.25 < sum(neutral_shares) / len(neutral_shares) < 0.45


def test_augmented_pictures_keep_shape_and_range_of_grey() -> None:
    pictures = torch.randint(0, 256, (64, 1, 48, 48), dtype=torch.uint8)
    made = augment(pictures, torch.Generator().manual_seed(0))
    assert made.shape == pictures.shape
    assert made.isfinite().all()
    assert made.min() > -60
    assert made.max() < 315


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.3, 4))
def test_augmented_clips_are_sound(seed: int, seconds: float) -> None:
    rng = np.random.default_rng(seed)
    clip = (0.1 * rng.standard_normal(int(16_000 * seconds))).astype(np.float32)
    made = augment_clip(clip, rng)
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
    assert 0.3 * min(len(clip), 24_000) < len(made) < 1.2 * len(clip)


def test_silence_at_both_ends_is_trimmed_and_that_inside_is_kept() -> None:
    tone = 0.3 * np.sin(np.arange(16_000) / 5).astype(np.float32)
    quiet = np.zeros(16_000, np.float32)
    trimmed = trim_silence(np.concatenate([quiet, tone, quiet, tone, quiet]))
    assert len(trimmed) == pytest.approx(3 * 16_000 + 3_200, abs=320)
