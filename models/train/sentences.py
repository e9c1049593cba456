"""Labelled sentences for the text branch: MELD, GoEmotions in Ekman's classes, ISEAR."""

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
    """`labels` index EMOTIONS; GoEmotions may give several."""

    text: str
    corpus: str
    labels: tuple[int, ...]


def load_sentences(data: Path, part: Part) -> list[Sentence]:
    """Sentences of that part: dev files report; of the train files some dialogues, posts and subjects tune.

    ISEAR has no dev file and reports nothing. Its shame and guilt are dropped.
    """
    return [*_meld(data / "text/meld", part), *_goemotions(data / "text/goemotions_ekman", part), *_isear(data, part)]


def _label(raw: str) -> int:
    return EMOTIONS.index(SEVEN.get(raw, raw))


def _meld(folder: Path, part: Part) -> list[Sentence]:
    name = "dev_sent_emo.csv" if part == "report" else "train_sent_emo.csv"
    with (folder / name).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if part != "report":
        rows = [row for row in rows if fit_or_tune(f"meld {row['Dialogue_ID']}", TUNE_FRACTION) == part]
    sentences = []
    for row in rows:
        text = row["Utterance"]
        for wrong, right in WINDOWS_1252_AS_UTF8.items():
            text = text.replace(wrong, right)
        sentences.append(Sentence(text, "MELD", (_label(row["Emotion"]),)))
    return sentences


def _goemotions(folder: Path, part: Part) -> list[Sentence]:
    names = (folder / "labels.txt").read_text(encoding="utf-8").split()
    lines = (folder / ("dev.tsv" if part == "report" else "train.tsv")).read_text(encoding="utf-8").split("\n")
    sentences = []
    for text, labels, identity in (line.split("\t") for line in lines if line):
        if part == "report" or fit_or_tune(f"goemotions {identity}", TUNE_FRACTION) == part:
            indices = tuple(_label(names[int(label)]) for label in labels.split(","))
            sentences.append(Sentence(text, "GoEmotions", indices))
    return sentences


def _isear(data: Path, part: Part) -> list[Sentence]:
    with (data / "text/isear/isear.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if SEVEN.get(row["emotion"], row["emotion"]) in EMOTIONS]
    return [
        Sentence(row["text"].replace("Ã¡ ", ""), "ISEAR", (_label(row["emotion"]),))
        for row in rows
        if fit_or_tune(row["subject"], TUNE_FRACTION) == part
    ]
