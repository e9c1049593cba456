"""Miniatures of corpora: their names and trees are the real ones, their media a few bytes."""

import csv
import shutil
import wave
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np

from models.corpora.item import Corpus, Item, Part

PARTS: tuple[Part, ...] = get_args(Part)
RATE_HZ = 16_000


def write_wav(path: Path, level: int = 3000, samples: int = 3200) -> Path:
    """A mono file of one level, 16 bit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(np.full(samples, level, np.int16).tobytes())
    return path


def write_wavs(paths: Sequence[Path]) -> None:
    """The same small file in many places."""
    first = write_wav(paths[0], samples=16)
    for path in paths[1:]:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(first, path)


def write_jpg(path: Path, grey: int = 128, height: int = 48, width: int = 48) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height, width, 3), grey, np.uint8))
    return path


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def touch(path: Path, content: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")
    return path


def by_part(read: Callable[[Part], Corpus]) -> Mapping[Part, tuple[Item, ...]]:
    """Items of each part; each says of itself that it is of that part, and no id occurs twice in one."""
    parts = {part: read(part).items for part in PARTS}
    for part, items in parts.items():
        assert {item.part for item in items} <= {part}
        assert len({(item.corpus, item.id) for item in items}) == len(items)
    return parts


def assert_disjoint(parts: Mapping[Part, Sequence[Item]], what: Callable[[Item], str]) -> None:
    """No speaker (or dialogue, or picture) of one part is in another, and every part has some."""
    seen = {part: {what(item) for item in items} for part, items in parts.items()}
    assert all(seen.values())
    assert sum(map(len, seen.values())) == len(set.union(*seen.values()))


def ravdess_names(actor: int, modality: str = "03", channel: str = "01") -> list[str]:
    """The 60 names of an actor."""
    return [
        f"{modality}-{channel}-0{emotion}-0{intensity}-0{statement}-0{repetition}-{actor:02}"
        for emotion in range(1, 9)
        for intensity in ((1,) if emotion == 1 else (1, 2))
        for statement in (1, 2)
        for repetition in (1, 2)
    ]


MELD_COLUMNS = ("Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID")
MELD_SIZES = {"train": 80, "dev": 8, "test": 8}
MELD_SAID = {
    "joy": "I am so happy, this is wonderful!",
    "anger": "I hate you, get out!",
    "neutral": "It is on the table.",
}


def make_meld(folder: Path) -> None:
    """40 dialogues of two utterances in the train table, 4 in each of the others; dialogues count from 0 in each."""
    for split, size in MELD_SIZES.items():
        rows = []
        for n in range(size):
            emotion = list(MELD_SAID)[n % 3]
            rows.append((n, f"{MELD_SAID[emotion]} It\x92s {n}\x85", "Ross", emotion, "", n // 2, n % 2))
        write_csv(folder / f"{split}_sent_emo.csv", MELD_COLUMNS, rows)
