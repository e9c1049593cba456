"""A server of the viewer in a thread of this process, and requests to it as a stranger might make them."""

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.view.access import TOKEN_HEADER, Access
from pipelines.view.outputs import Output
from pipelines.view.server import LOOPBACK, View, listening

START_LIMIT_S = 60


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    """Where it listens, and its token."""

    port: int
    access: Access

    @property
    def address(self) -> str:
        """What `fv2es view` prints."""
        return f"http://{LOOPBACK}:{self.port}/#token={self.access.token}"

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str | None) -> Answer:
        """A request as the page makes it, but for `headers`: None leaves one out, `_` stands for a dash."""
        host = f"{LOOPBACK}:{self.port}"
        sent: dict[str, str | None] = {"Host": host, TOKEN_HEADER: self.access.token}
        if method == "POST":
            sent |= {"Origin": f"http://{host}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=START_LIMIT_S)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def say(self, video_id: str, utterance_index: int, to_emotion: str | None, **more: Any) -> Answer:
        """Send a verdict."""
        key = {"video_id": video_id, "segment_index": 0, "utterance_index": utterance_index}
        return self.ask("/api/annotations", "POST", json.dumps(key | {"to_emotion": to_emotion} | more).encode())


@contextmanager
def serving(out: Path | str, annotator: str = "maria") -> Iterator[Server]:
    """Serve an output."""
    access, ports, loop = Access(), [], asyncio.new_event_loop()
    output = Output(str(out))
    ready, done = threading.Event(), asyncio.Event()

    async def run() -> None:
        async with listening(View(output, annotator, access), 0) as port:
            ports.append(port)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert ready.wait(START_LIMIT_S)
        yield Server(ports[0], access)
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()
        output.close()
