"""Tables as the operators pass them on, made up for tests of what comes after."""

import pyarrow as pa

from models.emotions import EMOTIONS
from operators.schema import INFERRED
from pipelines.plan import Shard, to_table


def a_label(shard_row: dict, index: int, start_ms: int, emotion: str = "happy") -> dict:
    """One label row of a segment."""
    return {
        "video_id": shard_row["video_id"],
        "uri": shard_row["uri"],
        "utterance_index": index,
        "segment_index": shard_row["segment_index"],
        "start_ms": start_ms,
        "end_ms": start_ms + 1000,
        "text": "hello",
        "language": "en",
        "emotion": emotion,
        "confidence": 0.75,
        **{f"p_{name}": 0.75 if name == emotion else 0.05 for name in EMOTIONS},
        "has_text": True,
        "has_audio": True,
        "has_face": False,
        "face_missing": "no face found",
        "face_coverage": 0.0,
        "words": [{"word": "hello", "start_ms": start_ms, "end_ms": start_ms + 400, "score": 0.9}],
        "model_id": "test-1",
    }


def inferred(shard: Shard, labels_per_segment: int = 2) -> pa.Table:
    """A shard as `infer` gives it to `write`; labels come latest first, so that sorting shows."""
    rows = []
    for row in to_table([shard]).to_pylist():
        labelled = row["status"] == "ok"
        starts = [row["start_ms"] + 2000 * index for index in range(labels_per_segment)] if labelled else []
        labels = [a_label(row, index, start_ms) for index, start_ms in enumerate(starts)]
        rows.append(row | {"labels": labels[::-1], "face_count": 3 if labelled else None})
    return pa.Table.from_pylist(rows, schema=INFERRED)
