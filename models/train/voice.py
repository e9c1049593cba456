"""Train the voice branch, by either front end, on clips encoded once for each augmented copy.

python -m models.train.voice --data DIR --out DIR --whisper DIR [--front-end log-mel]
"""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.log_mel import log_mel_slices
from models.train.checkpoint import WeightAverage, load_checkpoint, save_checkpoint
from models.train.manifest import Item
from models.train.schedule import one_cycle
from models.train.sounds import augment_clip, list_clips, read_clip, trim_silence
from models.train.splits import Part
from models.voice import VoiceBranch, VoiceConfig, pad_ragged
from models.whisper_states import WhisperStates

FrontEnd = Callable[[list[np.ndarray]], list[Tensor]]


@dataclass(frozen=True)
class VoiceRecipe:
    """Everything that decides the trained weights, beside the data."""

    copies: int = 8  # augmented copies of each clip, made once; the clip itself and its trimmed form come on top
    epochs: int = 30  # an epoch sees one copy of each clip
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    time_mask_s: float = 0.6
    mixup: float = 0.2
    average_decay: float = 0.99
    seed: int = 0


@dataclass(frozen=True)
class Encoded:
    """copies[k][i] is copy k of clip i as its front end gives it, float16."""

    copies: list[list[Tensor]]
    labels: Tensor
    corpora: list[str]


def front_end_of(config: VoiceConfig, whisper: Path | None) -> FrontEnd:
    """From clips to what the branch reads."""
    if config.front_end == "log-mel":
        return lambda clips: [log_mel_slices(clip) for clip in clips]
    if whisper is None:
        raise ValueError("the whisper-states front end needs --whisper, the folder of a CTranslate2 Whisper model")
    return WhisperStates(whisper).encode


def encode_part(items: list[Item], front_end: FrontEnd, copies: int, seed: int, cache: Path) -> Encoded:
    """The clips, their trimmed forms, and `copies` augmented ones. Kept at `cache` for the next run."""
    labels, corpora = torch.tensor([item.label for item in items]), [item.corpus for item in items]
    kept = load_checkpoint(cache)
    if kept:
        return Encoded(kept["copies"], labels, corpora)
    clips = [read_clip(item.path) for item in items]
    encoded = [front_end(clips), front_end([trim_silence(clip) for clip in clips])]
    for copy in range(copies):
        rng = np.random.default_rng([seed, copy])
        encoded.append(front_end([augment_clip(clip, rng) for clip in clips]))
    halves = [[item.half() for item in copy] for copy in encoded]
    save_checkpoint(cache, {"copies": halves})
    return Encoded(halves, labels, corpora)


def sampling_weights(part: Encoded) -> Tensor:
    """Each (corpus, label) weighs as the square root of its size: no emotion and no corpus drowns the others."""
    keys = list(zip(part.corpora, part.labels.tolist(), strict=True))
    counts = {key: keys.count(key) for key in set(keys)}
    return torch.tensor([1 / math.sqrt(counts[key]) for key in keys])


def mask_times(mask: Tensor, seconds: float, items_per_s: float) -> Tensor:
    """Hide one stretch of up to `seconds`, and never more than a third, of each row."""
    lengths = mask.sum(dim=1)
    longest = torch.minimum(lengths / 3, torch.tensor(seconds * items_per_s))
    width = torch.rand(len(mask)) * longest
    start = torch.rand(len(mask)) * (lengths - width)
    place = torch.arange(mask.shape[1])
    return mask & ~((place >= start[:, None]) & (place < (start + width)[:, None]))


def logits_of(branch: VoiceBranch, clips: list[Tensor], batch_size: int = 32) -> Tensor:
    """Logits [N, 7] in eval mode, clips of like length together."""
    branch.eval()
    order = sorted(range(len(clips)), key=lambda i: len(clips[i]))
    logits = torch.empty(len(clips), branch.head.out_features)
    with torch.inference_mode():
        for first in range(0, len(order), batch_size):
            chosen = order[first : first + batch_size]
            logits[chosen] = branch(*pad_ragged([clips[i].float() for i in chosen]))
    return logits


def unweighted_recall(logits: Tensor, labels: Tensor) -> float:
    """Mean recall over the classes that occur, the prediction being one of them (a corpus' shared classes)."""
    classes = labels.unique()
    predicted = classes[logits[:, classes].argmax(dim=1)]
    return float(torch.stack([(predicted[labels == c] == c).float().mean() for c in classes]).mean())


def recall_by_corpus(logits: Tensor, part: Encoded) -> dict[str, float]:
    """Unweighted average recall for each corpus."""
    rows = {corpus: torch.tensor([c == corpus for c in part.corpora]) for corpus in sorted(set(part.corpora))}
    return {corpus: round(unweighted_recall(logits[row], part.labels[row]), 4) for corpus, row in rows.items()}


def train_branch(fit: Encoded, tune: Encoded, config: VoiceConfig, recipe: VoiceRecipe) -> VoiceBranch:
    """AdamW on drawn copies, averaged weights."""
    torch.manual_seed(recipe.seed)
    branch = VoiceBranch(config)
    optimiser = torch.optim.AdamW(branch.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    average = WeightAverage(branch, recipe.average_decay)
    averaged = VoiceBranch(config)
    loss_of = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    weights, steps = sampling_weights(fit), len(fit.labels) // recipe.batch_size
    items_per_s = 2.5 if config.front_end == "log-mel" else 50.0
    for epoch in range(recipe.epochs):
        branch.train()
        started, total = time.monotonic(), 0.0
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = recipe.learning_rate * one_cycle(
                (epoch + step / steps) / recipe.epochs, 0.1
            )
            chosen = torch.multinomial(weights, recipe.batch_size, replacement=True).tolist()
            copies = torch.randint(len(fit.copies), (len(chosen),)).tolist()
            items, mask = pad_ragged([fit.copies[k][i].float() for k, i in zip(copies, chosen, strict=True)])
            mask = mask_times(mask, recipe.time_mask_s, items_per_s)
            labels = fit.labels[chosen]
            share, partner = 1.0, torch.arange(len(chosen))
            if recipe.mixup:
                share = float(np.random.default_rng([recipe.seed, epoch, step]).beta(recipe.mixup, recipe.mixup))
                share, partner = max(share, 1 - share), torch.randperm(len(chosen))
                items = share * items + (1 - share) * items[partner]
            logits = branch(items, mask)
            loss = share * loss_of(logits, labels) + (1 - share) * loss_of(logits, labels[partner])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(branch.parameters(), 1.0)
            optimiser.step()
            average.update(branch)
            total += loss.item()
        if (epoch + 1) % 5 == 0 or epoch + 1 == recipe.epochs:
            averaged.load_state_dict(average.state)
            recalls = recall_by_corpus(logits_of(averaged, tune.copies[1]), tune)
            seconds = time.monotonic() - started
            print(
                f"voice epoch {epoch + 1}/{recipe.epochs} loss {total / steps:.4f} tune {recalls} {seconds:.0f} s",
                flush=True,
            )
    averaged.load_state_dict(average.state)
    return averaged.eval()


def main() -> None:
    """Command line: one flag a field of VoiceRecipe, and the front end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the unpacked corpora")
    parser.add_argument("--out", type=Path, required=True, help="folder for caches and the trained branch")
    parser.add_argument("--whisper", type=Path, help="folder of the CTranslate2 Whisper model")
    parser.add_argument("--front-end", choices=["whisper-states", "log-mel"], default="whisper-states")
    for field in fields(VoiceRecipe):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    arguments = vars(parser.parse_args())
    data, out, whisper = arguments.pop("data"), arguments.pop("out"), arguments.pop("whisper")
    config = VoiceConfig(front_end=arguments.pop("front_end"))
    recipe = VoiceRecipe(**arguments)
    front_end = front_end_of(config, whisper)
    parts: dict[Part, Encoded] = {
        part: encode_part(
            list_clips(data, part),
            front_end,
            recipe.copies if part == "fit" else 0,
            recipe.seed,
            out / f"voice.{config.front_end}.{part}.cache",
        )
        for part in ("fit", "tune", "report")
    }
    branch = train_branch(parts["fit"], parts["tune"], config, recipe)
    for form, copy in (("whole", 0), ("trimmed", 1)):
        print(
            f"voice, {config.front_end}, {form} clips, report part: "
            f"{recall_by_corpus(logits_of(branch, parts['report'].copies[copy]), parts['report'])}"
        )
    tune_logits = torch.cat([logits_of(branch, copy) for copy in parts["tune"].copies])
    config_lists = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(config).items()}
    state = {"state": branch.state_dict(), "config": config_lists, "recipe": asdict(recipe)}
    labels = parts["tune"].labels.repeat(len(parts["tune"].copies))
    save_checkpoint(out / f"voice.{config.front_end}.pt", {**state, "tune_logits": tune_logits, "tune_labels": labels})


if __name__ == "__main__":
    main()
