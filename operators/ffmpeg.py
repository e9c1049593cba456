"""Which ffmpeg runs, and the arguments that make it put media on our time line."""

import os
import re
import shutil
import subprocess
from typing import Any

import ffmpeg
import imageio_ffmpeg

from operators.schema import PCM_RATE_HZ
from operators.sources import DEMUXERS, options_for

BINARY_VARIABLE = "FV2ES_FFMPEG"
OLDEST_MAJOR = 6  # the first that tells the time of each frame it writes (-stats_enc_pre)

RESAMPLER_MARGIN_MS = 100
MAX_ALLOCATION_BYTES = 1 << 30
RESYNC_S = 0.010
"""Sound that is further than this from its time stamps is moved by silence or a cut. Closer is left alone: containers
round time stamps to a millisecond or so."""


def find_ffmpeg() -> str:
    """Return the path of the ffmpeg to run: FV2ES_FFMPEG's, else the pinned wheel's.

    A system's own ffmpeg is used only on request: decoders differ a little between versions, and labels with them.

    Raises:
        FileNotFoundError: FV2ES_FFMPEG names nothing that can be run.
        ValueError: its ffmpeg is too old.
    """
    asked = os.environ.get(BINARY_VARIABLE)
    if not asked:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    path = shutil.which(asked)
    if path is None:
        raise FileNotFoundError(f"{BINARY_VARIABLE} is {asked!r}, but there is no such program")
    banner = subprocess.run([path, "-version"], capture_output=True, text=True, check=True).stdout  # noqa: S603
    version = re.search(r"version n?(\d+)\.", banner)
    if version and int(version[1]) < OLDEST_MAJOR:
        raise ValueError(
            f"{BINARY_VARIABLE}: {path} is ffmpeg {version[1]}, but {OLDEST_MAJOR} or newer is needed; "
            f"unset {BINARY_VARIABLE} to use the one that comes with FV2ES"
        )
    return path


def open_input(url: str, seek_ms: int, max_pixels: int, loop_filter: bool, on_gpu: bool = False) -> Any:
    """Describe the input: opened as a plain container, on the presentation time line (0 = where a player starts).

    Frames of more than `max_pixels` are not decoded. `loop_filter`: whether decoders smooth the edges of blocks.
    `on_gpu`: by NVDEC; see `operators.nvdec`.
    """
    options: dict[str, Any] = {
        "format_whitelist": DEMUXERS,
        **options_for(url),
        "threads": 1,
        "max_pixels": max_pixels,
        "flags": "-output_corrupt",  # no grey ghosts of pictures whose key frame lies before the seek
    }
    if not loop_filter:
        options["skip_loop_filter"] = "all"
    if on_gpu:
        options["hwaccel"] = "cuda"
    if seek_ms > 0:
        # To the key frame at or before it; what lies between is decoded and dropped by our own filters, which know the
        # absolute time.
        options |= {"ss": f"{seek_ms / 1000:.3f}", "noaccurate_seek": None}
    return ffmpeg.input(url, **options)


def sound_output(media: Any, start_ms: int, end_ms: int) -> Any:
    """Describe the first sound track in [start_ms, end_ms) as s16le mono on stdout; the first sample is at start_ms.

    Late starts and gaps are filled with silence. Filtering begins RESAMPLER_MARGIN_MS before start_ms and runs on as
    long after end_ms, where the reader stops, so that a filter's ends are not heard. Two resamplers, as the second
    counts samples in its input's rate.
    """
    first_s, last_s = max(0, start_ms - RESAMPLER_MARGIN_MS) / 1000, (end_ms + RESAMPLER_MARGIN_MS) / 1000
    filters = [
        f"atrim=start={first_s:.3f}:end={last_s:.3f}",
        f"aresample={PCM_RATE_HZ}:out_chlayout=mono:out_sample_fmt=flt",
        f"aresample={PCM_RATE_HZ}:async=1:min_comp=0.0001:min_hard_comp={RESYNC_S}"
        f":first_pts={start_ms * PCM_RATE_HZ // 1000}",
    ]
    return ffmpeg.output(media["a:0"], "pipe:1", format="s16le", acodec="pcm_s16le", af=",".join(filters))


def frames_output(media: Any, frames: range, step_ms: int, size: tuple[int, int], frames_fd: int, times_fd: int) -> Any:
    """Describe the frames on show at the grid indices `frames` as raw RGB on `frames_fd`.

    For each frame a line with its grid index goes to `times_fd` before it. `round=up` makes a frame the one on show at
    a time: the last that began at it or before.
    """
    filters = [
        f"fps=fps=1000/{step_ms}:round=up",
        f"trim=start_pts={frames.start}:end_pts={frames.stop}",
        f"scale={size[0]}:{size[1]}:flags=area",
        "format=rgb24",  # `pix_fmt` alone has another scaler make RGB, in another way, once the picture has changed
    ]
    options = {"stats_enc_pre:v": f"pipe:{times_fd}", "stats_enc_pre_fmt:v": "{pts}"}
    return ffmpeg.output(
        media["V:0"],
        f"pipe:{frames_fd}",
        format="rawvideo",
        pix_fmt="rgb24",
        fps_mode="passthrough",
        vf=",".join(filters),
        **options,
    )


def unused_output(media: Any, track: str, end_ms: int) -> Any:
    """Describe a track ("V:0" or "a:0") up to `end_ms` that is read but neither decoded nor kept.

    ffmpeg seeks, and finds the zero of the time line, by the tracks in use: each pass over a file must use the same.
    """
    codec = {"vcodec": "copy"} if track.startswith("V") else {"acodec": "copy"}
    return ffmpeg.output(media[track], "-", format="null", to=f"{end_ms / 1000:.3f}", **codec)


def command(binary: str, outputs: list[Any]) -> list[str]:
    """Build the argument list of one ffmpeg process that writes the outputs."""
    merged = outputs[0] if len(outputs) == 1 else ffmpeg.merge_outputs(*outputs)
    flags = ["-nostdin", "-copyts", "-start_at_zero", "-filter_threads", "1", "-max_alloc", str(MAX_ALLOCATION_BYTES)]
    return [binary, "-hide_banner", "-loglevel", "level+warning", *flags, *ffmpeg.get_args(merged)]
