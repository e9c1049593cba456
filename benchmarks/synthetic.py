"""Make up an output of any size, as runs over a large corpus would have left it: true schemas, shards, ledger and runs.

    python -m benchmarks.synthetic OUT --videos 10000 --rows 10000000

The same numbers and seed give the same rows. What there is of media is named and isn't there. `PHRASE` is said a few
times, so that a search has something to find; about one video in a hundred can't be read.
"""

import itertools
import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import typer

from models.emotions import EMOTIONS
from operators.commit import Store
from operators.schema import LABELS, SCHEMA_VERSION, SEGMENTS, WORD
from operators.write import LABELS_ORDER, Target, canonical_json, file_names, with_labels_digest
from pipelines import label_sums, ledger, runs
from pipelines.plan import MAX_SHARD_MS, Lengths, Segment, Shard, Video, pack, segments_of, to_table
from pipelines.recipe import partition, recipe_id

PHRASE = ("once", "in", "a", "blüe", "moon")
PHRASE_EVERY = 200_000  # rows, on average

ROW_MS = 3_600
"""Time from the start of one utterance to that of the next, on average: a thousand an hour."""

ANCHOR_MS = 20_000
SEGMENT_MS = 5 * 60_000
EPOCH = datetime(2026, 1, 5, 22, tzinfo=timezone.utc)
WRITERS = 2

WORDS = 4_000
_COMMON = (
    "the of and a to in is you that it he was for on are as with his they I at be this have from or one had by".split()
)
_EMOTION_SHIFT = np.array([1.6, 0.6, 0.1, 0.2, -0.6, -0.5, -0.2])  # neutral is most of what there is
_FAILURES = [
    ("unreadable", "truncated: the index (moov atom) is missing", False),
    ("unreadable", "not a media file: the content is text", False),
    ("too_long_to_decode", "decoding took longer than 4 times its length and a minute", True),
    ("missing", "the file is gone", True),
]


@dataclass(frozen=True)
class Size:
    """How much there is to be: videos, rows in all, nights in which they came, and the seed of all chance."""

    videos: int
    rows: int
    nights: int = 5
    seed: int = 1


def vocabulary(rng: np.random.Generator) -> pa.Array:
    """Words, the most frequent ones first."""
    syllables = ["".join(pair) for pair in itertools.product("bdfgklmnprstvwz", "aeiou")]
    made: dict[str, None] = dict.fromkeys(_COMMON)
    while len(made) < WORDS:
        made["".join(rng.choice(syllables, rng.integers(1, 5)))] = None
    return pa.array([*made, *PHRASE], pa.string())


def corpus(size: Size) -> list[Video]:
    """The videos: lengths from minutes to hours, some without sound or pictures, a few that can't be read."""
    rng = np.random.default_rng([size.seed, 0])
    weights = rng.lognormal(0, 0.6, size.videos)
    lengths_ms = (weights / weights.sum() * size.rows * ROW_MS).astype(int)
    fates = rng.random(size.videos)
    videos = []
    for number, (length_ms, fate) in enumerate(zip(lengths_ms.tolist(), fates.tolist(), strict=True)):
        uri = f"/corpus/channel {number % 97:02}/talk {number:06}.mp4"
        bytes_ = length_ms * 250
        if fate < 0.01:
            status, reason, retryable = _FAILURES[number % len(_FAILURES)]
            videos.append(Video(uri, bytes_, str(number), status=status, reason=reason, retryable=retryable))
            continue
        pictures = (None, None, None, None) if fate > 0.97 else (1280, 720, 25.0, "h264")
        videos.append(Video(uri, bytes_, str(number), max(length_ms, 5_000), *pictures, "aac" if fate > 0.04 else None))
    return videos


class Maker:
    """Makes the tables of one shard after the other.

    Args:
        size: of the whole.
        ms_per_row: of the media that can be read.
        target: what is said of the tables.
    """

    def __init__(self, size: Size, ms_per_row: float, target: Target) -> None:
        self._size = size
        self._ms_per_row = ms_per_row
        self._metadata = target.metadata()
        self._words = vocabulary(np.random.default_rng([size.seed, 1]))
        weights = 1 / (np.arange(WORDS) + 3)
        self._cumulated = np.cumsum(weights / weights.sum())

    def rows_of(self, segment: Segment) -> int:
        """How many utterances a segment has; over all of a video as many as its length asks for."""
        return int(segment.end_ms / self._ms_per_row) - int(segment.start_ms / self._ms_per_row)

    def tables(self, number: int, shard: Shard, run_id: str, finished_at: datetime) -> tuple[pa.Table, pa.Table]:
        """Labels and ledger of a shard."""
        rng = np.random.default_rng([self._size.seed, 2, number])
        segments = sorted(shard.segments, key=lambda item: (item.video.video_id, item.start_ms))
        counts = np.array([self.rows_of(item) for item in segments])
        moment = pa.scalar(finished_at, pa.timestamp("us", tz="UTC"))
        labels = self._labels(rng, segments, counts)
        ours = {"run_id": pa.repeat(run_id, len(labels)), "labelled_at": pa.repeat(moment, len(labels))}
        columns = [ours[f.name] if f.name in ours else labels[f.name] for f in LABELS]
        table = pa.table(columns, schema=LABELS).replace_schema_metadata(self._metadata)
        return table, self._ledger(rng, shard, run_id, moment)

    def _labels(self, rng: np.random.Generator, segments: list[Segment], counts: np.ndarray) -> pa.Table:
        total = int(counts.sum())
        of_segment = np.repeat(np.arange(len(segments)), counts)
        index = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
        starts_of = np.array([s.start_ms for s in segments])
        lengths = np.array([s.end_ms - s.start_ms for s in segments])
        step = lengths[of_segment] / np.maximum(counts, 1)[of_segment]
        start_ms = (starts_of[of_segment] + step * (index + rng.uniform(0, 0.2, total))).astype(np.int64)
        end_ms = start_ms + np.maximum(step * rng.uniform(0.3, 0.75, total), 1).astype(np.int64)
        sound = np.array([s.video.audio_codec is not None for s in segments], bool)[of_segment]
        pictures = np.array([s.video.video_codec is not None for s in segments], bool)[of_segment]
        spoken = sound & (rng.random(total) < 0.85)
        face = pictures & (rng.random(total) < 0.8) | ~spoken
        words, text = self._speech(rng, spoken, start_ms, end_ms)
        columns: dict[str, pa.Array] = {
            **self._emotions(rng, segments, of_segment, spoken, face),
            "video_id": pa.array([s.video.video_id for s in segments], pa.string()).take(pa.array(of_segment)),
            "uri": pa.array([s.video.uri for s in segments], pa.string()).take(pa.array(of_segment)),
            "utterance_index": pa.array(index, pa.int32()),
            "segment_index": pa.array(np.array([s.segment_index for s in segments])[of_segment], pa.int32()),
            "start_ms": pa.array(start_ms),
            "end_ms": pa.array(end_ms),
            "text": text,
            "language": pc.if_else(pa.array(spoken), "en", pa.scalar(None, pa.string())),
            "has_text": pa.array(spoken),
            "has_audio": pa.array(spoken),
            "has_face": pa.array(face),
            "text_missing": _unless(spoken, "no speech"),
            "audio_missing": _unless(spoken, "no speech"),
            "face_missing": _unless(face, "no face found"),
            "face_coverage": pa.array(np.where(face, rng.uniform(0.2, 1, total), 0), pa.float32()),
            "words": words,
            "model_id": pa.repeat("synthetic-1", total),
        }
        return pa.table(columns)

    def _speech(
        self, rng: np.random.Generator, spoken: np.ndarray, start_ms: np.ndarray, end_ms: np.ndarray
    ) -> tuple[pa.Array, pa.Array]:
        """The words of each utterance, spread evenly over it, and their text."""
        counts = np.where(spoken, rng.integers(2, 13, len(spoken)), 0)
        phrase = spoken & (rng.random(len(spoken)) < 1 / PHRASE_EVERY)
        counts = np.where(phrase, np.maximum(counts, len(PHRASE)), counts)
        firsts = np.cumsum(counts) - counts
        total = int(counts.sum())
        chosen = np.searchsorted(self._cumulated, rng.random(total)).clip(0, WORDS - 1)
        for first in firsts[phrase]:
            chosen[first : first + len(PHRASE)] = np.arange(WORDS, WORDS + len(PHRASE))
        said = self._words.take(pa.array(chosen))
        of_row = np.repeat(np.arange(len(spoken)), counts)
        step = ((end_ms - start_ms) / np.maximum(counts, 1))[of_row]
        word_start = start_ms[of_row] + (step * (np.arange(total) - firsts[of_row])).astype(np.int64)
        untimed = rng.random(total) < 0.01
        structs = pa.StructArray.from_arrays(
            [
                said,
                pa.array(word_start, mask=untimed),
                pa.array(word_start + np.maximum(step * 0.9, 1).astype(np.int64), mask=untimed),
                pa.array(rng.uniform(0.2, 1, total).round(2), pa.float32()),
            ],
            fields=list(WORD),
        )
        offsets = pa.array(np.append(firsts, total), pa.int32())
        text = pc.binary_join(pa.ListArray.from_arrays(offsets, said), " ")
        text = pc.if_else(pa.array(spoken), pc.binary_join_element_wise(text, ".", ""), pa.scalar(None, pa.string()))
        return pa.ListArray.from_arrays(offsets, structs), text

    def _emotions(
        self,
        rng: np.random.Generator,
        segments: list[Segment],
        of_segment: np.ndarray,
        spoken: np.ndarray,
        face: np.ndarray,
    ) -> dict[str, pa.Array]:
        """Probabilities: every video has a mood, and what the modalities say scatters around it."""
        moods = {s.video.video_id: None for s in segments}
        moods = dict(zip(moods, rng.normal(_EMOTION_SHIFT, 0.8, (len(moods), len(EMOTIONS))), strict=True))
        mood = np.array([moods[s.video.video_id] for s in segments])[of_segment]
        fused = _softmax(mood + rng.normal(0, 1.3, mood.shape))
        best = fused.argmax(axis=1)
        columns: dict[str, pa.Array] = {
            "emotion": pa.array(EMOTIONS).take(pa.array(best)),
            "confidence": pa.array(fused[np.arange(len(best)), best]),
            **{f"p_{name}": pa.array(np.ascontiguousarray(fused[:, at])) for at, name in enumerate(EMOTIONS)},
        }
        for name, present in (("text_p", spoken), ("audio_p", spoken), ("face_p", face)):
            scores = _softmax(mood + rng.normal(0, 1.3, mood.shape))[present].ravel()
            ends = np.cumsum(np.where(present, len(EMOTIONS), 0))
            offsets = np.concatenate([[0], ends]).astype(np.int32)
            absent = pa.array(~present)
            columns[name] = pa.ListArray.from_arrays(pa.array(offsets), pa.array(scores), mask=absent)
        return columns

    def _ledger(self, rng: np.random.Generator, shard: Shard, run_id: str, moment: pa.Scalar) -> pa.Table:
        rows = []
        for segment, planned in zip(shard.segments, to_table([shard]).to_pylist(), strict=True):
            video, length_ms = segment.video, segment.end_ms - segment.start_ms
            read = video.status == "ok"
            status = "no_audio" if read and not video.audio_codec else "no_video" if read and not video.width else None
            rows.append(
                planned
                | {
                    "status": status or video.status,
                    "utterances": self.rows_of(segment) if read else 0,
                    "speech_ms": int(length_ms * rng.uniform(0.3, 0.7)) if read and video.audio_codec else 0,
                    "faces": int(length_ms / 700) if read and video.width else 0,
                    **{f"{stage}_s": length_ms / 1000 * rng.uniform(0.01, share) for stage, share in _STAGES.items()},
                    "host": f"worker-{rng.integers(4)}",
                    "run_id": run_id,
                    "finished_at": moment.as_py(),
                }
            )
        return pa.Table.from_pylist(rows, schema=SEGMENTS).replace_schema_metadata(self._metadata)


_STAGES = {"decode": 0.03, "faces": 0.2, "transcribe": 0.1, "infer": 0.02}


def _unless(present: np.ndarray, why: str) -> pa.Array:
    return pc.if_else(pa.array(present), pa.scalar(None, pa.string()), why)


def _softmax(logits: np.ndarray) -> np.ndarray:
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)


def make(out: Path, size: Size, shard_ms: int = MAX_SHARD_MS) -> Iterator[int]:
    """Write the output; yields the number of rows as shards are committed."""
    store = Store(str(out))
    recipe = {"versions": {"schema": SCHEMA_VERSION}, "synthetic": size.seed}
    name = recipe_id(recipe)
    part = partition(name)
    videos = corpus(size)
    lengths = Lengths(1, ANCHOR_MS, SEGMENT_MS, shard_ms)
    shards = pack(segments_of(videos, {}, lengths), lengths, name)
    readable = [video.duration_ms for video in videos if video.duration_ms]
    # Every video ends with a part of a row that isn't there.
    ms_per_row = sum(readable) / (size.rows + len(readable) / 2)
    maker = Maker(size, ms_per_row, Target(str(out), part, "", canonical_json(recipe)))
    for night, of_night in enumerate(np.array_split(np.arange(len(shards)), size.nights)):
        began = EPOCH + timedelta(days=night)
        run_id = f"{began:%Y%m%dT%H%M%S}000-{size.seed:06x}"
        planned = [shards[number] for number in of_night]

        def commit(number: int, run_id: str = run_id, began: datetime = began) -> int:
            finished_at = began + timedelta(seconds=60 + int(number) % 20_000)
            labels, lines = maker.tables(int(number), shards[number], run_id, finished_at)
            labels_name, segments_name = file_names(part, shards[number].shard_id)
            digest = store.put_table(labels_name, labels, LABELS_ORDER)
            store.put_table(segments_name, with_labels_digest(lines, digest))
            return len(labels)

        with ThreadPoolExecutor(WRITERS) as pool:
            yield from pool.map(commit, of_night)
        state = runs.RunState(
            run_id=run_id,
            partition=part,
            started_at=began.isoformat(),
            finished_at=(began + timedelta(hours=6)).isoformat(),
            sources=("/corpus",),
            shards=len(planned),
            media_ms=sum(shard.media_ms for shard in planned),
            spilled_bytes=0,
            wall_s=6 * 3600.0,
            outcome="complete",
            failed_fraction=0.01,
        )
        runs.start(store, state, {}, recipe, to_table(planned))
    ledger.remember(store, part)
    label_sums.refresh(store, part)
    store.clear_temporary()


def main(
    out: Annotated[Path, typer.Argument(help="A folder that isn't there yet, or --force.")],
    videos: int = 10_000,
    rows: int = 10_000_000,
    nights: int = 5,
    seed: int = 1,
    shard_minutes: int = MAX_SHARD_MS // 60_000,
    force: bool = False,
) -> None:
    """Make up an output."""
    if out.exists() and any(out.iterdir()):
        if not force:
            raise typer.BadParameter(f"{out} is not empty; --force removes what is there")
        shutil.rmtree(out)
    started = time.monotonic()
    written = sum(make(out, Size(videos, rows, nights, seed), shard_minutes * 60_000))
    sizes = [path.stat().st_size for path in out.rglob("*.parquet")]
    figures = {
        "rows": written,
        "files": len(sizes),
        "bytes": sum(sizes),
        "seconds": round(time.monotonic() - started, 1),
    }
    typer.echo(json.dumps(figures))


if __name__ == "__main__":
    typer.run(main)
