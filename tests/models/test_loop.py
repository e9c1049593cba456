"""The training loop: resumed or not the same, stopped in time, refused when it would mislead."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.train.loop import LoopSettings, Training, TrainingError, differences, read_metrics


class Blobs:
    """Three clouds of points and a small network with dropout."""

    watched = "accuracy"

    def __init__(self, noise: float = 0.5, measures: list[float] | None = None) -> None:
        torch.manual_seed(0)
        self.labels = torch.arange(3).repeat(20)
        self.points = 3 * nn.functional.one_hot(self.labels, 3) + noise * torch.randn(60, 3)
        self.module: nn.Module = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
        self.measures = measures
        self.validated = 0

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.module.parameters())}]

    def steps(self, epoch: int) -> int:
        return 3

    def batches(self, epoch: int, generator: torch.Generator) -> Iterator[Tensor]:
        yield from torch.randperm(60, generator=generator).split(20)

    def loss(self, batch: Tensor, device: torch.device, autocast: Callable[[], Any]) -> Tensor:
        with autocast():
            logits = self.module(self.points[batch].to(device))
        return nn.functional.cross_entropy(logits.float(), self.labels[batch].to(device))

    def validate(self, module: nn.Module, device: torch.device) -> dict[str, float]:
        self.validated += 1
        if self.measures:
            return {"accuracy": self.measures[self.validated - 1]}
        return {"accuracy": float((module(self.points.to(device)).argmax(1).cpu() == self.labels).float().mean())}


SETTINGS = LoopSettings(epochs=6, learning_rate=0.02, average_decay=0.5, clip_norm=1.0, weight_decay=0.01)


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_that_was_cut_off_ends_in_the_same_weights(tmp_path: Path, optimiser: Any, precision: Any) -> None:
    settings = LoopSettings(epochs=6, learning_rate=0.02, average_decay=0.5, optimiser=optimiser, precision=precision)
    whole = Training(Blobs(), settings, {}, tmp_path / "whole").run()

    class KilledError(Exception):
        pass

    def kill(row: dict[str, Any]) -> None:
        if row["epoch"] in (2, 5):
            raise KilledError

    for _ in range(2):
        with pytest.raises(KilledError):
            Training(Blobs(), settings, {}, tmp_path / "cut").run(kill)
    resumed = Training(Blobs(), settings, {}, tmp_path / "cut").run()
    assert resumed.epoch == whole.epoch
    for name, value in whole.state.items():
        torch.testing.assert_close(resumed.state[name], value, rtol=0, atol=0)
    rows = [read_metrics(tmp_path / name) for name in ("whole", "cut")]
    assert [row["epoch"] for row in rows[1]] == [1, 2, 3, 4, 5, 6]
    assert [row["loss"] for row in rows[0]] == [row["loss"] for row in rows[1]]


def test_two_trainings_of_one_seed_are_one(tmp_path: Path) -> None:
    first, second = (Training(Blobs(), SETTINGS, {}, tmp_path / name).run() for name in "ab")
    assert all(torch.equal(first.state[name], second.state[name]) for name in first.state)


def test_a_few_points_are_learnt_by_heart(tmp_path: Path) -> None:
    task = Blobs(noise=0.1)
    task.module = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 3))
    outcome = Training(task, LoopSettings(epochs=60, learning_rate=0.05), {}, tmp_path).run()
    assert outcome.measures["accuracy"] == 1
    assert read_metrics(tmp_path)[-1]["loss"] < 1e-3


def test_it_stops_when_nothing_gets_better_and_keeps_the_best(tmp_path: Path) -> None:
    task = Blobs(measures=[0.5, 0.7, 0.6, 0.7, 0.65, 0.9])
    outcome = Training(task, LoopSettings(epochs=6, learning_rate=0.02, patience_epochs=3), {}, tmp_path).run()
    assert (outcome.epoch, outcome.measures, outcome.stopped_early) == (2, {"accuracy": 0.7}, True)
    assert task.validated == 5
    again = Training(
        Blobs(measures=[1.0]), LoopSettings(epochs=6, learning_rate=0.02, patience_epochs=3), {}, tmp_path
    ).run()
    assert again.epoch == 2  # it had ended; nothing is trained on


def test_another_recipe_is_refused_and_what_changed_is_named(tmp_path: Path) -> None:
    Training(Blobs(), SETTINGS, {"face": {"dropout": 0.3}}, tmp_path).run()
    with pytest.raises(TrainingError, match=r"face.dropout was 0.3, is 0.4; loop.epochs was 6, is 7.*--no-resume"):
        Training(Blobs(), SETTINGS.model_copy(update={"epochs": 7}), {"face": {"dropout": 0.4}}, tmp_path).run()


def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path) -> None:
    task = Blobs()
    task.points[7] = float("nan")
    with pytest.raises(TrainingError, match=r"the loss of epoch 1, step [123] is nan"):
        Training(task, SETTINGS, {}, tmp_path).run()


def test_a_parameter_that_nobody_trains_is_an_error(tmp_path: Path) -> None:
    class Forgetful(Blobs):
        def parameter_groups(self) -> list[dict[str, Any]]:
            return [{"params": list(self.module.parameters())[1:]}]

    with pytest.raises(TrainingError, match=r"left out or twice: \['0.weight'\]"):
        Training(Forgetful(), SETTINGS, {}, tmp_path)


def test_a_gpu_that_is_not_there_is_said_before_work_starts(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(TrainingError, match="sees no GPU here"):
        Training(Blobs(), LoopSettings(epochs=1, learning_rate=0.1, device="cuda"), {}, tmp_path)
    with pytest.raises(TrainingError, match="float16 needs a GPU"):
        Training(Blobs(), LoopSettings(epochs=1, learning_rate=0.1, precision="float16"), {}, tmp_path)


def test_differences_name_the_nested_setting() -> None:
    assert differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}) == ["a.c was 2, is 3"]
    assert differences({"a": 1}, {}) == ["a was 1, is None"]
