"""The demo corpus: what lies in it is what its names say, and it is the same each time."""

import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from operators.ffmpeg import find_ffmpeg
from pipelines.demo import app, build_corpus

pytestmark = pytest.mark.media


@pytest.fixture
def corpus(demo_corpus: Path) -> Path:
    return demo_corpus


def media_said_of(path: Path) -> str:
    """What ffmpeg says of a file when it decodes all of it."""
    command = [find_ffmpeg(), "-hide_banner", "-nostdin", "-i", str(path), "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def test_the_corpus_holds_good_and_broken_files_and_nothing_else(corpus: Path) -> None:
    names = {path.name for path in corpus.iterdir()}
    assert names == {
        "talking head.mp4", "silent.mp4", "no speech.mp4", "speech alone.flac", "notes.mp4", "truncated.mp4"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "video", "audio", "duration"),
    [
        ("talking head.mp4", True, True, "00:00:44"),
        ("silent.mp4", True, False, "00:00:12"),
        ("no speech.mp4", True, True, "00:00:12"),
        ("speech alone.flac", False, True, "00:00:15"),
    ],
)
def test_the_good_files_have_the_tracks_that_they_should(
    corpus: Path, name: str, video: bool, audio: bool, duration: str
) -> None:
    said = media_said_of(corpus / name)
    assert ("Video: h264" in said) is video
    assert ("Audio: " in said.split("Output #0")[0]) is audio
    assert f"Duration: {duration}" in said


@pytest.mark.parametrize("name", ["notes.mp4", "truncated.mp4"])
def test_the_broken_files_cannot_be_opened(corpus: Path, name: str) -> None:
    assert "moov atom not found" in media_said_of(corpus / name)


def test_the_corpus_is_the_same_each_time(corpus: Path, tmp_path: Path) -> None:
    for built in build_corpus(tmp_path):
        first = corpus / built.name
        assert built.read_bytes() == first.read_bytes()
        assert built.stat().st_mtime_ns == first.stat().st_mtime_ns


def test_show_prints_rows_the_ledger_and_a_query(tmp_path: Path) -> None:
    labels = {
        "uri": ["/x/a.mp4"], "start_ms": [1_000], "end_ms": [2_500], "text": ["hello there"], "emotion": ["happy"],
        "confidence": [0.75],
    }  # fmt: skip
    segments = {
        "uri": ["/x/a.mp4", "/x/b.mp4"],
        "start_ms": [0, 0],
        "status": ["ok", "unreadable"],
        "reason": [None, "no index"],
    }
    for table, rows in (("labels", labels), ("segments", segments)):
        folder = tmp_path / "it's out" / table / "labels=abc"
        folder.mkdir(parents=True)
        pq.write_table(pa.table(rows), folder / "shard.parquet")
    shown = CliRunner().invoke(app, ["show", str(tmp_path / "it's out")])
    assert shown.exit_code == 0
    for words in ("a.mp4", "1.00-2.50", "hello there", "happy", "0.75", "unreadable", "no index", "duckdb.sql"):
        assert words in shown.stdout


def test_show_fails_when_there_is_nothing(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["show", str(tmp_path)])
    assert shown.exit_code == 1
    assert "no rows" in shown.stderr
