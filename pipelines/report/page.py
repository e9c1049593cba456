"""A report as one page of HTML for people: no script, nothing fetched, light and dark, on screens small and large."""

import unicodedata
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from models.emotions import EMOTIONS
from pipelines.palette import style_sheet
from pipelines.report import plots
from pipelines.report.drift import FEWEST_FILES
from pipelines.report.facts import Report
from pipelines.report.sums import MAX_RUNS

MODALITY_NAMES = {"text": "words", "audio": "voice", "face": "face", "fused": "all together"}
STATUS_MEANINGS = {
    "ok": "labelled from words, voice and face, where there were any",
    "no_speech": "nobody speaks: labelled from faces",
    "no_audio": "no sound: labelled from faces",
    "no_video": "no pictures: labelled from voice and words",
    "no_face": "no face was found: labelled from voice and words",
    "unreadable": "could not be read as media",
    "too_long_to_decode": "decoding took longer than it may",
    "missing": "was gone when its turn came",
    "changed_during_run": "changed while it was read",
    "crashed_worker": "brought its worker down three times",
}
STAGE_MEANINGS = {
    "decode": "reading pictures and sound",
    "faces": "finding faces",
    "transcribe": "finding speech, and its words",
    "infer": "labelling",
}
WORDS_SHOWN = 240  # characters of what is said in an utterance


def render_page(report: Report, made_at: str | None = None) -> str:
    """The whole page as text. The same report gives the same page, but for `made_at`, the time that it is to carry."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "amount": amount,
        "clock": clock,
        "harmless": harmless,
        "hours": hours,
        "moment": moment,
        "percent": percent,
        "points": points,
    }
    return environment.get_template("page.html.j2").render(
        report=report,
        made_at=made_at,
        # Ours, from constants, numbers and text that matplotlib has escaped.
        colours=Markup(style_sheet()),  # noqa: S704
        styles=Markup(Path(__file__).with_name("page.css").read_text("utf-8")),  # noqa: S704
        plots={name: Markup(svg) for name, svg in _plots(report).items()},  # noqa: S704
        emotions=EMOTIONS,
        modality_names=MODALITY_NAMES,
        status_meanings=STATUS_MEANINGS,
        stage_meanings=STAGE_MEANINGS,
        words_shown=WORDS_SHOWN,
        max_runs=MAX_RUNS,
        fewest_files=FEWEST_FILES,
    )


def _plots(report: Report) -> dict[str, str]:
    drawn = {}
    if report.emotions:
        names = [MODALITY_NAMES[item.modality] for item in report.coverage]
        drawn["emotions"] = plots.emotions_plot(report.emotions)
        drawn["confidence"] = plots.confidence_plot(report.confidence_bins)
        drawn["coverage"] = plots.coverage_plot(report.coverage, names)
    if report.stages:
        drawn["stages"] = plots.stages_plot(report.stages)
    if len(report.drift) > 1:
        drawn["drift"] = plots.drift_plot(report.drift)
    return drawn


def harmless(text: str, most: int | None = None) -> str:
    """What a file has a say in, with control characters named: they could hide or reorder the text around them."""
    shown = text if most is None or len(text) <= most else text[:most] + " …"
    return "".join(char if unicodedata.category(char)[0] != "C" else _named(char) for char in shown)


def _named(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()


def amount(number: int, noun: str | None = None) -> str:
    """12,345; with a noun 1 file, 2 files."""
    return f"{number:,}" if noun is None else f"{number:,} {noun}" + ("" if number == 1 else "s")


def hours(seconds: float) -> str:
    """A length of media or work: 12 s, 3 min 20 s, 12 h 5 min, 1,234 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min" if whole < 360_000 else f"{round(seconds / 3600):,} h"


def clock(milliseconds: int) -> str:
    """A place in a video as a player shows it, with a tenth of a second: 1:02:03.4."""
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    whole, minutes = divmod(minutes, 60)
    return f"{whole}:{minutes:02}:{seconds:02}.{rest // 100}" if whole else f"{minutes}:{seconds:02}.{rest // 100}"


def percent(share: float | None, digits: int = 1) -> str:
    """12.3%, or a dash for what is not defined."""
    return "–" if share is None else f"{share:.{digits}%}"


def points(difference: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * difference:+.1f}".replace("-", "−")  # a minus as wide as a plus


def moment(text: str) -> str:
    """2026-01-05T22:01+00:00 as 2026-01-05 22:01."""
    return text[:16].replace("T", " ")
