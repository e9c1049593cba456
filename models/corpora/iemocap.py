"""IEMOCAP in the layout that V2EM and its parents train on: utterances of two actors who face each other.

The video shows both actors side by side, and the sound has a channel for each, so a folder holds left and right apart;
an utterance's are those of who speaks. Its pictures are kept two a second. They show head and shoulders.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from models.corpora.item import Corpus, Item, Part
from models.corpora.layout import Layout
from models.corpora.meta import read_meta
from models.corpora.pictures import numbered_pictures
from models.corpora.published_splits import read_split

LABELS = ("ang", "exc", "fru", "hap", "neu", "sad")
SIZES = {"train": 5162, "valid": 737, "test": 1481}
PICTURE_STEP = 15
"""Every frame is there, at 29.97 a second."""
PROCESSED = "IEMOCAP_RAW_PROCESSED"
SPLIT = "IEMOCAP_SPLIT"
SESSIONS: dict[Part, tuple[str, ...]] = {"fit": ("01", "02", "03"), "tune": ("04",), "report": ("05",), "test": ("05",)}
ID = re.compile(r"Ses(?P<session>0[1-5])(?P<left>[FM])_\w+_(?P<turn>[FM])\w*")
LAYOUT = Layout(
    "IEMOCAP",
    "It is licence-gated: its owner, the SAIL group of the University of Southern California, gives it for research. "
    "The splits, and notebooks that make this layout of it, are in the repository of MESM (Multimodal-End2end-Sparse).",
    f"""
    {PROCESSED}/meta.pkl or meta.json    by id: label, text
    {PROCESSED}/Ses01F_impro01/Ses01F_impro01_F000/
        audio_L.wav  audio_R.wav  image_L_0.jpg  image_R_0.jpg  image_L_1.jpg ...
    {SPLIT}/train_split.txt  valid_split.txt  test_split.txt
    """,
)


def read(folder: Path, part: Part, sizes: Mapping[str, int] = SIZES) -> Corpus:
    """The published split: its test part is both `report` and `test`, as there is no other development part.

    All ten speakers are in all its parts: figures on it are of known voices and faces; see `read_session5`.
    """
    ids = read_split(folder, SPLIT, sizes, part, LAYOUT)
    return _corpus(folder, part, ids)


def read_session5(folder: Path, part: Part) -> Corpus:
    """The six labels by session, two speakers each: 1 to 3 fit, 4 tunes, 5 is both `report` and `test`.

    No speaker is in two parts. Reads no split files.
    """
    return _corpus(folder, part, None)


def _corpus(folder: Path, part: Part, ids: Iterable[str] | None) -> Corpus:
    meta = read_meta(folder, PROCESSED, LAYOUT)
    if ids is None:
        known = [id for id, entry in meta.items() if entry.get("label") in LABELS and ID.fullmatch(id)]
        ids = sorted(id for id in known if id[3:5] in SESSIONS[part])
        if not ids:
            raise LAYOUT.error(folder, f"meta has no utterance of session {' or '.join(SESSIONS[part])}")
    ids = tuple(ids)
    LAYOUT.require_none(folder, [id for id in ids if not ID.fullmatch(id)], len(ids), "ids are none of IEMOCAP's")
    LAYOUT.require_none(folder, set(ids) - set(meta), len(ids), f"ids of the part {part} are not in meta")
    unlabelled = [id for id in ids if meta[id].get("label") not in LABELS or not isinstance(meta[id].get("text"), str)]
    LAYOUT.require_none(folder, unlabelled, len(ids), f"entries of meta lack a text, or a label of {', '.join(LABELS)}")
    silent = [id for id in ids if not _sound(folder, id).is_file()]
    LAYOUT.require_none(folder, silent, len(ids), "utterances have no folder, or no sound of their speaker in it")
    items = (_item(folder, part, id, meta[id]["label"], meta[id]["text"]) for id in ids)
    return Corpus(tuple(items), LABELS)


def _item(folder: Path, part: Part, id: str, label: str, text: str) -> Item:
    sound = _sound(folder, id)
    return Item(
        corpus="IEMOCAP",
        id=id,
        speaker=f"iemocap_{id[3:5]}{_turn(id)}",
        part=part,
        labels=(LABELS.index(label),),
        text=text,
        sound=sound,
        pictures=numbered_pictures(sound.parent, f"image_{_side(id)}_", PICTURE_STEP),
        pictures_show="frame",
    )


def _sound(folder: Path, id: str) -> Path:
    dialogue = "_".join(id.split("_")[:2])  # Ses04F_script01_1_F024 lies in Ses04F_script01: its parts are merged
    return folder / PROCESSED / dialogue / id / f"audio_{_side(id)}.wav"


def _side(id: str) -> str:
    """The actor whom the session is named after sits on the left."""
    return "L" if id[5] == _turn(id) else "R"


def _turn(id: str) -> str:
    return id.rsplit("_", 1)[1][0]
