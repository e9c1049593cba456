"""Verdicts that annotators gave in `fv2es view`: the folder of an output, whose `annotations/` holds them.

An item is a stretch of a video, with the words that were heard in it and the sound of the video's file, which must
still be there. Its label is what most annotators name; where they don't agree it is left out. Videos, not items, are
shared out among fit, tune and report, by their ids.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from models.corpora.item import Corpus, Item, Part
from models.corpora.layout import Layout
from models.emotions import EMOTIONS
from models.train.splits import hashed_fraction
from models.verdicts import agreed, overlap, standing

NAME = "annotations"
REPORT_FRACTION, TUNE_FRACTION = 0.15, 0.15
LAYOUT = Layout(
    "Annotations",
    "They are made in `fv2es view OUT`; give OUT, or a folder with a copy of its annotations/.",
    """
    annotations/*.parquet    one row a verdict
    """,
)


class Row(NamedTuple):
    """The columns of a verdict that are read."""

    annotation_id: str
    annotator: str
    annotated_at: datetime
    undoes: str | None
    to_emotion: str | None
    video_id: str
    uri: str
    start_ms: int
    end_ms: int
    text: str | None


def part_of(video_id: str) -> Part:
    """The part that all of a video is in; there is no test part."""
    share = hashed_fraction(f"annotations {video_id}")
    if share < REPORT_FRACTION:
        return "report"
    return "tune" if share < REPORT_FRACTION + TUNE_FRACTION else "fit"


def read(folder: Path, part: Part) -> Corpus:
    """Stretches with a verdict that stands, of one part. CorpusError when there are none, or media are not there."""
    items = tuple(_item(stretch, part) for stretch in stretches(folder) if part_of(stretch.video_id) == part)
    media = {item.sound for item in items if item.sound is not None}
    LAYOUT.require_none(folder, [str(path) for path in media if not path.is_file()], len(media), "videos are not there")
    return Corpus(items, EMOTIONS)


def stretches(folder: Path) -> list[Row]:
    """A row for each stretch whose annotators agree: the newest verdict on it, with the emotion that most name."""
    LAYOUT.require(folder, "annotations")
    of_video: dict[str, list[Row]] = defaultdict(list)
    for row in standing(_rows(folder)):
        of_video[row.video_id].append(row)
    return [row for _, rows in sorted(of_video.items()) for row in _stretches(rows)]


def _rows(folder: Path) -> Iterator[Row]:
    for path in sorted((folder / "annotations").glob("*.parquet")):
        try:
            table = pq.read_table(path, columns=list(Row._fields))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise LAYOUT.error(folder, f"{path.name} can't be read: {str(error).splitlines()[0]}") from error
        yield from (Row(**row) for row in table.to_pylist())


def _stretches(rows: Iterable[Row]) -> Iterator[Row]:
    left = sorted(rows, key=lambda row: row.annotated_at)
    while left:
        newest = left[-1]
        span = newest.start_ms, newest.end_ms
        here = [row for row in left if overlap(span, (row.start_ms, row.end_ms)) > 0.5]
        left = [row for row in left if row not in here]
        emotion = agreed(here)
        if emotion is not None:
            yield newest._replace(to_emotion=emotion)


def _item(row: Row, part: Part) -> Item:
    media = Path(row.uri)
    return Item(
        corpus=NAME,
        id=f"{row.video_id}/{row.start_ms}",
        speaker="",
        part=part,
        labels=(EMOTIONS.index(row.to_emotion or ""),),
        text=row.text,
        sound=media,
        start_s=row.start_ms / 1000,
        end_s=row.end_ms / 1000,
        video=media,
    )
