"""`fv2es` with light operators: everything is real (command line, plan, Ray, ffmpeg, commits) but the models.

    python -m tests.chaos.light label SRC --out OUT

A worker is up in a second, so that many kills fit into a minute. Labels are a function of the sound, so that a table
that lacks anything, or holds anything twice or wrong, is another table. Files named after a stage (poison-infer.mp4)
kill the worker of that stage. CHAOS_PACE_S slows every stage, for kills to fall into it; in the folder CHAOS_WATCH
every worker that has begun a shard leaves a file named by its stage and pid; it holds the pid of its raylet, and where
its code is from.
"""

import hashlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from models.emotions import EMOTIONS
from operators.schema import FAILED, INFERRED, TRANSCRIBED
from pipelines import graph, nursery
from pipelines.cli.app import main
from pipelines.config import Config
from pipelines.recipe import Weights

UTTERANCE_MS = 1_000
UNUSED = ("pcm", "frame_times_ms", "faces", "utterances")


@dataclass
class NoFaces:
    """A detector that finds nothing."""

    def detect(self, frames: np.ndarray) -> list[list[Any]]:
        return [[] for _ in frames]


@dataclass
class Stage:
    """What the light operators share: their pace, and what they die of."""

    name: str

    def begin(self, table: pa.Table) -> None:
        if watch := os.environ.get("CHAOS_WATCH"):
            Path(watch, f"{self.name}-{os.getpid()}").write_text(f"{os.getppid()}\n{graph.__file__}\n")
        time.sleep(float(os.environ.get("CHAOS_PACE_S", "0")))
        for uri, status in zip(table["uri"].to_pylist(), table["status"].to_pylist(), strict=True):
            if f"poison-{self.name}" in uri and status not in FAILED:
                os.kill(os.getpid(), signal.SIGKILL)


def build_decode(config: Config, weights: Weights, device: str) -> graph.Operator:
    from operators.decode import Decode

    stage, decode = Stage("decode"), Decode(config.decode, config.windows, NoFaces(), limits=config.limits)

    def run(table: pa.Table) -> pa.Table:
        stage.begin(table)
        return decode(table)

    return run


def build_transcribe(config: Config, weights: Weights, device: str) -> graph.Operator:
    stage = Stage("transcribe")

    def run(table: pa.Table) -> pa.Table:
        stage.begin(table)
        rows = table.to_pylist()
        new = {
            "utterances": [None if row["status"] in FAILED else utterances(row) for row in rows],
            "speech_ms": [None if row["status"] in FAILED else row["end_ms"] - row["start_ms"] for row in rows],
            "transcribe_s": [0.0] * len(rows),
        }
        columns = [pa.array(new[f.name], f.type) if f.name in new else table[f.name] for f in TRANSCRIBED]
        return pa.table(columns, schema=TRANSCRIBED)

    return run


def utterances(row: dict[str, Any]) -> list[dict[str, Any]]:
    """One a second, whose word is a digest of its sound."""
    made = []
    for start_ms in range(row["start_ms"], row["end_ms"], UTTERANCE_MS):
        end_ms = min(start_ms + UTTERANCE_MS, row["end_ms"])
        first, last = ((t - (row["pcm_start_ms"] or 0)) * 32 for t in (start_ms, end_ms))
        word = hashlib.sha256((row["pcm"] or b"")[first:last]).hexdigest()
        words = [{"word": word, "start_ms": start_ms, "end_ms": end_ms, "score": 1.0}]
        made.append({"start_ms": start_ms, "end_ms": end_ms, "speech": True, "text": word, "language": "en"})
        made[-1]["words"] = words
    return made


def build_infer(config: Config, weights: Weights, device: str) -> graph.Operator:
    stage = Stage("infer")

    def run(table: pa.Table) -> pa.Table:
        stage.begin(table)
        rows = []
        for row in table.drop_columns(["pcm", "faces"]).to_pylist():
            failed = row["status"] in FAILED
            labels = None if failed else [label(row, index, item) for index, item in enumerate(row["utterances"])]
            kept = {name: value for name, value in row.items() if name not in UNUSED}
            rows.append(kept | {"labels": labels, "face_count": None if failed else 0, "infer_s": 0.0})
        return pa.Table.from_pylist(rows, schema=INFERRED)

    return run


def label(row: dict[str, Any], index: int, utterance: dict[str, Any]) -> dict[str, Any]:
    """A label whose probabilities follow from the word."""
    digest = bytes.fromhex(utterance["text"])
    scores = np.array([digest[number] + 1 for number in range(len(EMOTIONS))], np.float32)
    scores /= scores.sum()
    best = int(scores.argmax())
    said = {name: utterance[name] for name in ("start_ms", "end_ms", "text", "language", "words")}
    return said | {
        "video_id": row["video_id"],
        "uri": row["uri"],
        "segment_index": row["segment_index"],
        "utterance_index": index,
        "emotion": EMOTIONS[best],
        "confidence": float(scores[best]),
        **{f"p_{name}": float(score) for name, score in zip(EMOTIONS, scores, strict=True)},
        "has_text": True,
        "has_audio": True,
        "has_face": False,
        "face_missing": "no face found",
        "face_coverage": 0.0,
        "model_id": "light",
    }


if __name__ == "__main__":
    # By the module's own name, so that workers can import what they are sent.
    from tests.chaos import light

    graph._decode, graph._transcribe, graph._infer = light.build_decode, light.build_transcribe, light.build_infer
    nursery.LIBRARIES = ()
    main()
