"""Annotations: kept whatever happens, found again after labelling anew, and what the labels are scored by."""

import json
import signal
import subprocess
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.commit import OutputError, Store
from pipelines import annotations
from pipelines.annotations import Annotation, AnnotationLog
from pipelines.plan import Video
from pipelines.recipe import recipe_id
from pipelines.validate import repair, validate
from tests.labelling import FV2ES
from tests.pipelines.test_cli import run
from tests.view_output import RECIPE, a_video, said, write_output
from tests.view_server import serving

BEGAN = datetime(2026, 5, 1, tzinfo=timezone.utc)
UTTERANCES = [
    said(1000, 2500, "good morning", "happy", 0.8),
    said(3000, 4000, None, "sad", 0.4),
    said(5000, 6000, "so it goes", "angry", 0.6),
]


def verdict(number: int, start_ms: int, end_ms: int, to: str | None, who: str = "maria", **more: str) -> Annotation:
    when = BEGAN + timedelta(minutes=number)
    key = {"video_id": "v", "uri": "/v.mp4", "segment_index": 0, "utterance_index": 0, "text": None}
    told = {
        "from_emotion": "happy",
        "to_emotion": to,
        "confidence": 0.5,
        "undoes": None,
        "recipe": "r",
        "model_id": "m",
    }
    return Annotation(str(number), who, when, start_ms=start_ms, end_ms=end_ms, **key | told | more)  # type: ignore[arg-type]


@pytest.fixture
def video(tmp_path: Path) -> Video:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.mp4").write_bytes(b"media")
    return a_video(tmp_path / "corpus" / "a.mp4", 7000)


@pytest.fixture
def out(tmp_path: Path, video: Video) -> Path:
    write_output(tmp_path / "out", {video: UTTERANCES})
    return tmp_path / "out"


def test_what_was_answered_survives_a_kill(out: Path, video: Video) -> None:
    command = [str(FV2ES), "view", str(out), "--annotator", "maria"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        origin, _, token = process.stdout.readline().strip().partition("/#token=")
        body = {"video_id": video.video_id, "segment_index": 0, "utterance_index": 2, "to_emotion": "disgust"}
        headers = {"X-FV2ES-Token": token, "Origin": origin, "Content-Type": "application/json"}
        request = urllib.request.Request(f"{origin}/api/annotations", json.dumps(body).encode(), headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            kept = json.load(answer)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (row,) = annotations.read(Store(str(out)))
    assert (row.annotation_id, row.annotator, row.to_emotion) == (kept["annotation_id"], "maria", "disgust")


def test_sessions_never_touch_each_others_files(out: Path, video: Video, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotations, "ROWS_A_FILE", 2)
    with serving(out, "maria") as first, serving(out, "josé") as second:
        for emotion in ("sad", "fear", "angry"):
            assert first.say(video.video_id, 0, emotion).status == 200
        assert second.say(video.video_id, 0, "surprise").status == 200
    store = Store(str(out))
    assert sorted(len(annotations.read_file(store, name)) for name in annotations.names(store)) == [1, 1, 2]
    assert [row.to_emotion for row in annotations.read(store)] == ["sad", "fear", "angry", "surprise"]


def test_a_verdict_that_cannot_be_written_is_not_kept(out: Path, video: Video) -> None:
    with serving(out) as server:
        assert server.say(video.video_id, 0, "sad").status == 200
        folder = out / "annotations"
        folder.rename(out / "aside")
        folder.write_text("a file is in the way")
        refused = server.say(video.video_id, 1, "fear")
        assert refused.status == 500
        assert "Can't write" in refused.json["error"]
        folder.unlink()
        (out / "aside").rename(folder)
        assert server.say(video.video_id, 2, "angry").status == 200
    assert [row.to_emotion for row in annotations.read(Store(str(out)))] == ["sad", "angry"]


def test_undo_brings_the_verdict_before_it_back() -> None:
    rows = [verdict(1, 0, 10, "sad"), verdict(2, 0, 10, "fear"), verdict(3, 0, 10, None, undoes="2")]
    assert [row.to_emotion for row in annotations.standing(rows)] == ["sad"]


def test_most_annotators_decide_each_by_the_newest_verdict() -> None:
    rows = [verdict(1, 0, 10, "sad"), verdict(2, 0, 10, "fear"), verdict(3, 0, 10, "sad", "josé")]
    assert annotations.agreed(rows) is None
    assert annotations.agreed([*rows, verdict(4, 0, 10, "fear", "li")]) == "fear"
    assert annotations.agreed([]) is None


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 20)), min_size=1, max_size=8),
    st.integers(0, 300),
    st.integers(1, 200),
)
def test_a_verdict_fits_at_most_one_utterance_and_its_own_always(
    lengths: list[tuple[int, int]], start: int, length: int
) -> None:
    spans, at = [], 0
    for long, gap in lengths:
        spans.append((at, at + long))
        at += long + gap
    assert len(annotations.on_utterances([verdict(1, start, start + length, "sad")], spans)) <= 1
    for place, (begin, end) in enumerate(spans):
        assert list(annotations.on_utterances([verdict(1, begin, end, "sad")], spans)) == [place]


@pytest.fixture
def evaluate(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """`fv2es evaluate --annotations`; gives its report."""

    def run_(*options: str) -> dict[str, Any]:
        arguments = ["--annotations", out, "--out", tmp_path / "evaluation", "--json", *options]
        code, printed, told = run(monkeypatch, capsys, "evaluate", *arguments)
        assert code == 0, told
        report: dict[str, Any] = json.loads(printed)
        return report

    return run_


def test_labels_are_scored_by_annotations_also_after_labelling_anew(
    out: Path, video: Video, tmp_path: Path, evaluate: Callable[..., dict[str, Any]]
) -> None:
    with serving(out) as server:
        for index, emotion in enumerate(["happy", "fear", "angry"]):
            assert server.say(video.video_id, index, emotion).status == 200
    anew = [
        said(1100, 2450, "good morning", "happy", 0.7),  # the same utterance, a little shorter
        said(3000, 6000, "so it goes", "neutral", 0.5),  # two that became one: neither verdict is on more than half
    ]
    other = RECIPE | {"weights": {"emotion": "1" * 64}}
    write_output(out, {video: anew}, other)
    report = evaluate()
    assert (report["model_id"], report["sha256"]) == ("test-1", "1" * 64)
    together = report["reports"]["together, annotations"]
    assert (together["items"], together["left_out"], together["accuracy"]["value"]) == (1, 2, 1.0)
    sets = evaluate("--recipe", recipe_id(RECIPE))["reports"]
    assert sets["together, annotations"]["items"] == 3
    assert sets["together, annotations"]["accuracy"]["value"] == pytest.approx(2 / 3, abs=1e-3)
    assert sets["text, annotations"]["items"] == 2
    assert "</html>" in (tmp_path / "evaluation" / "report.html").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--annotations", "OUT"], "`fv2es view OUT` is for that"),
        (["--annotations", "OUT", "--data", "meld=OUT"], "it goes without --data"),
        ([], "--data NAME=FOLDER, or --annotations OUT"),
    ],
)
def test_evaluation_says_what_is_missing(
    out: Path, tmp_path: Path, monkeypatch, capsys, options: list[str], message: str
) -> None:
    given_ = [str(out) if option == "OUT" else option for option in options]
    code, _, told = run(monkeypatch, capsys, "evaluate", "--out", tmp_path / "e", *given_)
    assert (code, message in told.replace(str(out), "OUT")) == (2, True)


def test_damaged_annotations_are_named_and_never_taken_out(out: Path, video: Video) -> None:
    store = Store(str(out))
    log = AnnotationLog(store, "maria")
    label = {**UTTERANCES[0], "video_id": video.video_id, "uri": video.uri, "segment_index": 0, "utterance_index": 0}
    log.add(label | {"recipe": "r"}, "sad")
    assert (validate(store).annotations, validate(store).annotation_problems) == (1, [])
    (name,) = annotations.names(store)
    store.put("annotations/broken.parquet", b"PAR1")
    rows = annotations.read_file(store, name)
    assert annotations.problems([replace(rows[0], to_emotion="joy")]) == [
        f"the annotation {rows[0].annotation_id} says 'joy', which is no emotion here"
    ]
    report = repair(store, 90)
    assert [problem.file for problem in report.annotation_problems] == ["annotations/broken.parquet"]
    assert len(annotations.names(store)) == 2
    with pytest.raises(OutputError, match="damaged"):
        annotations.read(store)
