"""`fv2es report`: where the page goes, what it says, and what hostile names can't do to it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import s3fs
from typer.testing import CliRunner

from benchmarks.synthetic import Size, make
from operators.write import Target, Write
from pipelines.cli.app import app
from pipelines.errors import SettingsError
from pipelines.plan import Segment, Shard, Video
from pipelines.report.gather import gather
from pipelines.report.page import render_page
from pipelines.tables import open_tables
from tests.labelling import fv2es
from tests.tables import inferred

HOSTILE = "</p><script>alert(1)</script>\"'\u202e\x1b[31m&amp;{{ 7 * 7 }}"
FACES = Video(f"/corpus/{HOSTILE}.mp4", 10, "1", 60_000, 64, 36, 25.0, "h264", "aac")
BROKEN = Video("/corpus/broken.mp4", 10, "1", status="unreadable", reason=f"of no use: {HOSTILE}")


def commit(root: Path, *segments: Segment) -> None:
    Write(Target(str(root), "recipe=aa", "run", "{}"))(inferred(Shard("one", segments)))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "my labels"
    for _ in make(root, Size(videos=12, rows=1_000, nights=2), shard_ms=20 * 60_000):
        pass
    return root


def page_of(root: Path, name: str = "out") -> str:
    with open_tables(str(root)) as tables:
        return render_page(gather(tables, name))


def test_the_page_lies_here_and_is_the_same_each_time(out: Path, tmp_path: Path) -> None:
    done = fv2es("report", out, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "Report: my labels-report.html\n"), done.stderr
    page = (tmp_path / "my labels-report.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "utterances were labelled from 2026-01-05 to 2026-01-06." in " ".join(page.split())
    assert page_of(out, str(out)) == page
    assert "UTC from the rows" not in page


def test_it_says_when_it_was_made_if_asked_and_gives_figures_to_scripts(out: Path) -> None:
    dated = CliRunner().invoke(app, ["report", str(out), "--output", "-", "--dated"]).stdout
    assert re.search(r"on \d{4}-\d\d-\d\d \d\d:\d\d UTC from the rows", dated)
    figures = json.loads(CliRunner().invoke(app, ["report", str(out), "--json"]).stdout)
    assert figures["totals"]["files"] == 12
    assert len(figures["emotions"]) == 7


def test_a_wrong_setting_is_said_and_nothing_is_written(out: Path, tmp_path: Path) -> None:
    done = fv2es("report", out, "-o", out / "report.html", cwd=tmp_path)
    assert done.returncode == 2
    assert "holds tables alone. Say where else: --output FILE." in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert not (out / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{out}", "-o", "{tmp}/none/report.html"], "there is no folder"),
        (["{out}", "-o", "{tmp}"], "that is a folder; a file is wanted"),
        (["{out}", "-o", "-", "--recipe", "zz"], "no such recipe"),
        (["{tmp}", "-o", "-"], "no run of FV2ES has written here"),
    ],
)
def test_the_message_names_what_is_wrong(out: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    words = [word.format(out=out, tmp=tmp_path) for word in arguments]
    with pytest.raises(SettingsError, match=message):
        CliRunner().invoke(app, ["report", *words], catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_a_file_has_a_say_in_becomes_part_of_the_page(tmp_path: Path) -> None:
    root = tmp_path / "out"
    commit(root, Segment(FACES, 0, 0, 60_000), Segment(BROKEN, 0, 0, 0))
    with open_tables(str(root)) as tables:
        report = gather(tables, HOSTILE)
    said = replace(report.doubtful[0], text=HOSTILE)
    page = render_page(
        replace(report, doubtful=(said,), coverage=(replace(report.coverage[0], missing=((HOSTILE, 1),)),))
    )
    assert "<script" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    shown = r"&lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;\u202e\x1b[31m&amp;amp;{{ 7 * 7 }}"
    assert page.count(shown) >= 5  # the output, a file, a reason, words, a modality that is missing
    assert re.search(r"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline';", page)
    assert not re.search(r"""(src|href|xlink:href|action)=["'](?!#)|url\((?!#)|@import""", page)


def test_a_corpus_that_all_failed_has_a_page(tmp_path: Path) -> None:
    commit(tmp_path / "out", Segment(BROKEN, 0, 0, 0))
    page = page_of(tmp_path / "out")
    assert "No utterance has been labelled." in page
    assert "1 of 1 file could not be labelled in whole." in page
    assert "of no use" in page


def test_one_run_has_nothing_to_drift_from(tmp_path: Path) -> None:
    commit(tmp_path / "out", Segment(FACES, 0, 0, 60_000))
    page = page_of(tmp_path / "out")
    assert "nothing to compare it with" in " ".join(page.split())
    assert "Nothing failed." in page


@pytest.mark.s3
def test_a_bucket_gives_the_page_that_a_folder_gives(bucket: str, out: Path, tmp_path: Path) -> None:
    address = f"s3://{bucket}/my labels"
    s3fs.S3FileSystem().put(f"{out}/", f"{bucket}/my labels/", recursive=True)
    done = fv2es("report", address, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "Report: my labels-report.html\n"), done.stderr
    assert (tmp_path / "my labels-report.html").read_text("utf-8") == page_of(out, address)
    gone = fv2es("report", f"s3://{bucket}/nothing", cwd=tmp_path)
    assert (gone.returncode, "no run of FV2ES has written here" in gone.stderr) == (2, True)


def test_the_caution_is_that_of_the_model_card() -> None:
    words = " ".join(Path("models/MODEL_CARD.md").read_text("utf-8").replace("*", "").split())
    template = " ".join(Path("pipelines/report/page.html.j2").read_text("utf-8").split())
    for sentence in (
        "expressions as people would name them, not of what anybody feels.",
        "Calibration holds for mixes of emotions like those of the tune parts. Real footage is more neutral than acted",
        "Disgust and fear are rare in most corpora and the weakest classes everywhere",
    ):
        assert sentence in words
        assert sentence in template
