"""Transcripts beside videos through the command line: used, noted, and a changed one labels its video anew."""

from pathlib import Path

import pytest

from tests.labelling import label_json, labels, segments
from tests.operators.test_scripted import SAID, srt

pytestmark = pytest.mark.media


def test_a_transcript_is_used_noted_and_followed(demo_corpus: Path, tmp_path: Path) -> None:
    corpus, out = tmp_path / "corpus", tmp_path / "out"
    corpus.mkdir()
    for name in ("speech alone.flac", "no speech.mp4"):
        (corpus / name).write_bytes((demo_corpus / name).read_bytes())
    written = [(a, b, text) for a, b, text in SAID if b < 15]
    (corpus / "speech alone.srt").write_text(srt(written))
    (corpus / "no speech.json").write_text("{}")

    code, _ = label_json(corpus, "--out", out, "--engine", "local")
    assert code == 0
    rows = labels(out).to_pylist()
    assert " ".join(row["text"] for row in rows if row["has_text"]) == " ".join(text for _, _, text in written)
    notes = {Path(row["uri"]).name: row["transcript"] for row in segments(out).to_pylist()}
    assert notes["speech alone.flac"] == "used: speech alone.srt"
    assert notes["no speech.mp4"].startswith("not used: no speech.json: this JSON is no transcript of whisperx")

    (corpus / "speech alone.srt").write_text(srt([(*written[0][:2], written[0][2].upper()), *written[1:]]))
    code, result = label_json(corpus, "--out", out, "--engine", "local")
    assert (code, result["replaced_videos"], result["shards"]) == (0, 1, 1)
    again = [row for row in labels(out).to_pylist() if row["has_text"]]
    assert again[0]["text"] == written[0][2].upper()
    assert len({row["video_id"] for row in again}) == 1
