"""Train the face branch: first the network on single pictures, then the pooling on bags of pictures.

python -m models.train.face --data DIR --out DIR
"""

import argparse
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn

from models.emotions import EMOTIONS
from models.face import FaceBranch, FaceConfig, standardise, to_channels_last
from models.train.bags import draw_bags
from models.train.checkpoint import WeightAverage, load_checkpoint, save_checkpoint
from models.train.pictures import augment, erase, load_pictures
from models.train.schedule import one_cycle


@dataclass(frozen=True)
class FaceRecipe:
    """Everything that decides the trained weights, beside the data."""

    epochs: int = 30
    batch_size: int = 128
    learning_rate: float = 0.08
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1  # FER2013's labels: people agree with them in about 65 of 100
    average_decay: float = 0.998
    warmup_epochs: float = 1.0
    mild_epochs: int = 4  # the last ones: augmented by half and nothing erased, nearer to what will be seen
    pool_steps: int = 1500
    seed: int = 0


def embed_pictures(branch: FaceBranch, pictures: Tensor, batch_size: int = 256) -> Tensor:
    """Grey pictures [N, 1, 48, 48] -> [N, D], in eval mode."""
    branch.eval()
    with torch.inference_mode():
        batches = [standardise(part.float()) for part in pictures.split(batch_size)]
        return torch.cat([branch.body(x.contiguous(memory_format=torch.channels_last)) for x in batches])


def accuracy_of(branch: FaceBranch, pictures: Tensor, labels: Tensor) -> float:
    """Share of single pictures that are named rightly."""
    with torch.inference_mode():
        return float((branch.head(embed_pictures(branch, pictures)).argmax(1) == labels).float().mean())


def train_network(data: Path, out: Path, recipe: FaceRecipe, last_epoch: int | None = None) -> FaceBranch:
    """Body and head, on single pictures; SGD with bfloat16 arithmetic, averaged weights. Resumes from `out`.

    last_epoch: stop after so many epochs of the recipe's, for a training done in several sittings.
    """
    torch.manual_seed(recipe.seed)
    pictures, labels, _ = load_pictures(data, "fit")
    tune_pictures, tune_labels, _ = load_pictures(data, "tune")
    branch = to_channels_last(FaceBranch(FaceConfig()))
    decayed = [p for p in branch.parameters() if p.ndim > 1]
    rest = [p for p in branch.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    optimiser = torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True)
    average = WeightAverage(branch, recipe.average_decay)
    first_epoch, checkpoint = 0, load_checkpoint(out / "face.network.pt")
    if checkpoint:
        branch.load_state_dict(checkpoint["branch"])
        optimiser.load_state_dict(checkpoint["optimiser"])
        average.state, average.steps = checkpoint["average"], checkpoint["average_steps"]
        first_epoch = checkpoint["epoch"]
    steps = len(pictures) // recipe.batch_size
    loss_of = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    for epoch in range(first_epoch, min(recipe.epochs, last_epoch or recipe.epochs)):
        generator = torch.Generator().manual_seed(1000 * recipe.seed + epoch)
        torch.manual_seed(1000 * recipe.seed + epoch)  # dropout, the same whether resumed or not
        order, started, total = torch.randperm(len(pictures), generator=generator), time.monotonic(), 0.0
        branch.train()
        for step in range(steps):
            factor = one_cycle((epoch + step / steps) / recipe.epochs, recipe.warmup_epochs / recipe.epochs)
            for group in optimiser.param_groups:
                group["lr"] = recipe.learning_rate * factor
            chosen = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
            if epoch < recipe.epochs - recipe.mild_epochs:
                x = erase(standardise(augment(pictures[chosen], generator)), generator)
            else:
                x = standardise(augment(pictures[chosen], generator, strength=0.5))
            with torch.autocast("cpu", torch.bfloat16):
                embedded = branch.body(x.contiguous(memory_format=torch.channels_last))
            loss = loss_of(branch.head(branch.dropout(embedded.float())), labels[chosen])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            average.update(branch)
            total += loss.item()
        averaged = FaceBranch(branch.config)
        averaged.load_state_dict(average.state)
        state = {"branch": branch.state_dict(), "optimiser": optimiser.state_dict(), "average": average.state}
        save_checkpoint(out / "face.network.pt", {**state, "average_steps": average.steps, "epoch": epoch + 1})
        print(
            f"face epoch {epoch + 1}/{recipe.epochs} loss {total / steps:.4f} tune accuracy "
            f"{accuracy_of(averaged, tune_pictures, tune_labels):.4f} {time.monotonic() - started:.0f} s",
            flush=True,
        )
    branch.load_state_dict(average.state)
    return branch


def train_pool(branch: FaceBranch, data: Path, recipe: FaceRecipe) -> None:
    """The weights of the faces of an utterance; network and head stay as they are, so one face keeps its logits."""
    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    pictures, labels, _ = load_pictures(data, "fit")
    views = [embed_pictures(branch, augment(pictures, generator)) for _ in range(2)]
    embeddings, labels = torch.cat(views), labels.repeat(2)
    pooled = [*branch.temporal.parameters(), *branch.pool.parameters()]
    optimiser = torch.optim.AdamW(pooled, lr=1e-3, weight_decay=0.01)
    branch.eval()
    for step in range(recipe.pool_steps):
        optimiser.param_groups[0]["lr"] = 1e-3 * one_cycle(step / recipe.pool_steps, 0.05)
        bag = draw_bags(labels, 128, generator)
        logits = branch.classify(embeddings[bag.rows], bag.times_s, bag.mask)
        loss = nn.functional.cross_entropy(logits, bag.labels, label_smoothing=recipe.label_smoothing)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 300 == 0:
            print(f"face pool step {step} loss {loss.item():.4f}", flush=True)


def bag_accuracies(branch: FaceBranch, embeddings: Tensor, labels: Tensor) -> dict[str, float]:
    """Accuracy on bags of held-out pictures by the learned weights, and by equal weights."""
    bag = draw_bags(labels, 2000, torch.Generator().manual_seed(1))
    with torch.inference_mode():
        learned = branch.classify(embeddings[bag.rows], bag.times_s, bag.mask)
        share = bag.mask.float() / bag.mask.sum(1, keepdim=True)
        equal = branch.head(torch.einsum("bt,btv->bv", share, embeddings[bag.rows]))
    return {
        name: float((logits.argmax(1) == bag.labels).float().mean())
        for name, logits in (("attention", learned), ("mean", equal))
    }


def main() -> None:
    """Command line: one flag a field of FaceRecipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the unpacked corpora")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the trained branch")
    for field in fields(FaceRecipe):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    arguments = vars(parser.parse_args())
    data, out = arguments.pop("data"), arguments.pop("out")
    recipe = FaceRecipe(**arguments)
    branch = train_network(data, out, recipe)
    train_pool(branch, data, recipe)
    pictures, labels, _ = load_pictures(data, "tune")
    embeddings = embed_pictures(branch, pictures)
    with torch.inference_mode():
        logits = branch.head(embeddings)
    print(f"face bags of tune pictures: {bag_accuracies(branch, embeddings, labels)}; emotions {EMOTIONS}")
    config = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(branch.config).items()}
    state = {"state": branch.state_dict(), "config": config, "recipe": asdict(recipe)}
    save_checkpoint(out / "face.pt", {**state, "tune_logits": logits.clone(), "tune_labels": labels})


if __name__ == "__main__":
    main()
