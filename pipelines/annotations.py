"""What people say of labels: OUT/annotations/*.parquet, one row a verdict, added to and never changed.

A verdict belongs to a stretch of a video (video_id, start_ms, end_ms), not to a row of `labels`: labelling anew makes
other rows. It counts for an utterance of the same version of the video when the two share more than half of the time
that they cover together, which no two utterances can both do (`overlap`).

To undo is another row: it names the one that it takes back, and the annotator's verdict before that stands again.
"""

import secrets
import threading
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone

import pyarrow as pa

from models.emotions import EMOTIONS
from models.verdicts import Span, agreed, overlap, standing
from operators.commit import OutputError, Store
from pipelines import runs

__all__ = [
    "Annotation",
    "AnnotationLog",
    "agreed",
    "names",
    "on_utterances",
    "problems",
    "read",
    "read_file",
    "standing",
]

FOLDER = "annotations"
VERSION = 1
ROWS_A_FILE = 1_000
"""A session goes on in another file then: each verdict writes its file anew, which has to stay quick."""

_VERSION_KEY = b"fv2es.annotations_version"

ANNOTATIONS = pa.schema(
    [
        pa.field("annotation_id", pa.string(), nullable=False),
        pa.field("annotator", pa.string(), nullable=False),
        pa.field("annotated_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("undoes", pa.string()),  # the annotation_id that this row takes back; to_emotion is null then
        pa.field("from_emotion", pa.string(), nullable=False),  # what the model said
        pa.field("to_emotion", pa.string()),  # what the annotator says; the same as from_emotion: the label is right
        pa.field("confidence", pa.float32(), nullable=False),  # of the model, in what it said
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("segment_index", pa.int32(), nullable=False),
        pa.field("utterance_index", pa.int32(), nullable=False),
        pa.field("start_ms", pa.int64(), nullable=False),
        pa.field("end_ms", pa.int64(), nullable=False),
        pa.field("text", pa.string()),
        pa.field("recipe", pa.string(), nullable=False),  # of the label: the name of its partition
        pa.field("model_id", pa.string(), nullable=False),
    ],
    metadata={_VERSION_KEY: str(VERSION).encode()},
)


@dataclass(frozen=True)
class Annotation:
    """One row of `ANNOTATIONS`."""

    annotation_id: str
    annotator: str
    annotated_at: datetime
    undoes: str | None
    from_emotion: str
    to_emotion: str | None
    confidence: float
    video_id: str
    uri: str
    segment_index: int
    utterance_index: int
    start_ms: int
    end_ms: int
    text: str | None
    recipe: str
    model_id: str


class AnnotationLog:
    """The verdicts of one annotator in one session: a file of its own, put in place whole after every verdict.

    What `add` has returned from is on disk, or in the bucket; a crash later takes nothing away.
    """

    def __init__(self, store: Store, annotator: str) -> None:
        self._store = store
        self._annotator = annotator
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._name = f"{FOLDER}/{runs.new_run_id()}.parquet"
        self._rows: list[Annotation] = []

    def add(self, label: Mapping[str, object], to_emotion: str | None, undoes: str | None = None) -> Annotation:
        """Keep a verdict on a row of `labels` (with `recipe`); returns the row that was written.

        Raises:
            OutputError: it can't be written, and is not kept.
        """
        said = {"from_emotion": label["emotion"], "to_emotion": to_emotion, "undoes": undoes}
        taken = {field.name: label[field.name] for field in fields(Annotation) if field.name in label}
        now = datetime.now(timezone.utc)
        who = {"annotation_id": secrets.token_hex(8), "annotator": self._annotator, "annotated_at": now}
        row = Annotation(**taken, **said, **who)  # type: ignore[arg-type]
        with self._lock:
            if len(self._rows) >= ROWS_A_FILE:
                self._begin()
            rows = [*self._rows, row]
            self._store.put_table(self._name, pa.Table.from_pylist([asdict(item) for item in rows], ANNOTATIONS))
            self._rows = rows
        return row


def read(store: Store) -> list[Annotation]:
    """All rows of all sessions, in order of time.

    Raises:
        OutputError: a file is damaged, or of a newer FV2ES.
    """
    rows = [row for name in names(store) for row in read_file(store, name)]
    return sorted(rows, key=lambda row: row.annotated_at)


def names(store: Store) -> list[str]:
    """The files of all sessions."""
    return store.names(FOLDER, ".parquet")


def read_file(store: Store, name: str) -> list[Annotation]:
    """The rows of one session.

    Raises:
        OutputError: it is damaged, or of a newer FV2ES.
    """
    where = f"{store.root.rstrip('/')}/{name}"
    table = store.read_table(name)
    version = int((table.schema.metadata or {}).get(_VERSION_KEY, b"0"))
    if version > VERSION:
        raise OutputError(f"{where} was written by a newer FV2ES (annotations {version}, this one knows {VERSION}).")
    if not table.schema.equals(ANNOTATIONS):
        raise OutputError(f"{where} does not have the columns of annotations. Move it elsewhere if it is none.")
    return [Annotation(**row) for row in table.to_pylist()]


def problems(rows: Iterable[Annotation]) -> list[str]:
    """What can't be true of the rows of one session, in words."""
    found = []
    seen: set[str] = set()
    for row in rows:
        if row.annotation_id in seen:
            found.append(f"the annotation {row.annotation_id} is there twice")
        seen.add(row.annotation_id)
        if (row.undoes is None) == (row.to_emotion is None):
            found.append(f"the annotation {row.annotation_id} is neither a verdict nor takes one back")
        if row.to_emotion is not None and row.to_emotion not in EMOTIONS:
            found.append(f"the annotation {row.annotation_id} says {row.to_emotion!r}, which is no emotion here")
        if not 0 <= row.start_ms < row.end_ms:
            found.append(f"the annotation {row.annotation_id} is of {row.start_ms} to {row.end_ms} ms")
    return found


def on_utterances(verdicts: Iterable[Annotation], utterances: Sequence[Span]) -> dict[int, list[Annotation]]:
    """The verdicts of one video for each of its utterances, by the utterance's place; those that fit none are left out.

    Args:
        verdicts: as `standing` gives them.
        utterances: in order of their start; none overlaps another.
    """
    found: dict[int, list[Annotation]] = defaultdict(list)
    ends = [end_ms for _, end_ms in utterances]
    for verdict in verdicts:
        span = verdict.start_ms, verdict.end_ms
        for place in range(bisect_right(ends, verdict.start_ms), len(utterances)):
            if utterances[place][0] >= verdict.end_ms:
                break
            if overlap(span, utterances[place]) > 0.5:
                found[place].append(verdict)
    return found
