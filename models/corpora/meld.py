"""MELD as it is published (MELD.Raw): utterances of a TV series, in dialogues of several people.

The sound of a clip is its video's. Its pictures are not read: which of the faces in it speaks is not known.
"""

from collections.abc import Mapping
from pathlib import Path

from models.corpora.item import Corpus, Item, Part
from models.corpora.layout import Layout
from models.train.sentences import meld_id, meld_part, read_meld

LABELS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
SIZES = {"train": 9989, "dev": 1109, "test": 2610}
SPLITS: dict[Part, str] = {"fit": "train", "tune": "train", "report": "dev", "test": "test"}
CLIPS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
WITHOUT_CLIP = {"train/dia125_utt3", "dev/dia110_utt7"}
"""The first cannot be decoded, the second is not in what is published."""
LAYOUT = Layout(
    "MELD",
    "It is public for research: MELD.Raw, from the MELD page of the Declare lab (Singapore University of Technology "
    "and Design). Its archives are to be unpacked where they are.",
    """
    train_sent_emo.csv  dev_sent_emo.csv  test_sent_emo.csv
    train_splits/dia0_utt0.mp4 ...                   optional, as the next two: without them, words alone are read
    dev_splits_complete/dia0_utt0.mp4 ...
    output_repeated_splits_test/dia0_utt0.mp4 ...
    """,
)


def read(folder: Path, part: Part, sizes: Mapping[str, int] = SIZES) -> Corpus:
    """Dialogues of the train table fit and tune, as in training; the dev table reports, the test table tests.

    Speakers are characters, and those who occur often are in all parts.
    """
    split = SPLITS[part]
    table = f"{split}_sent_emo.csv"
    LAYOUT.require(folder, table)
    try:
        rows = read_meld(folder / table)
    except (AttributeError, KeyError, ValueError) as error:
        raise LAYOUT.error(folder, f"{table} is none of MELD's tables, or broken: {error}") from error
    if len(rows) != sizes[split]:
        raise LAYOUT.error(folder, f"{table} has {len(rows):,} utterances; the published one has {sizes[split]:,}")
    rows = [row for row in rows if split != "train" or meld_part(row) == part]
    unknown = {row["Emotion"] for row in rows} - set(LABELS)
    LAYOUT.require_none(folder, unknown, len(LABELS) + len(unknown), f"emotions in {table} are not known")
    clips = {id: _clip(folder, id) for row in rows if (id := meld_id(split, row)) not in WITHOUT_CLIP}
    if not (folder / CLIPS[split]).is_dir():
        clips = {}
    lost = [path.name for path in clips.values() if not path.is_file()]
    LAYOUT.require_none(folder, lost, len(clips), f"clips are not in {CLIPS[split]}")
    return Corpus(tuple(_item(part, split, row, clips) for row in rows), LABELS)


def _clip(folder: Path, id: str) -> Path:
    split, name = id.split("/")
    return folder / CLIPS[split] / f"{name}.mp4"


def _item(part: Part, split: str, row: dict[str, str], clips: Mapping[str, Path]) -> Item:
    id = meld_id(split, row)
    return Item(
        corpus="MELD",
        id=id,
        speaker=row["Speaker"],
        part=part,
        labels=(LABELS.index(row["Emotion"]),),
        text=row["Utterance"],
        sound=clips.get(id),
        video=clips.get(id),
    )
