"""Is the fused label right more often than the best branch alone? Labelled clips, through the pipeline as users run it.

    python -m benchmarks.clips --clips FOLDER [--takes FOLDER] > clips.json

FOLDER of --clips holds videos and a manifest.csv (path, dataset, modality, speaker, emotion ...); those of the datasets
asked for that have sound and picture are labelled by `fv2es label`, and a clip's label is the mean of its utterances'
probabilities, by their length. --takes names the folder of rebuilt takes (models/evaluate/takes.py), which are read
without decoding and detection, as their pictures are crops already. Prints tables on stderr, one JSON object on stdout.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from models.evaluate.report import SetReport
from models.evaluate.run import load_subject, report_sets
from models.evaluate.scored import Scored
from models.evaluate.takes import score_takes
from rich.console import Console
from rich.table import Table

from benchmarks import FV2ES
from models.emotions import EMOTIONS
from tests.labelling import labels

DATASETS = ("RAVDESS", "MEAD (sample)")
SAME_EMOTION = {"calm": "neutral"}
BRANCHES = {"text": "text_p", "voice": "audio_p", "face": "face_p"}
Row = dict[str, Any]


def main(
    clips: Annotated[
        Path | None, typer.Option(help="Folder of clips; by default clips/ in the folder FV2ES_TEST_DATA.")
    ] = None,
    takes: Annotated[Path | None, typer.Option(help="Folder of RAVDESS's rebuilt takes.")] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="Datasets of the manifest.")] = None,
) -> None:
    """Compare each branch alone with all together."""
    if clips is None and not os.environ.get("FV2ES_TEST_DATA"):
        raise SystemExit("Say where the labelled clips are: --clips FOLDER, or FV2ES_TEST_DATA.")
    folder = (clips or Path(os.environ["FV2ES_TEST_DATA"], "clips")).absolute()
    listed = list_clips(folder, set(dataset or DATASETS))
    sets = score_clips(listed, label([folder / row["path"] for row in listed], folder))
    if takes:
        sets += score_takes(load_subject().model, takes)
        sets += pooled(sets)
    reports = report_sets(sets)
    show(reports)
    json.dump({"labels": EMOTIONS, "reports": {k: r.model_dump() for k, r in reports.items()}}, sys.stdout, indent=2)
    sys.stdout.write("\n")


def list_clips(folder: Path, datasets: set[str]) -> list[Row]:
    """Rows of the manifest with sound and picture, of those datasets, whose emotion is one of the seven."""
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        raise SystemExit(f"{folder} has no manifest.csv: expected columns path, dataset, modality, speaker, emotion.")
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = [row | {"emotion": SAME_EMOTION.get(row["emotion"], row["emotion"])} for row in csv.DictReader(file)]
    listed = [
        row
        for row in rows
        if row["dataset"] in datasets and row["modality"].startswith("audio+video") and row["emotion"] in EMOTIONS
    ]
    if not listed:
        raise SystemExit(f"{manifest} lists no labelled clip with sound and picture of {', '.join(sorted(datasets))}.")
    return listed


def label(files: Sequence[Path], folder: Path) -> dict[str, list[Row]]:
    """Rows of `fv2es label`, by path below the folder."""
    with tempfile.TemporaryDirectory(prefix="fv2es-clips-") as out:
        command = [FV2ES, "label", *map(str, files), "--out", out, "--engine", "local", "--json"]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        rows: dict[str, list[Row]] = {}
        for row in labels(Path(out)).to_pylist():
            rows.setdefault(str(Path(row["uri"]).relative_to(folder)), []).append(row)
    return rows


def score_clips(listed: Sequence[Row], rows: dict[str, list[Row]]) -> list[Scored]:
    """A set for each branch and for the fused label, of the clips in which it says something."""
    probabilities = {"fused": lambda row: [row[f"p_{emotion}"] for emotion in EMOTIONS]}
    probabilities |= {name: lambda row, column=column: row[column] for name, column in BRANCHES.items()}
    sets = []
    for name, of in probabilities.items():
        said = [(clip, [(of(r), r["end_ms"] - r["start_ms"]) for r in rows.get(clip["path"], [])]) for clip in listed]
        heard = [(clip, [(p, length) for p, length in utterances if p is not None]) for clip, utterances in said]
        kept = [(clip, utterances) for clip, utterances in heard if utterances]
        if kept:
            sets.append(
                Scored(
                    name=f"{name}, clips",
                    corpus="clips",
                    part="test",
                    emotions=EMOTIONS,
                    ids=tuple(clip["path"] for clip, _ in kept),
                    speakers=tuple(clip["speaker"] for clip, _ in kept),
                    labels=tuple((EMOTIONS.index(clip["emotion"]),) for clip, _ in kept),
                    probabilities=np.array([mean_by_length(utterances) for _, utterances in kept]),
                    left_out=len(listed) - len(kept),
                )
            )
    return sets


def mean_by_length(utterances: Sequence[tuple[Sequence[float], int]]) -> np.ndarray:
    """Probabilities of a clip [7]: the mean of its utterances', weighted by their milliseconds."""
    return np.average([p for p, _ in utterances], axis=0, weights=[length for _, length in utterances])


def pooled(sets: Sequence[Scored]) -> list[Scored]:
    """Clips and takes as one set, for each branch and for the label that labelling gives (all branches together)."""
    found = {items.name: items for items in sets}
    both = []
    for name in ("fused", *BRANCHES):
        of_clips = found.get(f"{name}, clips")
        of_takes = found[f"{'text + voice + face' if name == 'fused' else name}, RAVDESS takes"]
        if of_clips:
            both.append(
                replace(
                    of_clips,
                    name=f"{name}, clips and takes",
                    corpus="clips and takes",
                    ids=of_clips.ids + of_takes.ids,
                    speakers=of_clips.speakers + of_takes.speakers,
                    labels=of_clips.labels + of_takes.labels,
                    probabilities=np.concatenate([of_clips.probabilities, of_takes.probabilities]),
                )
            )
    return both


def show(reports: dict[str, SetReport]) -> None:
    """Accuracy of each set, then the confusion matrices of what all branches say together."""
    console = Console(stderr=True)
    table = Table("set", "right", "of", "accuracy", "95% interval", "majority", box=None)
    for name, report in reports.items():
        right = sum(row[c] for c, row in enumerate(report.confusion))
        low, high = report.accuracy.interval_95 or (0.0, 0.0)
        majority = report.accuracy.baselines["majority"]
        figures = (f"{report.accuracy.value:.3f}", f"{low:.3f} to {high:.3f}", f"{majority:.3f}")
        table.add_row(name, str(right), str(report.items), *figures)
    console.print(table)
    for name, report in reports.items():
        if name.startswith(("fused", "text + voice + face")):
            matrix = Table("truth \\ named", *EMOTIONS, title=f"\n{name}", title_justify="left", box=None)
            for emotion, counts in zip(EMOTIONS, report.confusion, strict=True):
                matrix.add_row(emotion, *(str(count) if count else "." for count in counts))
            console.print(matrix)


if __name__ == "__main__":
    typer.run(main)
