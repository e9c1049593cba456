"""The server behind the page: HTTP on the loopback interface, which nobody but this machine can reach.

Its answers are the page's files, the tables as JSON, ranges of videos, and the place that verdicts are sent to.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from importlib import resources
from typing import Any, BinaryIO

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.emotions import EMOTIONS
from operators.commit import OutputError
from pipelines import annotations
from pipelines.annotations import Annotation, AnnotationLog
from pipelines.errors import JobError, SettingsError
from pipelines.view.access import Access, set_headers
from pipelines.view.colours import style_sheet
from pipelines.view.media import MediaError, MediaFiles, content_type
from pipelines.view.outputs import Output, UnknownVideoError, Video, described, in_columns
from pipelines.view.ranges import UnsatisfiableError, asked_range

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 1 << 20
MAX_REQUEST_BYTES = 10_000

PAGE = resources.files("pipelines.view") / "page"
PAGE_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Verdict(BaseModel):
    """What the page sends: an utterance by its key, and what is said of it; or which verdict is taken back."""

    model_config = ConfigDict(extra="forbid", strict=True)

    video_id: str = Field(max_length=100)
    segment_index: int
    utterance_index: int
    to_emotion: str | None
    undoes: str | None = Field(None, max_length=100)


class View:
    """The handlers of one server.

    Args:
        output: what is shown.
        annotator: in whose name verdicts are kept.
        access: who may ask.
    """

    def __init__(self, output: Output, annotator: str, access: Access) -> None:
        self._output = output
        self._annotator = annotator
        self._access = access
        self._log = AnnotationLog(output.store, annotator)
        self._media = MediaFiles(output.sources)

    def app(self) -> web.Application:
        """The routes, behind what checks who asks."""
        app = web.Application(middlewares=[self._access.middleware, _explain], client_max_size=MAX_REQUEST_BYTES)
        app.on_response_prepare.append(set_headers)
        app.router.add_get("/", _page_file("index.html"))
        for file in PAGE.iterdir():
            app.router.add_get(f"/{file.name}", _page_file(file.name))
        app.router.add_get("/colours.css", _constant(style_sheet().encode(), "text/css"))
        app.router.add_get("/api/corpus", self.corpus)
        app.router.add_get("/api/videos/{video_id}", self.video)
        app.router.add_get("/media/{video_id}/{ticket}", self.media)
        app.router.add_post("/api/annotations", self.annotate)
        return app

    async def corpus(self, request: web.Request) -> web.Response:
        """All videos, and what the page has to know once."""
        videos = await asyncio.to_thread(self._output.overview)
        return web.json_response(
            {
                "out": self._output.store.root,
                "recipe": self._output.partition,
                "annotator": self._annotator,
                "emotions": EMOTIONS,
                "videos": videos,
            }
        )

    async def video(self, request: web.Request) -> web.Response:
        """One video: its utterances, its segments, verdicts on it, and where its media are."""
        return web.json_response(await asyncio.to_thread(self._video, request.match_info["video_id"]))

    def _video(self, video_id: str) -> dict[str, Any]:
        video = self._output.video(video_id)
        spans = list(zip(video.labels["start_ms"].to_pylist(), video.labels["end_ms"].to_pylist(), strict=True))
        verdicts = annotations.on_utterances(self._output.verdicts(video_id), spans)
        return {
            "video": described(video),
            "media": self._described_media(video),
            **in_columns(video),
            "annotations": {place: [_as_json(row) for row in rows] for place, rows in verdicts.items()},
        }

    def _described_media(self, video: Video) -> dict[str, Any]:
        video_id = video.segments["video_id"][0].as_py()
        try:
            with self._media.open(video.file):
                url = f"/media/{video_id}/{self._access.ticket(video_id)}"
                return {"url": url, "type": content_type(video.file.uri), "problem": None}
        except (MediaError, OSError) as error:
            return {"url": None, "type": None, "problem": _in_words(error)}

    async def annotate(self, request: web.Request) -> web.Response:
        """Keep a verdict; it is on disk when the answer goes out."""
        if request.content_type != "application/json":
            return _error(415, "a verdict is JSON")
        try:
            verdict = Verdict.model_validate_json(await request.read())
        except ValidationError as error:
            return _error(400, f"this is no verdict: {error.errors()[0]['msg']}")
        if (verdict.undoes is None) == (verdict.to_emotion is None) or verdict.to_emotion not in (None, *EMOTIONS):
            return _error(400, f"a verdict names one of {', '.join(EMOTIONS)}, or the verdict that it takes back")
        row = await asyncio.to_thread(self._keep, verdict)
        return web.json_response(_as_json(row))

    def _keep(self, verdict: Verdict) -> Annotation:
        labels = self._output.video(verdict.video_id).labels
        key = verdict.segment_index, verdict.utterance_index
        keys = list(zip(*(labels[name].to_pylist() for name in ("segment_index", "utterance_index")), strict=True))
        if key not in keys:
            raise UnknownVideoError(f"{verdict.video_id} has no utterance {key}")
        label = labels.slice(keys.index(key), 1).to_pylist()[0]
        uri = self._output.video(verdict.video_id).file.uri
        label |= {"video_id": verdict.video_id, "uri": uri, "recipe": self._output.partition}
        return self._log.add(label, verdict.to_emotion, verdict.undoes)

    async def media(self, request: web.Request) -> web.StreamResponse:
        """A range of a video, or all of it."""
        video_id = request.match_info["video_id"]
        file = (await asyncio.to_thread(self._output.video, video_id)).file
        context = self._media.open(file)
        opened = await asyncio.to_thread(context.__enter__)
        try:
            return await _send(request, opened, file.size, content_type(file.uri), f'"{video_id}"')
        finally:
            await asyncio.to_thread(context.__exit__, None, None, None)


async def _send(request: web.Request, opened: BinaryIO, size: int, kind: str, etag: str) -> web.StreamResponse:
    """Answer a request for a file's bytes (RFC 9110: Range, If-Range, HEAD)."""
    asked = request.headers.get("Range")
    if request.headers.get("If-Range", etag) != etag:
        asked = None  # parts of another version are no use to who asks
    try:
        part = asked_range(asked, size)
    except UnsatisfiableError:
        return web.json_response(
            {"error": "there are no such bytes"}, status=416, headers={"Content-Range": f"bytes */{size}"}
        )
    response = web.StreamResponse(status=200 if part is None else 206)
    if part is not None:
        response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    part = range(size) if part is None else part
    response.headers.update({"Accept-Ranges": "bytes", "ETag": etag, "Content-Type": kind})
    response.content_length = len(part)
    await response.prepare(request)
    if request.method != "HEAD":
        with suppress(ConnectionError):  # the player has enough, or asks for another part
            await _write(response, opened, part)
    return response


async def _write(response: web.StreamResponse, opened: BinaryIO, part: range) -> None:
    place = part.start
    await asyncio.to_thread(opened.seek, place)
    while place < part.stop:
        chunk = await asyncio.to_thread(opened.read, min(CHUNK_BYTES, part.stop - place))
        if not chunk:
            break  # it was cut while we read; the player sees an answer that is too short
        await response.write(chunk)
        place += len(chunk)
    await response.write_eof()


@web.middleware
async def _explain(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Say what went wrong as the page can show it."""
    try:
        return await handler(request)
    except UnknownVideoError:
        return _error(404, "there is no such video, or no such utterance, in these labels any more: reload the page")
    except MediaError as error:
        return _error(error.status, str(error))
    except (SettingsError, JobError, OutputError) as error:
        return _error(500, str(error))
    except web.HTTPException as error:
        return _error(error.status, error.reason)


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)


def _in_words(error: Exception) -> str:
    return str(error) if isinstance(error, MediaError) else f"The file can't be read: {error}"


def _as_json(row: Annotation) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(row).items()}


def _page_file(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    return _constant((PAGE / name).read_bytes(), PAGE_TYPES[f".{name.rpartition('.')[2]}"])


def _constant(content: bytes, kind: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=content, content_type=kind, charset="utf-8")

    return answer


async def serve(view: View, port: int, on_ready: Callable[[int], None]) -> None:
    """Answer until Ctrl-C or SIGTERM. `on_ready` gets the port, see `listening`.

    Raises:
        SettingsError: the port is taken.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with listening(view, port) as at:
        on_ready(at)
        await stopped.wait()


@asynccontextmanager
async def listening(view: View, port: int) -> AsyncIterator[int]:
    """Answer on this machine alone; gives the port: the one asked for, or a free one for 0.

    Raises:
        SettingsError: the port is taken.
    """
    runner = web.AppRunner(view.app(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, LOOPBACK, port).start()
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            raise SettingsError(f"Port {port} can't be had: {why}. Give another by --port.") from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
