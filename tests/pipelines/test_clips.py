"""Real clips, all of them: what a user who labels a folder of talking people gets."""

import csv
from pathlib import Path

import pytest

from tests.labelling import label_json, labels, segments

pytestmark = [pytest.mark.ray, pytest.mark.media, pytest.mark.slow]

MIN_COVERAGE = 0.9


@pytest.fixture(scope="module")
def clips(test_data: Path) -> Path:
    return test_data / "clips"


@pytest.fixture(scope="module")
def labelled(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("clips") / "out"
    code, result = label_json(clips, "--out", out)
    assert code == 0
    assert result["spilled_bytes"] == 0
    return out


def is_spoken(name: str) -> bool:
    return name.endswith((".mp4", ".wav", ".flac")) and not name.startswith("mead/")


def rows_by_file(out: Path, clips: Path) -> dict[str, list[dict]]:
    rows: dict[str, list[dict]] = {}
    for row in labels(out).to_pylist():
        rows.setdefault(str(Path(row["uri"]).relative_to(clips.absolute())), []).append(row)
    return rows


def test_every_clip_with_speech_has_rows_with_words(labelled: Path, clips: Path) -> None:
    # The two clips of MEAD carry a sound track of digital silence.
    with (clips / "manifest.csv").open(newline="") as file:
        named = {row["path"] for row in csv.DictReader(file) if is_spoken(row["path"])}
    rows = rows_by_file(labelled, clips)
    assert {name for name in named if not any(row["words"] for row in rows.get(name, []))} == set()


def test_every_clip_of_one_speaker_shows_the_face_nearly_always(labelled: Path, clips: Path) -> None:
    for name, rows in rows_by_file(labelled, clips).items():
        if name.startswith(("ravdess/", "grid_s1/")):
            assert all(row["has_face"] for row in rows), name
            assert min(row["face_coverage"] for row in rows) > MIN_COVERAGE, name


def test_no_row_leaves_its_video(labelled: Path) -> None:
    durations = {row["video_id"]: row["duration_ms"] for row in segments(labelled).to_pylist()}
    for row in labels(labelled).to_pylist():
        assert 0 <= row["start_ms"] < row["end_ms"] <= durations[row["video_id"]]
        for word in row["words"]:
            assert word["start_ms"] is None or row["start_ms"] <= word["start_ms"] <= word["end_ms"] <= row["end_ms"]


def test_utterances_do_not_overlap(labelled: Path) -> None:
    last: dict[str, int] = {}
    for row in labels(labelled).to_pylist():
        assert row["start_ms"] >= last.get(row["uri"], 0)
        last[row["uri"]] = row["end_ms"]
