"""Footage to measure on: talking heads of any length, looped from a few clips, in the formats that corpora have."""

import hashlib
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
from av.error import FFmpegError

from operators.ffmpeg import find_ffmpeg
from pipelines.demo import build_corpus

VIDEO_SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".ts", ".webm"}
CLIP_S = 15
"""What is taken of a clip at most, so that a video of a few minutes shows all of them."""
DEMO_CLIP = "talking head.mp4"


@dataclass(frozen=True)
class Format:
    """How footage is encoded: size, bit rate, and 30 frames a second. Kilobits a second, as such video commonly has."""

    name: str
    width: int
    height: int
    kbit_s: int

    @property
    def encoding(self) -> list[str]:
        """ffmpeg's arguments. The rate is held from below too: upscaled clips would encode to next to nothing."""
        size = f"{self.width}:{self.height}"
        shape = f"scale={size}:force_original_aspect_ratio=decrease,pad={size}:-1:-1,setsar=1,fps=30,format=yuv420p"
        rate = ["-b:v", f"{self.kbit_s}k", "-maxrate", f"{self.kbit_s * 3 // 2}k", "-bufsize", f"{self.kbit_s * 2}k"]
        sound = ["-c:a", "aac", "-b:a", "128k", "-ar", "48000", "-ac", "2"]
        return ["-vf", shape, "-c:v", "libx264", "-preset", "veryfast", *rate, "-g", "250", *sound, "-shortest"]

    def __str__(self) -> str:
        return f"{self.width}x{self.height}, 30 fps, H.264 {self.kbit_s / 1000:g} Mbit/s, AAC"


SMALL = Format("360p30", 640, 360, 800)
HD = Format("720p30", 1280, 720, 2_000)
FULL_HD = Format("1080p30", 1920, 1080, 5_000)


@dataclass(frozen=True)
class Corpus:
    """Videos of one format, alike in length, in a folder."""

    format: Format
    folder: Path
    videos: tuple[Path, ...]
    video_s: int

    @property
    def media_s(self) -> int:
        """Seconds of all videos."""
        return self.video_s * len(self.videos)


def find_clips(folder: Path | None) -> list[Path]:
    """The videos with picture and sound under a folder, mixed: the same order whenever and wherever it is asked for."""
    if folder is None:
        return []
    found = [path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES and _length_s(path)]
    if not found:
        raise SystemExit(f"There are no videos with sound under {folder}.")
    return sorted(found, key=lambda path: hashlib.sha256(str(path.relative_to(folder)).encode()).digest())


def prepare_clips(folder: Path | None, work: Path, form: Format = HD, enough_s: float = float("inf")) -> list[Path]:
    """Encode clips alike, each once, into `work`; what is there already is used again.

    Args:
        folder: with videos; those without picture or sound are left out. None takes the demo's sample.
        work: where they are kept.
        form: how they are encoded.
        enough_s: no more clips than last so long are taken.
    """
    work.mkdir(parents=True, exist_ok=True)
    prepared: list[Path] = []
    with tempfile.TemporaryDirectory(prefix="fv2es-demo-", dir=work) as temporary:
        if folder is None:
            build_corpus(Path(temporary))
            folder, clips = Path(temporary), [Path(temporary, DEMO_CLIP)]
        else:
            clips = find_clips(folder)
        for clip in clips:
            if sum(map(_length_s, prepared)) >= enough_s:
                break
            target = work / f"{form.name}-{'-'.join(clip.relative_to(folder).with_suffix('').parts)}.mp4"
            if not target.exists():
                partial = target.with_suffix(".partial.mp4")
                tracks = ["-t", str(CLIP_S), "-i", str(clip), "-map", "0:v:0", "-map", "0:a:0"]
                _ffmpeg([*tracks, *form.encoding, str(partial)])
                partial.rename(target)
            prepared.append(target)
    return prepared


def write_loop(clips: list[Path], target: Path, seconds: int, first: int = 0) -> None:
    """Join the clips, from number `first` on and round again, into a video of that length; nothing is encoded anew."""
    order = clips[first % len(clips) :] + clips[: first % len(clips)]
    rounds = seconds // len(clips) + 1  # enough when a clip has a second or more
    listing = target.with_suffix(".txt")
    quoted = [str(clip.absolute()).replace("'", r"'\''") for clip in order]
    listing.write_text("".join(f"file '{path}'\n" for path in quoted * rounds), "utf-8")
    _ffmpeg(["-f", "concat", "-safe", "0", "-i", str(listing), "-c", "copy", "-t", str(seconds), str(target)])
    listing.unlink()


def write_corpus(clips: Path | None, work: Path, into: Path, form: Format, minutes: float, videos: int) -> Corpus:
    """Videos that are `minutes` long together, each of which begins with another clip, in a new folder of `into`.

    The encoded clips are kept in `work`.
    """
    video_s = max(1, round(minutes * 60 / videos))
    prepared = prepare_clips(clips, work, form, enough_s=video_s * videos)
    folder = into / form.name
    folder.mkdir(parents=True)
    written = tuple(folder / f"{number}.mp4" for number in range(videos))
    for number, video in enumerate(written):
        write_loop(prepared, video, video_s, first=number * len(prepared) // videos)
    return Corpus(form, folder, written, video_s)


def write_part(video: Path, target: Path, seconds: float, start_s: int = 0) -> None:
    """So many seconds of a video, from the key frame before, as a video; nothing is encoded anew."""
    tracks = ["-ss", str(start_s), "-i", str(video), "-map", "0", "-c", "copy", "-t", f"{seconds:g}"]
    _ffmpeg([*tracks, str(target)])


def write_pieces(video: Path, into: Path, seconds: int) -> list[Path]:
    """A video in pieces of so many seconds."""
    pieces = {start_s: into / f"{start_s}.mp4" for start_s in range(0, round(_length_s(video)), seconds)}
    for start_s, piece in pieces.items():
        write_part(video, piece, seconds, start_s)
    return list(pieces.values())


def _length_s(path: Path) -> float:
    """How long a video is; 0 without picture or sound, and for what is no media."""
    try:
        with av.open(str(path)) as media:
            whole = media.streams.video and media.streams.audio
            return (media.duration or 0) / av.time_base if whole else 0.0
    except (FFmpegError, OSError):
        return 0.0


def _ffmpeg(arguments: Sequence[str]) -> None:
    subprocess.run([find_ffmpeg(), "-nostdin", "-v", "error", "-y", *arguments], check=True)
