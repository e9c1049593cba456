"""Train V2EM as published: text, vision and audio together, on utterances that have any of them."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from models.catalogue import entries, locate
from models.corpora import read_corpus
from models.corpora.item import Part
from models.evaluate.scored import Scored
from models.evaluate.thresholds import Thresholds
from models.metrics import area_under_roc, f1, mean_of_known
from models.train.checkpoint import save_checkpoint
from models.train.loop import LoopSettings, Recipe, Training, TrainingError
from models.train.v2em_augment import Augmentation, drop_modalities
from models.train.v2em_data import V2emPart, look_through
from models.train.v2em_weights import TrainedV2em, save_v2em
from models.v2em.batch import V2emBatch, pack
from models.v2em.config import V2emConfig
from models.v2em.crops import FaceDetector
from models.v2em.model import V2EM, TextBranch
from models.v2em.text import ALBERT, Tokenizer, load_tokenizer

UNCHANGED = Augmentation()
VALIDATED_AT_ONCE = 8


class V2emRecipe(Recipe):
    """Everything that decides the trained weights, beside the data, the sizes, and the loop.

    corpus: name of a reader of models/corpora. albert: a name of the catalogue, a folder, or a hub's name. text_scale:
    of the learning rate, for ALBERT and its head. class_weights: yes weighs as many times a no as there are no's for a
    yes. modality_dropout: each of text, vision and audio that is there is left out with that probability, never all.
    """

    kind: Literal["v2em"] = "v2em"
    corpus: str
    albert: str = ALBERT
    batch_size: int = Field(2, ge=1)
    text_scale: float = Field(0.1, gt=0)
    class_weights: bool = True
    modality_dropout: float = Field(0.0, ge=0, lt=1)
    augmentation: Augmentation = Augmentation()


@dataclass(frozen=True)
class Draw:
    """Rows of a part, and what makes the chance of each: it does not depend on the batch that a row is in."""

    rows: list[int]
    seeds: list[int]


def positive_weights(targets: Tensor) -> Tensor:
    """[N, E] of 0 and 1 -> N_neg / N_pos of each emotion, [E]; N where it never occurs."""
    positive = targets.sum(dim=0)
    return (len(targets) - positive) / positive.clamp_min(1)


class V2emTask:
    """The model on utterances; `tokenizer` is None for a model that reads no text."""

    watched = "mean_f1"

    def __init__(self, model: V2EM, tokenizer: Tokenizer | None, fit: V2emPart, tune: V2emPart, recipe: V2emRecipe):
        self.model, self.tokenizer, self.fit, self.tune, self.recipe = model, tokenizer, fit, tune, recipe
        self.module: nn.Module = model
        self.targets = fit.targets
        self.pos_weight = positive_weights(self.targets) if recipe.class_weights else None

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The text branch learns slower than the rest."""
        text = [p for b in self.model.branches.values() if isinstance(b, TextBranch) for p in b.parameters()]
        slow = {id(p) for p in text}
        rest = [p for p in self.model.parameters() if id(p) not in slow]
        return [
            {"params": params, "scale": scale}
            for params, scale in ((text, self.recipe.text_scale), (rest, 1.0))
            if params
        ]

    def steps(self, epoch: int) -> int:
        """Every utterance once."""
        return -(-len(self.fit) // self.recipe.batch_size)

    def batches(self, epoch: int, generator: torch.Generator) -> Iterator[Draw]:
        """Rows in random order; they are read by `loss`, so that a batch that another process takes costs nothing."""
        order = torch.randperm(len(self.fit), generator=generator).tolist()
        seeds = torch.randint(2**62, (len(order),), generator=generator).tolist()
        size = self.recipe.batch_size
        for first in range(0, len(order), size):
            yield Draw(order[first : first + size], seeds[first : first + size])

    def assemble(self, draw: Draw) -> V2emBatch:
        """Read and change the utterances of a draw, and leave modalities out."""
        rngs = [np.random.default_rng(seed) for seed in draw.seeds]
        batch = self._read(self.fit, draw.rows, self.recipe.augmentation, rngs)
        kept = [
            drop_modalities(self.fit.present(row), self.recipe.modality_dropout, rng)
            for row, rng in zip(draw.rows, rngs, strict=True)
        ]
        return V2emBatch(**{**vars(batch), "modality": torch.stack(kept)})

    def loss(self, batch: Draw, device: torch.device, autocast: Callable[[], Any]) -> Tensor:
        """Cross-entropy of a yes or no for each emotion, in float32."""
        read = self.assemble(batch).to(device)
        with autocast():
            logits = self.model(read).fused
        targets = self.targets[batch.rows].to(device)
        weight = None if self.pos_weight is None else self.pos_weight.to(device)
        return nn.functional.binary_cross_entropy_with_logits(logits.float(), targets, pos_weight=weight)

    def validate(self, module: nn.Module, device: torch.device) -> dict[str, float]:
        """Means over the emotions, thresholds being those that fit the same utterances best: what V2EM chose by."""
        scored = self.tune.scored(self.logits(cast(V2EM, module), device).sigmoid())
        return measures_at(scored, Thresholds.fit(scored))

    def logits(self, model: V2EM, device: torch.device) -> Tensor:
        """Of the utterances to tune with, float32 [N, E] on the CPU; `model` is to be in eval mode."""
        parts = []
        with torch.inference_mode():
            for rows in torch.arange(len(self.tune)).split(VALIDATED_AT_ONCE):
                rngs = [np.random.default_rng(0) for _ in rows]
                batch = self._read(self.tune, rows.tolist(), UNCHANGED, rngs)
                parts.append(model(batch.to(device)).fused.float().cpu())
        return torch.cat(parts)

    def _read(
        self, part: V2emPart, rows: list[int], augmentation: Augmentation, rngs: list[np.random.Generator]
    ) -> V2emBatch:
        utterances = [part.utterance(row, augmentation, rng) for row, rng in zip(rows, rngs, strict=True)]
        if self.tokenizer is None:
            ids = torch.zeros(len(rows), 1, dtype=torch.int32)
            return pack(utterances, ids, torch.ones_like(ids, dtype=torch.bool))
        return pack(utterances, *self.tokenizer([u.text or "" for u in utterances]))


def measures_at(scored: Scored, thresholds: Thresholds) -> dict[str, float]:
    """mean_f1 of yes and no at the thresholds, and mean_auc: over the emotions that occur."""
    hot, said = scored.hot(), scored.probabilities > np.array(thresholds.values)
    occurring = np.flatnonzero(hot.any(axis=0))
    if not len(occurring):
        raise TrainingError(f"{scored.name} has no emotion at all: there is nothing to choose weights by")
    aucs = np.array([area_under_roc(hot[:, c], scored.probabilities[:, c])[0] for c in occurring])
    mean_auc = float(mean_of_known(aucs))
    return {
        "mean_f1": float(np.mean([f1(hot[:, c], said[:, c]) for c in occurring])),
        **({"mean_auc": mean_auc} if np.isfinite(mean_auc) else {}),
    }


def build_model(config: V2emConfig, recipe: V2emRecipe, seed: int) -> tuple[V2EM, Tokenizer | None]:
    """V2EM with ALBERT's published weights and else random ones, and ALBERT's tokenizer, where it reads text.

    Raises TrainingError when there is no ALBERT, CatalogueError when the catalogue knows it and it wasn't pulled.
    """
    torch.manual_seed(seed)
    model = V2EM(config)
    if "text" not in model.branches:
        return model, None
    source = str(locate(recipe.albert)) if recipe.albert in entries() else recipe.albert
    try:
        cast(TextBranch, model.branches["text"]).network.load_pretrained(source)
        return model, load_tokenizer(source)
    except ValueError as error:
        raise TrainingError(f"recipe.albert: {error}") from error


def train_v2em(
    data: Path,
    out: Path,
    config: V2emConfig,
    recipe: V2emRecipe,
    loop: LoopSettings,
    detector: Callable[[], FaceDetector],
    on_epoch: Callable[[dict[str, Any]], None] = lambda row: None,
) -> dict[str, float]:
    """Train in `out` from the corpus in `data`; write out/v2em.pt and, fused, out/v2em.safetensors; give the measures.

    detector: builds what finds faces in the corpus' pictures. Raises TrainingError when it can't start or go on.
    """
    if config.legacy and loop.precision == "float16":
        raise TrainingError("the published spectrum is linear power, too large for float16: take bfloat16 or float32")
    model, tokenizer = build_model(config, recipe, loop.seed)
    parts: tuple[Part, Part] = ("fit", "tune")
    corpora = {part: read_corpus(recipe.corpus, data, part) for part in parts}
    labels = corpora["fit"].label_space
    if len(labels) != config.emotions:
        raise TrainingError(
            f"model.emotions is {config.emotions}, and {recipe.corpus} has {len(labels)}: set it to that"
        )
    fit, tune = (look_through(corpora[part], config, detector, out / f"faces.{part}.pt") for part in parts)
    task = V2emTask(model, tokenizer, fit, tune, recipe)
    kept = {"model": asdict(config), "recipe": recipe.model_dump()}
    training = Training(task, loop, kept, out)
    outcome = training.run(on_epoch)
    model.load_state_dict(outcome.state)
    if training.writes:
        write_outcome(task, model.eval(), outcome.epoch, out, training.device)
    return outcome.measures


def write_outcome(task: V2emTask, model: V2EM, epoch: int, out: Path, device: torch.device) -> None:
    """Fit thresholds on the tune part, by the fused copy that will be used, and write both forms of the weights."""
    deployed = model.fused()
    logits = task.logits(deployed, device)
    thresholds = Thresholds.fit(task.tune.scored(logits.sigmoid()))
    model_id = f"v2em-{task.recipe.corpus}-epoch{epoch}"
    emotions, fitted_on = task.tune.emotions, str(thresholds.fitted_on)
    save_v2em(
        out / "v2em.safetensors",
        TrainedV2em(deployed, model_id, emotions, thresholds.values, fitted_on, deploy=True),
    )
    state = {
        "state": {name: value.cpu() for name, value in model.state_dict().items()},
        "config": asdict(model.config),
        "recipe": task.recipe.model_dump(mode="json"),
        "deploy": False,
        "emotions": list(emotions),
        "thresholds": list(thresholds.values),
        "fitted_on": fitted_on,
        "tune_logits": logits.clone(),
        "tune_labels": task.tune.targets,
    }
    save_checkpoint(out / "v2em.pt", state)
