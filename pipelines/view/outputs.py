"""What the page shows of an output: all videos in short, one video in full. Read from the committed tables alone."""

import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from models.emotions import EMOTIONS
from operators.commit import Store
from operators.schema import LABELS
from operators.write import file_names
from pipelines import annotations, runs
from pipelines.annotations import Annotation
from pipelines.source_file import SourceFile
from pipelines.storage import explained
from pipelines.tables import Tables, open_tables

PER_MILLE = 1000
"""Probabilities and shares go to the page as whole numbers of thousandths: a pixel of the time line is coarser."""
DIGITS = 3

LISTED_EVERY_S = 5.0
"""How often the output is looked at for new files at most: to list ten thousand takes a third of a second."""

OVERVIEW = f"""
SELECT video_id, uri, duration_ms, utterances, status, reason, dominant,
       round(coalesce(speech_share, 0), {DIGITS}) AS speech_share, round(face_coverage, {DIGITS}) AS face_coverage,
       {", ".join(f"(60000 * minutes_{emotion})::BIGINT AS {emotion}_ms" for emotion in EMOTIONS)}
FROM videos ORDER BY uri
"""  # noqa: S608 - our own words

LABEL_COLUMNS = [
    *("segment_index", "utterance_index", "start_ms", "end_ms", "text", "emotion", "confidence"),
    *(f"p_{emotion}" for emotion in EMOTIONS),
    *("text_p", "audio_p", "face_p", "text_missing", "audio_missing", "face_missing", "face_coverage"),
    *("words", "model_id"),
]
SEGMENT_COLUMNS = ["segment_index", "start_ms", "end_ms", "status", "reason", "transcript"]


class UnknownVideoError(LookupError):
    """The output has no such video, in this recipe."""


@dataclass(frozen=True)
class Video:
    """One video: its rows of `segments` and `labels`, in order of time."""

    segments: pa.Table
    labels: pa.Table

    @property
    def file(self) -> SourceFile:
        """Where it is, and which version of it was labelled."""
        row = self.segments.select(["uri", "size", "etag_or_mtime"]).slice(0, 1).to_pylist()[0]
        return SourceFile(**row)


class Output:
    """One recipe of an output. Its tables are opened anew when files have come or gone.

    Args:
        out: a folder or an s3:// prefix.
        recipe: the id of a recipe, or how it begins; None: the latest one.

    Raises:
        SettingsError: no run has written there, or none with this recipe.
        JobError, OutputError: it can't be read.
    """

    def __init__(self, out: str, recipe: str | None = None) -> None:
        self._out, self._recipe = out, recipe
        self._lock = threading.Lock()
        self._tables: Tables | None = None
        self._listed_at = 0.0
        self._seen: tuple[str, ...] = ()
        self._overview: dict[str, Any] = {}
        self._sessions: dict[str, tuple[Any, list[Annotation]]] = {}
        self.store = self._current().store

    def _current(self) -> Tables:
        """The tables as they are now; the caller holds the lock, or is the only one here."""
        if self._tables is None:
            self._tables = open_tables(self._out, self._recipe)
            self._seen = self._listing(self._tables.store)
            return self._tables
        if time.monotonic() < self._listed_at + LISTED_EVERY_S:
            return self._tables
        with explained(self._out):
            seen = self._listing(self._tables.store)
        if seen != self._seen:
            fresh = open_tables(self._out, self._recipe)
            self._tables.close()
            self._tables, self._seen, self._overview = fresh, seen, {}
        return self._tables

    def _listing(self, store: Store) -> tuple[str, ...]:
        listed = store.details("segments", ".parquet")
        self._listed_at = time.monotonic()
        return tuple(
            f"{name} {info.get('size')} {info.get('ETag') or info.get('mtime')}" for name, info in listed.items()
        )

    @property
    def sources(self) -> set[str]:
        """What the runs were told to label."""
        return {source for state in runs.states(self.store) for source in state.sources}

    @property
    def partition(self) -> str:
        """The recipe's partition."""
        with self._lock:
            return self._current().partition

    def overview(self) -> dict[str, Any]:
        """One entry a video in each column, in order of their addresses."""
        with self._lock:
            tables = self._current()
            if not self._overview:
                rows = tables.arrow(OVERVIEW)
                columns: dict[str, Any] = {name: rows[name].to_pylist() for name in rows.column_names}
                columns["emotion_ms"] = [columns.pop(f"{emotion}_ms") for emotion in EMOTIONS]
                places = {emotion: place for place, emotion in enumerate(EMOTIONS)}
                columns["dominant"] = [places.get(emotion) for emotion in columns["dominant"]]
                self._overview = columns
        counts = Counter(verdict.video_id for verdict in annotations.standing(self._annotations()))
        return self._overview | {"annotations": [counts[video_id] for video_id in self._overview["video_id"]]}

    def video(self, video_id: str) -> Video:
        """Everything that is committed of one video.

        Raises:
            UnknownVideoError: nothing is.
        """
        with self._lock:
            tables = self._current()
            ledger = tables.committed.ledger
            segments = ledger.filter(pc.equal(ledger["video_id"], video_id)).sort_by("start_ms")
            files, partition = tables.committed.labels, tables.partition
        if not segments.num_rows:
            raise UnknownVideoError(video_id)
        names = [file_names(partition, shard)[0] for shard in pc.unique(segments["shard_id"]).to_pylist()]
        paths = [self.store.path(name) for name in names if name in files]
        if not paths:
            return Video(segments, pa.schema([LABELS.field(name) for name in LABEL_COLUMNS]).empty_table())
        try:
            rows = ds.dataset(paths, format="parquet", filesystem=self.store.filesystem)
            labels = rows.to_table(columns=LABEL_COLUMNS, filter=ds.field("video_id") == video_id).sort_by("start_ms")
        except FileNotFoundError as error:  # a run has taken it out since the output was listed
            raise UnknownVideoError(video_id) from error
        return Video(segments, labels)

    def verdicts(self, video_id: str) -> list[Annotation]:
        """The standing verdicts on one video, of all annotators."""
        return annotations.standing(row for row in self._annotations() if row.video_id == video_id)

    def _annotations(self) -> list[Annotation]:
        """All sessions; those whose files have not changed since the last time are not read again."""
        found = {}
        for name, info in self.store.details(annotations.FOLDER, ".parquet").items():
            version = (info.get("size"), info.get("ETag") or info.get("mtime"))
            known = self._sessions.get(name)
            found[name] = known if known and known[0] == version else (version, annotations.read_file(self.store, name))
        self._sessions = found
        return [row for _, rows in found.values() for row in rows]

    def close(self) -> None:
        """End the connection to the tables."""
        with self._lock:
            if self._tables is not None:
                self._tables.close()


def in_columns(video: Video) -> dict[str, Any]:
    """The utterances and segments of a video as the page wants them: a list a column, emotions by their place.

    Probabilities are flat, one utterance after the other; those of a modality that says nothing are all 0. Words are
    flat, too: `word_counts` says how many each utterance has.
    """
    labels, segments = video.labels.combine_chunks(), video.segments
    places = {emotion: place for place, emotion in enumerate(EMOTIONS)}
    fused = [labels[f"p_{emotion}"].to_numpy() for emotion in EMOTIONS]
    words = pc.list_flatten(labels["words"]).combine_chunks()
    plain = ("segment_index", "utterance_index", "start_ms", "end_ms", "text")
    missing = ("text_missing", "audio_missing", "face_missing")
    return {
        "utterances": {
            **{name: labels[name].to_pylist() for name in (*plain, *missing)},
            "emotion": [places[emotion] for emotion in labels["emotion"].to_pylist()],
            "confidence": _per_mille(labels["confidence"].to_numpy()),
            "face_coverage": _per_mille(labels["face_coverage"].to_numpy()),
            "p": _per_mille(np.stack(fused, axis=1).ravel()),
            **{name: _per_mille(_filled(labels[name])) for name in ("text_p", "audio_p", "face_p")},
            "word_counts": pc.list_value_length(labels["words"]).to_pylist(),
            **{f"word_{name}": words.field(name).to_pylist() for name in ("word", "start_ms", "end_ms")},
        },
        "segments": segments.select(SEGMENT_COLUMNS).to_pylist(),
    }


def described(video: Video) -> dict[str, Any]:
    """What is known of the file itself."""
    names = ["video_id", "uri", "duration_ms", "width", "height", "fps", "video_codec", "audio_codec", "size"]
    row: dict[str, Any] = video.segments.select(names).slice(0, 1).to_pylist()[0]
    return row | {"name": PurePosixPath(row["uri"]).name}


def _filled(lists: pa.ChunkedArray) -> np.ndarray:
    """Probabilities of a modality, flat, with zeros where it says nothing."""
    filled = np.zeros((len(lists), len(EMOTIONS)))
    filled[lists.is_valid().to_numpy()] = pc.list_flatten(lists).to_numpy().reshape(-1, len(EMOTIONS))
    return filled.ravel()


def _per_mille(values: np.ndarray) -> list[int]:
    whole: list[int] = np.rint(PER_MILLE * values.astype(float)).astype(int).tolist()
    return whole
