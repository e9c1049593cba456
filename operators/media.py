"""What a media file is: duration, size, tracks. Safe with hostile files, as child processes do the reading."""

import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from operators.process import environment_without_secrets, limit_memory
from operators.settings import LimitSettings
from operators.sources import StorageOptions, media_url

TIME_LIMIT_S = 60.0
STARTUP_LIMIT_S = 120.0
"""A child's imports, on a cold and busy machine."""

CHILD = [sys.executable, "-m", "operators.container"]

LOOKAHEAD = 64
"""Files a worker may be ahead of the one whose answer is awaited: one that hangs doesn't stop the others."""


@dataclass(frozen=True)
class MediaInfo:
    """What a container says of its content. Times are on the presentation time line, in milliseconds.

    Width and height are those of the upright picture in square pixels; `rotation` (degrees, as the file asks) is
    already applied to them. Video fields are None without a video track (cover art is none), audio fields without one.
    """

    duration_ms: int
    width: int | None
    height: int | None
    fps: float | None
    rotation: int
    video_codec: str | None
    audio_codec: str | None
    video_start_ms: int | None
    video_end_ms: int | None
    audio_start_ms: int | None
    audio_end_ms: int | None

    @property
    def has_video(self) -> bool:
        """Whether there is a video track."""
        return self.video_codec is not None

    @property
    def has_audio(self) -> bool:
        """Whether there is a sound track."""
        return self.audio_codec is not None


class UnreadableMedia(Exception):  # noqa: N818 - it is a finding about a file, returned as often as raised
    """A file that can't be labelled.

    Attributes:
        reason: why, in words for people.
        retryable: whether another attempt may succeed (storage, permissions) or not (the file itself).
        status: one of `schema.FAILED`.
    """

    def __init__(self, reason: str, retryable: bool = False, status: str = "unreadable") -> None:
        super().__init__(reason)
        self.reason = reason
        self.retryable = retryable
        self.status = status


def probe(
    uri: str,
    time_limit_s: float = TIME_LIMIT_S,
    storage_options: StorageOptions | None = None,
    limits: LimitSettings | None = None,
) -> MediaInfo:
    """Read the header of one file, in a child process.

    Raises:
        UnreadableMedia: it is missing, no media, damaged, or takes too long.
    """
    ((_, found),) = probe_many([uri], 1, time_limit_s, storage_options, limits)
    if isinstance(found, UnreadableMedia):
        raise found
    return found


def probe_many(
    uris: Iterable[str],
    workers: int,
    time_limit_s: float = TIME_LIMIT_S,
    storage_options: StorageOptions | None = None,
    limits: LimitSettings | None = None,
) -> Iterator[tuple[str, MediaInfo | UnreadableMedia]]:
    """Read the headers of many files, in the order given.

    A file that crashes or hangs libav costs its own answer and one child process, which is replaced.

    Args:
        uris: local paths or addresses that fsspec knows.
        workers: child processes, each used for many files.
        time_limit_s: for one file.
        storage_options: fsspec's.
        limits: what a file may ask for.
    """
    children = _Children(time_limit_s, storage_options, limits or LimitSettings())
    waiting: deque[tuple[str, Future[MediaInfo | UnreadableMedia]]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for uri in uris:
            waiting.append((uri, pool.submit(children.ask, uri)))
            if len(waiting) > workers * LOOKAHEAD:
                name, answer = waiting.popleft()
                yield name, answer.result()
        while waiting:
            name, answer = waiting.popleft()
            yield name, answer.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        children.close()


class _Children:
    """One child process a thread, started when first needed."""

    def __init__(self, time_limit_s: float, storage_options: StorageOptions | None, limits: LimitSettings) -> None:
        self._time_limit_s = time_limit_s
        self._limits = limits
        self._storage_options = dict(storage_options or {})
        self._local = threading.local()
        self._all: list[_Child] = []

    def ask(self, uri: str) -> MediaInfo | UnreadableMedia:
        # Signed here: the child gets an address, never the credentials.
        url = media_url(uri, self._storage_options)
        question = {"uri": uri, "url": url, "limits": self._limits.model_dump()}
        # Twice: a child may have been killed by something else than this file.
        answer = self._child().ask(question, self._time_limit_s) or self._child().ask(question, self._time_limit_s)
        return answer or UnreadableMedia("damaged: reading its header crashed the media library")

    def _child(self) -> "_Child":
        child: _Child | None = getattr(self._local, "child", None)
        if child is None or not child.alive:
            child = self._local.child = _Child(self._limits.max_memory_mb)
            self._all.append(child)
        return child

    def close(self) -> None:
        for child in self._all:
            child.close()


class _Child:
    """A process of `operators.container` that answers one question a line."""

    def __init__(self, max_memory_mb: int) -> None:
        # The child finds our modules where we do. It has no terminal, and libav's messages are not for it.
        environment = environment_without_secrets() | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(  # noqa: S603
            CHILD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        limit_memory(self._process.pid, max_memory_mb)
        if not self._line(STARTUP_LIMIT_S):
            self.close()
            raise RuntimeError("the process that reads media headers did not start; try: python -m operators.container")

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, question: dict[str, Any], time_limit_s: float) -> MediaInfo | UnreadableMedia | None:
        """Ask one question; None where the process ends instead of answering."""
        line: bytes | None = b""
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
            line = self._line(time_limit_s)
        except BrokenPipeError:
            pass
        if line:
            answer = json.loads(line)
            return MediaInfo(**answer["info"]) if "info" in answer else UnreadableMedia(**answer["unreadable"])
        self.close()
        if line is None:
            return UnreadableMedia(f"reading its header took longer than {time_limit_s:g} s", retryable=True)
        return None

    def _line(self, time_limit_s: float) -> bytes | None:
        """Read a line; None where none comes in time, empty where the process has ended."""
        stream = self._process.stdout
        deadline = time.monotonic() + time_limit_s
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)  # type: ignore[arg-type]
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return None
                chunk = os.read(stream.fileno(), 1 << 16)  # type: ignore[union-attr]
                if not chunk:
                    return b""
                line += chunk
        return line

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
