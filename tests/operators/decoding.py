"""Decode files with a stand-in for the face detector that tells how bright each frame is."""

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa

from operators.decode import Decode
from operators.faces import Face
from operators.media import MediaInfo, probe
from operators.schema import CROP_BYTES, DECODED, PLANNED
from operators.settings import DecodeSettings, WindowSettings
from operators.sources import source_version


class Brightness:
    """Finds one "face" in every frame, whose score is the frame's mean brightness (0..1)."""

    def __init__(self) -> None:
        self.frames: list[np.ndarray] = []

    def detect(self, frames: np.ndarray) -> list[list[Face]]:
        """As `FaceDetector.detect`; keeps the last batch for a look at it."""
        self.frames = [frame.copy() for frame in frames]
        crop = memoryview(bytes(CROP_BYTES))
        return [[Face(0.0, 0.0, 1.0, 1.0, float(frame.mean()) / 255, crop)] for frame in frames]


def planned_rows(path: Path, cuts_ms: list[int] | None = None, **changes: object) -> list[dict]:
    """Rows of a plan for one file, cut at the given times."""
    info: MediaInfo = probe(str(path))
    version = source_version(str(path))
    edges = [0, *[cut for cut in cuts_ms or [] if cut < info.duration_ms], info.duration_ms]
    return [
        {
            "shard_id": "shard",
            "video_id": "video",
            "uri": str(path),
            "size": version.size,
            "etag_or_mtime": version.etag_or_mtime,
            "segment_index": index,
            "start_ms": start_ms,
            "end_ms": end_ms,
            "duration_ms": info.duration_ms,
            "width": info.width,
            "height": info.height,
            "fps": info.fps,
            "video_codec": info.video_codec,
            "audio_codec": info.audio_codec,
            "status": "ok",
            "reason": None,
            "retryable": False,
            **changes,
        }
        for index, (start_ms, end_ms) in enumerate(itertools.pairwise(edges))
    ]


def decode_rows(rows: list[dict], settings: DecodeSettings | None = None, detector: object = None) -> list[dict]:
    """Run the operator over the rows of a plan."""
    operator = Decode(settings or DecodeSettings(), WindowSettings(), detector or Brightness())
    table = operator(pa.Table.from_pylist(rows, schema=PLANNED))
    assert table.schema == DECODED
    table.validate(full=True)
    return table.to_pylist()


def pcm_of(row: dict) -> np.ndarray:
    """The sound of a decoded row, int16."""
    return np.frombuffer(row["pcm"] or b"", np.int16)


def brightness_of(row: dict) -> list[tuple[int, float]]:
    """(time_ms, brightness) of each frame of a decoded row."""
    return [(face["time_ms"], face["score"]) for face in row["faces"]]
