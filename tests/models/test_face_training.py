"""The face branch's training: what an epoch sees, and that a few pictures are learnt by heart."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.face import FaceBranch, FaceConfig
from models.train.face import FaceRecipe, FaceTask
from models.train.loop import LoopSettings, Training
from models.train.picture_task import side_px
from models.train.pictures import augment, erase

TINY = FaceConfig((8, 16), (1,), time_dim=8, time_heads=2, dropout=0.0)


def pictures(count: int = 28) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise pictures uint8 [N, 1, 48, 48] with a bar for each number up to the label's, and the labels."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 7
    drawn = torch.randint(0, 60, (count, 1, 48, 48), generator=generator, dtype=torch.uint8)
    for picture, label in zip(drawn, labels.tolist(), strict=True):
        for bar in range(label):
            picture[0, 7 * bar : 7 * bar + 3] = 250
    return drawn, labels


def task(recipe: FaceRecipe, epochs: int, config: FaceConfig = TINY) -> FaceTask:
    torch.manual_seed(0)
    return FaceTask(FaceBranch(config), pictures(), pictures(), recipe, epochs)


def test_a_few_pictures_are_learnt_by_heart(tmp_path: Path) -> None:
    recipe = FaceRecipe(batch_size=14, sides=(), label_smoothing=0, mixup=0, erase_share=0, mild_epochs=150)
    losses: list[float] = []
    wider = FaceConfig((16, 32, 32), (1, 1), time_dim=8, time_heads=2, dropout=0.0)
    Training(task(recipe, 150, wider), LoopSettings(epochs=150, learning_rate=0.02), {}, tmp_path).run(
        lambda row: losses.append(row["loss"])
    )
    assert losses[-1] < 0.05 < losses[0]


def test_an_epoch_sees_small_pictures_first_and_mild_ones_last() -> None:
    recipe = FaceRecipe(batch_size=14, sides=((0.5, 24), (0.25, 32)), mild_epochs=1)
    trained = task(recipe, 4)
    batches = [next(iter(trained.batches(epoch, torch.Generator().manual_seed(epoch)))) for epoch in range(4)]
    assert [batch.pictures.shape[-1] for batch in batches] == [24, 24, 32, 48]
    assert batches[0].share < 1
    assert batches[3].share == 1
    assert torch.equal(batches[3].labels, batches[3].mixed_labels)


def test_every_picture_is_seen_once_an_epoch() -> None:
    trained = task(FaceRecipe(batch_size=7), 4)
    labels = torch.cat([batch.labels for batch in trained.batches(0, torch.Generator().manual_seed(0))])
    assert sorted(labels.tolist()) == sorted(trained.fit[1].tolist())
    assert trained.steps(0) == 4


@given(st.integers(1, 200), st.integers(0, 199))
def test_the_side_only_grows(epochs: int, epoch: int) -> None:
    recipe = FaceRecipe()
    sides = [side_px(recipe, e, epochs) for e in range(epochs)]
    assert sides == sorted(sides)
    assert sides[-1] == 48 or epochs < 4


@pytest.mark.parametrize("side", [24, 32, 48])
def test_augmenting_changes_a_picture_but_keeps_its_range_and_erasing_greys_a_part(side: int) -> None:
    generator = torch.Generator().manual_seed(0)
    drawn, _ = pictures()
    x = augment(drawn, generator, side_px=side)
    assert x.shape == (28, 1, side, side)
    assert x.min() > -60
    assert x.max() < 320
    erased = erase(torch.ones(200, 1, side, side), generator, share=0.5)
    touched = (erased == 0).flatten(1).any(1).float().mean()
    assert 0.3 < touched < 0.7
    assert (erased == 0).float().mean() < 0.15


@pytest.mark.parametrize("cropped", [False, True])
def test_a_small_picture_is_the_whole_one_shrunk_or_a_window_into_it(cropped: bool) -> None:
    ramp = (5 * torch.arange(48, dtype=torch.uint8)).view(1, 1, 48, 1).expand(64, 1, 48, 48)
    x = augment(ramp, torch.Generator().manual_seed(0), strength=0.0, side_px=32, cropped=cropped)
    shown_px = (x.amax(dim=(1, 2, 3)) - x.amin(dim=(1, 2, 3))) / 5
    assert ((shown_px > 28) & (shown_px < 35)).all() if cropped else (shown_px > 42).all()
    tops = x.amin(dim=(1, 2, 3)) / 5
    assert tops.max() - tops.min() > 8 if cropped else tops.max() < 3  # windows lie here and there
