"""A proxy on loopback that stands before a store and spoils answers as it is told: errors, cuts, slowness."""

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

PIECE_BYTES = 16_384
HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive"}


@dataclass
class Request:
    """What was asked, and how many bytes of body went back."""

    method: str
    path: str
    range: str | None
    sent_bytes: int = 0


@dataclass
class Fault:
    """What is done to the next `times` requests that match.

    `status` answers with an error of that number; `cut_after_bytes` closes the connection in the middle of the body
    that comes back, or of the one that is sent (0: no answer at all); `bytes_per_s` is how slowly the body comes.
    """

    method: str = "GET"
    contains: str = ""
    times: int = 1
    status: int | None = None
    cut_after_bytes: int | None = None
    bytes_per_s: int | None = None

    def matches(self, request: Request) -> bool:
        return self.times > 0 and request.method == self.method and self.contains in request.path


@dataclass
class FaultProxy:
    """A running proxy: its address, what it was asked, and the faults it is to make."""

    address: str
    requests: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    on_request: Callable[[Request], None] = lambda request: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take_fault(self, request: Request) -> Fault | None:
        with self.lock:
            self.requests.append(request)
            for fault in self.faults:
                if fault.matches(request):
                    fault.times -= 1
                    return fault
        return None


@contextmanager
def fault_proxy(target: str) -> Iterator[FaultProxy]:
    """A proxy before `target` (http://host:port)."""
    host = urlsplit(target).netloc
    proxy = FaultProxy("")

    class Handler(BaseHTTPRequestHandler):
        def setup(self) -> None:
            # What lies in buffers counts as sent: small ones, so that it is little more than what was read.
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
            super().setup()

        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def answer(self) -> None:
            request = Request(self.command, self.path, self.headers.get("Range"))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = proxy.take_fault(request)
            proxy.on_request(request)
            if fault is not None and fault.cut_after_bytes == 0:
                self.close_connection = True
                return
            if fault is not None and fault.status is not None:
                self.send_response(fault.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            upstream = http.client.HTTPConnection(host, timeout=120)
            try:
                # The Host header stays: it is part of what the client has signed.
                if body and fault is not None and fault.cut_after_bytes is not None:
                    upstream.request(self.command, self.path, body[: fault.cut_after_bytes], dict(self.headers.items()))
                    self.close_connection = True
                    return
                upstream.request(self.command, self.path, body, dict(self.headers.items()))
                self.relay(upstream.getresponse(), request, fault)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
            finally:
                upstream.close()

        def relay(self, response: http.client.HTTPResponse, request: Request, fault: Fault | None) -> None:
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name.lower() not in HOP_BY_HOP | {"date", "server"}:
                    self.send_header(name, value)
            if self.command != "HEAD" and response.getheader("Content-Length") is None:
                self.close_connection = True
                self.send_header("Connection", "close")
            self.end_headers()
            while piece := response.read(PIECE_BYTES):
                if fault is not None and fault.cut_after_bytes is not None:
                    piece = piece[: max(0, fault.cut_after_bytes - request.sent_bytes)]
                    if not piece:
                        self.close_connection = True
                        return
                if fault is not None and fault.bytes_per_s:
                    time.sleep(len(piece) / fault.bytes_per_s)
                self.wfile.write(piece)
                request.sent_bytes += len(piece)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer  # noqa: N815 - the names that http.server asks for

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
