"""Who may ask: pages of this server in the browser that was given its address. Every other page is refused.

The address that `fv2es view` prints carries a token behind its `#`, which no browser sends anywhere by itself; the page
sends it as a header, which no other page can. There is no cookie: a cookie of 127.0.0.1 goes to every port of it, so
other servers on this machine would be told it. A player can't send headers, so the address of a video ends in a ticket,
made from the token for that video alone.

Names of others that lead to 127.0.0.1 (DNS rebinding) are refused by the Host header, other pages by Origin and
Sec-Fetch-Site.
"""

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

TOKEN_HEADER = "X-FV2ES-Token"  # noqa: S105 - the name of a header
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
READING = ("GET", "HEAD")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",  # what was said in a video is not left in a browser's cache
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Access:
    """The token of one server, and what follows from it."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)

    def ticket(self, video_id: str) -> str:
        """What opens one video, and no other."""
        return hmac.new(self.token.encode(), video_id.encode(), hashlib.sha256).hexdigest()

    def refusal(self, request: web.Request) -> str | None:
        """Why a request is refused, in words for whoever sees the answer; None for one that is not."""
        if _name_of(request.host) not in LOOPBACK_NAMES:
            return "this server answers to 127.0.0.1 and localhost only"
        if not request.path.startswith(("/api/", "/media/")):
            return None  # the page itself: the same for everyone, and it holds nothing
        if request.headers.get("Origin", _origin_of(request)) != _origin_of(request):
            return "another page asks"
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return "another page asks"
        if request.method not in READING and "Origin" not in request.headers:
            return "what changes something must say which page asks"
        if request.path.startswith("/media/"):
            expected, given = self.ticket(request.match_info.get("video_id", "")), request.match_info.get("ticket", "")
        else:
            expected, given = self.token, request.headers.get(TOKEN_HEADER, "")
        if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogateescape")):
            return "the token is missing or of another run: open the address that `fv2es view` has printed"
        return None

    @property
    def middleware(self) -> Middleware:
        """What stands before every handler."""

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            refused = self.refusal(request)
            if refused:
                return web.json_response({"error": refused}, status=403)
            return await handler(request)

        return check


async def set_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Give every answer, errors too, the headers that keep a page to itself."""
    response.headers.update(HEADERS)
    response.headers.pop("Server", None)


def _origin_of(request: web.Request) -> str:
    return f"http://{request.host}"


def _name_of(host: str) -> str | None:
    try:
        return urlsplit(f"http://{host}").hostname
    except ValueError:
        return None
