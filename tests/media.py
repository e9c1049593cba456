"""Media made for tests, whose truth is known: at each event a white flash and a beep begin together."""

import itertools
import subprocess
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np

PERIOD_S = 2.3
"""Events are at the multiples of it, from the first on: it shares no rhythm with grids, frames and key frames."""
EVENT_S = 0.2
SIZE = (96, 64)
BEEP_HZ = 1000

H264 = ("-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-g", "250", "-pix_fmt", "yuv420p")
AAC = ("-c:a", "aac", "-b:a", "96k")


@dataclass(frozen=True)
class FlashBeep:
    """A file with flashes and beeps. Its events are on its own time line, in milliseconds, 0 where a player starts."""

    path: Path
    duration_ms: int
    flashes_ms: tuple[float, ...]
    beeps_ms: tuple[float, ...]


def ffmpeg(*arguments: str | Path) -> None:
    """Run the wheel's ffmpeg; its messages are in the exception."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-y", "-v", "error", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def flash_source(seconds: float, fps: str = "30", size: tuple[int, int] = SIZE) -> str:
    """The lavfi source of the pictures: black, white for EVENT_S from each multiple of PERIOD_S on."""
    # A microsecond keeps a frame that begins at an event in it, whatever the rounding of its time.
    white = f"gte(t,{PERIOD_S}-1e-6)*lt(mod(t+1e-6,{PERIOD_S}),{EVENT_S})"
    return f"color=c=black:s={size[0]}x{size[1]}:r={fps}:d={seconds},drawbox=c=white:t=fill:enable='{white}'"


def beep_source(seconds: float, rate_hz: int = 48_000) -> str:
    """The lavfi source of the sound: silence, a sine for EVENT_S from each multiple of PERIOD_S on."""
    beep = f"gte(t,{PERIOD_S})*lt(mod(t,{PERIOD_S}),{EVENT_S})*0.8*sin(2*PI*{BEEP_HZ}*t)"
    return f"aevalsrc='{beep}':s={rate_hz}:d={seconds}"


def make_flash_beep(
    path: Path,
    seconds: float = 66.0,
    fps: str = "30",
    rate_hz: int = 48_000,
    video_delay_s: float = 0.0,
    audio_delay_s: float = 0.0,
    video_seconds: float | None = None,
    video: Sequence[str] = H264,
    audio: Sequence[str] = AAC,
    muxer: Sequence[str] = (),
) -> FlashBeep:
    """Make a file of flashes and beeps.

    Args:
        path: its suffix chooses the container.
        seconds: length of the sound, and of the video unless `video_seconds` is given.
        video_delay_s: how much later than the sound the video starts; at most one of the delays may be positive.
        audio_delay_s: how much later than the video the sound starts.
        video: encoder options; empty for a file without video.
        audio: encoder options; empty for a file without sound.
        muxer: options of the output.
    """
    inputs: list[str] = []
    if video:
        inputs += ["-itsoffset", f"{video_delay_s}", "-f", "lavfi", "-i", flash_source(video_seconds or seconds, fps)]
    if audio:
        inputs += ["-itsoffset", f"{audio_delay_s}", "-f", "lavfi", "-i", beep_source(seconds, rate_hz)]
    # One thread: the same file in every run.
    ffmpeg(*inputs, "-threads", "1", *video, *audio, *muxer, "-fps_mode", "passthrough", path)
    flashes = [] if not video else event_times_ms(video_seconds or seconds, video_delay_s)
    beeps = [] if not audio else event_times_ms(seconds, audio_delay_s)
    duration_ms = round(1000 * max(seconds + audio_delay_s, (video_seconds or seconds) + video_delay_s))
    return FlashBeep(path, duration_ms, tuple(flashes), tuple(beeps))


def event_times_ms(seconds: float, delay_s: float) -> list[float]:
    """When the events of a track begin that is `seconds` long and starts at `delay_s`."""
    count = int((seconds - EVENT_S) / PERIOD_S)
    return [(n * PERIOD_S + delay_s) * 1000 for n in range(1, count + 1)]


def shown_frames(path: Path) -> list[tuple[Fraction, float]]:
    """What a player shows, by decoding the whole file: (time in seconds from its start, mean brightness 0..1)."""
    with av.open(str(path)) as container:
        origin = Fraction(container.start_time, 1_000_000)
        return [
            (frame.pts * frame.time_base - origin, float(frame.to_ndarray(format="gray").mean()) / 255)
            for frame in container.decode(video=0)
        ]


def heard_beeps_ms(path: Path) -> list[float]:
    """When a player is heard to beep, by decoding the whole file: milliseconds from its start."""
    with av.open(str(path)) as container:
        origin_s = (container.start_time or 0) / 1_000_000
        resampler = av.AudioResampler(format="s16", layout="mono")  # the rate stays: no filter moves a sample
        onsets: list[float] = []
        for frame in container.decode(audio=0):
            start_ms = (float(frame.pts * frame.time_base) - origin_s) * 1000
            for mono in resampler.resample(frame):
                onsets += beep_onsets_ms(mono.to_ndarray()[0], start_ms, frame.sample_rate)
    # A beep is longer than a frame of sound: only its first frame counts.
    return [onset for before, onset in zip([-1e9, *onsets], onsets, strict=False) if onset - before > 1000 * EVENT_S]


def shown_at(frames: list[tuple[Fraction, float]], time_ms: int) -> float | None:
    """Brightness of the frame on show at a time; None before the first."""
    begun = bisect_right(frames, Fraction(time_ms, 1000), key=lambda frame: frame[0])
    return frames[begun - 1][1] if begun else None


def beep_onsets_ms(pcm: np.ndarray, start_ms: int, rate_hz: int = 16_000) -> list[float]:
    """When beeps begin in int16 sound whose first sample is at `start_ms`."""
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > 6_000)
    if len(loud) == 0:
        return []
    # A sine is quiet twice in a period: only silence of 50 ms ends a beep.
    first = np.concatenate([[True], np.diff(loud) > rate_hz // 20])
    return [start_ms + sample * 1000 / rate_hz for sample in loud[first]]


def rising_edges(values: Sequence[tuple[int, float]]) -> Iterator[int]:
    """Times at which (time_ms, brightness) turns from dark to bright."""
    for (_, before), (time_ms, after) in itertools.pairwise(values):
        if before < 0.5 <= after:
            yield time_ms
