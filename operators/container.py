"""Read a container's header with libav, in this process. Run as a module, it answers `operators.media` line by line."""

import json
import logging
import math
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av
import av.error
import av.logging

from operators.media import MediaInfo, UnreadableMedia
from operators.settings import LimitSettings
from operators.sniff import describe_content, mp4_lacks_index
from operators.sources import DEMUXERS, is_local, media_url, options_for

HEADERLESS = frozenset(
    "aac ac3 amr amrnb amrwb av1 dts eac3 h264 hevc ivf m4v mp3 mpegvideo obu tta vvc yuv4mpegpipe".split()
)
"""Demuxers without a duration in a header: libav guesses it from the bit rate, so packets are counted instead."""

PACKETS_FOR_A_FRAME = 500
"""The first frame is looked for in so many packets: it says how the picture is rotated."""


def inspect(uri: str, url: str | None = None, limits: LimitSettings | None = None) -> MediaInfo:
    """Read the header of a file; `url` is what `sources.media_url` makes of it, `limits` are what it may ask for.

    libav runs in this process: a hostile file may crash or hang it. `media.probe` is for those who'd rather live.

    Raises:
        UnreadableMedia: with the reason.
    """
    limits = limits or LimitSettings()
    try:
        if is_local(uri):
            _check_file(Path(uri))
        url = url or media_url(uri)
        options = {"format_whitelist": DEMUXERS, **options_for(url)}

        def open_media() -> Any:
            return av.open(url, options=options)

        try:
            with open_media() as container:
                return _describe(container, limits, open_media)
        except (av.error.HTTPError, av.error.HTTPClientError) as error:  # the message only: the address is signed
            raise UnreadableMedia(f"the storage said: {error.strerror}", retryable=True) from error
        except (av.error.FFmpegError, MemoryError, _NoTracks) as error:
            # Some of libav's errors are OSErrors by name ("operation not permitted": it can't seek) and say nothing
            # of the storage, which has just given the file out.
            if is_local(uri) or not isinstance(error, OSError):
                raise UnreadableMedia(_explain(uri, error)) from error
            raise
    except FileNotFoundError as error:
        raise UnreadableMedia("no such file", retryable=True, status="missing") from error
    except PermissionError as error:
        raise UnreadableMedia("permission denied", retryable=True) from error
    except OSError as error:
        raise UnreadableMedia(f"can't be read: {error.strerror or error}", retryable=True) from error


class _NoTracks(Exception):  # noqa: N818
    pass


def _check_file(path: Path) -> None:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableMedia("not a regular file")
    if status.st_size == 0:
        raise UnreadableMedia("empty file (0 bytes)")
    with path.open("rb"):
        pass  # raises PermissionError, which libav's message would hide


def _explain(uri: str, error: Exception) -> str:
    """Say in people's words why libav found nothing to play."""
    if is_local(uri):
        with Path(uri).open("rb") as file:
            content = describe_content(file.read(4096))
            if content:
                return f"not a media file: the content is {content}"
            if mp4_lacks_index(file, Path(uri).stat().st_size):
                return "truncated: the index (moov atom) is missing"
    if isinstance(error, _NoTracks):
        return str(error)
    return "not a media file, or its beginning is damaged"


def _describe(container: Any, limits: LimitSettings, open_media: Callable[[], Any]) -> MediaInfo:
    streams = container.streams
    if len(streams) > limits.max_tracks:
        raise UnreadableMedia(f"it has {len(streams)} tracks; {limits.max_tracks} are read at most (limits.max_tracks)")
    video = next((s for s in streams.video if _is_video(s)), None)
    audio = next((s for s in streams.audio if s.codec_context is not None and s.codec_context.sample_rate), None)
    if video is None and audio is None:
        announced = [s for s in (*streams.video, *streams.audio) if not _is_cover(s)]
        damaged = "its tracks are damaged, or of a kind that can't be decoded"
        raise _NoTracks(damaged if announced else "no audio and no video track")
    origin_s = (container.start_time or 0) / av.time_base
    width, height, rotation = _upright_size(container, video, limits) if video is not None else (None, None, 0)
    spans = {s.index: _header_span_ms(s, origin_s) for s in (video, audio) if s is not None}
    duration_ms = round(container.duration / 1000) if container.duration else 0
    # A header that promises more than can be is checked against the packets.
    # So is one whose media begin before zero: some headers count from there, some from the beginning.
    longest_ms = limits.max_hours * 3_600_000
    unsure = container.format.name in HEADERLESS or origin_s < 0
    if unsure or not 0 < duration_ms <= longest_ms:
        with open_media() as unread:  # not every container can be rewound
            spans = _measure_ms(unread, list(spans), origin_s)
        duration_ms = max(end or 0 for _, end in spans.values())
    if duration_ms > longest_ms:
        hours = f"{duration_ms / 3_600_000:.0f} hours"
        raise UnreadableMedia(
            f"damaged, or too long: its time stamps span {hours}; {limits.max_hours:g} at most are labelled "
            "(limits.max_hours)"
        )
    if duration_ms <= 0:
        raise UnreadableMedia("holds no sound and no picture: its tracks are empty")
    video_span = spans[video.index] if video is not None else (None, None)
    audio_span = spans[audio.index] if audio is not None else (None, None)
    return MediaInfo(
        duration_ms=duration_ms,
        width=width,
        height=height,
        fps=_fps(video),
        rotation=rotation,
        video_codec=video.codec_context.name if video is not None else None,
        audio_codec=audio.codec_context.name if audio is not None else None,
        video_start_ms=video_span[0],
        video_end_ms=video_span[1],
        audio_start_ms=audio_span[0],
        audio_end_ms=audio_span[1],
    )


def _is_video(stream: Any) -> bool:
    """Whether a stream is moving pictures that can be decoded: cover art isn't."""
    return not _is_cover(stream) and stream.codec_context is not None and stream.codec_context.width > 0


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _upright_size(container: Any, video: Any, limits: LimitSettings) -> tuple[int, int, int]:
    """Return width and height, upright and in square pixels, and the rotation (degrees)."""
    width, height = video.codec_context.width, video.codec_context.height
    if width * height > limits.max_pixels:
        raise UnreadableMedia(f"its pictures of {width}x{height} pixels are more than limits.max_pixels allows")
    aspect = video.sample_aspect_ratio or 1
    frame = next(_first_frames(container, video), None)
    rotation = round(frame.rotation) % 360 if frame is not None else 0
    wide = max(1, round(width * aspect))
    return (height, wide, rotation) if rotation in (90, 270) else (wide, height, rotation)


def _first_frames(container: Any, video: Any) -> Iterator[Any]:
    video.codec_context.thread_count = 1
    for count, packet in enumerate(container.demux(video)):
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            continue
        if count >= PACKETS_FOR_A_FRAME:
            return


def _header_span_ms(stream: Any, origin_s: float) -> tuple[int | None, int | None]:
    """Return start and end of a stream as its header has them."""
    if stream.start_time is None:
        return None, None
    start_s = float(stream.start_time * stream.time_base) - origin_s
    end_ms = None if stream.duration is None else round((start_s + float(stream.duration * stream.time_base)) * 1000)
    return round(start_s * 1000), end_ms


def _measure_ms(container: Any, indices: list[int], origin_s: float) -> dict[int, tuple[int | None, int | None]]:
    """Return start and end of each stream, from its packets."""
    spans: dict[int, tuple[float, float]] = {}
    try:
        for packet in container.demux(*[container.streams[index] for index in indices]):
            if packet.pts is not None:
                start_s = float(packet.pts * packet.time_base) - origin_s
                end_s = start_s + float((packet.duration or 0) * packet.time_base)
                first, last = spans.get(packet.stream_index, (math.inf, -math.inf))
                spans[packet.stream_index] = (min(first, start_s), max(last, end_s))
    except av.error.FFmpegError:
        pass  # what could be read counts
    return {
        index: (round(spans[index][0] * 1000), round(spans[index][1] * 1000)) if index in spans else (None, None)
        for index in indices
    }


def _fps(video: Any) -> float | None:
    rate = video and (video.average_rate or video.guessed_rate)
    return float(rate) if rate else None


def serve() -> None:
    """Answer questions ({"uri", "url", "limits"}, one JSON object a line) until stdin ends."""
    av.logging.set_level(av.logging.ERROR)
    logging.disable()
    print("ready", flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            info = inspect(question["uri"], question["url"], LimitSettings(**question["limits"]))
            answer: dict[str, Any] = {"info": asdict(info)}
        except UnreadableMedia as error:
            answer = {"unreadable": {"reason": error.reason, "retryable": error.retryable, "status": error.status}}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
