"""Take the pictures of the README from an output, with the machine's Chromium: make pictures.

python -m benchmarks.pictures demo/out docs/pictures
"""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
import typer
from playwright.sync_api import Browser, sync_playwright

from pipelines.report.gather import gather
from pipelines.report.page import render_page
from pipelines.tables import open_tables
from tests.browser.conftest import DESK, FLAGS, NAMES

QUALITY = 80  # of WebP, of 100
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def take(browser: Browser, address: str, scheme: Literal["light", "dark"], to: Path, without: str) -> None:
    """What a page shows first but for some parts, as a WebP of the browser's window."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": DESK[0], "height": DESK[1]})
    page = context.new_page()
    page.goto(address)
    page.add_style_tag(content=f"{without} {{ display: none }}")
    pixels = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    cv2.imwrite(str(to), pixels, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    context.close()
    typer.echo(f"{to}  {to.stat().st_size / 1000:.0f} kB")


def report(browser: Browser, out: Path, folder: Path) -> None:
    """The report, light and dark: its head and the section on emotions."""
    with tempfile.TemporaryDirectory() as temporary, open_tables(str(out)) as tables:
        page = Path(temporary) / "report.html"
        page.write_text(render_page(gather(tables, str(out))), "utf-8")
        for scheme in SCHEMES:
            take(browser, page.as_uri(), scheme, folder / f"report-{scheme}.webp", without="#files")


def main(
    out: Annotated[Path, typer.Argument(help="An output.")],
    folder: Annotated[Path, typer.Argument(help="For pictures.")],
) -> None:
    """Take all pictures."""
    chromium = next((path for name in NAMES if (path := shutil.which(name))), None)
    if chromium is None:
        raise typer.BadParameter("no Chromium here: apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS, chromium_sandbox=False)
        report(browser, out, folder)
        browser.close()


if __name__ == "__main__":
    typer.run(main)
