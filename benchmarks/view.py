"""How fast `fv2es view` is on an output that is there: the overview, the video with most utterances, scrolling.

    python -m benchmarks.synthetic BIG --videos 10000 --rows 10000000
    python -m benchmarks.synthetic LONG --videos 1 --rows 5000
    python -m benchmarks.view BIG LONG

Times are of the page in the machine's Chromium, without its window: from the click or the address to rows that can be
read; medians of several. A frame is the time from one repaint to the next while the time line, or the list, scrolls.
"""

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from playwright.sync_api import Browser, Page, sync_playwright

FV2ES = Path(sys.executable).with_name("fv2es")
FRAMES = 240
PATIENCE_MS = 120_000

SCROLLED = """
async ([selector, frames, step]) => {
  const target = document.querySelector(selector);
  const isCanvas = target.tagName === "CANVAS";
  const times = [];
  let before = await new Promise(requestAnimationFrame);
  for (let frame = 0; frame < frames; frame++) {
    if (isCanvas) target.dispatchEvent(new WheelEvent("wheel", { deltaY: step, cancelable: true }));
    else target.scrollTop += step;
    const now = await new Promise(requestAnimationFrame);
    times.push(now - before);
    before = now;
  }
  return times;
}
"""


@contextmanager
def viewing(out: Path) -> Iterator[tuple[str, psutil.Process, float]]:
    """A server; gives its address, its process, and the seconds until it was ready."""
    started = time.monotonic()
    process = subprocess.Popen(
        [str(FV2ES), "view", str(out)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http"), "the server did not start"
        yield address, psutil.Process(process.pid), time.monotonic() - started
    finally:
        process.terminate()
        process.wait()


def seconds_until(page: Page, address: str, selector: str) -> float:
    """From asking for an address until something is there."""
    started = time.monotonic()
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector(selector, timeout=PATIENCE_MS)
    return time.monotonic() - started


def frames(page: Page, selector: str, step: int) -> dict[str, float]:
    """How long frames take while something scrolls, in milliseconds."""
    times = sorted(page.evaluate(SCROLLED, [selector, FRAMES, step]))
    return {
        "median_ms": round(statistics.median(times), 1),
        "p95_ms": round(times[int(0.95 * len(times))], 1),
        "worst_ms": round(times[-1], 1),
    }


def measure(browser: Browser, out: Path, runs: int) -> dict[str, Any]:
    """All figures of one output."""
    with viewing(out) as (address, server, ready_s):
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        first_s = seconds_until(page, address, ".row a")
        again_s = [seconds_until(page, address, ".row a") for _ in range(runs)]
        overview = frames(page, ".rows", 230)
        page.get_by_role("button", name="Utterances").click()
        name = page.locator(".row a").first.inner_text()
        utterances = page.locator(".row .utterances").nth(1).inner_text()
        video = address.partition("#")[0] + (page.locator(".row a").first.get_attribute("href") or "")
        opened_s = [seconds_until(page, video, ".utterance") for _ in range(runs)]
        time_line = frames(page, ".tracks", 60)
        page.keyboard.press("0")
        page.get_by_role("button", name="Zoom in").click()
        page.get_by_role("button", name="Zoom in").click()
        far_out = frames(page, ".tracks", 5)
        transcript = frames(page, ".utterances", 170)
        return {
            "out": str(out),
            "ready_s": round(ready_s, 2),
            "overview_first_s": round(first_s, 2),
            "overview_again_s": round(statistics.median(again_s), 2),
            "overview_frames": overview,
            "video": name,
            "utterances": utterances,
            "video_open_s": round(statistics.median(opened_s), 2),
            "time_line_frames": time_line,
            "time_line_far_out_frames": far_out,
            "transcript_frames": transcript,
            "server_mb": round(server.memory_info().rss / 1e6),
        }


def main(outs: Annotated[list[Path], typer.Argument(help="Outputs of jobs.")], runs: int = 5) -> None:
    """Measure each output; print one JSON object a line."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("No Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, chromium_sandbox=False, args=["--disable-gpu"])
        for out in outs:
            typer.echo(json.dumps(measure(browser, out, runs)))
        browser.close()


if __name__ == "__main__":
    typer.run(main)
