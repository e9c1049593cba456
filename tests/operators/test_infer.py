"""Utterances with sound and faces become label rows."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models import catalogue
from models.emotions import EMOTIONS
from operators.infer import Infer
from operators.schema import CROP_BYTES, INFERRED, TRANSCRIBED
from operators.settings import InferSettings

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def infer() -> Infer:
    try:
        places = {name: catalogue.locate(name) for name in ("whisper-tiny.en", "minilm-l6", "v2em-s")}
    except catalogue.CatalogueError as error:
        pytest.skip(str(error))
    return Infer(InferSettings(), places["whisper-tiny.en"], places["minilm-l6"], places["v2em-s"])


def noise(seconds: float, seed: int = 0) -> bytes:
    samples = np.random.default_rng(seed).normal(0, 3000, int(RATE_HZ * seconds))
    return samples.astype("<i2").tobytes()


def face(time_ms: int, x0: float = 0.4, side: float = 0.2, shade: int = 0) -> dict[str, Any]:
    crop = np.random.default_rng(shade).integers(0, 255, CROP_BYTES, dtype=np.uint8).tobytes()
    edges = {"x0": x0, "y0": 0.2, "x1": x0 + side, "y1": 0.2 + side}
    return {"time_ms": time_ms, **edges, "score": 0.9, "crop": crop}


def utterance(start_ms: int, end_ms: int, text: str | None = "I am so happy", speech: bool = True) -> dict[str, Any]:
    words = [{"word": "I", "start_ms": start_ms, "end_ms": None, "score": None}] if text else []
    return {
        "start_ms": start_ms,
        "end_ms": end_ms,
        "speech": speech,
        "text": text,
        "language": "en" if text else None,
        "words": words,
    }


def segment(**changes: Any) -> dict[str, Any]:
    """A segment of 20 s with sound, a frame each 500 ms, and no face or utterance."""
    return {
        "shard_id": "s",
        "video_id": "v",
        "uri": "file:///v.mp4",
        "size": 1,
        "etag_or_mtime": "1",
        "segment_index": 0,
        "start_ms": 0,
        "end_ms": 20_000,
        "duration_ms": 20_000,
        "video_codec": "h264",
        "audio_codec": "aac",
        "status": "ok",
        "retryable": False,
        "pcm": noise(20),
        "pcm_start_ms": 0,
        "frame_times_ms": list(range(0, 20_000, 500)),
        "faces": [],
        "utterances": [],
        "speech_ms": 4_000,
    } | changes


def run(infer: Infer, *segments: dict[str, Any]) -> list[dict[str, Any]]:
    out = infer(pa.Table.from_pylist(list(segments), schema=TRANSCRIBED))
    assert out.schema.equals(INFERRED)
    out.validate(full=True)
    return out.to_pylist()


def test_a_full_utterance_gets_all_three_branches(infer: Infer) -> None:
    faces = [face(t) for t in range(1000, 3000, 500)]
    [row] = run(infer, segment(faces=faces, utterances=[utterance(1000, 3000)]))
    [label] = row["labels"]
    assert (row["status"], row["face_count"]) == ("ok", 4)
    assert (label["utterance_index"], label["start_ms"], label["end_ms"]) == (0, 1000, 3000)
    assert (label["has_text"], label["has_audio"], label["has_face"]) == (True, True, True)
    assert (label["text_missing"], label["audio_missing"], label["face_missing"]) == (None, None, None)
    probabilities = [label[f"p_{emotion}"] for emotion in EMOTIONS]
    assert label["emotion"] == EMOTIONS[int(np.argmax(probabilities))]
    assert label["confidence"] == max(probabilities)
    assert len(label["text_p"]) == len(label["audio_p"]) == len(label["face_p"]) == 7
    assert label["words"] == [{"word": "I", "start_ms": 1000, "end_ms": None, "score": None}]
    assert label["face_coverage"] == 1.0
    assert label["model_id"] == infer.model.model_id


def test_the_largest_face_is_followed_and_its_coverage_counted(infer: Infer) -> None:
    speaker = [face(t, x0=0.1, side=0.3, shade=1) for t in (0, 500, 1000)]
    listener = [face(t, x0=0.7, side=0.1, shade=2) for t in (0, 500, 1000, 1500)]
    both, alone = (
        run(infer, segment(faces=faces, utterances=[utterance(0, 2000)]))[0]["labels"][0]
        for faces in (speaker + listener, speaker)
    )
    assert both["face_coverage"] == 0.75
    assert both["face_p"] == alone["face_p"]


def test_a_window_takes_frames_of_its_half_open_span_only(infer: Infer) -> None:
    faces = [face(500, shade=1), face(2000, shade=2)]
    [row] = run(infer, segment(faces=faces, utterances=[utterance(500, 2000), utterance(2000, 2400)]))
    assert [round(label["face_coverage"], 3) for label in row["labels"]] == [round(1 / 3, 3), 1.0]
    assert row["labels"][0]["face_p"] != row["labels"][1]["face_p"]


def test_what_is_missing_is_left_out_and_says_why(infer: Infer) -> None:
    [no_words] = run(infer, segment(utterances=[utterance(0, 2000, text=None)]))[0]["labels"]
    assert (no_words["text_missing"], no_words["text_p"]) == ("no words recognised", None)
    assert (no_words["face_missing"], no_words["face_p"]) == ("no face found", None)
    assert no_words["face_coverage"] == 0

    silent = segment(status="no_audio", pcm=None, pcm_start_ms=None, audio_codec=None, speech_ms=None)
    silent |= {"faces": [face(0)], "utterances": [utterance(0, 6000, text=None, speech=False)]}
    [row] = run(infer, silent)
    [label] = row["labels"]
    assert (row["status"], label["audio_missing"], label["text_missing"]) == (
        "no_audio",
        "no audio track",
        "no audio track",
    )
    assert label["has_face"]

    radio = segment(status="no_video", video_codec=None, frame_times_ms=None, faces=None)
    [row] = run(infer, radio | {"utterances": [utterance(0, 2000)]})
    assert (row["status"], row["labels"][0]["face_missing"]) == ("no_video", "no video track")

    [between] = run(infer, segment(frame_times_ms=[0, 5000], utterances=[utterance(1000, 2000)]))[0]["labels"]
    assert between["face_missing"] == "no frame in window"


def test_a_stretch_without_speech_is_labelled_from_the_face_alone_or_not_at_all(infer: Infer) -> None:
    windows = [utterance(t, t + 4000, text=None, speech=False) for t in (0, 4000, 8000)]
    [row] = run(infer, segment(faces=[face(500), face(9000)], utterances=windows, speech_ms=0))
    assert row["status"] == "no_speech"
    assert [(label["utterance_index"], label["start_ms"]) for label in row["labels"]] == [(0, 0), (1, 8000)]
    for label in row["labels"]:
        assert (label["has_audio"], label["audio_missing"], label["text_missing"]) == (False, "no speech", "no speech")
        probabilities = [label[f"p_{emotion}"] for emotion in EMOTIONS]
        assert probabilities == pytest.approx(label["face_p"], abs=1e-5)


def test_a_segment_without_a_face_says_so(infer: Infer) -> None:
    [row] = run(infer, segment(utterances=[utterance(0, 2000)]))
    assert (row["status"], row["face_count"], len(row["labels"])) == ("no_face", 0, 1)


def test_failed_segments_pass_through_with_no_labels(infer: Infer) -> None:
    broken = segment(status="unreadable", reason="not a video", pcm=None, faces=None, utterances=None, speech_ms=None)
    rows = run(infer, broken, segment(utterances=[utterance(0, 2000)]))
    assert (rows[0]["status"], rows[0]["reason"], rows[0]["labels"], rows[0]["face_count"]) == (
        "unreadable",
        "not a video",
        None,
        None,
    )
    assert len(rows[1]["labels"]) == 1
    assert run(infer, broken)[0]["labels"] is None


def test_an_empty_shard_gives_an_empty_table(infer: Infer) -> None:
    assert run(infer) == []


def test_labels_do_not_depend_on_the_segment_the_window_is_in(infer: Infer) -> None:
    pcm = noise(20)
    faces = [face(t, shade=t) for t in range(12_000, 14_000, 500)]
    whole = segment(pcm=pcm, faces=faces, utterances=[utterance(12_000, 14_000)])
    late = whole | {"pcm": pcm[2 * RATE_HZ * 10 :], "pcm_start_ms": 10_000, "start_ms": 10_000}
    late["frame_times_ms"] = list(range(10_000, 20_000, 500))
    others = [segment(utterances=[utterance(0, 700 * k)]) for k in range(1, 9)]
    [first], [second] = run(infer, whole)[0]["labels"], run(infer, *others, late)[-1]["labels"]
    for name in (*(f"p_{emotion}" for emotion in EMOTIONS), "text_p", "audio_p", "face_p", "face_coverage"):
        assert first[name] == pytest.approx(second[name], abs=1e-5), name
