"""Take the pictures of the README from an output, with the machine's Chromium: make pictures.

python -m benchmarks.pictures demo/out docs/pictures
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
import typer
from playwright.sync_api import Browser, Page, sync_playwright

from pipelines.report.gather import gather
from pipelines.report.page import render_page
from pipelines.tables import open_tables
from tests.browser.conftest import DESK, FLAGS, NAMES
from tests.view_server import serving

QUALITY = 80  # of WebP, of 100
SEEK = """() => new Promise(done => {
  const video = document.querySelector('video');
  const seek = () => { video.onseeked = done; video.currentTime = video.duration * 0.4; };
  if (video.readyState >= 1) seek(); else video.onloadedmetadata = seek;
})"""
SETTLE_MS = 2000  # for the frame, and what follows the time of the video
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@contextmanager
def opened(browser: Browser, address: str, scheme: Literal["light", "dark"]) -> Iterator[Page]:
    """A page in a window of its own."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": DESK[0], "height": DESK[1]})
    page = context.new_page()
    page.goto(address)
    yield page
    context.close()


def take(page: Page, to: Path) -> None:
    """What the browser's window shows, as a WebP."""
    pixels = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    cv2.imwrite(str(to), pixels, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    typer.echo(f"{to}  {to.stat().st_size / 1000:.0f} kB")


def report(browser: Browser, out: Path, folder: Path) -> None:
    """The report, light and dark: its head and the section on emotions."""
    with tempfile.TemporaryDirectory() as temporary, open_tables(str(out)) as tables:
        page = Path(temporary) / "report.html"
        page.write_text(render_page(gather(tables, str(out))), "utf-8")
        for scheme in SCHEMES:
            with opened(browser, page.as_uri(), scheme) as shown:
                shown.add_style_tag(content="#files { display: none }")
                take(shown, folder / f"report-{scheme}.webp")


def timeline(browser: Browser, out: Path, name: str, folder: Path) -> None:
    """The viewer on one video of the output, light and dark, in the middle of it."""
    with serving(out) as server:
        for scheme in SCHEMES:
            with opened(browser, server.address, scheme) as shown:
                shown.get_by_role("link", name=name).click()
                shown.get_by_role("slider", name="Time in the video").wait_for()
                shown.evaluate(SEEK)
                shown.wait_for_timeout(SETTLE_MS)
                take(shown, folder / f"timeline-{scheme}.webp")


def main(
    out: Annotated[Path, typer.Argument(help="An output.")],
    folder: Annotated[Path, typer.Argument(help="For pictures.")],
    video: Annotated[str, typer.Option(help="Whose timeline is shown.")] = "talking head.mp4",
) -> None:
    """Take all pictures."""
    chromium = next((path for name in NAMES if (path := shutil.which(name))), None)
    if chromium is None:
        raise typer.BadParameter("no Chromium here: apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS, chromium_sandbox=False)
        report(browser, out, folder)
        timeline(browser, out, video, folder)
        browser.close()


if __name__ == "__main__":
    typer.run(main)
