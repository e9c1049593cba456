"""The page: what a user looks for is there, its figures are those of the JSON, and it asks nobody for anything."""

import re
from html.parser import HTMLParser

import pytest

from models.emotions import EMOTIONS
from models.evaluate.measure import measure_set
from models.evaluate.page import render_page
from models.evaluate.report import Report
from models.evaluate.thresholds import Thresholds
from tests.models.evaluate.sets import likely, single_label

HOSTILE = "face, <script>alert('$1$')</script>"


class Text(HTMLParser):
    """The words of a page in order, and its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.opened: list[str] = []
        self.closed: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.closed.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def report() -> Report:
    items = likely(200, 0)
    fitted = measure_set(items, Thresholds.fit(likely(200, 1, "tune")))
    unfitted = measure_set(
        single_label([label for (label,) in items.labels], items.probabilities), Thresholds.unfitted(7)
    )
    return Report(
        model_id="v2em-s-<b>",
        sha256="ab" * 32,
        labels=list(EMOTIONS),
        reports={"voice, Corpus": fitted, HOSTILE: unfitted},
    )


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return render_page(report)


def read(page: str) -> Text:
    text = Text()
    text.feed(page)
    return text


def test_a_user_finds_every_measure_explained_and_every_set(page: str, report: Report) -> None:
    words = " ".join("".join(read(page).words).split())
    for heading in (
        "How often are the labels right?",
        "At a glance",
        "How to read this page",
        "The most probable emotion of each item",
        "Yes or no to each emotion",
        "By emotion",
        "Confusion matrix",
        "Reliability",
        "By speaker",
    ):
        assert heading in words
    for explained in (
        "Weighted accuracy (WAcc)",
        "Plain accuracy (Acc)",
        "UAR",
        "AUC",
        "ECE",
        "95% interval",
        "majority",
    ):
        assert explained in words
    assert HOSTILE in words
    assert "v2em-s-<b>" in words
    assert report.sha256 in words
    assert "Thresholds chosen on: voice, Corpus, tune." in words
    assert "for want of a tune part" in words
    assert words.count("speaker 3") == 1


def test_its_figures_are_those_of_the_json(page: str, report: Report) -> None:
    cells = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", page.replace("\n", " "))
    found = report.reports["voice, Corpus"]
    measures = [found.accuracy, found.uar_shared, found.weighted_f1, found.ece, found.decisions.weighted_accuracy]
    for measure in [*measures, *(e.auc for e in found.decisions.by_emotion.values())]:
        assert f"{measure.value:.3f}" in cells
        assert measure.interval_95
        assert f"{measure.interval_95[0]:.3f} to {measure.interval_95[1]:.3f}" in cells
    for labeller, score in found.decisions.binary_accuracy.baselines.items():
        assert f"{score:.3f}" in cells, labeller
    section = page[page.index('id="set-1"') : page.index('id="set-2"')]
    counts = re.findall(r"<td[^>]*--share[^>]*>(\d+)</td>", section)
    assert list(map(int, counts)) == [count for row in found.confusion for count in row]


def test_it_needs_no_network_no_script_and_is_whole(page: str) -> None:
    text = read(page)
    assert "script" not in text.opened
    assert "link" not in text.opened
    assert not re.search(r"(src|href)=[\"'](?!#)", page)
    assert "url(http" not in page
    assert "default-src 'none'" in page
    for tag in ("html", "body", "section", "table", "tr", "td", "figure", "svg", "dl"):
        assert text.opened.count(tag) == text.closed.count(tag), tag
    assert text.opened.count("svg") == 3
    names = re.findall(r' id="([^"]*)"', page)
    ours = [name for name in names if not re.fullmatch(r"[mp][0-9a-f]{10}", name)]  # matplotlib's markers and clips
    assert len(ours) == len(set(ours))


def test_it_can_be_read_in_light_and_in_dark(page: str) -> None:
    assert "prefers-color-scheme: dark" in page
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert plots
    for plot in plots:
        assert "currentColor" in plot
        assert not re.search(r"#0[0-9]0[0-9]0[0-9]", plot)


def test_the_same_report_gives_the_same_page(page: str, report: Report) -> None:
    again = Report.model_validate_json(report.model_dump_json())
    assert again == report
    assert render_page(again) == page
