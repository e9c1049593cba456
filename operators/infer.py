"""Operator: utterances with their sound and faces -> a label row for each."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from models.device import Execution, has_bfloat16
from models.emotions import EMOTIONS
from models.v2em_s import EmotionModel, Predictions, UtteranceInput
from operators.schema import CROP_SIDE_PX, FAILED, INFERRED, PCM_RATE_HZ
from operators.settings import InferSettings
from operators.tracks import Box, largest_track

NO_WORDS = "no words recognised"
NO_SPEECH = "no speech"
NO_SOUND = "no sound in window"
NO_AUDIO = "no audio track"
NO_FACE = "no face found"
NO_VIDEO = "no video track"
NO_FRAME = "no frame in window"

BATCH_ON_CPU, BATCH_ON_GPU = 8, 32
"""Utterances at once. On a CPU more are no faster, and the voice encoder takes some 4 MB for each."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Window:
    """An utterance of a segment, what the model is given for it, and what its label row says beside the emotions."""

    row: int  # of its segment in the shard's table
    inputs: UtteranceInput
    label: Row


class Infer:
    """TRANSCRIBED -> INFERRED: all utterances of the shard in one ragged batch."""

    def __init__(
        self, settings: InferSettings, whisper_dir: Path, minilm_dir: Path, weights: Path, device: str = "cpu"
    ) -> None:
        """Load the model once. Raises models.weights_file.WeightsError when the weights don't fit."""
        self.batch_size = settings.batch_size or (BATCH_ON_CPU if device == "cpu" else BATCH_ON_GPU)
        self.model = EmotionModel.load(weights, whisper_dir, minilm_dir, execution(settings, device))

    def __call__(self, table: pa.Table) -> pa.Table:
        """Label one shard. Segments that failed get no labels; windows with nothing to label from are dropped."""
        started = time.monotonic()
        segments = [_read_segment(table, row) for row in range(table.num_rows)]
        windows = [
            window
            for row, segment in enumerate(segments)
            if segment["status"] not in FAILED
            for window in segment_windows(row, segment)
        ]
        predictions = self.model.predict([window.inputs for window in windows], self.batch_size)
        labels: list[list[Row]] = [[] for _ in segments]
        for index, window in enumerate(windows):
            rows = labels[window.row]
            rows.append(self._label(window, predictions, index, utterance_index=len(rows)))
        per_segment_s = (time.monotonic() - started) / max(1, len(segments))
        counts = [count_faces(segment) for segment in segments]
        statuses = [segment_status(segment, rows) for segment, rows in zip(segments, labels, strict=True)]
        computed = {
            "status": pa.array(statuses, pa.string()),
            "face_count": pa.array(counts, pa.int64()),
            "labels": pa.array(
                [None if s["status"] in FAILED else rows for s, rows in zip(segments, labels, strict=True)],
                INFERRED.field("labels").type,
            ),
            "infer_s": pa.array([per_segment_s] * len(segments), pa.float64()),
        }
        columns = [computed[f.name] if f.name in computed else table.column(f.name) for f in INFERRED]
        return pa.Table.from_arrays(columns, schema=INFERRED)

    def _label(self, window: Window, predictions: Predictions, index: int, utterance_index: int) -> Row:
        probabilities = predictions.probabilities[index]
        best = int(probabilities.argmax())
        by_branch = (predictions.text_p[index], predictions.audio_p[index], predictions.face_p[index])
        has_text, has_audio, has_face = (bool(present) for present in predictions.present[index])
        text_p, audio_p, face_p = (
            p.tolist() if present else None
            for p, present in zip(by_branch, (has_text, has_audio, has_face), strict=True)
        )
        return {
            **window.label,
            "utterance_index": utterance_index,
            "emotion": EMOTIONS[best],
            "confidence": float(probabilities[best]),
            **{f"p_{emotion}": float(p) for emotion, p in zip(EMOTIONS, probabilities, strict=True)},
            "text_p": text_p,
            "audio_p": audio_p,
            "face_p": face_p,
            "has_text": has_text,
            "has_audio": has_audio,
            "has_face": has_face,
            "model_id": self.model.model_id,
        }


def execution(settings: InferSettings, device: str) -> Execution:
    """How the settings want the model to be run on a device."""
    precision = settings.precision
    if precision == "auto":
        precision = "bfloat16" if has_bfloat16(device) else "float32"
    return Execution.on(device, precision, settings.graphs)


def _read_segment(table: pa.Table, row: int) -> Row:
    """One segment as Python values, its sound as an array that shares the table's memory."""
    light = [name for name in table.column_names if name != "pcm"]
    segment: Row = table.select(light).slice(row, 1).to_pylist()[0]
    pcm = table.column("pcm")[row]
    segment["pcm"] = np.frombuffer(pcm.as_buffer(), "<i2") if pcm.is_valid else None
    for name in ("faces", "frame_times_ms", "utterances"):
        segment[name] = segment[name] or []
    return segment


def segment_windows(row: int, segment: Mapping[str, Any]) -> list[Window]:
    """The segment's utterances in order of time, without those that have neither words, nor speech, nor a face."""
    boxes = [Box(f["time_ms"], f["x0"], f["y0"], f["x1"], f["y1"]) for f in segment["faces"]]
    windows = []
    for utterance in sorted(segment["utterances"], key=lambda u: (u["start_ms"], u["end_ms"])):
        window = _window(row, segment, boxes, utterance)
        if any(window.inputs.present()):
            windows.append(window)
    return windows


def _window(row: int, segment: Mapping[str, Any], boxes: list[Box], utterance: Mapping[str, Any]) -> Window:
    start_ms, end_ms = utterance["start_ms"], utterance["end_ms"]
    text = utterance["text"] if utterance["speech"] else None
    pcm = slice_pcm(segment, start_ms, end_ms) if utterance["speech"] else None

    grid = [t for t in segment["frame_times_ms"] if start_ms <= t < end_ms]
    inside = [i for i, box in enumerate(boxes) if start_ms <= box.time_ms < end_ms]
    track = [inside[i] for i in largest_track([boxes[i] for i in inside])]
    times_s = np.array([(boxes[i].time_ms - start_ms) / 1000 for i in track], np.float32)
    inputs = UtteranceInput(text, pcm, decode_crops([segment["faces"][i]["crop"] for i in track]), times_s)

    has_text, has_audio, has_face = inputs.present()
    no_sound = NO_SOUND if utterance["speech"] else NO_SPEECH
    no_audio = NO_AUDIO if segment["pcm"] is None else no_sound
    if not segment["video_codec"] or segment["status"] == "no_video":
        no_face = NO_VIDEO
    else:
        no_face = NO_FACE if grid else NO_FRAME
    label = {
        "video_id": segment["video_id"],
        "uri": segment["uri"],
        "segment_index": segment["segment_index"],
        "start_ms": start_ms,
        "end_ms": end_ms,
        "text": utterance["text"],
        "language": utterance["language"],
        "text_missing": None if has_text else (NO_WORDS if utterance["speech"] else no_audio),
        "audio_missing": None if has_audio else no_audio,
        "face_missing": None if has_face else no_face,
        "face_coverage": len({boxes[i].time_ms for i in track}) / len(grid) if grid else 0.0,
        "words": utterance["words"],
    }
    return Window(row, inputs, label)


def slice_pcm(segment: Mapping[str, Any], start_ms: int, end_ms: int) -> np.ndarray | None:
    """Samples of [start_ms, end_ms), as far as the segment's sound reaches; None without sound."""
    if segment["pcm"] is None:
        return None
    origin_ms = segment["pcm_start_ms"]
    first, last = ((t - origin_ms) * PCM_RATE_HZ // 1000 for t in (start_ms, end_ms))
    samples: np.ndarray = segment["pcm"][max(0, first) : max(0, last)]
    return samples


def decode_crops(crops: list[bytes]) -> np.ndarray | None:
    """Stored crops -> uint8 RGB [n, 48, 48, 3]; None where there are none."""
    if not crops:
        return None
    return np.frombuffer(b"".join(crops), np.uint8).reshape(-1, CROP_SIDE_PX, CROP_SIDE_PX, 3)


def count_faces(segment: Mapping[str, Any]) -> int | None:
    """Faces found in the segment, those of its context left to its neighbours; None for one that failed."""
    if segment["status"] in FAILED:
        return None
    return sum(segment["start_ms"] <= face["time_ms"] < segment["end_ms"] for face in segment["faces"])


def segment_status(segment: Mapping[str, Any], labels: list[Row]) -> str:
    """What was wrong with a segment as a whole: what was set before, else no_speech, else no_face, else ok."""
    status: str = segment["status"]
    if status != "ok":
        return status
    if not segment["speech_ms"]:
        return "no_speech"
    seen = count_faces(segment) or any(label["has_face"] for label in labels)
    return "ok" if seen else "no_face"
