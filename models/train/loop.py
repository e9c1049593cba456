"""The loop that every branch is trained by: seeded, resumable, stopped early, with its measures on file.

What differs from branch to branch is a `Task`. An epoch depends on the seed and its number alone, so a training that
was cut off and goes on from its last checkpoint ends in the same weights as one that was not.

Several processes (models/train/team.py) train as one: of every so many batches each takes one, and the gradients are
averaged. So N of them with batches of B / N items take the steps that one takes with batches of B.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from models.train.checkpoint import WeightAverage, load_checkpoint, save_checkpoint
from models.train.schedule import one_cycle
from models.train.team import current_team

CHECKPOINT, METRICS = "checkpoint.pt", "metrics.jsonl"

Precision = Literal["float32", "bfloat16", "float16"]
Batch = TypeVar("Batch")


class TrainingError(ValueError):
    """A training that cannot start or go on, and why."""


class Recipe(BaseModel):
    """Settings of a training: frozen, and a name that isn't known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LoopSettings(Recipe):
    """How long and how fast, whatever is trained.

    patience_epochs: stop when the watched measure has not risen for so many epochs; 0 never stops early.
    average_decay: of the moving average of the weights, which is validated and kept; 0: the weights as they are.
    schedule: of the learning rate: one_cycle rises over `warmup` and falls to 0; constant stays, after the warm-up.
    precision: of the arithmetic in the forward pass; float16 needs a GPU, and scales the loss.
    """

    epochs: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    schedule: Literal["one_cycle", "constant"] = "one_cycle"
    warmup: float = Field(0.05, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    optimiser: Literal["sgd", "adam", "adamw"] = "adamw"
    clip_norm: float = Field(0.0, ge=0)
    average_decay: float = Field(0.0, ge=0, lt=1)
    patience_epochs: int = Field(0, ge=0)
    precision: Precision = "float32"
    device: str = "auto"
    seed: int = 0


class Task(Protocol[Batch]):
    """What is trained, on what, and how its success is measured."""

    @property
    def module(self) -> nn.Module:
        """The module whose state is kept."""

    @property
    def watched(self) -> str:
        """The measure of `validate` that early stopping and the choice of weights go by; the higher the better."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups of parameters; `scale` multiplies the learning rate, `decayed` False leaves out weight decay."""

    def batches(self, epoch: int, generator: torch.Generator) -> Iterable[Batch]:
        """The batches of an epoch, which depend on its number and the generator alone."""

    def steps(self, epoch: int) -> int:
        """How many batches that is."""

    def loss(self, batch: Batch, device: torch.device, autocast: Callable[[], Any]) -> Tensor:
        """Mean loss of a batch; what may run in low precision runs inside `with autocast():`."""

    def validate(self, module: nn.Module, device: torch.device) -> dict[str, float]:
        """Measures of a module like `module` on held-out items."""


class _LossOf(nn.Module, Generic[Batch]):
    """A task's loss as a module: what averages gradients wants to see the forward pass."""

    def __init__(self, task: Task[Batch], device: torch.device, autocast: Callable[[], Any]) -> None:
        super().__init__()
        self.module = task.module
        self.loss = lambda batch: task.loss(batch, device, autocast)

    def forward(self, batch: Batch) -> Tensor:
        return self.loss(batch)


@dataclass(frozen=True)
class Outcome:
    """What a training came to: the kept state, the epoch it is of, its measures, and why it ended."""

    state: dict[str, Tensor]
    epoch: int
    measures: dict[str, float]
    stopped_early: bool


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one. Raises TrainingError when a GPU is asked for and there is none."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise TrainingError(f"device {name} was asked for, and PyTorch sees no GPU here: take device cpu, or auto")
    return torch.device(name)


class Training(Generic[Batch]):
    """One training in one folder.

    Args:
        task: what is trained.
        settings: how.
        recipe: everything that decides the weights, as plain data; a checkpoint of another recipe is refused.
        out: folder for checkpoint.pt and metrics.jsonl.
        writes: whether files are written, by this process or the first of several.
    """

    def __init__(
        self, task: Task[Batch], settings: LoopSettings, recipe: Mapping[str, Any], out: Path, writes: bool = True
    ) -> None:
        self.team = current_team()
        self.task, self.settings, self.out, self.writes = task, settings, out, writes and self.team.first
        together = {"workers": self.team.size} if self.team.size > 1 else {}
        self.recipe = json.loads(json.dumps({**recipe, **together, "loop": settings.model_dump()}))
        self.device = choose_device(settings.device)
        if settings.precision == "float16" and self.device.type != "cuda":
            raise TrainingError("precision float16 needs a GPU: take bfloat16 or float32")
        task.module.to(self.device)
        self.optimiser = self._optimiser()
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=settings.precision == "float16")
        self.average = WeightAverage(task.module, settings.average_decay)
        self.best: dict[str, Any] = {}
        self.epoch = 0

    @property
    def checkpoint_path(self) -> Path:
        """Where the training is kept after every epoch."""
        return self.out / CHECKPOINT

    def run(self, on_epoch: Callable[[dict[str, Any]], None] = lambda row: None) -> Outcome:
        """Train from the last checkpoint in the folder, or from the start, to the end.

        on_epoch: is told the row of metrics.jsonl after each epoch. Raises TrainingError when the folder holds a
        checkpoint of another recipe, or when the loss is no longer a number.
        """
        self._resume()
        loss_of = self.team.averaging(_LossOf(self.task, self.device, self._autocast))
        while self.epoch < self.settings.epochs and not self._out_of_patience():
            started_s = time.monotonic()
            loss = self.team.mean(self._train_epoch(loss_of), self.device)
            measures = self.team.share(self._validate() if self.team.first else {})
            self.epoch += 1
            self._keep_best(measures)
            row = {"epoch": self.epoch, "loss": loss, **measures, "learning_rate": self._rate(self.epoch, 0, 1)}
            row["seconds"] = round(time.monotonic() - started_s, 1)
            if self.writes:
                self._save(row)
            on_epoch(row)
        early = self.epoch < self.settings.epochs
        self.best = self.team.share(self.best)
        return Outcome(self.best["state"], self.best["epoch"], self.best["measures"], early)

    def _optimiser(self) -> torch.optim.Optimizer:
        settings, groups = self.settings, []
        for group in self.task.parameter_groups():
            decay = settings.weight_decay if group.get("decayed", True) else 0.0
            groups.append({"params": group["params"], "scale": group.get("scale", 1.0), "weight_decay": decay})
        named = {id(p): name for name, p in self.task.module.named_parameters() if p.requires_grad}
        grouped = [id(p) for group in groups for p in group["params"]]
        if len(set(grouped)) < len(grouped) or named.keys() - set(grouped):
            left = sorted(named[key] for key in named.keys() - set(grouped))
            raise TrainingError(f"every parameter must be in one group; left out or twice: {left[:5]}")
        if settings.optimiser == "sgd":
            return torch.optim.SGD(groups, settings.learning_rate, momentum=0.9, nesterov=True)
        kind = torch.optim.AdamW if settings.optimiser == "adamw" else torch.optim.Adam
        return kind(groups, settings.learning_rate)

    def _rate(self, epoch: int, step: int, steps: int) -> float:
        progress, warmup = (epoch + step / steps) / self.settings.epochs, self.settings.warmup
        if self.settings.schedule == "constant":
            return self.settings.learning_rate * (min(1.0, progress / warmup) if warmup else 1.0)
        return self.settings.learning_rate * one_cycle(progress, warmup)

    def _train_epoch(self, loss_of: nn.Module) -> float:
        seed, team = 1000 * self.settings.seed + self.epoch, self.team
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed + 1_000_000 * team.rank)  # dropout and the like, the same whether resumed or not
        steps, total, count = self.task.steps(self.epoch) // team.size, 0.0, 0
        if not steps:
            raise TrainingError(f"an epoch has {self.task.steps(self.epoch)} batches, too few for {team.size} at work")
        self.task.module.train()
        batches = islice(self.task.batches(self.epoch, generator), team.rank, steps * team.size, team.size)
        for step, batch in enumerate(batches):
            for group in self.optimiser.param_groups:
                group["lr"] = group["scale"] * self._rate(self.epoch, step, steps)
            loss = loss_of(batch)
            total, count = total + loss.item(), count + 1
            if not math.isfinite(total):
                raise TrainingError(
                    f"the loss of epoch {self.epoch + 1}, step {step + 1} is {loss.item()}: lower the learning rate"
                )
            self.optimiser.zero_grad(set_to_none=True)
            self.scaler.scale(loss).backward()
            if self.settings.clip_norm:
                self.scaler.unscale_(self.optimiser)
                nn.utils.clip_grad_norm_(self.task.module.parameters(), self.settings.clip_norm)
            self.scaler.step(self.optimiser)
            self.scaler.update()
            self.average.update(self.task.module)
        return total / count

    def _autocast(self) -> Any:
        kind = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[self.settings.precision]
        return torch.autocast(self.device.type, kind, enabled=kind != torch.float32)

    def _validate(self) -> dict[str, float]:
        """Of the averaged weights, which are lent to the module."""
        module = self.task.module
        latest = {name: value.clone() for name, value in module.state_dict().items()}
        module.load_state_dict(self.average.state)
        module.eval()
        with torch.inference_mode():
            measures = self.task.validate(module, self.device)
        module.load_state_dict(latest)
        return {name: round(value, 5) for name, value in measures.items()}

    def _keep_best(self, measures: dict[str, float]) -> None:
        watched = measures[self.task.watched]
        if not self.best or watched > self.best["measures"][self.task.watched]:
            state = {name: value.detach().cpu().clone() for name, value in self.average.state.items()}
            self.best = {"state": state, "epoch": self.epoch, "measures": measures}

    def _out_of_patience(self) -> bool:
        patience = self.settings.patience_epochs
        return bool(patience and self.best) and self.epoch - self.best["epoch"] >= patience

    def _save(self, row: dict[str, Any]) -> None:
        state = {
            "recipe": self.recipe,
            "epoch": self.epoch,
            "module": self.task.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.state,
            "average_steps": self.average.steps,
            "best": self.best,
        }
        rows = [*self._rows_before(self.epoch), row]
        save_checkpoint(self.checkpoint_path, state)
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (self.out / METRICS).write_text(text, encoding="utf-8")

    def _rows_before(self, epoch: int) -> Iterator[dict[str, Any]]:
        """Rows of earlier epochs: one that was written by a run that died before its checkpoint is written anew."""
        return (row for row in read_metrics(self.out) if row["epoch"] < epoch)

    def _resume(self) -> None:
        kept = self.team.share(load_checkpoint(self.checkpoint_path) if self.team.first else None)
        if kept is None:
            return
        loop = LoopSettings.model_construct(**kept["recipe"]["loop"])  # settings that have come since, by their default
        changed = differences({**kept["recipe"], "loop": loop.model_dump(mode="json")}, self.recipe)
        if changed:
            raise TrainingError(
                f"{self.out} holds a training by another recipe ({'; '.join(changed[:4])}): go on with that one, give "
                "another --out, or --no-resume to begin again there"
            )
        self.task.module.load_state_dict(kept["module"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.scaler.load_state_dict(kept["scaler"])
        self.average.steps = kept["average_steps"]
        for name, value in self.average.state.items():
            value.copy_(kept["average"][name])  # as the checkpoint may come from another device
        self.best, self.epoch = kept["best"], kept["epoch"]


def start_afresh(out: Path) -> None:
    """Forget the training in a folder: its checkpoint and its measures."""
    for name in (CHECKPOINT, METRICS):
        (out / name).unlink(missing_ok=True)


def read_metrics(out: Path) -> list[dict[str, Any]]:
    """Rows of a training's metrics.jsonl, none where there is no such file."""
    path = out / METRICS
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []


def differences(before: Any, after: Any, name: str = "") -> list[str]:
    """What changed between two recipes, a line each: `name was 1, is 2`."""
    if isinstance(before, dict) and isinstance(after, dict):
        found: list[str] = []
        for key in sorted(before.keys() | after.keys()):
            found += differences(before.get(key), after.get(key), f"{name}.{key}" if name else key)
        return found
    return [] if before == after else [f"{name} was {before}, is {after}"]
