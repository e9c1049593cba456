"""Train the face branch: first the network on single pictures, then the pooling on bags of pictures."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from models.face import FaceBranch, FaceConfig, standardise
from models.train.bags import draw_bags
from models.train.checkpoint import load_checkpoint, save_checkpoint
from models.train.loop import LoopSettings, Recipe, Training, TrainingError
from models.train.pictures import augment, erase, load_pictures
from models.train.schedule import one_cycle

SIDE_PX = 48
FEWEST_CHANNELS_LAST = 16
VIEWS = 3  # of each picture in a bag
VIEW_STRENGTH = 0.5  # of the augmentation, for views in which a face is seen a moment later


class FaceRecipe(Recipe):
    """Everything that decides the trained weights, beside the data, the sizes of the network, and the loop.

    sides: (share of the epochs, side of the pictures in px), in order: small pictures first, as they cost less and the
    coarse things are learnt from them; whole ones (48) for the rest.
    cropped: small pictures are windows into the whole ones, at their own scale, and not the whole ones shrunk.
    """

    kind: Literal["face"] = "face"
    batch_size: int = Field(128, ge=2)
    sides: tuple[tuple[float, int], ...] = ((0.4, 32), (0.3, 40))
    cropped: bool = False
    strength: float = Field(1.0, ge=0)  # of the augmentation
    label_smoothing: float = 0.1  # FER2013's labels: people agree with them in about 65 of 100
    mixup: float = 0.2
    erase_share: float = 0.33
    mild_epochs: int = 5  # the last ones: augmented by half, nothing mixed or erased, nearer to what will be seen
    pool_steps: int = 1500
    starts_from: str | None = None  # face.pt of an earlier training, whose weights this one goes on with


def side_px(recipe: FaceRecipe, epoch: int, epochs: int) -> int:
    """Side of the pictures of an epoch."""
    until = 0.0
    for share, side in recipe.sides:
        until += share
        if epoch < until * epochs:
            return side
    return SIDE_PX


@dataclass(frozen=True)
class PictureBatch:
    """Standardised pictures [N, 1, S, S]; their labels, and those of the pictures mixed into them by 1 - share."""

    pictures: Tensor
    labels: Tensor
    mixed_labels: Tensor
    share: float


class FaceTask:
    """The network, on single pictures: uint8 [N, 1, 48, 48] and labels [N] to fit, and to tune."""

    watched = "accuracy"

    def __init__(
        self,
        branch: FaceBranch,
        fit: tuple[Tensor, Tensor],
        tune: tuple[Tensor, Tensor],
        recipe: FaceRecipe,
        epochs: int,
    ) -> None:
        self.module: nn.Module = branch
        self.branch, self.fit, self.tune, self.recipe, self.epochs = branch, fit, tune, recipe, epochs

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Kernels decay, norms and biases don't. The pooling is trained afterwards, see `train_pool`."""
        network = [*self.branch.body.parameters(), *self.branch.head.parameters()]
        pooling = [*self.branch.temporal.parameters(), *self.branch.pool.parameters()]
        return [
            {"params": [p for p in network if p.ndim > 1]},
            {"params": [p for p in network if p.ndim <= 1], "decayed": False},
            {"params": pooling, "decayed": False},  # has no gradient yet, and so stays as it is
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
        """Cross-entropy with smoothed labels."""
        x = batch.pictures.to(device).contiguous(memory_format=layout(self.branch.config))
        with autocast():
            embedded = self.branch.body(x)
        logits = self.branch.head(self.branch.dropout(embedded.float()))
        loss_of = nn.CrossEntropyLoss(label_smoothing=self.recipe.label_smoothing)
        value = batch.share * loss_of(logits, batch.labels.to(device))
        if batch.share < 1:
            value = value + (1 - batch.share) * loss_of(logits, batch.mixed_labels.to(device))
        return cast(Tensor, value)

    def validate(self, module: nn.Module, device: torch.device) -> dict[str, float]:
        """Share of single pictures that are named rightly."""
        branch = cast(FaceBranch, module)
        pictures, labels = self.tune
        named = branch.head(embed_pictures(branch, pictures, device)).argmax(dim=1)
        return {"accuracy": float((named.cpu() == labels).float().mean())}


def layout(config: FaceConfig) -> torch.memory_format:
    """How pictures and kernels lie in memory: channels last, twice as fast, unless the network is tiny.

    The backward pass of a strided 1x1 convolution of fewer than 16 channels in that layout crashes in oneDNN on some
    CPUs (PyTorch 2.8, AVX-512 of AMD).
    """
    return torch.channels_last if min(config.widths) >= FEWEST_CHANNELS_LAST else torch.contiguous_format


def embed_pictures(branch: FaceBranch, pictures: Tensor, device: torch.device, batch_size: int = 256) -> Tensor:
    """Grey pictures [N, 1, 48, 48] of 0..255 -> [N, D], in eval mode."""
    branch.eval()
    with torch.inference_mode():
        batches = [standardise(part.to(device).float()) for part in pictures.split(batch_size)]
        return torch.cat([branch.body(x.contiguous(memory_format=layout(branch.config))) for x in batches])


def embed_views(
    branch: FaceBranch, pictures: Tensor, device: torch.device, generator: torch.Generator, strength: float
) -> Tensor:
    """Embeddings [VIEWS * N, D] of the pictures, augmented anew for each view; what `draw_bags` indexes."""
    views = [
        embed_pictures(branch, torch.cat([augment(part, generator, strength) for part in pictures.split(1024)]), device)
        for _ in range(VIEWS)
    ]
    return torch.cat(views)


def train_pool(branch: FaceBranch, fit: tuple[Tensor, Tensor], recipe: FaceRecipe, loop: LoopSettings) -> None:
    """The weights of the faces of an utterance; network and head stay as they are, so one face keeps its logits."""
    device = next(branch.parameters()).device
    torch.manual_seed(loop.seed)
    generator = torch.Generator().manual_seed(loop.seed)
    pictures, labels = fit
    embeddings = embed_views(branch, pictures, device, generator, recipe.strength)
    optimiser = torch.optim.AdamW([*branch.temporal.parameters(), *branch.pool.parameters()], weight_decay=0.01)
    branch.eval()
    for step in range(recipe.pool_steps):
        optimiser.param_groups[0]["lr"] = 1e-3 * one_cycle(step / recipe.pool_steps, 0.05)
        bag = draw_bags(labels, VIEWS, 128, generator)
        logits = branch.classify(embeddings[bag.rows], bag.times_s.to(device), bag.mask.to(device))
        loss = nn.functional.cross_entropy(logits, bag.labels.to(device), label_smoothing=recipe.label_smoothing)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


@dataclass(frozen=True)
class BagLogits:
    """Of bags of held-out pictures: logits [B, 7] by the learned weights and by equal ones, and labels [B]."""

    learned: Tensor
    equal: Tensor
    labels: Tensor


def classify_bags(branch: FaceBranch, tune: tuple[Tensor, Tensor]) -> BagLogits:
    """What a branch on the CPU says of bags; the views differ by as much as a face does from frame to frame."""
    generator = torch.Generator().manual_seed(1)
    pictures, labels = tune
    embeddings = embed_views(branch, pictures, torch.device("cpu"), generator, VIEW_STRENGTH)
    bag = draw_bags(labels, VIEWS, 4000, generator)
    with torch.inference_mode():
        learned = branch.classify(embeddings[bag.rows], bag.times_s, bag.mask)
        share = bag.mask.float() / bag.mask.sum(1, keepdim=True)
        equal = branch.head(torch.einsum("bt,btv->bv", share, embeddings[bag.rows]))
    return BagLogits(learned.clone(), equal.clone(), bag.labels)


def _state_of(path: Path) -> dict[str, Tensor]:
    trained = load_checkpoint(path)
    if trained is None:
        raise TrainingError(f"starts_from: there is no {path}; train that one first")
    state: dict[str, Tensor] = trained["state"]
    return state


def train_face(
    data: Path,
    out: Path,
    config: FaceConfig,
    recipe: FaceRecipe,
    loop: LoopSettings,
    on_epoch: Callable[[dict[str, Any]], None] = lambda row: None,
) -> dict[str, float]:
    """Train in `out` from the corpora in `data`; write out/face.pt, what `assemble` reads; give the measures."""
    fit, tune = (load_pictures(data, part)[:2] for part in ("fit", "tune"))
    torch.manual_seed(loop.seed)
    branch = FaceBranch(config)
    branch.to(memory_format=layout(config))  # type: ignore[call-overload]
    if recipe.starts_from is not None:
        branch.load_state_dict(_state_of(Path(recipe.starts_from)))
    task = FaceTask(branch, fit, tune, recipe, loop.epochs)
    kept = {"model": asdict(config), "recipe": recipe.model_dump()}
    outcome = Training(task, loop, kept, out).run(on_epoch)
    branch.load_state_dict(outcome.state)
    train_pool(branch, fit, recipe, loop)
    branch.cpu()
    embeddings = embed_pictures(branch, tune[0], torch.device("cpu"))
    with torch.inference_mode():
        logits = branch.head(embeddings)
    sizes = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(config).items()}
    state = {"state": branch.state_dict(), "config": sizes, "recipe": recipe.model_dump(mode="json")}
    bags = classify_bags(branch, tune)
    of_utterances = {"utterance_logits": bags.learned, "utterance_labels": bags.labels}
    save_checkpoint(out / "face.pt", {**state, "tune_logits": logits.clone(), "tune_labels": tune[1], **of_utterances})
    named = {"bags_attention": bags.learned, "bags_mean": bags.equal}
    right = {name: float((logits.argmax(1) == bags.labels).float().mean()) for name, logits in named.items()}
    return outcome.measures | {name: round(share, 5) for name, share in right.items()}
