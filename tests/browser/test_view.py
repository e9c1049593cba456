"""The page of `fv2es view` in a browser, used as an annotator uses it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.accessible import violations
from tests.browser.conftest import PHONE, OpenPage
from tests.media import make_flash_beep
from tests.view_output import a_video, said, write_output
from tests.view_server import Server, serving

pytestmark = [pytest.mark.browser, pytest.mark.media]

expect.set_options(timeout=30_000)  # a busy machine is slow, not wrong

SECONDS = 12
PATIENCE_S = 60
HOSTILE = "<img src=x onerror=console.error(1)>.mp4"
UTTERANCES = [
    said(500, 2500, "good morning everyone", "happy", 0.82),
    said(3000, 4500, "this is not good", "angry", 0.64),
    said(5000, 6500, None, "sad", 0.31),
    said(7000, 9500, "<script>console.error(2)</script> all good now", "neutral", 0.55),
]


@dataclass
class Shown:
    """What is served, and where."""

    out: Path
    server: Server
    ids: dict[str, str]

    def address(self, name: str = "") -> str:
        """Of the overview, or of one video."""
        return self.server.address if not name else f"{self.server.address.partition('#')[0]}#/video/{self.ids[name]}"

    def rows(self) -> list[dict[str, Any]]:
        """The verdicts that were kept, in order."""
        files = (self.out / "annotations").glob("*.parquet")
        rows = [row for file in files for row in pq.read_table(file).to_pylist()]
        return sorted(rows, key=lambda row: row["annotated_at"])


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file that browsers play, one that they don't, and one with a hostile name."""
    folder = tmp_path_factory.mktemp("corpus")
    talk = make_flash_beep(folder / "talk.mp4", SECONDS).path
    make_flash_beep(folder / "old.avi", 3.0, video=("-c:v", "mpeg4"))
    (folder / HOSTILE).write_bytes(talk.read_bytes())
    (folder / "broken.mp4").write_bytes(b"no media")
    return folder


@pytest.fixture
def shown(media: Path, tmp_path: Path) -> Iterator[Shown]:
    lengths = {"talk.mp4": 1000 * SECONDS, "old.avi": 3000, HOSTILE: 1000 * SECONDS}
    videos = {name: a_video(media / name, duration_ms) for name, duration_ms in lengths.items()}
    broken = a_video(media / "broken.mp4", 0, status="unreadable", reason="the index is missing")
    rows = {"old.avi": UTTERANCES[:1]}
    write_output(tmp_path / "out", {video: rows.get(name, UTTERANCES) for name, video in videos.items()} | {broken: []})
    with serving(tmp_path / "out") as server:
        yield Shown(tmp_path / "out", server, {name: video.video_id for name, video in videos.items()})


def open_video(open_page: OpenPage, shown: Shown, name: str = "talk.mp4", **options: Any) -> Page:
    """From the overview, as a user does."""
    page = open_page(shown.address(), **options)
    page.get_by_role("link", name=name).click()
    expect(page.get_by_role("slider", name="Time in the video")).to_be_visible()
    if name.endswith(".mp4"):
        wait_until(page, "video?.readyState >= 1")
    return page


def wait_until(page: Page, condition: str) -> None:
    """Wait for something about `video`; Playwright's own way needs `eval`, which the page's policy forbids."""
    deadline = time.monotonic() + PATIENCE_S
    while not page.evaluate(f"(() => {{ const video = document.querySelector('video'); return {condition}; }})()"):
        assert time.monotonic() < deadline, condition
        time.sleep(0.05)


def time_of(page: Page) -> float:
    return float(page.evaluate("document.querySelector('video').currentTime"))


def test_the_overview_is_searched_filtered_and_sorted(open_page: OpenPage, shown: Shown) -> None:
    page = open_page(shown.address())
    rows = page.get_by_role("table", name="Videos").get_by_role("link")
    expect(rows).to_have_text([HOSTILE, "broken.mp4", "old.avi", "talk.mp4"])
    assert "token" not in page.url
    page.get_by_role("searchbox").fill("TALK")
    expect(rows).to_have_text(["talk.mp4"])
    page.get_by_role("searchbox").fill("")
    page.get_by_label("Show").select_option("failed")
    expect(rows).to_have_text(["broken.mp4"])
    expect(page.get_by_text("the index is missing")).to_be_visible()
    page.get_by_label("Show").select_option("all")
    page.get_by_label("Emotion").select_option("angry")
    expect(rows).to_have_text([HOSTILE, "talk.mp4"])
    page.get_by_label("Emotion").select_option("any")
    page.get_by_label("Length").select_option("under 1 min")
    page.get_by_role("button", name="Length").click()
    expect(page.get_by_role("columnheader", name="Length")).to_have_attribute("aria-sort", "descending")
    expect(rows.last).to_have_text("broken.mp4")
    page.get_by_role("searchbox").fill("nothing like it")
    expect(page.get_by_text("No video is like that.")).to_be_visible()


def test_a_video_plays_and_the_utterance_at_hand_is_marked(open_page: OpenPage, shown: Shown) -> None:
    page = open_video(open_page, shown)
    at_hand = page.get_by_role("region", name="The utterance at hand")
    page.keyboard.press("Space")
    expect(at_hand).to_contain_text("good morning everyone")
    wait_until(page, "video.currentTime > 1")
    page.keyboard.press("Space")
    assert page.evaluate("document.querySelector('video').paused")
    expect(page.get_by_role("option", selected=True)).to_contain_text("good morning everyone")
    page.get_by_role("option").nth(1).click()
    assert time_of(page) == pytest.approx(3.0, abs=0.05)
    expect(at_hand).to_contain_text("0:03.0 to 0:04.5 · angry 64%")


def test_a_click_on_the_time_line_seeks(open_page: OpenPage, shown: Shown) -> None:
    page = open_video(open_page, shown)
    slider = page.get_by_role("slider", name="Time in the video")
    box = slider.bounding_box()
    assert box is not None
    names = 74  # the names of the tracks stand left of it
    slider.click(position={"x": names + (box["width"] - names) / 2, "y": 60})
    assert time_of(page) == pytest.approx(SECONDS / 2, abs=0.1)
    expect(page.get_by_role("region", name="The utterance at hand")).to_contain_text("sad 31%")
    slider.press("End")
    expect(slider).to_have_attribute("aria-valuenow", str(SECONDS))
    slider.press("Home")
    expect(slider).to_have_attribute("aria-valuenow", "0")
    slider.hover(position={"x": names + 5, "y": 60})
    expect(page.get_by_text("0:00.0 to 0:00.5: no speech, and no face")).to_be_visible()


def test_words_are_found_and_labels_filtered(open_page: OpenPage, shown: Shown) -> None:
    page = open_video(open_page, shown)
    options = page.get_by_role("option")
    page.keyboard.press("/")
    page.keyboard.type("GOOD")
    expect(page.get_by_text("3 of 4")).to_be_visible()
    page.keyboard.press("Enter")
    assert time_of(page) == pytest.approx(0.5, abs=0.05)
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    assert time_of(page) == pytest.approx(3.0, abs=0.05)
    page.get_by_role("searchbox").fill("")
    page.get_by_text("Filter", exact=True).click()
    page.get_by_role("button", name="angry", exact=True).and_(page.locator(".chip")).click()
    expect(options).to_have_count(1)
    page.get_by_role("button", name="angry", exact=True).and_(page.locator(".chip")).click()
    page.get_by_label("Confidence from").fill("60")
    expect(options).to_have_count(2)


def test_verdicts_are_given_by_key_and_taken_back(open_page: OpenPage, shown: Shown) -> None:
    page = open_video(open_page, shown)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("3")  # sad; and on to the next
    expect(page.get_by_role("option").nth(0)).to_contain_text("→ sad")
    expect(page.get_by_role("option", selected=True)).to_contain_text("this is not good")
    page.keyboard.press("Enter")
    expect(page.get_by_role("option").nth(1)).to_contain_text("✓ right")
    page.keyboard.press("u")
    expect(page.get_by_role("option").nth(1)).not_to_contain_text("✓ right")
    expect(page.get_by_role("option", selected=True)).to_contain_text("this is not good")
    kept = [(row["start_ms"], row["from_emotion"], row["to_emotion"]) for row in shown.rows()]
    assert kept == [(500, "happy", "sad"), (3000, "angry", "angry"), (3000, "angry", None)]
    page.reload()
    expect(page.get_by_role("option").nth(0)).to_contain_text("→ sad")
    page.keyboard.press("Escape")
    expect(page.get_by_role("row", name="talk.mp4")).to_contain_text("1 verdict")


def test_verdicts_are_given_by_pointer(open_page: OpenPage, shown: Shown) -> None:
    page = open_video(open_page, shown)
    page.get_by_label("Go on to the next one after a verdict").uncheck()
    page.get_by_role("option").nth(2).click()
    page.get_by_role("rowheader").get_by_role("button", name="fear").click()
    expect(page.get_by_text("You say: fear, not sad.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("You say: fear, not sad.")).to_have_count(0)
    assert [row["to_emotion"] for row in shown.rows()] == ["fear", None]


def test_hostile_names_and_words_are_text(open_page: OpenPage, shown: Shown) -> None:
    page = open_video(open_page, shown, HOSTILE)
    expect(page.get_by_text("<script>console.error(2)</script> all good now").first).to_be_visible()
    expect(page.get_by_text(HOSTILE, exact=True).last).to_be_visible()
    assert page.locator("img[src=x], #main script").count() == 0


def test_what_the_browser_cannot_play_still_has_its_time_line(open_page: OpenPage, shown: Shown) -> None:
    page = open_video(open_page, shown, "old.avi")
    expect(page.get_by_text("This browser can't play this kind of file (avi")).to_be_visible()
    page.get_by_role("option").click()
    expect(page.get_by_role("region", name="The utterance at hand")).to_contain_text("good morning everyone")
    expect(page.get_by_role("slider", name="Time in the video")).to_have_attribute("aria-valuenow", "1")


def test_the_help_tells_all_keys_and_turns_single_ones_off(open_page: OpenPage, shown: Shown) -> None:
    page = open_video(open_page, shown)
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    for does in ("Play, or pause", "The label is right", "Search words", "The whole video"):
        expect(dialog).to_contain_text(does)
    dialog.get_by_label("Keys of one letter or digit are on").uncheck()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("3")
    page.keyboard.press("Enter")  # has no single character
    expect(page.get_by_role("option").nth(0)).to_contain_text("✓ right")
    assert [row["to_emotion"] for row in shown.rows()] == ["happy"]


def test_a_key_right_after_the_help_is_the_videos(open_page: OpenPage, shown: Shown) -> None:
    page = open_video(open_page, shown)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("?")
    page.get_by_label("Keys of one letter or digit are on").focus()
    page.evaluate(
        """() => {
            document.querySelector('#help').close();
            const enter = new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true });
            document.activeElement.dispatchEvent(enter);
        }"""
    )
    expect(page.get_by_role("option").nth(0)).to_contain_text("✓ right")


def test_without_the_token_the_page_says_where_to_get_it(browser: Browser, shown: Shown) -> None:
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{shown.server.port}/")
    expect(page.get_by_role("alert")).to_contain_text("open the address that `fv2es view` has printed")
    page.close()


@pytest.mark.parametrize(("scheme", "size"), [("light", (1440, 900)), ("dark", PHONE)], ids=["desk", "phone"])
def test_both_screens_are_accessible(open_page: OpenPage, shown: Shown, scheme: str, size: tuple[int, int]) -> None:
    page = open_page(shown.address(), scheme=scheme, size=size)
    expect(page.get_by_role("link", name="talk.mp4")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("link", name="talk.mp4").click()
    page.get_by_text("Filter", exact=True).click()
    page.get_by_role("option").nth(0).click()
    assert violations(page) == []
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= size[0]
    page.keyboard.press("?")
    assert violations(page) == []
