"""Decode segments: media go in, 16 kHz sound and face crops on a fixed time grid come out.

One ffmpeg process reads a segment in one pass; sound and frames come through pipes, frames go into the face detector in
small batches while ffmpeg runs, and only crops are kept. Nothing is written to disk.
"""

import re
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from operators import nvdec
from operators.faces import Face, FaceDetector
from operators.ffmpeg import find_ffmpeg
from operators.process import OUT_OF_MEMORY, TOO_LARGE
from operators.remote import clean
from operators.schema import CROP_BYTES, DECODED, FACE, FAILED, PCM_RATE_HZ
from operators.segment_media import FRAMES_AT_ONCE, PCM_SAMPLE_BYTES, SegmentMedia, SegmentReader
from operators.settings import DecodeSettings, LimitSettings, WindowSettings
from operators.sources import SourceVersion, StorageOptions, is_local, media_url, source_version
from operators.timeline import reach_of, scaled_size, sound_blocks

SHORT_BY_MS = 1_000
"""Media that end this much before their header's word were decoded in part."""

_LOG_PREFIX = re.compile(r"^(\[[^\]]*\] ?)+")


@dataclass(frozen=True)
class Outcome:
    """What became of a segment: status, why, and its media where there are any."""

    status: str
    reason: str | None = None
    retryable: bool = False
    media: SegmentMedia | None = None
    decode_s: float | None = None


class Decode:
    """The operator: a table of `schema.PLANNED` -> the same rows as `schema.DECODED`.

    A segment that can't be decoded gets a status and a reason; it never raises. Errors of the code do.

    Args:
        decode: frame grid, frame size and time limit.
        windows: how far beyond its ends a segment needs sound and frames.
        faces: finds and cuts out faces.
        storage_options: fsspec's, for uris that are not local paths.
        limits: what a file may ask for.
        frames_at_once: that `faces` are given: more than a few are for a GPU.

    Raises:
        nvdec.HardwareError: the settings want a GPU to decode, and there is none.
    """

    def __init__(
        self,
        decode: DecodeSettings,
        windows: WindowSettings,
        faces: FaceDetector,
        storage_options: StorageOptions | None = None,
        limits: LimitSettings | None = None,
        frames_at_once: int = FRAMES_AT_ONCE,
    ) -> None:
        self._decode = decode
        self._frames_at_once = frames_at_once
        self._windows = windows
        self._faces = faces
        self._storage_options = storage_options
        self._limits = limits or LimitSettings()
        self._binary = find_ffmpeg()
        if decode.hardware == "cuda":
            nvdec.check_device(self._binary)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Decode every segment of a shard."""
        outcomes = [self._segment(row) for row in table.to_pylist()]
        return to_table(table, outcomes, self._decode.frame_step_ms)

    def _segment(self, row: dict[str, Any]) -> Outcome:
        if row["status"] in FAILED:
            return Outcome(row["status"], row["reason"], row["retryable"])
        planned = SourceVersion(row["size"], row["etag_or_mtime"])
        started = time.monotonic()
        # Only storage is asked in here: an OSError of our own running must not be filed as the file's.
        try:
            url = media_url(row["uri"], self._storage_options)
            if source_version(row["uri"], self._storage_options) != planned:
                return changed("since the run was planned")
        except OSError as error:
            return out_of_reach(error)
        media = self._read(row, url)
        try:
            if source_version(row["uri"], self._storage_options) != planned:
                return changed("while it was decoded")
        except OSError as error:
            return out_of_reach(error)
        step_ms, decode_s = self._decode.frame_step_ms, time.monotonic() - started - media.faces_s
        if not is_local(row["uri"]):
            failure = clean(media, complete=is_complete(row, media, step_ms))
            if failure is not None:
                return Outcome("unreadable", failure, True, media, decode_s)
        return judge(row, media, step_ms, decode_s)

    def _read(self, row: dict[str, Any], url: str) -> SegmentMedia:
        start_ms, end_ms, duration_ms = row["start_ms"], row["end_ms"], row["duration_ms"]
        size = None
        if row["video_codec"] is not None:
            size = scaled_size(row["width"], row["height"], self._decode.max_side_px)
        has_sound = row["audio_codec"] is not None
        on_gpu = nvdec.decodes(self._decode, row["video_codec"])
        how = (self._decode, self._limits, self._faces, on_gpu, self._frames_at_once)
        reader = SegmentReader(self._binary, url, size, has_sound, *how)
        reach = reach_of(start_ms, end_ms, duration_ms, self._decode, self._windows)
        return reader.read(reach, sound_blocks(reach.sound_start_ms, reach.sound_end_ms, self._windows))


def changed(when: str) -> Outcome:
    """The outcome of a file that is not the planned one."""
    return Outcome("changed_during_run", f"the file has changed {when}; the next run will plan it anew", retryable=True)


def out_of_reach(error: OSError) -> Outcome:
    """The outcome of a file that its storage doesn't give out."""
    if isinstance(error, FileNotFoundError):
        return Outcome("missing", "the file was there when the run was planned and is gone now", retryable=True)
    return Outcome("unreadable", f"the storage said: {error.strerror or error}", retryable=True)


def judge(row: dict[str, Any], media: SegmentMedia, step_ms: int, decode_s: float) -> Outcome:
    """Decide a segment's status from what it yielded, with a reason wherever something is amiss."""
    error = _LOG_PREFIX.sub("", media.error) if media.error else None
    if media.timed_out:
        reason = "decoding was stopped at its time limit: the file is damaged or slow to read"
        return Outcome("too_long_to_decode", reason, False, media, decode_s)
    if media.pcm is None and not media.frame_indices:
        reason = f"nothing could be decoded from {row['start_ms'] / 1000:g} s on: {error or 'the media end before'}"
        return Outcome("unreadable", reason, False, media, decode_s)
    status = "no_audio" if media.pcm is None else "ok" if media.frame_indices else "no_video"
    notes = None
    if not is_complete(row, media, step_ms):
        end_ms, expected_ms = decoded_until_ms(media, step_ms), min(row["end_ms"], row["duration_ms"])
        notes = f"decoded in part: the media end at {end_ms / 1000:g} s, not at {expected_ms / 1000:g} s"
        notes += f" ({error})" if error else ""
    elif error:
        notes = f"{'decoded in part' if error in (OUT_OF_MEMORY, TOO_LARGE) else 'damaged in places'}: {error}"
    return Outcome(status, notes, False, media, decode_s)


def is_complete(row: dict[str, Any], media: SegmentMedia, step_ms: int) -> bool:
    """Whether the media reach to the segment's end, or nearly."""
    return decoded_until_ms(media, step_ms) >= min(row["end_ms"], row["duration_ms"]) - SHORT_BY_MS


def decoded_until_ms(media: SegmentMedia, step_ms: int) -> int:
    """The time up to which there is sound or a frame."""
    sound_ms = 0
    if media.pcm is not None and media.pcm_start_ms is not None:
        sound_ms = media.pcm_start_ms + len(media.pcm) * 1000 // (PCM_RATE_HZ * PCM_SAMPLE_BYTES)
    frames_ms = (media.frame_indices[-1] + 1) * step_ms if media.frame_indices else 0
    return max(sound_ms, frames_ms)


def to_table(planned: pa.Table, outcomes: list[Outcome], step_ms: int) -> pa.Table:
    """Put the outcomes beside the planned rows, as `schema.DECODED`."""
    media = [outcome.media if outcome.status not in FAILED else None for outcome in outcomes]
    new: dict[str, list[Any]] = {
        "status": [outcome.status for outcome in outcomes],
        "reason": [outcome.reason for outcome in outcomes],
        "retryable": [outcome.retryable for outcome in outcomes],
        "stderr_tail": [outcome.media.stderr_tail or None if outcome.media else None for outcome in outcomes],
        "pcm": [item.pcm if item and item.pcm else None for item in media],
        "pcm_start_ms": [item.pcm_start_ms if item else None for item in media],
        "frame_times_ms": [[k * step_ms for k in item.frame_indices] if item else None for item in media],
        "decode_s": [outcome.decode_s for outcome in outcomes],
        "faces_s": [outcome.media.faces_s if outcome.media else None for outcome in outcomes],
    }
    columns = []
    for column in DECODED:
        if column.name == "faces":
            columns.append(faces_column([item.faces if item else None for item in media], step_ms))
        elif column.name in new:
            columns.append(pa.array(new[column.name], column.type))
        else:
            columns.append(planned[column.name])
    return pa.table(columns, schema=DECODED)


def faces_column(faces: list[list[tuple[int, Face]] | None], step_ms: int) -> pa.Array:
    """Build the column of faces, one list a segment, null where there is None."""
    flat = [pair for segment in faces if segment for pair in segment]
    offsets = np.cumsum([0] + [len(segment or ()) for segment in faces])
    crops = b"".join(face.crop for _, face in flat)
    fields = {
        "time_ms": pa.array([k * step_ms for k, _ in flat], pa.int64()),
        **{
            name: pa.array([getattr(face, name) for _, face in flat], pa.float32())
            for name in ("x0", "y0", "x1", "y1", "score")
        },
        "crop": pa.FixedSizeBinaryArray.from_buffers(pa.binary(CROP_BYTES), len(flat), [None, pa.py_buffer(crops)]),
    }
    structs = pa.StructArray.from_arrays(list(fields.values()), fields=list(FACE))
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), structs, pa.list_(FACE), mask=pa.array([segment is None for segment in faces])
    )
