"""The paper's claim for the voice: is attention inside slices, then over them, better than a plain CNN or statistics?

    python -m benchmarks.hierarchy --data DIR --out CACHE [--front-end log-mel] > hierarchy.json

Three networks read the same copies of the same clips, drawn, cut and masked in the same order from the same seeds, by
the same loop: the hierarchy of the voice branch; convolutions of about its size, averaged over time; and a perceptron
on mean and deviation over time. Each is measured on the trimmed clips of the report speakers. Prints JSON; DIR holds
the unpacked corpora, CACHE keeps the encoded clips and every training, so that one that was cut off goes on.
"""

import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor, nn

from models.catalogue import locate
from models.emotions import EMOTIONS
from models.metrics import bootstrap_interval, unweighted_recall
from models.train.loop import LoopSettings, Training
from models.train.voice import Encoded, VoiceRecipe, VoiceTask, encode_parts, logits_of
from models.voice import VoiceBranch, VoiceConfig

RECIPES = {
    "whisper-states": VoiceConfig(encoder_layers=(1, 2, 3), deviation=True),
    "log-mel": VoiceConfig(front_end="log-mel", deviation=True),
}
CNN_CHANNELS = {"whisper-states": (128, 128, 128), "log-mel": (64, 128, 128, 256)}
STATISTICS_DIM = 256


class PlainCnn(nn.Module):
    """Convolutions over time (states), or over slices as pictures (spectrum), and the mean of what is real."""

    def __init__(self, config: VoiceConfig) -> None:
        super().__init__()
        self.on_mel = config.front_end == "log-mel"
        channels = CNN_CHANNELS[config.front_end]
        width = 4 if self.on_mel else config.state_dim * len(config.encoder_layers)
        blocks: list[nn.Module] = [] if self.on_mel else [nn.LayerNorm(width)]
        self.norm = nn.Sequential(*blocks)
        convolutions: list[nn.Module] = []
        for channel in channels:
            if self.on_mel:
                convolutions += [nn.Conv2d(width, channel, 3, 2, 1, bias=False), nn.BatchNorm2d(channel), nn.ReLU()]
            else:
                convolutions += [nn.Conv1d(width, channel, 5, padding=2), nn.GELU(), nn.Dropout(config.dropout)]
            width = channel
        self.convolutions = nn.Sequential(*convolutions)
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(width, len(EMOTIONS)))

    def forward(self, items: Tensor, mask: Tensor) -> Tensor:
        """As VoiceBranch."""
        if self.on_mel:
            seen = self.convolutions(items.flatten(0, 1)).mean(dim=(2, 3)).view(*items.shape[:2], -1)
        else:
            seen = self.convolutions(self.norm(items).transpose(1, 2)).transpose(1, 2)
        share = mask.float() / mask.sum(dim=1, keepdim=True)
        return self.head(torch.einsum("bt,btd->bd", share, seen))


class PooledStatistics(nn.Module):
    """Mean and deviation over time of each state or mel band, and a perceptron."""

    def __init__(self, config: VoiceConfig) -> None:
        super().__init__()
        self.on_mel = config.front_end == "log-mel"
        width = 128 if self.on_mel else config.state_dim * len(config.encoder_layers)
        self.head = nn.Sequential(
            nn.LayerNorm(2 * width),
            nn.Dropout(config.dropout),
            nn.Linear(2 * width, STATISTICS_DIM),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(STATISTICS_DIM, len(EMOTIONS)),
        )

    def forward(self, items: Tensor, mask: Tensor) -> Tensor:
        """As VoiceBranch."""
        if self.on_mel:  # [B, S, 4, 32, 32]: groups of bands, bands, times -> [B, S * 32, 128]
            items = items.permute(0, 1, 4, 2, 3).flatten(3).flatten(1, 2)
            mask = mask.repeat_interleave(32, dim=1)
        share = mask.float() / mask.sum(dim=1, keepdim=True)
        mean = torch.einsum("bt,btd->bd", share, items)
        variance = torch.einsum("bt,btd->bd", share, (items - mean[:, None]).square())
        return self.head(torch.cat([mean, (variance + 1e-5).sqrt()], dim=-1))


CONTENDERS: dict[str, Callable[[VoiceConfig], nn.Module]] = {
    "hierarchical attention": VoiceBranch,
    "plain CNN": PlainCnn,
    "pooled statistics": PooledStatistics,
}


def measured(module: nn.Module, report: Encoded) -> dict[str, dict[str, Any]]:
    """UAR over the emotions of each corpus, with its bootstrap interval over items."""
    logits = logits_of(module, report.copies[1])
    scores = {}
    for corpus in sorted(set(report.corpora)):
        rows = torch.tensor([held == corpus for held in report.corpora])
        classes = report.labels[rows].unique()
        truth = report.labels[rows].numpy()
        named = classes[logits[rows][:, classes].argmax(dim=1)].numpy()
        interval = bootstrap_interval(unweighted_recall, truth, named)
        scores[corpus] = {"uar": round(unweighted_recall(truth, named), 4), "interval": interval}
    return scores


def main(
    data: Annotated[Path, typer.Option(help="Folder of the unpacked corpora.")],
    out: Annotated[Path, typer.Option(help="Folder for encoded clips and trainings.")],
    front_end: Annotated[str, typer.Option(help="whisper-states, or log-mel.")] = "whisper-states",
    epochs: int = 12,
    copies: int = 6,
    seeds: int = 3,
) -> None:
    """Train each kind with each seed, measure, and print JSON."""
    torch.set_num_threads(1)
    config, recipe = RECIPES[front_end], VoiceRecipe(copies=copies, folds=0)
    whisper = locate("whisper-tiny.en") if front_end == "whisper-states" else None
    parts = encode_parts(data, out, whisper, config, recipe)
    results: dict[str, Any] = {}
    for name, build in CONTENDERS.items():
        runs = []
        for seed in range(seeds):
            torch.manual_seed(seed)
            task = VoiceTask(parts["fit"], parts["tune"], config, recipe)
            task.module = build(config)
            settings = LoopSettings(
                epochs=epochs,
                learning_rate=1e-3,
                warmup=0.1,
                weight_decay=0.05,
                clip_norm=1.0,
                average_decay=0.99,
                seed=seed,
            )
            folder = out / f"{front_end}.{name.replace(' ', '-')}.{seed}"
            outcome = Training(task, settings, {"model": asdict(config), "kind": name}, folder).run()
            task.module.load_state_dict(outcome.state)
            runs.append(measured(task.module, parts["report"]))
            print(front_end, name, "seed", seed, runs[-1], file=sys.stderr, flush=True)
        results[name] = {
            "parameters": sum(p.numel() for p in build(config).parameters()),
            "runs": runs,
            "mean_uar": {
                corpus: round(statistics.mean(run[corpus]["uar"] for run in runs), 4) for corpus in sorted(runs[0])
            },
            "deviation": {
                corpus: round(statistics.stdev(run[corpus]["uar"] for run in runs), 4) if seeds > 1 else None
                for corpus in sorted(runs[0])
            },
        }
    typer.echo(json.dumps({"front_end": front_end, "epochs": epochs, "copies": copies, "networks": results}, indent=2))


if __name__ == "__main__":
    typer.run(main)
