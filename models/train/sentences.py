"""Labelled sentences for the text branch: MELD, GoEmotions in Ekman's classes, ISEAR, and annotations of our own."""

import csv
from dataclasses import dataclass
from pathlib import Path

from models.emotions import EMOTIONS
from models.train.splits import Part, fit_or_tune

TUNE_FRACTION = 0.07
SEVEN = {"joy": "happy", "sadness": "sad", "anger": "angry", "disgust": "disgust", "fear": "fear"}
SEVEN |= {"surprise": "surprise", "neutral": "neutral"}
WINDOWS_1252_AS_UTF8 = {"\x92": "'", "\x85": "...", "\x97": "-"}


@dataclass(frozen=True)
class Sentence:
    """`labels` index EMOTIONS; GoEmotions may give several. Ids are unique in a corpus; speaker is "" where unknown."""

    text: str
    corpus: str
    labels: tuple[int, ...]
    id: str
    speaker: str = ""


def load_sentences(data: Path, part: Part) -> list[Sentence]:
    """Sentences of that part: dev files report; of the train files some dialogues, posts and subjects tune.

    ISEAR has no dev file and reports nothing. Its shame and guilt are dropped. Verdicts of annotators are read where
    the folder has `annotations/`, as an output of `fv2es view` has it.
    """
    return [
        *_meld(data / "text/meld", part),
        *_goemotions(data / "text/goemotions_ekman", part),
        *_isear(data, part),
        *_annotated(data, part),
    ]


def _label(raw: str) -> int:
    return EMOTIONS.index(SEVEN.get(raw, raw))


def read_meld(table: Path) -> list[dict[str, str]]:
    """Rows of one of MELD's tables, by its column names, with mended punctuation."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for wrong, right in WINDOWS_1252_AS_UTF8.items():
            row["Utterance"] = row["Utterance"].replace(wrong, right)
    return rows


def meld_part(row: dict[str, str]) -> Part:
    """Whether the dialogue of a row of the train table fits or tunes."""
    return fit_or_tune(f"meld {row['Dialogue_ID']}", TUNE_FRACTION)


def meld_id(split: str, row: dict[str, str]) -> str:
    """Such as train/dia0_utt3: each table counts its dialogues from 0. The last part is the name of the clip."""
    return f"{split}/dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}"


def _meld(folder: Path, part: Part) -> list[Sentence]:
    split = "dev" if part == "report" else "train"
    return [
        Sentence(row["Utterance"], "MELD", (_label(row["Emotion"]),), meld_id(split, row), row["Speaker"])
        for row in read_meld(folder / f"{split}_sent_emo.csv")
        if part == "report" or meld_part(row) == part
    ]


def _goemotions(folder: Path, part: Part) -> list[Sentence]:
    names = (folder / "labels.txt").read_text(encoding="utf-8").split()
    lines = (folder / ("dev.tsv" if part == "report" else "train.tsv")).read_text(encoding="utf-8").split("\n")
    sentences = []
    for text, labels, identity in (line.split("\t") for line in lines if line):
        if part == "report" or fit_or_tune(f"goemotions {identity}", TUNE_FRACTION) == part:
            indices = tuple(_label(names[int(label)]) for label in labels.split(","))
            sentences.append(Sentence(text, "GoEmotions", indices, identity))
    return sentences


def _isear(data: Path, part: Part) -> list[Sentence]:
    with (data / "text/isear/isear.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if SEVEN.get(row["emotion"], row["emotion"]) in EMOTIONS]
    return [
        Sentence(row["text"].replace("Ã¡ ", ""), "ISEAR", (_label(row["emotion"]),), row["key"], row["subject"])
        for row in rows
        if fit_or_tune(row["subject"], TUNE_FRACTION) == part
    ]


def _annotated(data: Path, part: Part) -> list[Sentence]:
    from models.corpora import annotations  # its package reads sentences by this module

    if not (data / "annotations").is_dir():
        return []
    by_part: dict[str, list[Sentence]] = {"fit": [], "tune": [], "report": []}
    for row in annotations.stretches(data):
        if row.text and row.to_emotion:
            label, identity = EMOTIONS.index(row.to_emotion), f"{row.video_id}/{row.start_ms}"
            by_part[annotations.part_of(row.video_id)].append(Sentence(row.text, annotations.NAME, (label,), identity))
    return by_part[part] if by_part["fit"] else []  # a corpus is tuned only where it was fitted
