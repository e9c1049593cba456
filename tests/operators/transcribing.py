"""Transcribe generated sound and the sample of real speech, with the models loaded once."""

import functools
import subprocess

import imageio_ffmpeg
import numpy as np
import pyarrow as pa
import pytest

from models.catalogue import CatalogueError, locate
from operators.schema import DECODED, TRANSCRIBED
from operators.settings import SpeechSettings, WindowSettings
from operators.transcribe import Transcribe

RATE = 16_000
SETTINGS = WindowSettings()


@functools.cache
def transcriber() -> Transcribe:
    """The operator with its default settings."""
    return make(SpeechSettings())


def make(settings: SpeechSettings) -> Transcribe:
    """The operator; without the default weights the test is skipped."""
    try:
        return Transcribe(settings, SETTINGS, locate("whisper-tiny.en"))
    except CatalogueError as error:
        pytest.skip(f"the weights were not pulled: {error}")


@functools.cache
def sample_speech() -> np.ndarray:
    """44 s of a reader: "It was the best of times, it was the worst of times ..."; int16."""
    try:
        path = locate("sample-speech")
    except CatalogueError as error:
        pytest.skip(f"the sample of speech was not pulled: {error}")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-ac", "1", "-ar", str(RATE)]
    done = subprocess.run([*command, "-f", "s16le", "-"], capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.int16)


def silence(seconds: float) -> np.ndarray:
    """Silence with the faint hiss of a microphone, int16."""
    return np.random.default_rng(0).normal(0, 3, int(seconds * RATE)).astype(np.int16)


def rows_of(sound: np.ndarray, segment_ms: int = 10**9, name: str = "a.mp4", **changes: object) -> list[dict]:
    """Rows as `decode` gives them, of a video with this sound, cut into segments of so many milliseconds."""
    duration_ms = len(sound) * 1000 // RATE
    rows = []
    for index, start_ms in enumerate(range(0, duration_ms, segment_ms)):
        end_ms = min(start_ms + segment_ms, duration_ms)
        from_ms, to_ms = max(0, start_ms - SETTINGS.context_ms), min(end_ms + SETTINGS.context_ms, duration_ms)
        row = dict.fromkeys(DECODED.names) | {"shard_id": "s", "video_id": name, "uri": name, "size": 1}
        row |= {"etag_or_mtime": "1", "segment_index": index, "start_ms": start_ms, "end_ms": end_ms}
        row |= {"duration_ms": duration_ms, "status": "ok", "retryable": False, "pcm_start_ms": from_ms}
        row |= {"pcm": sound[from_ms * RATE // 1000 : to_ms * RATE // 1000].tobytes()}
        rows.append(row | changes)
    return rows


def transcribe_rows(rows: list[dict], operator: Transcribe | None = None) -> list[dict]:
    """Run the operator over rows as `decode` gives them."""
    table = (operator or transcriber())(pa.Table.from_pylist(rows, schema=DECODED))
    assert table.schema == TRANSCRIBED
    table.validate(full=True)
    return table.to_pylist()
