"""The paper's claim for the face: is a network better for having been trained with three branches a block?

    python -m benchmarks.multi_branch --data DIR > multi_branch.json

Trains a small RepVGG and the plain network of its fused shape on the same pictures, in the same order, from the same
seeds, and measures both on FER2013's public test; then times the trained form, the fused form and the plain network.
Prints JSON. DIR holds the unpacked corpora (see models/train/face.py).
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor, nn

from models.face import FaceBranch, FaceConfig, standardise, to_channels_last
from models.metrics import accuracy, bootstrap_interval
from models.train.pictures import augment, load_pictures
from models.train.schedule import one_cycle

WIDTHS, DEPTHS = (16, 32, 64, 128, 256), (2, 3, 3, 1)
BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY, LABEL_SMOOTHING = 128, 0.08, 5e-4, 0.1
TIMED_FACES, TIMED_RUNS = 32, 15


def train(
    pictures: Tensor, labels: Tensor, multi_branch: bool, epochs: int, seed: int, side_px: int
) -> tuple[FaceBranch, float]:
    """A trained network in eval mode, and the CPU-seconds that it took."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    branch = to_channels_last(FaceBranch(FaceConfig(WIDTHS, DEPTHS, multi_branch=multi_branch)))
    trained = [*branch.body.parameters(), *branch.head.parameters()]
    optimiser = torch.optim.SGD(trained, LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=WEIGHT_DECAY)
    steps = len(pictures) // BATCH_SIZE
    started_s = time.process_time()
    for epoch in range(epochs):
        order = torch.randperm(len(pictures), generator=generator)
        branch.train()
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = LEARNING_RATE * one_cycle((epoch + step / steps) / epochs, 0.1)
            chosen = order[step * BATCH_SIZE : (step + 1) * BATCH_SIZE]
            x = standardise(augment(pictures[chosen], generator, side_px=side_px))
            logits = branch.head(branch.dropout(branch.body(x.contiguous(memory_format=torch.channels_last))))
            optimiser.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(logits, labels[chosen], label_smoothing=LABEL_SMOOTHING).backward()
            optimiser.step()
    return branch.eval(), time.process_time() - started_s


@torch.inference_mode()
def named(branch: FaceBranch, pictures: Tensor, side_px: int) -> np.ndarray:
    """The emotion that each picture is named."""
    embedded = []
    for part in pictures.split(256):
        small = nn.functional.interpolate(part.float(), size=side_px, mode="bilinear", align_corners=False)
        embedded.append(branch.body(standardise(small).contiguous(memory_format=torch.channels_last)))
    return branch.head(torch.cat(embedded)).argmax(dim=1).numpy()


@torch.inference_mode()
def milliseconds_a_face(run: Callable[[Tensor], Tensor]) -> float:
    """Median over runs of 32 faces on one thread."""
    faces = torch.randn(TIMED_FACES, 1, 48, 48).contiguous(memory_format=torch.channels_last)
    run(faces)
    taken_s = []
    for _ in range(TIMED_RUNS):
        started_s = time.perf_counter()
        run(faces)
        taken_s.append(time.perf_counter() - started_s)
    return round(1000 * statistics.median(taken_s) / TIMED_FACES, 3)


def main(
    data: Annotated[Path, typer.Option(help="Folder of the unpacked corpora.")],
    epochs: int = 8,
    seeds: int = 3,
    side_px: Annotated[int, typer.Option(help="Side of the pictures; 32 takes less than half the time of 48.")] = 48,
) -> None:
    """Train both kinds with each seed, measure, and print JSON."""
    torch.set_num_threads(1)
    pictures, labels, _ = load_pictures(data, "fit")
    report, report_labels, corpora = load_pictures(data, "report")
    rows = torch.tensor([corpus == "FER2013" for corpus in corpora])
    report, truth = report[rows], report_labels[rows].numpy()
    results: dict[str, dict[str, object]] = {}
    for name, multi_branch in (("multi-branch", True), ("plain", False)):
        runs = []
        for seed in range(seeds):
            branch, cpu_s = train(pictures, labels, multi_branch, epochs, seed, side_px)
            predicted = named(branch, report, side_px)
            interval = bootstrap_interval(accuracy, truth, predicted)
            runs.append({"accuracy": round(accuracy(truth, predicted), 4), "interval": interval, "cpu_s": round(cpu_s)})
            print(name, "seed", seed, runs[-1], file=sys.stderr, flush=True)
        scores = [float(run["accuracy"]) for run in runs]  # type: ignore[arg-type]
        results[name] = {
            "runs": runs,
            "mean_accuracy": round(statistics.mean(scores), 4),
            "deviation": round(statistics.stdev(scores), 4) if seeds > 1 else None,
            "ms_a_face_as_trained": milliseconds_a_face(branch.body),
            "ms_a_face_fused": milliseconds_a_face(to_channels_last(branch.body.fused())),
        }
    typer.echo(
        json.dumps({"epochs": epochs, "side_px": side_px, "pictures": len(pictures), "networks": results}, indent=2)
    )


if __name__ == "__main__":
    typer.run(main)
