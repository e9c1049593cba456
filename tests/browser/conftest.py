"""Pages in the machine's own Chromium: one browser for all of them, and nothing off this machine."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

NAMES = ("chromium", "chromium-browser")
HERE = "127.0.0.1"
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {HERE}",
]
PATIENCE_MS = 60_000
DESK, PHONE = (1280, 900), (360, 740)

OpenPage = Callable[..., Page]


# Not for the whole session: while Playwright's API for plain functions is in use, no other test could use asyncio.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium, started once; without one the test is skipped."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        # Containers let no user make the namespaces that the sandbox is built of.
        started = playwright.chromium.launch(
            executable_path=found, args=FLAGS, chromium_sandbox=False, timeout=PATIENCE_MS
        )
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """See `pages`."""
    with pages(browser) as open_:
        yield open_


@contextmanager
def pages(browser: Browser) -> Iterator[OpenPage]:
    """Opens pages: `open_page(url, scheme="dark", size=PHONE)`, each with cookies and storage of its own.

    At the end it fails if a page has said an error on its console, or has asked for anything off this machine.
    """
    wrong: list[str] = []
    contexts = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            wrong.append(f"console: {message.text}")

    def open_(
        url: str,
        scheme: Literal["light", "dark"] = "light",
        size: tuple[int, int] = DESK,
        **options: Any,
    ) -> Page:
        context = browser.new_context(
            color_scheme=scheme, viewport={"width": size[0], "height": size[1]}, locale="en-GB", **options
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        context.on("console", on_console)
        context.on("weberror", lambda error: wrong.append(f"error: {error.error}"))
        context.on("request", lambda request: wrong.extend([] if _is_here(request.url) else [f"asked {request.url}"]))
        page = context.new_page()
        page.goto(url)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []


def _is_here(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("file", "data", "blob", "about") or parts.hostname == HERE
