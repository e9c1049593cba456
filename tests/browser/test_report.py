"""The report as people meet it: light, dark, on a phone, by keyboard, on paper, by screen reader."""

import pytest

from benchmarks.synthetic import Size, make
from pipelines.report.gather import gather
from pipelines.report.page import render_page
from pipelines.tables import open_tables
from tests.browser.accessible import violations
from tests.browser.conftest import PHONE, OpenPage

pytestmark = pytest.mark.browser

CONTRAST = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    for _ in make(folder / "out", Size(videos=40, rows=2_000, nights=2)):
        pass
    with open_tables(str(folder / "out")) as tables:
        (folder / "report.html").write_text(render_page(gather(tables, "a corpus")), "utf-8")
    return (folder / "report.html").as_uri()


@pytest.mark.parametrize(("scheme", "background"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 28)")])
def test_it_is_accessible_in_light_and_dark(open_page: OpenPage, address: str, scheme: str, background: str) -> None:
    page = open_page(address, scheme=scheme)
    assert page.evaluate(CONTRAST) == background
    assert violations(page) == []
    page.locator("summary").first.click()
    assert page.get_by_text("0.95 to 1.00").is_visible()


def test_a_phone_shows_all_of_it_without_scrolling_sideways(open_page: OpenPage, address: str) -> None:
    page = open_page(address, size=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    sizes = page.evaluate(
        "[...document.querySelectorAll('figure svg text')].map(t => t.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 9  # CSS pixels
    assert violations(page) == []


def test_the_keyboard_reaches_everything(open_page: OpenPage, address: str) -> None:
    page = open_page(address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").endswith("as a table")
    summary = page.get_by_text("Utterances by confidence, as a table")
    summary.focus()
    page.keyboard.press("Enter")
    assert page.get_by_text("0.95 to 1.00").is_visible()


def test_a_screen_reader_hears_what_plots_say(open_page: OpenPage, address: str) -> None:
    page = open_page(address)
    plots = page.get_by_role("img")
    said = [plots.nth(number).get_attribute("aria-label") for number in range(plots.count())]
    assert [words.partition(":")[0] for words in said] == [
        "Share of labelled time",
        "Utterances by confidence",
        "Share of labelled time",
        said[3],
        "Seconds of work for a minute of media",
    ]
    assert said[3].startswith("Share of labelled time of each emotion over 2 runs")
    headings = page.get_by_role("heading", level=2).all_inner_texts()
    assert len(headings) == 7


def test_paper_is_white_and_has_what_was_folded(open_page: OpenPage, address: str) -> None:
    page = open_page(address, scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate(CONTRAST) == "rgb(255, 255, 255)"
    assert page.get_by_text("0.95 to 1.00").is_visible()
    assert not page.get_by_role("navigation").is_visible()
