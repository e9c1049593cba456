"""`fv2es label` from end to end: real media, real models, worker processes and a real Ray, no network."""

import time
from pathlib import Path
from typing import NamedTuple

import pytest

from models.emotions import EMOTIONS
from operators.schema import STATUSES
from tests.labelling import files_below, fv2es, label_and_kill, label_json, labels, segments, wait_until_gone

pytestmark = [pytest.mark.ray, pytest.mark.media]

BROKEN = {"notes.mp4", "truncated.mp4"}
SHORT_SHARDS = {"FV2ES_PLAN__SEGMENT_MINUTES": "0.34", "FV2ES_PLAN__SHARD_MINUTES": "0.34"}
"""Segments of 20 s and a shard each: several commits, so that kills fall before, between and after them."""


class Labelled(NamedTuple):
    corpus: Path
    out: Path
    code: int
    result: dict
    env: dict[str, str]
    places: tuple[Path, ...]  # where nothing may be written: home, working folder, temporary folder


@pytest.fixture(scope="module")
def labelled(
    demo_corpus: Path, tmp_path_factory: pytest.TempPathFactory, offline_module_environment: dict[str, str]
) -> Labelled:
    """The demo corpus, labelled by worker processes of a user with an empty home and no network."""
    base = tmp_path_factory.mktemp("labelled")
    places = tuple(base / name for name in ("home", "cwd", "tmp"))
    for place in places:
        place.mkdir()
    env = offline_module_environment | {"HOME": str(places[0]), "TMPDIR": str(places[2])} | SHORT_SHARDS
    env.pop("XDG_CACHE_HOME", None)
    code, result = label_json(demo_corpus, "--out", base / "out", env=env)
    return Labelled(demo_corpus, base / "out", code, result, env, places)


def test_broken_files_are_listed_and_the_rest_is_labelled(labelled: Labelled) -> None:
    assert labelled.code == 3
    assert {Path(item["uri"]).name for item in labelled.result["failed"]} == BROKEN
    assert all(item["reason"] for item in labelled.result["failed"])
    ledger = segments(labelled.out)
    assert {Path(uri).name for uri in ledger["uri"].to_pylist()} == {path.name for path in labelled.corpus.iterdir()}
    status = {Path(row["uri"]).name: row["status"] for row in ledger.to_pylist()}
    assert set(status.values()) <= set(STATUSES)
    assert status["talking head.mp4"] == "ok"
    assert status["silent.mp4"] == "no_audio"
    assert status["speech alone.flac"] == "no_video"
    assert status["no speech.mp4"] == "no_speech"


def test_rows_say_what_was_there_and_what_was_not(labelled: Labelled) -> None:
    rows = labels(labelled.out).to_pylist()
    by_file = {name: [row for row in rows if Path(row["uri"]).name == name] for name in status_names(labelled)}
    talking = by_file["talking head.mp4"]
    assert len([row for row in talking if row["has_text"] and row["has_audio"] and row["has_face"]]) >= 5
    assert all(row["words"] for row in talking if row["has_text"])
    for row in by_file["silent.mp4"] + by_file["no speech.mp4"]:
        assert (row["has_text"], row["has_audio"], row["has_face"]) == (False, False, True)
        assert row["text_missing"]
        assert row["audio_missing"]
        assert (row["text_p"], row["audio_p"]) == (None, None)
    assert by_file["silent.mp4"]
    assert by_file["no speech.mp4"]
    for row in by_file["speech alone.flac"]:
        assert (row["has_text"], row["has_audio"], row["has_face"]) == (True, True, False)
        assert row["face_p"] is None
    assert not by_file["notes.mp4"]


def status_names(labelled: Labelled) -> set[str]:
    return {path.name for path in labelled.corpus.iterdir()}


def test_probabilities_and_times_make_sense(labelled: Labelled) -> None:
    durations = {row["video_id"]: row["duration_ms"] for row in segments(labelled.out).to_pylist()}
    last_end: dict[str, int] = {}
    for row in labels(labelled.out).to_pylist():
        assert 0 <= row["start_ms"] < row["end_ms"] <= durations[row["video_id"]]
        assert last_end.get(row["video_id"], 0) <= row["start_ms"]
        last_end[row["video_id"]] = row["end_ms"]
        by_emotion = {name: row[f"p_{name}"] for name in EMOTIONS}
        assert all(0 <= value <= 1 for value in by_emotion.values())
        assert row["confidence"] == by_emotion[row["emotion"]] == max(by_emotion.values())
        assert 0 <= row["face_coverage"] <= 1
        timed = [word for word in row["words"] if word["start_ms"] is not None]
        assert all(row["start_ms"] <= word["start_ms"] <= word["end_ms"] <= row["end_ms"] for word in timed)


def test_nothing_is_written_outside_the_output_and_nothing_spills(labelled: Labelled) -> None:
    assert labelled.result["spilled_bytes"] == 0
    assert wait_until_gone(*labelled.places) == []
    top = {path.name for path in labelled.out.iterdir()}
    assert top == {"labels", "segments", "_runs"}
    assert {Path(name).suffix for name in files_below(labelled.out / "labels", labelled.out / "segments")} == {
        ".parquet"
    }
    of_runs = {Path(name).name for name in files_below(labelled.out / "_runs")}
    assert of_runs == {
        "config.json", "plan.parquet", "recipe.json", "state.json", f"{labelled.result['partition']}.parquet"
    }  # fmt: skip


def test_a_second_run_does_nothing_and_says_so(labelled: Labelled) -> None:
    before = files_below(labelled.out)
    started = time.monotonic()
    done = fv2es("label", labelled.corpus, "--out", labelled.out, env=labelled.env)
    assert time.monotonic() - started < 60  # 15 s on an idle machine, see the README; CI machines are busy
    assert done.returncode == 3
    assert "0 shards" in done.stderr
    assert "Nothing to do" in done.stdout
    assert all(name in done.stdout for name in BROKEN)
    assert files_below(labelled.out) == before


def test_status_and_plan_tell_how_it_stands(labelled: Labelled) -> None:
    status = fv2es("status", labelled.out, env=labelled.env)
    assert status.returncode == 0
    assert "finished" in status.stdout
    plan = fv2es("plan", labelled.corpus, "--out", labelled.out, env=labelled.env)
    assert plan.returncode == 3
    assert "To do: 0 shards" in plan.stdout
    nobody = fv2es("status", labelled.corpus, env=labelled.env)
    assert nobody.returncode == 2
    assert "no run of FV2ES has written here" in nobody.stderr


def test_the_plain_loop_gives_the_same_rows(labelled: Labelled, tmp_path: Path) -> None:
    code, _ = label_json(labelled.corpus, "--out", tmp_path, "--engine", "local", env=labelled.env)
    assert code == 3
    assert labels(tmp_path).equals(labels(labelled.out))
    assert segments(tmp_path).equals(segments(labelled.out))


def test_ray_gives_the_same_rows(labelled: Labelled, tmp_path: Path) -> None:
    code, _ = label_json(labelled.corpus, "--out", tmp_path, "--engine", "ray", env=labelled.env)
    assert code == 3
    assert labels(tmp_path).equals(labels(labelled.out))
    assert segments(tmp_path).equals(segments(labelled.out))


def test_a_killed_run_resumes_to_the_same_table(labelled: Labelled, tmp_path: Path) -> None:
    committed = []
    for after_s in (9.0, 14.0):
        label_and_kill([labelled.corpus, "--out", tmp_path], after_s, env=labelled.env)
        committed.append(len(list((tmp_path / "segments").rglob("*.parquet"))))
    code, result = label_json(labelled.corpus, "--out", tmp_path, env=labelled.env)
    assert code == 3
    assert result["shards"] + committed[-1] == len(list((tmp_path / "segments").rglob("*.parquet"))) >= 4
    assert labels(tmp_path).equals(labels(labelled.out))
    assert segments(tmp_path).equals(segments(labelled.out))
    assert wait_until_gone(labelled.places[2]) == []
    assert not (tmp_path / "_tmp").exists()
