"""Outputs with labels that are made up, over media that are there: what the viewer's tests look at."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from models.emotions import EMOTIONS
from operators.commit import Store
from operators.schema import INFERRED
from operators.write import Target, Write, canonical_json
from pipelines import runs
from pipelines.plan import Segment, Shard, Video, to_table
from pipelines.recipe import partition, recipe_id

RECIPE = {"versions": {"schema": 2}, "weights": {"emotion": "0" * 64}}
PARTITION = partition(recipe_id(RECIPE))


def a_video(path: Path, duration_ms: int, **known: Any) -> Video:
    """A file that is there, as a plan knows it."""
    stat = path.stat()
    codecs = {"width": 640, "height": 360, "fps": 25.0, "video_codec": "h264", "audio_codec": "aac"}
    return Video(str(path), stat.st_size, str(stat.st_mtime_ns), duration_ms, **codecs | known)


def probabilities(emotion: str, confidence: float) -> list[float]:
    """One emotion is so likely, the others share the rest."""
    rest = (1 - confidence) / (len(EMOTIONS) - 1)
    return [confidence if name == emotion else rest for name in EMOTIONS]


def said(start_ms: int, end_ms: int, text: str | None, emotion: str, confidence: float, **more: Any) -> dict[str, Any]:
    """One utterance: words, spread evenly, are read from the text; without a text only the face says something."""
    words = (text or "").split()
    step = (end_ms - start_ms) / max(1, len(words))
    missing = None if text else "no speech"
    p = probabilities(emotion, confidence)
    return {
        "start_ms": start_ms,
        "end_ms": end_ms,
        "text": text,
        "language": "en" if text else None,
        "emotion": emotion,
        "confidence": confidence,
        **{f"p_{name}": value for name, value in zip(EMOTIONS, p, strict=True)},
        "text_p": probabilities("neutral", 0.5) if text else None,
        "audio_p": p if text else None,
        "face_p": p,
        "has_text": bool(text),
        "has_audio": bool(text),
        "has_face": True,
        "text_missing": missing,
        "audio_missing": missing,
        "face_missing": None,
        "face_coverage": 0.8,
        "words": [
            {
                "word": word,
                "start_ms": int(start_ms + at * step),
                "end_ms": int(start_ms + (at + 0.9) * step),
                "score": 0.9,
            }
            for at, word in enumerate(words)
        ],
        "model_id": "test-1",
    } | more


def write_output(
    out: Path | str, labelled: Mapping[Video, Sequence[dict[str, Any]]], recipe: Mapping[str, Any] = RECIPE
) -> None:
    """Commit one shard a video, and the run that would have done it; its source is the folder of the first file."""
    part = partition(recipe_id(dict(recipe)))
    run_id = runs.new_run_id()
    write = Write(Target(str(out), part, run_id, canonical_json(dict(recipe))))
    shards = []
    for number, (video, utterances) in enumerate(labelled.items()):
        shard = Shard(f"{number:020x}", (Segment(video, 0, 0, video.duration_ms),))
        shards.append(shard)
        row = to_table([shard]).to_pylist()[0]
        key = {"video_id": row["video_id"], "uri": row["uri"], "segment_index": 0}
        labels = [said_ | key | {"utterance_index": index} for index, said_ in enumerate(utterances)]
        speech_ms = sum(item["end_ms"] - item["start_ms"] for item in utterances if item["has_text"])
        known = {"labels": labels, "face_count": 10 * len(labels), "speech_ms": speech_ms}
        write(pa.Table.from_pylist([row | known], schema=INFERRED))
    state = runs.RunState(run_id, part, runs.now(), runs.now(), (str(Path(next(iter(labelled)).uri).parent),))
    runs.start(Store(str(out)), state, {}, dict(recipe), to_table(shards))


def made_up(rng: np.random.Generator, utterances: int, step_ms: int) -> list[dict[str, Any]]:
    """So many utterances, one every `step_ms`, with words and emotions by chance."""
    words = "well the last time we met you said it would rain and here we are in the sun once more my friend".split()
    rows = []
    for number in range(utterances):
        start_ms = number * step_ms + int(rng.integers(0, step_ms // 4))
        text = " ".join(rng.choice(words, int(rng.integers(2, 12)))) if rng.random() < 0.9 else None
        emotion = EMOTIONS[int(rng.choice(len(EMOTIONS), p=[0.4, 0.2, 0.1, 0.12, 0.06, 0.05, 0.07]))]
        end_ms = start_ms + int(step_ms * rng.uniform(0.45, 0.74))
        rows.append(said(start_ms, end_ms, text, emotion, float(rng.uniform(0.25, 0.98)), face_coverage=rng.random()))
    return rows
