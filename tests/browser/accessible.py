"""What axe-core finds wrong with a page."""

from importlib.resources import files
from typing import Any

from playwright.sync_api import Page

# Success criteria of WCAG 2.2 up to level AA, and what axe-core's makers hold to be good practice.
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page) -> list[str]:
    """One line for each rule that the page breaks, with the first element that breaks it."""
    # Colours on their way from one state to another are nobody's to read: what counts is where they end.
    page.evaluate("Promise.allSettled(document.getAnimations().map(one => one.finished)).then(() => null)")
    # Evaluated by the debugger, so that it runs whatever the page's Content-Security-Policy says.
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    found: dict[str, Any] = page.evaluate(
        "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", _RULES
    )
    return [f"{v['id']}: {v['help']}: {v['nodes'][0]['html'][:200]}" for v in found["violations"]]
