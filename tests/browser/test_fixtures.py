from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.accessible import violations
from tests.browser.conftest import OpenPage, pages

pytestmark = pytest.mark.browser


@pytest.fixture
def page_of(tmp_path: Path):
    def write(body: str, head: str = "") -> str:
        path = tmp_path / "page.html"
        path.write_text(f"<!doctype html><html lang=en><title>A page</title>{head}<main><h1>A page</h1>{body}</main>")
        return path.as_uri()

    return write


def test_a_page_is_opened_and_found_accessible_under_any_policy(open_page: OpenPage, page_of):
    page = open_page(page_of("<p>Words", "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'\">"))
    assert violations(page) == []


def test_what_is_not_accessible_is_named(open_page: OpenPage, page_of):
    page = open_page(page_of("<img src='data:,'><p style='color: #bbb'>pale"))
    assert {line.partition(":")[0] for line in violations(page)} == {"image-alt", "color-contrast"}


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("<script>console.error('oh')</script>", "console: oh"),
        ("<script>throw new Error('oh')</script>", "error: oh"),
        ("<img src='http://192.0.2.1/a.png' alt=''>", "asked http://192.0.2.1/a.png"),
        ("<img src='http://localhost:1/a.png' alt=''>", "asked http://localhost:1/a.png"),
    ],
)
def test_a_page_that_errs_or_looks_elsewhere_fails_its_test(browser: Browser, page_of, body, complaint):
    with pytest.raises(AssertionError, match=complaint), pages(browser) as open_page:
        open_page(page_of(body)).wait_for_load_state("networkidle")
