"""CREMA-D: 91 actors say twelve sentences in six emotions. Labels are what was meant to be shown."""

import re
from pathlib import Path

from models.corpora.item import Corpus, Item, Part
from models.corpora.layout import Layout
from models.train.splits import hashed_fraction

LABELS = ("ang", "dis", "fea", "hap", "neu", "sad")
CLIPS = 7442
UNUSABLE = {"1076_MTI_SAD_XX", "1064_IEO_DIS_MD"}
"""By its authors' own account: one is silent, one holds a whole minute of all emotions."""
SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
NAME = re.compile(r"(1\d{3})_([A-Z]{3})_(ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX?)")  # one is called ..._X
LAYOUT = Layout(
    "CREMA-D",
    "It is public (Open Database License), on the CREMA-D page of the Cheyney Computer Science group; its repository "
    "holds the media with Git LFS.",
    """
    AudioWAV/1001_DFA_ANG_XX.wav ...     7,442 files
    VideoFlash/1001_DFA_ANG_XX.flv ...   optional
    """,
)


def part_of(actor: str) -> Part:
    """By the actor's hash: a tenth tunes, 15% report, 15% test, the others fit."""
    place = hashed_fraction(f"crema-d {actor}")
    if place < 0.1:
        return "tune"
    if place < 0.25:
        return "report"
    return "test" if place < 0.4 else "fit"


def read(folder: Path, part: Part, clips: int = CLIPS) -> Corpus:
    """The clips of that part's actors, save two that are broken."""
    LAYOUT.require(folder, "AudioWAV")
    sounds = sorted((folder / "AudioWAV").glob("*.wav"))
    if len(sounds) != clips:
        raise LAYOUT.error(folder, f"AudioWAV has {len(sounds):,} clips; {clips:,} are published")
    strange = [path.name for path in sounds if not _is_named(path.stem)]
    LAYOUT.require_none(folder, strange, len(sounds), "files in AudioWAV are not named as CREMA-D names its own")
    items = (_item(folder, path, part) for path in sounds if part_of(path.stem[:4]) == part)
    return Corpus(tuple(item for item in items if item.id not in UNUSABLE), LABELS)


def _is_named(stem: str) -> bool:
    code = NAME.fullmatch(stem)
    return code is not None and code[2] in SENTENCES


def _item(folder: Path, sound: Path, part: Part) -> Item:
    actor, sentence, emotion, _ = sound.stem.split("_")
    video = folder / "VideoFlash" / f"{sound.stem}.flv"
    return Item(
        corpus="CREMA-D",
        id=sound.stem,
        speaker=f"cremad_{actor}",
        part=part,
        labels=(LABELS.index(emotion.lower()),),
        text=SENTENCES[sentence],
        sound=sound,
        video=video if video.is_file() else None,
    )
