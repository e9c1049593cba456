"""Settings of the operators. Everything here that changes a label becomes part of the recipe."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Settings(BaseModel):
    """A group of settings: immutable, numbers are finite, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DecodeSettings(Settings):
    """How media become PCM and frames."""

    frame_step_ms: int = Field(500, ge=40, le=5000, description="Faces are looked for every so many milliseconds.")
    max_side_px: int = Field(640, ge=64, le=4096, description="Frames are scaled down to this long side.")
    hardware: Literal["none", "cuda"] = Field(
        "none",
        description="cuda: video is decoded by the GPU's own decoder, where that gives the pixels that software gives "
        "with the loop filter.",
    )
    loop_filter: bool = Field(
        False,
        description="Smooth the edges of blocks, as players do (H.264, HEVC ...). Off: a tenth less work, faces look a "
        "little coarser. Always on with decode.hardware=cuda, which knows no other way.",
    )
    time_limit_factor: float = Field(4.0, gt=0, description="A decode may take this many times the segment's length...")
    time_limit_base_s: float = Field(60.0, gt=0, description="...plus this many seconds, then it is stopped.")

    @property
    def filters_loops(self) -> bool:
        """Whether the loop filter is on, in software and in hardware alike."""
        return self.loop_filter or self.hardware == "cuda"


class LimitSettings(Settings):
    """What a file may ask for at most. Larger ones get a row with the reason. Nothing here changes a label."""

    max_pixels: int = Field(8192 * 8192, ge=4096, description="Of a frame: a few bytes of video can ask for gigabytes.")
    max_hours: float = Field(48.0, gt=0, description="How long a video may be.")
    max_tracks: int = Field(256, ge=1, description="How many tracks a file may have, of all kinds.")
    max_memory_mb: int = Field(
        4096,
        ge=1024,
        description="Address space of each process that reads media: what it reserves counts, not what it uses.",
    )


class FaceSettings(Settings):
    """How faces are found."""

    detector: Literal["mobilenet0.25", "resnet50"] = Field("mobilenet0.25", description="RetinaFace's backbone.")
    quick_side_px: int = Field(
        320,
        ge=0,
        le=4096,
        description="Frames are first looked at with this long side, in full only where no face is found; 0: in full. "
        "Not used by resnet50.",
    )
    min_score: float = Field(0.6, ge=0, le=1, description="Detections below this score are dropped.")
    min_face_px: int = Field(20, ge=1, description="Faces smaller than this, in the scaled frame, are dropped.")
    max_faces_per_frame: int = Field(4, ge=1, le=32, description="The largest so many faces of a frame are kept.")


class SpeechSettings(Settings):
    """How speech becomes words with times."""

    asr: str = Field("tiny.en", description="A catalogue name (tiny.en, base), a folder, or a hub model of whisperx.")
    language: str | None = Field("en", description="Language code; null detects it for each stretch of speech.")
    compute_type: str = Field(
        "auto",
        description="Arithmetic of CTranslate2: int8, float16, float32 ...; auto: as the output was begun, else "
        "float16 on GPUs and int8 on CPUs.",
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        description="Pieces of speech recognised at once; by default 8 on GPUs and 2 on CPUs: more take memory there.",
    )
    beam_size: int = Field(5, ge=1, le=20, description="How many readings are followed at once; 1 is greedy.")
    vad: Literal["silero", "pyannote"] = Field("silero", description="Voice activity detector.")
    vad_threshold: float = Field(0.5, gt=0, lt=1)
    aligner: Literal["pocketsphinx", "whisperx", "whisper", "none"] = Field(
        "pocketsphinx", description="Who times the words. pocketsphinx works offline, in English."
    )
    align_model: str | None = Field(
        None, description="For the whisperx aligner: a folder or hub name of a wav2vec2 model; null: whisperx's choice."
    )
    transcripts: Literal["beside", "ignore"] = Field(
        "beside", description="Whether a transcript beside a video (.TextGrid, .srt, .vtt, .json, .txt) is used."
    )
    max_transcript_bytes: int = Field(
        4_000_000, ge=1_000, le=100_000_000, description="Larger transcripts are not read; speech is recognised."
    )


class WindowSettings(Settings):
    """How a time line is cut into utterances and windows without words."""

    anchor_ms: int = Field(
        20_000, ge=10_000, le=24_000, description="A cut is made at the best pause near each multiple."
    )
    anchor_search_ms: int = Field(3_000, ge=500, le=3_000, description="How far from the multiple the pause may be.")
    context_ms: int = Field(10_000, ge=6_000, description="Sound decoded on either side of a segment.")
    min_pause_ms: int = Field(300, ge=50, description="Shorter silences don't end an utterance.")
    min_utterance_ms: int = Field(1_000, ge=200)
    max_utterance_ms: int = Field(10_000, ge=2_000, le=26_000)
    min_gap_ms: int = Field(2_000, ge=500, description="Longer stretches without speech become windows without words.")
    max_gap_window_ms: int = Field(6_000, ge=1_000)

    @model_validator(mode="after")
    def _can_be_split(self) -> "WindowSettings":
        if 2 * self.min_utterance_ms > self.max_utterance_ms:
            raise ValueError("min_utterance_ms may be half of max_utterance_ms at most, or long speech can't be split")
        return self


class InferSettings(Settings):
    """How utterances become probabilities."""

    model: str = Field("v2em-s", description="A catalogue name or the path of a V2EM-S weights file.")
    batch_size: int | None = Field(
        None,
        ge=1,
        description="Utterances a batch; by default 32 on GPUs and 8 on CPUs: more take memory there.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: as the output was begun, else bfloat16 on GPUs that have it and float32 elsewhere."
    )
    graphs: bool = Field(True, description="On GPUs, kernels are launched by CUDA graphs, recorded for a few shapes.")


class OperatorSettings(Settings):
    """All settings of the operators."""

    decode: DecodeSettings = DecodeSettings()
    limits: LimitSettings = LimitSettings()
    faces: FaceSettings = FaceSettings()
    speech: SpeechSettings = SpeechSettings()
    windows: WindowSettings = WindowSettings()
    infer: InferSettings = InferSettings()


def resolve_path(name: str) -> Path | None:
    """The path that a setting names, or None where it is a catalogue or hub name."""
    path = Path(name).expanduser()
    return path if path.is_absolute() or path.exists() else None
