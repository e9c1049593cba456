"""Transcripts in use: their words where they fit the sound, recognised speech where they don't, and a note of it."""

import functools
import itertools
import os
from pathlib import Path

import numpy as np
import pytest

from operators.sources import source_version
from tests.operators.test_transcribe import check_times, plain, words_of
from tests.operators.transcribing import RATE, rows_of, sample_speech, silence, transcribe_rows

pytestmark = pytest.mark.media

SAID = [
    (1.1, 2.9, "It was the best of times."),
    (2.9, 4.8, "It was the worst of times."),
    (4.9, 6.4, "It was the age of wisdom."),
    (6.5, 8.4, "It was the age of foolishness."),
    (8.7, 10.5, "It was the epoch of belief."),
    (10.6, 13.0, "It was the epoch of incredulity."),
    (13.3, 15.0, "It was the season of Light."),
    (15.0, 16.9, "It was the season of Darkness."),
    (17.4, 18.9, "It was the spring of hope."),
    (18.9, 20.7, "It was the winter of despair."),
    (21.1, 24.2, "We had everything before us, we had nothing before us."),
    (24.5, 26.2, "We were all going direct to Heaven,"),
    (26.4, 28.5, "we were all going direct the other way --"),
    (29.0, 32.7, "in short, the period was so far like the present period, that"),
    (32.7, 41.8, "some of its noisiest authorities insisted on its being received, for good or for evil, in the "
                 "superlative degree of comparison only."),
]  # fmt: skip
OTHER = "please remember to bring your umbrella because it may rain tomorrow in the afternoon"


def clock(seconds: float) -> str:
    return f"{int(seconds // 3600):02}:{int(seconds % 3600 // 60):02}:{seconds % 60:06.3f}".replace(".", ",")


def srt(cues: list[tuple[float, float, str]]) -> str:
    return "\n".join(f"{i}\n{clock(a)} --> {clock(b)}\n{text}\n" for i, (a, b, text) in enumerate(cues, 1))


def beside(path: Path, content: str | bytes) -> dict[str, object]:
    """What the plan says of a transcript with this content."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    version = source_version(str(path))
    return {
        "transcript_uri": str(path),
        "transcript_size": version.size,
        "transcript_etag_or_mtime": version.etag_or_mtime,
    }


def one(sound: np.ndarray, **changes: object) -> dict:
    (row,) = transcribe_rows(rows_of(sound, **changes))
    check_times(row)
    return row


def spoken(row: dict) -> list[dict]:
    return [item for item in row["utterances"] if item["speech"]]


def test_the_words_of_a_transcript_are_taken_and_timed(tmp_path: Path) -> None:
    row = one(sample_speech(), **beside(tmp_path / "clip.srt", srt(SAID)))
    assert row["transcript"] == "used: clip.srt"
    written = [word for _, _, text in SAID for word in text.split() if word != "--"]
    assert [word["word"] for word in words_of(row)] == written
    starts = {word["word"]: word["start_ms"] for word in words_of(row)}
    heard = {word["word"]: word["start_ms"] for word in words_of(by_ear(len(sample_speech())))}
    for word in ("wisdom.", "foolishness.", "belief.", "spring", "authorities"):
        assert abs(starts[word] - heard[word]) <= 60, word
    for utterance in spoken(row):
        assert 1_000 <= utterance["end_ms"] - utterance["start_ms"] <= 10_000
        assert utterance["language"] == "en"


def test_cues_are_utterances_where_they_are_long_enough(tmp_path: Path) -> None:
    """The ear finds no pause between "worst of times" and "best of times"; the transcript parts them."""
    row = one(sample_speech()[: 20 * RATE], **beside(tmp_path / "clip.srt", srt(SAID[:10])))
    texts = [item["text"] for item in spoken(row)]
    assert texts[:3] == ["It was the best of times.", "It was the worst of times.", "It was the age of wisdom."]


def test_a_long_cue_is_divided_and_short_ones_are_joined(tmp_path: Path) -> None:
    everything = [(1.0, 42.0, " ".join(text for _, _, text in SAID))]
    row = one(sample_speech(), **beside(tmp_path / "clip.srt", srt(everything)))
    assert row["transcript"] == "used: clip.srt"
    assert [word["word"] for word in words_of(row)] == [word for word in everything[0][2].split() if word != "--"]
    lengths = [item["end_ms"] - item["start_ms"] for item in spoken(row)]
    assert len(lengths) > 5
    assert max(lengths) <= 10_000
    by_word = []
    for start, end, text in SAID:
        words = [word for word in text.split() if word != "--"]
        step = (end - start) / len(words)
        by_word += [(start + i * step, start + (i + 1) * step, word) for i, word in enumerate(words)]
    row = one(sample_speech(), **beside(tmp_path / "clip.srt", srt(by_word)))
    assert min(item["end_ms"] - item["start_ms"] for item in spoken(row)) >= 1_000
    assert plain(words_of(row)).startswith("it was the best of times it was the worst")


@pytest.mark.parametrize("shift_s", [-0.4, 0.4])
def test_cues_may_be_a_little_early_or_late(tmp_path: Path, shift_s: float) -> None:
    cues = [(max(0, a + shift_s), b + shift_s, text) for a, b, text in SAID]
    row = one(sample_speech(), **beside(tmp_path / "clip.srt", srt(cues)))
    assert row["transcript"] == "used: clip.srt"
    assert len(words_of(row)) > 100


SHORT = 8 * RATE
MISFIT = "clip.srt: its words and times don't fit the sound"


@functools.cache
def by_ear(samples: int) -> dict:
    return one(sample_speech()[:samples])


@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("clip.srt", srt([(a, b, OTHER[: 10 * round(b - a)]) for a, b, _ in SAID[:4]]), MISFIT),
        ("clip.srt", srt([(0.0, 0.5, "Words where nobody speaks")]), MISFIT),
        ("clip.srt", srt([(a + 500, b + 500, c) for a, b, c in SAID]), "go to 533 s, but the video ends at 8 s"),
        ("clip.srt", "", "clip.srt: empty"),
        ("clip.json", "[" * 1_000_000, "clip.json: its JSON is nested deeper than 20"),
        ("clip.srt", b"x" * 4_000_001, "clip.srt: larger than 4,000,000 bytes (speech.max_transcript_bytes)"),
        ("clip.srt", srt([(a, b, "Это было лучшее из времён") for a, b, _ in SAID[:4]]), "written in Cyrillic letters"),
        ("clip.srt", srt([(0, 8, "all at once " * 300)] * 30), MISFIT),
        ("clip.srt", srt([(a, b, text) for a, b, text in SAID[:4]] * 400), MISFIT),
    ],
    ids=["other words", "silence", "late", "empty", "nested", "large", "script", "flood", "again and again"],
)  # fmt: skip
def test_a_transcript_that_does_not_fit_is_noted_and_speech_is_recognised(
    tmp_path: Path, name: str, content: str | bytes, note: str
) -> None:
    row = one(sample_speech()[:SHORT], **beside(tmp_path / name, content))
    assert row["transcript"].startswith("not used: clip.")
    assert note in row["transcript"]
    assert row["status"] == "ok"
    assert spoken(row) == spoken(by_ear(SHORT))


def test_only_the_stretches_that_it_fits_are_taken_from_it(tmp_path: Path) -> None:
    row = one(sample_speech(), **beside(tmp_path / "clip.srt", srt(SAID[:10])))
    assert row["transcript"] == "used: clip.srt, but for 1 of 2 stretches of about 20 s, whose sound it doesn't fit"
    words = plain(words_of(row))
    assert "spring of hope" in words
    assert "noisiest authorities" in words  # by ear
    assert "Light." in [word["word"] for word in words_of(row)]  # as it is written, not as it is heard


def test_speech_that_a_fitting_transcript_leaves_out_is_labelled_without_words(tmp_path: Path) -> None:
    left_out = [cue for cue in SAID[:10] if "belief" not in cue[2]]
    row = one(sample_speech()[: 20 * RATE], **beside(tmp_path / "clip.srt", srt(left_out)))
    assert row["transcript"] == "used: clip.srt"
    assert "belief" not in plain(words_of(row))
    assert [item for item in spoken(row) if not item["words"] and 8_500 < item["start_ms"] < 9_500]


def test_without_sound_there_is_nothing_to_fit(tmp_path: Path) -> None:
    row = one(silence(30), **beside(tmp_path / "clip.srt", srt(SAID[:10])))
    assert row["transcript"] == "not used: clip.srt: nobody is heard to speak"
    assert not spoken(row)


def test_utterances_do_not_depend_on_the_segments(tmp_path: Path) -> None:
    sound = np.concatenate([sample_speech()] * 3)
    seconds = len(sample_speech()) / RATE
    cues = [(a + i * seconds, b + i * seconds, text) for i in range(3) for a, b, text in SAID]
    # Long ones, so that cuts go through some.
    joined = [(a[0], b[1], f"{a[2]} {b[2]}") for a, b in zip(cues[1::2], cues[2::2], strict=True)]
    plan = beside(tmp_path / "clip.srt", srt([cues[0], *joined]))
    whole = one(sound, **plan)
    assert whole["transcript"] == "used: clip.srt"
    for segment_ms in (20_000, 40_000):
        parts = transcribe_rows(rows_of(sound, segment_ms, **plan))
        assert list(itertools.chain.from_iterable(row["utterances"] for row in parts)) == whole["utterances"]


def test_a_transcript_that_changes_during_the_run_is_planned_anew(tmp_path: Path) -> None:
    plan = beside(tmp_path / "clip.srt", srt(SAID))
    (tmp_path / "clip.srt").write_text(srt(SAID[:3]))
    row = one_failed(plan)
    assert (
        row["reason"] == "its transcript clip.srt has changed since the run was planned; the next run will plan it anew"
    )
    (tmp_path / "clip.srt").unlink()
    one_failed(plan)


def one_failed(plan: dict[str, object]) -> dict:
    (row,) = transcribe_rows(rows_of(sample_speech()[: 5 * RATE], **plan))
    assert (row["status"], row["retryable"], row["utterances"]) == ("changed_during_run", True, None)
    return row


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "clip.srt")
    version = source_version(str(tmp_path / "clip.srt"))
    plan = {"transcript_uri": str(tmp_path / "clip.srt"), "transcript_size": 0}
    row = one(sample_speech()[: 5 * RATE], **plan, transcript_etag_or_mtime=version.etag_or_mtime)
    assert row["transcript"] == "not used: clip.srt: no regular file"
