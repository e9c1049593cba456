"""Reading of the corpora's manifest: `manifest.csv` in the data folder, one row a file."""

import csv
from dataclasses import dataclass
from pathlib import Path

from models.emotions import EMOTIONS

SAME_EMOTION = {"calm": "neutral"}
"""Labels outside the seven that are kept under another name; the rest (boredom, contempt, shame, guilt) are dropped."""

NEVER_TRAINED = "test_av"


@dataclass(frozen=True)
class Item:
    """One labelled file, or the stretch of it from start_s to end_s. `label` indexes EMOTIONS."""

    path: Path
    corpus: str
    speaker: str
    split: str
    label: int
    start_s: float | None = None
    end_s: float | None = None


def list_manifest(data: Path, corpora: set[str], modality: str) -> list[Item]:
    """Items of `corpora` whose modality starts with `modality`, and whose emotion is one of the seven.

    Raises FileNotFoundError when the manifest is missing. Items of the split `test_av` are never returned.
    """
    manifest = data / "manifest.csv"
    if not manifest.is_file():
        raise FileNotFoundError(f"no manifest.csv in {data}: give the folder of the unpacked corpora with --data")
    items = []
    with manifest.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            emotion = SAME_EMOTION.get(row["emotion"], row["emotion"])
            wanted = row["dataset"] in corpora and row["modality"].startswith(modality) and emotion in EMOTIONS
            if wanted and row["split"] != NEVER_TRAINED:
                path, label = data / row["path"], EMOTIONS.index(emotion)
                items.append(Item(path, row["dataset"], row["speaker"], row["split"], label))
    return items


def read_manifest(data: Path, corpora: set[str], modality: str) -> list[Item]:
    """Those of `list_manifest` whose file is there."""
    return [item for item in list_manifest(data, corpora, modality) if item.path.is_file()]
