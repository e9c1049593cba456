"""Training of a network on single pictures of faces: what an epoch sees, its loss, how well it names held-out ones."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from models.face import standardise
from models.train.loop import Recipe
from models.train.pictures import SIDE_PX, augment, erase


class PictureRecipe(Recipe):
    """How pictures are shown.

    sides: (share of the epochs, side of the pictures in px), in order: small pictures first, as they cost less and the
    coarse things are learnt from them; whole ones (48) for the rest.
    cropped: small pictures are windows into the whole ones, at their own scale, and not the whole ones shrunk.
    """

    batch_size: int = Field(128, ge=2)
    sides: tuple[tuple[float, int], ...] = ((0.4, 32), (0.3, 40))
    cropped: bool = False
    strength: float = Field(1.0, ge=0)  # of the augmentation
    label_smoothing: float = 0.1  # FER2013's labels: people agree with them in about 65 of 100
    mixup: float = 0.2
    erase_share: float = 0.33
    mild_epochs: int = 5  # the last ones: augmented by half, nothing mixed or erased, nearer to what will be seen


def side_px(recipe: PictureRecipe, epoch: int, epochs: int) -> int:
    """Side of the pictures of an epoch."""
    until = 0.0
    for share, side in recipe.sides:
        until += share
        if epoch < until * epochs:
            return side
    return SIDE_PX


class PictureNetwork(Protocol):
    """Standardised grey pictures [N, 1, S, S] -> body [N, D] -> dropout -> head [N, 7]."""

    body: nn.Module
    dropout: nn.Dropout
    head: nn.Linear


@dataclass(frozen=True)
class PictureBatch:
    """Standardised pictures [N, 1, S, S]; their labels, and those of the pictures mixed into them by 1 - share."""

    pictures: Tensor
    labels: Tensor
    mixed_labels: Tensor
    share: float


@dataclass(frozen=True)
class Teaching:
    """A network whose word on each picture counts for `share` of the loss, the label for the rest.

    Both networks' logits are divided by `temperature` to compare them: what is likely second is a lesson, too.
    """

    teacher: nn.Module
    share: float
    temperature: float

    def loss(self, x: Tensor, logits: Tensor) -> Tensor:
        """Of the pupil's logits [N, 7] for standardised pictures, beside the teacher's, at the scale of a label's."""
        with torch.no_grad():
            said = torch.softmax(self.teacher(x).float() / self.temperature, dim=1)
        heard = torch.log_softmax(logits / self.temperature, dim=1)
        return self.temperature**2 * nn.functional.kl_div(heard, said, reduction="batchmean")


class PictureTask:
    """A network on single pictures: uint8 [N, 1, 48, 48] and labels [N] to fit, and to tune.

    module: has the parts of a `PictureNetwork`. layout: how pictures lie in memory.
    """

    watched = "accuracy"

    def __init__(
        self,
        module: nn.Module,
        fit: tuple[Tensor, Tensor],
        tune: tuple[Tensor, Tensor],
        recipe: PictureRecipe,
        epochs: int,
        layout: torch.memory_format = torch.channels_last,
        teaching: Teaching | None = None,
    ) -> None:
        self.module = module
        self.fit, self.tune, self.recipe, self.epochs = fit, tune, recipe, epochs
        self.layout, self.teaching = layout, teaching

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Kernels decay, norms and biases don't."""
        network = _parts(self.module)
        parameters = [*network.body.parameters(), *network.head.parameters()]
        return [
            {"params": [p for p in parameters if p.ndim > 1]},
            {"params": [p for p in parameters if p.ndim <= 1], "decayed": False},
        ]

    def steps(self, epoch: int) -> int:
        """The last batch is left out when it is short: batch norms want many pictures."""
        return max(1, len(self.fit[1]) // self.recipe.batch_size)

    def batches(self, epoch: int, generator: torch.Generator) -> Iterator[PictureBatch]:
        """Every picture once, augmented, mixed and erased."""
        pictures, labels = self.fit
        recipe, mild = self.recipe, epoch >= self.epochs - self.recipe.mild_epochs
        side = side_px(recipe, epoch, self.epochs)
        strength = recipe.strength * (0.5 if mild else 1.0)
        order = torch.randperm(len(labels), generator=generator)
        for step in range(self.steps(epoch)):
            chosen = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
            x = standardise(augment(pictures[chosen], generator, strength, side, recipe.cropped))
            share, partners = 1.0, chosen
            if not mild:
                x = erase(x, generator, recipe.erase_share)
                if recipe.mixup:
                    drawn = float(torch.distributions.Beta(recipe.mixup, recipe.mixup).sample())
                    share, places = max(drawn, 1 - drawn), torch.randperm(len(chosen), generator=generator)
                    x, partners = share * x + (1 - share) * x[places], chosen[places]
            yield PictureBatch(x, labels[chosen], labels[partners], share)

    def loss(self, batch: PictureBatch, device: torch.device, autocast: Callable[[], Any]) -> Tensor:
        """Cross-entropy with smoothed labels, and what a teacher says."""
        x = batch.pictures.to(device).contiguous(memory_format=self.layout)
        network = _parts(self.module)
        with autocast():
            embedded = network.body(x)
        logits = network.head(network.dropout(embedded.float()))
        loss_of = nn.CrossEntropyLoss(label_smoothing=self.recipe.label_smoothing)
        value = batch.share * loss_of(logits, batch.labels.to(device))
        if batch.share < 1:
            value = value + (1 - batch.share) * loss_of(logits, batch.mixed_labels.to(device))
        if self.teaching is not None:
            share = self.teaching.share
            value = (1 - share) * value + share * self.teaching.loss(x, logits)
        return cast(Tensor, value)

    def validate(self, module: nn.Module, device: torch.device) -> dict[str, float]:
        """Share of single pictures that are named rightly."""
        pictures, labels = self.tune
        embeddings = embed_pictures(_parts(module).body, pictures, device, self.layout)
        named = _parts(module).head(embeddings).argmax(dim=1)
        return {"accuracy": float((named.cpu() == labels).float().mean())}


def embed_pictures(
    body: nn.Module, pictures: Tensor, device: torch.device, layout: torch.memory_format, batch_size: int = 256
) -> Tensor:
    """Grey pictures [N, 1, 48, 48] of 0..255 -> [N, D], in eval mode."""
    body.eval()
    with torch.inference_mode():
        batches = [standardise(part.to(device).float()) for part in pictures.split(batch_size)]
        return torch.cat([body(x.contiguous(memory_format=layout)) for x in batches])


def _parts(module: nn.Module) -> PictureNetwork:
    return cast(PictureNetwork, module)
