"""Train the face branch: first the network on single pictures, then the pooling on bags of pictures."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from models.face import FaceBranch, FaceConfig
from models.train.bags import draw_bags
from models.train.checkpoint import load_checkpoint, save_checkpoint
from models.train.face_teacher import load_teacher
from models.train.loop import LoopSettings, Training, TrainingError
from models.train.picture_task import PictureRecipe, PictureTask, Teaching, embed_pictures
from models.train.pictures import augment, load_pictures
from models.train.schedule import one_cycle
from models.weights_file import load_weights

FEWEST_CHANNELS_LAST = 16
VIEWS = 3  # of each picture in a bag
VIEW_STRENGTH = 0.5  # of the augmentation, for views in which a face is seen a moment later


class FaceRecipe(PictureRecipe):
    """Everything that decides the trained weights, beside the data, the sizes of the network, and the loop.

    starts_from: face.pt of an earlier training, or a weights file of V2EM-S, whose network this one goes on with.
    teacher: face-teacher.pt, whose word on each picture is `teacher_share` of the loss, at `temperature`.
    """

    kind: Literal["face"] = "face"
    pool_steps: int = 1500
    starts_from: str | None = None
    teacher: str | None = None
    teacher_share: float = Field(0.7, ge=0, le=1)
    temperature: float = Field(2.0, gt=0)


class FaceTask(PictureTask):
    """The network, on single pictures."""

    def __init__(
        self,
        branch: FaceBranch,
        fit: tuple[Tensor, Tensor],
        tune: tuple[Tensor, Tensor],
        recipe: FaceRecipe,
        epochs: int,
        teaching: Teaching | None = None,
    ) -> None:
        super().__init__(branch, fit, tune, recipe, epochs, layout(branch.config), teaching)
        self.branch = branch

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The pooling is trained afterwards, see `train_pool`."""
        pooling = [*self.branch.temporal.parameters(), *self.branch.pool.parameters()]
        return [
            *super().parameter_groups(),
            {"params": pooling, "decayed": False},  # has no gradient yet, and so stays as it is
        ]


def layout(config: FaceConfig) -> torch.memory_format:
    """How pictures and kernels lie in memory: channels last, twice as fast, unless the network is tiny.

    The backward pass of a strided 1x1 convolution of fewer than 16 channels in that layout crashes in oneDNN on some
    CPUs (PyTorch 2.8, AVX-512 of AMD).
    """
    return torch.channels_last if min(config.widths) >= FEWEST_CHANNELS_LAST else torch.contiguous_format


def embed_views(
    branch: FaceBranch, pictures: Tensor, device: torch.device, generator: torch.Generator, strength: float
) -> Tensor:
    """Embeddings [VIEWS * N, D] of the pictures, augmented anew for each view; what `draw_bags` indexes."""
    views = [torch.cat([augment(part, generator, strength) for part in pictures.split(1024)]) for _ in range(VIEWS)]
    return torch.cat([embed_pictures(branch.body, view, device, layout(branch.config)) for view in views])


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
    if path.suffix == ".safetensors":
        state = load_weights(path)[2]
        return {name.removeprefix("face."): v for name, v in state.items() if name.startswith("face.")}
    trained = load_checkpoint(path)
    if trained is None:
        raise TrainingError(f"starts_from: there is no {path}; train that one first")
    kept: dict[str, Tensor] = trained["state"]
    return kept


def _teaching(recipe: FaceRecipe, loop: LoopSettings) -> Teaching | None:
    if recipe.teacher is None:
        return None
    return Teaching(load_teacher(Path(recipe.teacher), loop.device), recipe.teacher_share, recipe.temperature)


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
    task = FaceTask(branch, fit, tune, recipe, loop.epochs, _teaching(recipe, loop))
    kept = {"model": asdict(config), "recipe": recipe.model_dump()}
    outcome = Training(task, loop, kept, out).run(on_epoch)
    branch.load_state_dict(outcome.state)
    train_pool(branch, fit, recipe, loop)
    branch.cpu()
    embeddings = embed_pictures(branch.body, tune[0], torch.device("cpu"), layout(config))
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
