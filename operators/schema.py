"""Arrow schemas of what flows between the operators and of the two tables that are committed.

One table is one shard; one row is one segment, until `write` unfolds the labels. All times are integer milliseconds on
the container's presentation time line (0 = where a player starts), half-open [start, end).
"""

import pyarrow as pa
import pyarrow.compute as pc

from models.emotions import EMOTIONS

SCHEMA_VERSION = 2
"""Version of the two committed tables. A reader that meets a newer one says so and stops.

2: `segments` has the columns of transcripts.
"""

PCM_RATE_HZ = 16_000
CROP_SIDE_PX = 48
CROP_BYTES = CROP_SIDE_PX * CROP_SIDE_PX * 3

FAILED = ("unreadable", "too_long_to_decode", "missing", "changed_during_run", "crashed_worker")
"""Statuses of a segment that could not be labelled at all; they make the job exit with 3."""
STATUSES = ("ok", "no_speech", "no_audio", "no_video", "no_face", *FAILED)

WORD = pa.struct(
    [
        pa.field("word", pa.string(), nullable=False),
        pa.field("start_ms", pa.int64()),
        pa.field("end_ms", pa.int64()),
        pa.field("score", pa.float32()),
    ]
)

FACE = pa.struct(
    [
        pa.field("time_ms", pa.int64(), nullable=False),  # on the frame grid: a multiple of frame_step_ms
        pa.field("x0", pa.float32(), nullable=False),  # box as fractions of the upright frame's width and height
        pa.field("y0", pa.float32(), nullable=False),
        pa.field("x1", pa.float32(), nullable=False),
        pa.field("y1", pa.float32(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("crop", pa.binary(CROP_BYTES), nullable=False),  # uint8 RGB, [48, 48, 3] row-major
    ]
)

UTTERANCE = pa.struct(
    [
        pa.field("start_ms", pa.int64(), nullable=False),
        pa.field("end_ms", pa.int64(), nullable=False),
        pa.field("speech", pa.bool_(), nullable=False),  # False: a stretch without speech, labelled from faces alone
        pa.field("text", pa.string()),
        pa.field("language", pa.string()),
        pa.field("words", pa.list_(WORD), nullable=False),
    ]
)

PLANNED = pa.schema(
    [
        pa.field("shard_id", pa.string(), nullable=False),
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("etag_or_mtime", pa.string(), nullable=False),
        pa.field("segment_index", pa.int32(), nullable=False),
        pa.field("start_ms", pa.int64(), nullable=False),  # nominal cut; the true border is the pause nearest to it
        pa.field("end_ms", pa.int64(), nullable=False),
        pa.field("duration_ms", pa.int64(), nullable=False),  # of the whole video
        pa.field("width", pa.int32()),  # upright, square pixels
        pa.field("height", pa.int32()),
        pa.field("fps", pa.float64()),
        pa.field("video_codec", pa.string()),
        pa.field("audio_codec", pa.string()),
        pa.field("status", pa.string(), nullable=False),  # "ok", or what probing found
        pa.field("reason", pa.string()),
        pa.field("retryable", pa.bool_(), nullable=False),
        pa.field("transcript_uri", pa.string()),  # of the transcript beside the video, if there is one
        pa.field("transcript_size", pa.int64()),
        pa.field("transcript_etag_or_mtime", pa.string()),
        pa.field("transcript", pa.string()),  # what became of it: "used: clip.srt", "not used: clip.srt: why"
    ]
)

DECODED = pa.schema(
    [
        *PLANNED,
        pa.field("stderr_tail", pa.string()),
        pa.field("pcm", pa.large_binary()),  # s16le, mono, 16 kHz; null without sound
        pa.field("pcm_start_ms", pa.int64()),  # time of the first sample (the segment's start less its context)
        pa.field("frame_times_ms", pa.list_(pa.int64())),  # grid times at which a frame was looked at
        pa.field("faces", pa.list_(FACE)),
        pa.field("decode_s", pa.float64()),  # wall seconds, detection excluded
        pa.field("faces_s", pa.float64()),
    ]
)

TRANSCRIBED = pa.schema(
    [
        *DECODED,
        pa.field("utterances", pa.list_(UTTERANCE)),  # those that this segment owns, in order of time
        pa.field("speech_ms", pa.int64()),
        pa.field("transcribe_s", pa.float64()),
    ]
)

LABEL_FIELDS = [
    pa.field("video_id", pa.string(), nullable=False),
    pa.field("uri", pa.string(), nullable=False),
    pa.field("utterance_index", pa.int32(), nullable=False),  # within the segment's video, see segment_index
    pa.field("segment_index", pa.int32(), nullable=False),
    pa.field("start_ms", pa.int64(), nullable=False),
    pa.field("end_ms", pa.int64(), nullable=False),
    pa.field("text", pa.string()),
    pa.field("language", pa.string()),
    pa.field("emotion", pa.string(), nullable=False),
    pa.field("confidence", pa.float32(), nullable=False),
    *[pa.field(f"p_{emotion}", pa.float32(), nullable=False) for emotion in EMOTIONS],
    pa.field("text_p", pa.list_(pa.float32())),
    pa.field("audio_p", pa.list_(pa.float32())),
    pa.field("face_p", pa.list_(pa.float32())),
    pa.field("has_text", pa.bool_(), nullable=False),
    pa.field("has_audio", pa.bool_(), nullable=False),
    pa.field("has_face", pa.bool_(), nullable=False),
    pa.field("text_missing", pa.string()),  # why not, when not
    pa.field("audio_missing", pa.string()),
    pa.field("face_missing", pa.string()),
    pa.field("face_coverage", pa.float32(), nullable=False),  # share of the window's frames that show the face used
    pa.field("words", pa.list_(WORD), nullable=False),
    pa.field("model_id", pa.string(), nullable=False),
]

INFERRED = pa.schema(
    [
        *[field for field in TRANSCRIBED if field.name not in ("pcm", "frame_times_ms", "faces", "utterances")],
        pa.field("face_count", pa.int64()),
        pa.field("labels", pa.list_(pa.struct(LABEL_FIELDS))),
        pa.field("infer_s", pa.float64()),
    ]
)

LABELS = pa.schema(
    [
        *LABEL_FIELDS,
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("labelled_at", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)
"""`OUT/labels`: one row an utterance, sorted by video_id, start_ms."""

SEGMENTS = pa.schema(
    [
        *PLANNED,
        pa.field("stderr_tail", pa.string()),
        pa.field("utterances", pa.int32(), nullable=False),
        pa.field("speech_ms", pa.int64()),
        pa.field("faces", pa.int64()),
        pa.field("decode_s", pa.float64()),
        pa.field("faces_s", pa.float64()),
        pa.field("transcribe_s", pa.float64()),
        pa.field("infer_s", pa.float64()),
        pa.field("host", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("finished_at", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)
"""`OUT/segments`: one row a segment, written last; the file's presence commits its shard."""

RUN_COLUMNS = ("run_id", "labelled_at", "host", "finished_at", "decode_s", "faces_s", "transcribe_s", "infer_s")
"""Columns that tell of a run, not of the media: two runs over the same corpus agree on all others."""


def media_ms(segments: pa.Table) -> int:
    """How much media segments have, at any stage, in milliseconds."""
    return pc.sum(pc.subtract(segments["end_ms"], segments["start_ms"])).as_py() or 0
