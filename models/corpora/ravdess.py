"""RAVDESS, spoken: 24 actors, two statements, eight emotions. Its files are named by code."""

import re
from dataclasses import dataclass
from pathlib import Path

from models.corpora.item import Corpus, CorpusError, Item, Part
from models.corpora.layout import Layout

LABELS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
"""In the order of its codes, 01 to 08. calm counts as neutral where it is scored."""
STATEMENTS = ("Kids are talking by the door.", "Dogs are sitting by the door.")
ACTORS: dict[Part, tuple[int, ...]] = {
    "fit": tuple(range(2, 16)),
    "tune": (16, 17),
    "report": (18, 19),
    "test": (1, *range(20, 25)),
}
"""Actor 01 tests, as the rebuilt takes (models/evaluate/takes.py) are of that actor."""
CLIPS_OF_AN_ACTOR = 60  # 7 emotions of 2 intensities and neutral of 1, in 2 statements, spoken twice
NAME = re.compile(
    r"(?P<modality>0[123])-(?P<channel>0[12])-0(?P<emotion>[1-8])-0(?P<intensity>[12])-0(?P<statement>[12])-"
    r"0[12]-(?P<actor>\d\d)"
)
LAYOUT = Layout(
    "RAVDESS",
    "It is public for research (CC BY-NC-SA), on Zenodo: Audio_Speech_Actors_01-24, and Video_Speech_Actor_01 to 24.",
    """
    Actor_01/03-01-01-01-01-01-01.wav ...    60 files an actor, to Actor_24
    Video_Speech_Actor_01/01-01-01-01-01-01-01.mp4 ...    optional
    """,
)


@dataclass(frozen=True)
class Take:
    """What a name says. emotion indexes LABELS; speaker is as in the corpora's manifest."""

    emotion: int
    statement: str
    speaker: str
    spoken: bool  # or sung


def parse_name(stem: str) -> Take:
    """CorpusError when a file is not named as RAVDESS names its own (03-01-05-01-02-01-01)."""
    code = NAME.fullmatch(stem)
    if code is None or not 1 <= int(code["actor"]) <= 24 or (code["emotion"], code["intensity"]) == ("1", "2"):
        raise CorpusError(f"RAVDESS: {stem} is not named as it names its files, such as 03-01-05-01-02-01-01")
    statement = STATEMENTS[int(code["statement"]) - 1]
    return Take(int(code["emotion"]) - 1, statement, f"ravdess_{code['actor']}", code["channel"] == "01")


def read(folder: Path, part: Part) -> Corpus:
    """Actors 02 to 15 fit, 16 and 17 tune, 18 and 19 report, 20 to 24 and 01 test. Songs are left out."""
    items = [item for actor in ACTORS[part] for item in _items(folder, actor, part)]
    return Corpus(tuple(items), LABELS)


def _items(folder: Path, actor: int, part: Part) -> list[Item]:
    name = f"Actor_{actor:02}"
    LAYOUT.require(folder, name)
    sounds = {path: parse_name(path.stem) for path in sorted((folder / name).glob("03-*.wav"))}
    spoken = {path: take for path, take in sounds.items() if take.spoken}
    strange = [path.name for path, take in spoken.items() if take.speaker != f"ravdess_{actor:02}"]
    LAYOUT.require_none(folder, strange, len(spoken), f"files in {name} are of another actor")
    if len(spoken) != CLIPS_OF_AN_ACTOR:
        raise LAYOUT.error(folder, f"{name} has {len(spoken)} of its {CLIPS_OF_AN_ACTOR} recordings of speech")
    return [
        Item(
            corpus="RAVDESS",
            id=path.stem,
            speaker=take.speaker,
            part=part,
            labels=(take.emotion,),
            text=take.statement,
            sound=path,
            video=_video(folder, name, path.stem),
        )
        for path, take in spoken.items()
    ]


def _video(folder: Path, actor: str, stem: str) -> Path | None:
    name = f"01{stem[2:]}.mp4"  # 01: sound and picture, 03: sound alone
    places = (f"Video_Speech_{actor}", f"Video_Speech_{actor}/{actor}", actor)
    return next((path for place in places if (path := folder / place / name).is_file()), None)
