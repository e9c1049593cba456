"""Footage to measure on: 720p30 talking heads of any length, looped from a few clips."""

import subprocess
from pathlib import Path

from operators.ffmpeg import find_ffmpeg

VIDEO_SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".ts", ".webm"}

# Upscaled clips would encode to next to nothing; 2 Mbit/s is what 720p commonly has, and what decoding it costs.
_LIKE_720P = [
    *["-vf", "scale=1280:720:force_original_aspect_ratio=decrease,pad=1280:720:-1:-1,setsar=1,fps=30,format=yuv420p"],
    *["-c:v", "libx264", "-preset", "veryfast", "-b:v", "2M", "-maxrate", "3M", "-bufsize", "4M", "-g", "250"],
    *["-c:a", "aac", "-b:a", "128k", "-ar", "48000", "-ac", "2", "-shortest"],
]


def prepare_clips(folder: Path, work: Path) -> list[Path]:
    """Encode every video with sound under `folder` once, alike, into `work`; what is there already is used again."""
    work.mkdir(parents=True, exist_ok=True)
    prepared = []
    for clip in sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES):
        target = work / f"{'-'.join(clip.relative_to(folder).with_suffix('').parts)}.mp4"
        if not target.exists():
            partial = target.with_suffix(".partial.mp4")
            _ffmpeg(["-i", str(clip), "-map", "0:v:0", "-map", "0:a:0", *_LIKE_720P, str(partial)])
            partial.rename(target)
        prepared.append(target)
    if not prepared:
        raise SystemExit(f"There are no videos under {folder}.")
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


def _ffmpeg(arguments: list[str]) -> None:
    subprocess.run([find_ffmpeg(), "-nostdin", "-v", "error", "-y", *arguments], check=True)
