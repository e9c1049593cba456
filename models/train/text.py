"""Train the text branch: MiniLM's lower layers encode every sentence once, its top layers are tuned with the head.

python -m models.train.text --data DIR --out DIR --minilm DIR
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn

from models.emotions import EMOTIONS
from models.text import MiniLM, TextBranch, TextConfig
from models.train.checkpoint import WeightAverage, load_checkpoint, save_checkpoint
from models.train.schedule import one_cycle
from models.train.sentences import Sentence, load_sentences
from models.voice import pad_ragged


@dataclass(frozen=True)
class TextRecipe:
    """Everything that decides the trained weights, beside the data."""

    epochs: int = 3
    batch_size: int = 64
    learning_rate: float = 1e-4  # of the tuned layers; the head learns ten times as fast
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    average_decay: float = 0.995
    seed: int = 0


@dataclass(frozen=True)
class EncodedText:
    """States below the tuned layers, float16 [T_i, 384] each, and targets [N, 7] that sum to 1 a row."""

    states: list[Tensor]
    targets: Tensor
    corpora: list[str]


def encode_sentences(minilm: MiniLM, sentences: list[Sentence]) -> EncodedText:
    """Run the frozen layers over every sentence, those of like length together."""
    token_ids = minilm.tokenize([sentence.text for sentence in sentences])
    order = sorted(range(len(token_ids)), key=lambda i: len(token_ids[i]))
    states: list[Tensor] = [torch.empty(0)] * len(sentences)
    for first in range(0, len(order), 128):
        chosen = order[first : first + 128]
        with torch.autocast("cpu", torch.bfloat16):
            batch, mask = minilm.encode([token_ids[i] for i in chosen])
        for i, row, length in zip(chosen, batch, mask.sum(dim=1).tolist(), strict=True):
            states[i] = row[:length].half()
    targets = torch.zeros(len(sentences), len(EMOTIONS))
    for row, sentence in zip(targets, sentences, strict=True):
        row[list(sentence.labels)] = 1 / len(sentence.labels)
    return EncodedText(states, targets, [sentence.corpus for sentence in sentences])


def batches_by_length(states: list[Tensor], batch_size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Every sentence once, in random batches of like length, so that little is padded."""
    order = torch.randperm(len(states), generator=generator).tolist()
    chunks = [order[i : i + 50 * batch_size] for i in range(0, len(order), 50 * batch_size)]
    batches = []
    for chunk in chunks:
        chunk.sort(key=lambda i: len(states[i]))
        batches += [chunk[i : i + batch_size] for i in range(0, len(chunk), batch_size)]
    for i in torch.randperm(len(batches), generator=generator).tolist():
        yield batches[i]


def logits_of(branch: TextBranch, part: EncodedText) -> Tensor:
    """Logits [N, 7] in eval mode."""
    branch.eval()
    order = sorted(range(len(part.states)), key=lambda i: len(part.states[i]))
    logits = torch.empty(len(order), len(EMOTIONS))
    with torch.inference_mode():
        for first in range(0, len(order), 128):
            chosen = order[first : first + 128]
            logits[chosen] = branch(*pad_ragged([part.states[i].float() for i in chosen]))
    return logits


def train_branch(fit: EncodedText, tune: EncodedText, minilm: MiniLM, recipe: TextRecipe, out: Path) -> TextBranch:
    """AdamW with bfloat16 arithmetic, averaged weights. Resumes from `out`."""
    torch.manual_seed(recipe.seed)
    branch = TextBranch(TextConfig(tuned_layers=len(minilm.upper)), minilm.upper).requires_grad_(True)
    head = [*branch.pool.parameters(), *branch.head.parameters()]
    groups = [
        {"params": list(branch.layers.parameters()), "factor": 1.0},
        {"params": head, "factor": 10.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    average = WeightAverage(branch, recipe.average_decay)
    first_epoch, checkpoint = 0, load_checkpoint(out / "text.network.pt")
    if checkpoint:
        branch.load_state_dict(checkpoint["branch"])
        optimiser.load_state_dict(checkpoint["optimiser"])
        average.state, average.steps = checkpoint["average"], checkpoint["average_steps"]
        first_epoch = checkpoint["epoch"]
    steps = -(-len(fit.states) // recipe.batch_size)
    loss_of = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    for epoch in range(first_epoch, recipe.epochs):
        generator = torch.Generator().manual_seed(1000 * recipe.seed + epoch)
        torch.manual_seed(1000 * recipe.seed + epoch)  # dropout, the same whether resumed or not
        started, total = time.monotonic(), 0.0
        branch.train()
        for step, chosen in enumerate(batches_by_length(fit.states, recipe.batch_size, generator)):
            for group in optimiser.param_groups:
                factor = one_cycle((epoch + step / steps) / recipe.epochs, 0.06)
                group["lr"] = recipe.learning_rate * group["factor"] * factor
            states, mask = pad_ragged([fit.states[i].float() for i in chosen])
            with torch.autocast("cpu", torch.bfloat16):
                logits = branch(states, mask)
            loss = loss_of(logits.float(), fit.targets[chosen])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(branch.parameters(), 1.0)
            optimiser.step()
            average.update(branch)
            total += loss.item()
            if step % 100 == 0:
                print(f"text epoch {epoch + 1} step {step}/{steps} {time.monotonic() - started:.0f} s", flush=True)
        trained = {"branch": branch.state_dict(), "optimiser": optimiser.state_dict(), "average": average.state}
        save_checkpoint(out / "text.network.pt", {**trained, "average_steps": average.steps, "epoch": epoch + 1})
        latest = {name: value.clone() for name, value in branch.state_dict().items()}
        branch.load_state_dict(average.state)
        right = logits_of(branch, tune).argmax(1) == tune.targets.argmax(1)
        branch.load_state_dict(latest)
        print(
            f"text epoch {epoch + 1}/{recipe.epochs} loss {total / steps:.4f} tune accuracy "
            f"{float(right.float().mean()):.4f} {time.monotonic() - started:.0f} s",
            flush=True,
        )
    branch.load_state_dict(average.state)
    return branch.eval()


def main() -> None:
    """Command line: one flag a field of TextRecipe, and the number of layers to tune."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the unpacked corpora")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the trained branch")
    parser.add_argument("--minilm", type=Path, required=True, help="folder of MiniLM-L6")
    parser.add_argument("--tuned-layers", type=int, default=TextConfig.tuned_layers)
    parser.add_argument("--limit", type=int, help="use so many sentences of each part, for a trial")
    for field in fields(TextRecipe):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    arguments = vars(parser.parse_args())
    data, out, limit = arguments.pop("data"), arguments.pop("out"), arguments.pop("limit")
    minilm = MiniLM(arguments.pop("minilm"), arguments.pop("tuned_layers"))
    recipe = TextRecipe(**arguments)
    started = time.monotonic()
    fit, tune = (
        encode_sentences(minilm, load_sentences(data, part)[:: 1 if limit is None else max(1, 50_000 // limit)])
        for part in ("fit", "tune")
    )
    print(f"text: {len(fit.states)} to fit, {len(tune.states)} to tune; {time.monotonic() - started:.0f} s", flush=True)
    branch = train_branch(fit, tune, minilm, recipe, out)
    state = {"state": branch.state_dict(), "config": asdict(branch.config), "recipe": asdict(recipe)}
    save_checkpoint(out / "text.pt", {**state, "tune_logits": logits_of(branch, tune), "tune_labels": tune.targets})


if __name__ == "__main__":
    main()
