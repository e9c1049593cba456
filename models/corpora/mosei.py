"""CMU-MOSEI in the layout that V2EM and its parents train on: clips of people who talk to a camera.

An id is VIDEO_CLIP, and no video is in two parts; the video stands for its speaker, who is not known otherwise. A clip
has any number of the six emotions, or none. Its pictures were taken every 500 ms, and show whole frames.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.corpora.item import Corpus, Item, Part
from models.corpora.layout import Layout
from models.corpora.meta import read_meta
from models.corpora.pictures import numbered_pictures
from models.corpora.published_splits import read_split

LABELS = ("anger", "disgust", "fear", "happy", "sad", "surprise")
SIZES = {"train": 14524, "valid": 1765, "test": 4188}
PROCESSED = "MOSEI_RAW_PROCESSED"
SPLIT = "MOSEI_SPLIT"
ID = re.compile(r"[\w-]+_\d+", re.ASCII)
LAYOUT = Layout(
    "CMU-MOSEI",
    "It is public for research, from the MultiComp group of Carnegie Mellon University. The splits, and notebooks that "
    "make this layout of it, are in the repository of MESM (Multimodal-End2end-Sparse).",
    f"""
    {PROCESSED}/meta.pkl or meta.json    by id: text, label (six of 0 or 1)
    {PROCESSED}/--qXJuDtHPw_5/audio.wav  image_0.jpg  image_1.jpg ...
    {SPLIT}/train_split.txt  valid_split.txt  test_split.txt
    """,
)


def read(folder: Path, part: Part, sizes: Mapping[str, int] = SIZES) -> Corpus:
    """The published split: its test part is both `report` and `test`, as there is no other development part."""
    ids = read_split(folder, SPLIT, sizes, part, LAYOUT)
    meta = read_meta(folder, PROCESSED, LAYOUT)
    LAYOUT.require_none(folder, [id for id in ids if not ID.fullmatch(id)], len(ids), "ids are not VIDEO_CLIP")
    LAYOUT.require_none(folder, set(ids) - set(meta), len(ids), f"ids of the part {part} are not in meta")
    unlabelled = [id for id in ids if not _is_entry(meta[id])]
    LAYOUT.require_none(folder, unlabelled, len(ids), "entries of meta lack a text, or a label of six 0 or 1")
    silent = [id for id in ids if not _sound(folder, id).is_file()]
    LAYOUT.require_none(folder, silent, len(ids), "clips have no folder, or no audio.wav in it")
    return Corpus(tuple(_item(folder, part, id, meta[id]) for id in ids), LABELS)


def _is_entry(entry: Mapping[str, Any]) -> bool:
    label = entry.get("label")
    hot = isinstance(label, list | tuple) and len(label) == len(LABELS) and all(yes in (0, 1) for yes in label)
    return hot and isinstance(entry.get("text"), str)


def _item(folder: Path, part: Part, id: str, entry: Mapping[str, Any]) -> Item:
    sound = _sound(folder, id)
    return Item(
        corpus="CMU-MOSEI",
        id=id,
        speaker=id.rsplit("_", 1)[0],  # video ids have underscores of their own
        part=part,
        labels=tuple(c for c, yes in enumerate(entry["label"]) if yes),
        text=entry["text"],
        sound=sound,
        pictures=numbered_pictures(sound.parent, "image_"),
        pictures_show="frame",
    )


def _sound(folder: Path, id: str) -> Path:
    return folder / PROCESSED / id / "audio.wav"
