"""EMO-DB, the Berlin database of emotional speech: ten actors, in German.

Its sentences are not given as text: the text branch reads English.
"""

import re
from pathlib import Path

from models.corpora.item import Corpus, Item, Part
from models.corpora.layout import Layout

LABELS = ("anger", "boredom", "disgust", "fear", "happiness", "sadness", "neutral")
LETTERS = "WLEAFTN"  # Wut, Langeweile, Ekel, Angst, Freude, Trauer, neutral
CLIPS = {"03": 49, "08": 58, "09": 43, "10": 38, "11": 55, "12": 35, "13": 61, "14": 69, "15": 56, "16": 71}
"""By speaker; 535 in all."""
SPEAKERS: dict[Part, tuple[str, ...]] = {
    "fit": ("03", "08", "09", "10"),
    "tune": ("11", "14"),
    "report": ("12", "13"),
    "test": ("15", "16"),
}
NAME = re.compile(r"(\d\d)([ab]\d\d)([WLEAFTN])([a-z])")
LAYOUT = Layout(
    "EMO-DB",
    "It is public for research, on the EmoDB page of the Technical University of Berlin: download.zip.",
    """
    wav/03a01Fa.wav ...    535 files
    """,
)


def read(folder: Path, part: Part) -> Corpus:
    """Speakers 03, 08, 09, 10 fit, 11 and 14 tune, 12 and 13 report (as in training), 15 and 16 test."""
    LAYOUT.require(folder, "wav")
    sounds = sorted((folder / "wav").glob("*.wav"))
    strange = [path.name for path in sounds if not NAME.fullmatch(path.stem)]
    LAYOUT.require_none(folder, strange, len(sounds), "files in wav are not named as EMO-DB names its own")
    items = []
    for speaker in SPEAKERS[part]:
        theirs = [path for path in sounds if path.stem[:2] == speaker]
        if len(theirs) != CLIPS[speaker]:
            raise LAYOUT.error(folder, f"wav has {len(theirs)} of the {CLIPS[speaker]} clips of speaker {speaker}")
        items += [_item(path, part) for path in theirs]
    return Corpus(tuple(items), LABELS)


def _item(sound: Path, part: Part) -> Item:
    return Item(
        corpus="EMO-DB",
        id=sound.stem,
        speaker=f"emodb_{sound.stem[:2]}",
        part=part,
        labels=(LETTERS.index(sound.stem[5]),),
        sound=sound,
    )
