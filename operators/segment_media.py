"""Read one segment: its sound, and its frames straight into the face detector."""

import itertools
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

from operators import ffmpeg
from operators.faces import Face, FaceDetector
from operators.process import STDERR_TAIL_BYTES, Process
from operators.schema import PCM_RATE_HZ
from operators.settings import DecodeSettings, LimitSettings
from operators.timeline import Reach, seek_before

FRAMES_AT_ONCE = 4
"""Frames a call of a detector on a CPU core: more is no faster, they only leave its cache."""

FAR_SEEK_MS = 30_000
"""How much further back the frames are looked for that a seek has missed."""

PCM_SAMPLE_BYTES = 2


@dataclass
class SegmentMedia:
    """What a segment yielded.

    `pcm` is s16le mono at 16 kHz whose first sample is at `pcm_start_ms`; None without sound. `frame_indices` are the
    grid indices of the frames looked at, rising; `faces` are (grid index, face), in the same order.
    """

    pcm: bytearray | None = None
    pcm_start_ms: int | None = None
    frame_indices: list[int] = field(default_factory=list)
    faces: list[tuple[int, Face]] = field(default_factory=list)
    faces_s: float = 0.0
    frames_began: float | None = None  # when the first frame came, by time.monotonic()
    stderr_tail: str = ""
    error: str | None = None  # the last that ffmpeg told of, if it concerns the segment
    timed_out: bool = False


class SegmentReader:
    """Reads the segments of one file.

    Args:
        url: from `sources.media_url`.
        size: width and height that frames are scaled to; None without video.
        has_sound: whether there is a sound track.
        on_gpu: whether its video is decoded by NVDEC.
        frames_at_once: that the face detector is given.
    """

    def __init__(
        self,
        binary: str,
        url: str,
        size: tuple[int, int] | None,
        has_sound: bool,
        settings: DecodeSettings,
        limits: LimitSettings,
        faces: FaceDetector,
        on_gpu: bool = False,
        frames_at_once: int = FRAMES_AT_ONCE,
    ) -> None:
        self._on_gpu = on_gpu
        self._frames_at_once = frames_at_once
        self._binary = binary
        self._url = url
        self._size = size
        self._has_sound = has_sound
        self._settings = settings
        self._limits = limits
        self._faces = faces

    def read(self, reach: Reach, sound_blocks: list[tuple[int, int]]) -> SegmentMedia:
        """Decode frames and sound.

        From the start of a file all frames and the first block of sound come in one pass. Behind a seek frames have one
        of their own: sound is needed from further back, and video in front of the first frame costs most. Sound takes a
        short pass a block (`sound_blocks`, milliseconds; see `timeline.sound_blocks`) to be the same in every segment.
        These passes run beside that of the frames: each would leave a core idle while its process begins and ends.
        """
        media = SegmentMedia()
        blocks = sound_blocks if self._has_sound else []
        frames = reach.frames if self._size else None
        together = blocks[:1] if frames is not None and reach.seek_ms == 0 else []
        with ThreadPoolExecutor(1) as beside:
            others = beside.submit(self._read_blocks, blocks[len(together) :])
            if frames is not None:
                self._run(media, reach.seek_ms, sound=together[0] if together else None, frames=frames)
                if reach.seek_ms > 0:
                    self._read_missed_frames(media, reach)
        if together and media.pcm is None and not media.frame_indices:
            # A track that can't even be set up stops the other one too: try each alone.
            self._run(media, 0, frames=frames)
            self._add(media, reach, self._read_blocks(together))
        self._add(media, reach, others.result())
        return media

    def _read_missed_frames(self, media: SegmentMedia, reach: Reach) -> None:
        """Look from further back for frames before the first that came.

        In containers without an index (transport streams) a seek may land behind the key frame that was needed.
        """
        found = media.frame_indices[0] if media.frame_indices else reach.frames.stop
        if found == reach.frames.start:
            return
        head = SegmentMedia()
        self._run(head, max(0, reach.seek_ms - FAR_SEEK_MS), frames=range(reach.frames.start, found))
        media.frame_indices[:0] = head.frame_indices
        media.faces[:0] = head.faces
        media.faces_s += head.faces_s
        media.timed_out |= head.timed_out

    def _read_blocks(self, blocks: list[tuple[int, int]]) -> list[tuple[tuple[int, int], SegmentMedia]]:
        """Blocks of sound, each with what it yielded; none behind one that has timed out."""
        read = []
        for block in blocks:
            part = SegmentMedia()
            self._run(part, seek_before(block[0]), sound=block)
            read.append((block, part))
            if part.timed_out:
                break
        return read

    def _add(self, media: SegmentMedia, reach: Reach, read: list[tuple[tuple[int, int], SegmentMedia]]) -> None:
        """Put blocks of sound in their places, after silence where what is before one has ended early."""
        for block, part in read:
            if media.timed_out:
                return
            if part.pcm is not None:
                media.pcm = bytearray() if media.pcm is None else media.pcm
                media.pcm_start_ms = reach.sound_start_ms
                media.pcm += bytes(pcm_bytes(block[0] - reach.sound_start_ms) - len(media.pcm))
                media.pcm += part.pcm
            media.timed_out = part.timed_out
            media.error = part.error or media.error
            media.stderr_tail = (media.stderr_tail + part.stderr_tail)[-STDERR_TAIL_BYTES:]

    def _run(
        self,
        media: SegmentMedia,
        seek_ms: int,
        sound: tuple[int, int] | None = None,
        frames: range | None = None,
    ) -> None:
        """Run one ffmpeg and add what it yields to `media`; nothing once a pass has timed out."""
        if media.timed_out:
            return
        on_gpu = self._on_gpu and frames is not None
        filters = self._settings.filters_loops
        source = ffmpeg.open_input(self._url, seek_ms, self._limits.max_pixels, filters, on_gpu)
        step_ms = self._settings.frame_step_ms
        outputs: list[Any] = []
        pipes: list[tuple[int, int]] = []
        length_ms = 0
        if sound is not None:
            outputs.append(ffmpeg.sound_output(source, *sound))
            length_ms = sound[1] - seek_ms
        elif self._has_sound and frames is not None:
            outputs.append(ffmpeg.unused_output(source, "a:0", frames.stop * step_ms))
        if frames is not None and self._size is not None:
            pipes = [os.pipe(), os.pipe()]
            (_, frames_fd), (_, times_fd) = pipes
            outputs.append(ffmpeg.frames_output(source, frames, step_ms, self._size, frames_fd, times_fd))
            length_ms = max(length_ms, frames.stop * step_ms - seek_ms)
        elif self._size is not None and sound is not None:
            outputs.append(ffmpeg.unused_output(source, "V:0", sound[1]))
        with ExitStack() as stack:
            readers = [stack.enter_context(os.fdopen(read_fd, "rb", buffering=0)) for read_fd, _ in pipes]
            process = Process(
                ffmpeg.command(self._binary, outputs),
                time_limit_s=self._settings.time_limit_base_s + self._settings.time_limit_factor * length_ms / 1000,
                max_stdout_bytes=pcm_bytes(sound[1] - sound[0]) if sound is not None else 0,
                max_memory_mb=self._limits.max_memory_mb,
                reserves_freely=self._on_gpu,
                hidden=self._url,
                pass_fds=tuple(write_fd for _, write_fd in pipes),
                excused_s=lambda: media.faces_s,
            )
            with process:
                if readers and self._size is not None:
                    self._look(media, read_frames(readers[0], readers[1], self._size, self._frames_at_once))
        if sound is not None and process.stdout:
            media.pcm, media.pcm_start_ms = process.stdout, sound[0]
        media.timed_out |= process.timed_out
        # After a seek a decoder may complain until the next key frame: of media before the segment.
        began = max(process.stdout_began or 0.0, media.frames_began or 0.0)
        if process.last_error and (seek_ms == 0 or began == 0.0 or process.last_error_at > began):
            media.error = process.last_error
        stderr = process.stderr_tail.decode("utf-8", "replace")
        media.stderr_tail = (media.stderr_tail + stderr)[-STDERR_TAIL_BYTES:]

    def _look(self, media: SegmentMedia, batches: Iterator[tuple[list[int], np.ndarray]]) -> None:
        """Find the faces of frames as they come. A frame that is the one before again isn't looked at again.

        Else two frames hours apart would cost hours: the grid between them shows the first, thousands of times.
        """
        last: np.ndarray | None = None
        last_faces: list[Face] = []
        for indices, frames in batches:
            started = time.monotonic()
            media.frames_began = media.frames_began or started
            repeats = [last is not None and np.array_equal(frames[0], last)]
            repeats += [np.array_equal(one, other) for one, other in itertools.pairwise(frames)]
            new = frames[np.logical_not(repeats)]
            found = iter(self._faces.detect(new) if len(new) else [])
            for index, repeated in zip(indices, repeats, strict=True):
                last_faces = last_faces if repeated else next(found)
                media.frame_indices.append(index)
                media.faces.extend((index, face) for face in last_faces)
            last = frames[-1].copy()
            media.faces_s += time.monotonic() - started


def read_frames(
    pixels: IO[bytes], times: IO[bytes], size: tuple[int, int], at_once: int
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Yield (grid indices, frames uint8 RGB [n, H, W, 3]), n <= `at_once`, as they come.

    `times` has a line with the grid index of each frame, written before the frame. The array is reused: take copies.
    """
    width, height = size
    buffer = np.empty((at_once, height, width, 3), np.uint8)
    indices: list[int] = []
    last = -1
    while True:
        whole = _read_into(pixels, memoryview(buffer[len(indices)]).cast("B"))
        if whole:
            index = int(times.readline())
            # A change of the picture's format in mid-stream starts the grid anew, and may repeat an index.
            if index > last:
                indices.append(index)
                last = index
        if len(indices) == at_once or (indices and not whole):
            yield indices, buffer[: len(indices)]
            indices = []
        if not whole:
            return


def _read_into(stream: IO[bytes], view: memoryview) -> bool:
    """Fill the view; False where the stream ends before."""
    filled = 0
    while filled < len(view):
        count = stream.readinto(view[filled:])  # type: ignore[attr-defined]
        if not count:
            return False
        filled += count
    return True


def pcm_bytes(length_ms: int) -> int:
    """Bytes of so many milliseconds of PCM."""
    return length_ms * PCM_RATE_HZ // 1000 * PCM_SAMPLE_BYTES
