"""From folders to a report: what the corpora hold is what is measured, by the branches that can read it."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import typer

from models.corpora import READERS, meld
from models.corpora.item import Corpus, CorpusError, Item
from models.corpora.ravdess import LABELS
from models.emotions import EMOTIONS
from models.evaluate.run import NothingToEvaluateError, Subject, check_names, evaluate
from models.evaluate.score import OURS, group_items
from models.v2em_s import EmotionModel, Predictions, UtteranceInput
from pipelines.cli.evaluate import EXAMPLES
from pipelines.cli.evaluate import evaluate as evaluate_command
from pipelines.errors import SettingsError
from tests.models.corpora.minis import MELD_SIZES, make_meld, ravdess_names, write_jpg, write_wav

LEVEL_STEP = 3000
GREY_STEP = 30


class Listener:
    """Knows an emotion by how loud its sound is, how bright its faces are, and how its text ends."""

    model_id = "listener"

    def predict(self, utterances: Sequence[UtteranceInput]) -> Predictions:
        present = np.array([utterance.present() for utterance in utterances])
        said = np.full((len(utterances), 3, len(EMOTIONS)), np.nan, np.float32)
        for row, utterance in enumerate(utterances):
            if utterance.pcm is not None:
                said[row, 1] = certain(round(float(np.abs(utterance.pcm).max()) * 2**15 / LEVEL_STEP) - 1)
            if utterance.faces is not None:
                said[row, 2] = certain(round(float(utterance.faces.mean()) / GREY_STEP) - 1)
            if utterance.text is not None:
                said[row, 0] = certain(0)
        return Predictions(np.nanmean(said, axis=1), said[:, 0], said[:, 1], said[:, 2], present)


def certain(emotion: int) -> np.ndarray:
    return np.where(np.arange(len(EMOTIONS)) == emotion, 0.9, 0.05)


LISTENER = Subject(cast(EmotionModel, Listener()), "0" * 64)


def level(stem: str) -> int:
    return OURS[LABELS[int(stem[7]) - 1]] + 1


@pytest.fixture
def ravdess(tmp_path: Path) -> Path:
    for actor in (16, 17, 18, 19):
        for name in ravdess_names(actor):
            write_wav(tmp_path / f"ravdess/Actor_{actor}/{name}.wav", LEVEL_STEP * level(name))
    return tmp_path / "ravdess"


@pytest.fixture
def takes(tmp_path: Path) -> Path:
    for name in ravdess_names(1, modality="01")[::4]:
        write_wav(tmp_path / f"av/actor01_reconstructed/{name}.mp4", LEVEL_STEP * level(name))
        write_jpg(tmp_path / f"av/actor01_faces/{name}.jpg", GREY_STEP * level(name), height=3 * 48)
    return tmp_path / "av"


def test_a_corpus_is_measured_by_each_branch_with_thresholds_from_its_tune_part(ravdess: Path) -> None:
    report = evaluate(LISTENER, [("ravdess", ravdess)], "report")
    assert set(report.reports) == {
        "text, RAVDESS",
        "voice, RAVDESS, whole clips",
        "voice, RAVDESS, trimmed clips",
        "text + voice, RAVDESS",
    }
    voice = report.reports["voice, RAVDESS, whole clips"]
    assert (voice.items, voice.speakers, voice.part, voice.left_out) == (120, 2, "report", 0)
    assert set(voice.by_speaker) == {"ravdess_18", "ravdess_19"}
    assert voice.accuracy.value == 1
    assert voice.decisions.thresholds_from == "voice, RAVDESS, whole clips"
    assert report.reports["text, RAVDESS"].accuracy.value == 0.2  # neutral, always: 24 of 120 with calm


def test_takes_are_measured_beside_corpora_for_report_and_for_test_but_nothing_is_tuned_on_them(
    ravdess: Path, takes: Path
) -> None:
    asked = [("voice",), ("face",), ("voice", "face")]
    report = evaluate(LISTENER, [("takes", takes), ("ravdess", ravdess)], "report", asked)
    found = report.reports["voice + face, RAVDESS takes"]
    assert (found.items, found.part, found.accuracy.value) == (15, "test", 1)
    assert found.decisions.thresholds_from is None
    assert report.reports["face, RAVDESS takes"].by_speaker.keys() == {"ravdess_01"}
    assert "voice, RAVDESS, whole clips" in report.reports
    assert set(evaluate(LISTENER, [("takes", takes)], "test", asked).reports) == {
        "voice, RAVDESS takes",
        "face, RAVDESS takes",
        "voice + face, RAVDESS takes",
    }
    with pytest.raises(NothingToEvaluateError, match="the tune part of takes has no item"):
        evaluate(LISTENER, [("takes", takes)], "tune")


def test_takes_that_are_half_there_are_refused(takes: Path, tmp_path: Path) -> None:
    next((takes / "actor01_faces").iterdir()).unlink()
    with pytest.raises(CorpusError, match="1 of 15 takes have no faces: 01-01-"):
        evaluate(LISTENER, [("takes", takes)], "report")
    with pytest.raises(CorpusError, match=r"there is no \*_reconstructed/\*\.mp4 in"):
        evaluate(LISTENER, [("takes", tmp_path)], "report")
    write_wav(tmp_path / "other/x_reconstructed/01-01-09-01-01-01-01.mp4")
    write_jpg(tmp_path / "other/x_faces/01-01-09-01-01-01-01.jpg")
    with pytest.raises(CorpusError, match="01-01-09-01-01-01-01 is not named"):
        evaluate(LISTENER, [("takes", tmp_path / "other")], "report")


def test_two_folders_of_one_corpus_are_refused(ravdess: Path) -> None:
    with pytest.raises(CorpusError, match="holds RAVDESS, as another does"):
        evaluate(LISTENER, [("ravdess", ravdess)] * 2, "report", [("voice",)])


def test_labels_are_renamed_and_what_is_none_of_the_seven_is_left_out() -> None:
    space = ("exc", "calm", "joy")
    held = [(0,), (1,), (2, 0), (), (2, 1)]
    items = tuple(Item("C", str(n), "", "report", labels, text="x") for n, labels in enumerate(held))
    (group,) = group_items(Corpus((*items, Item("C", "t", "", "tune", (0,))), space))
    assert [item.labels for item in group.items] == [(0,), (1,), (), (1, 0)]
    assert (group.corpus, group.part, group.left_out, group.available) == ("C", "report", 1, ("text",))


def test_unknown_corpora_are_answered_with_the_known_ones_before_anything_is_read(tmp_path: Path) -> None:
    check_names([*READERS, "takes"])
    with pytest.raises(CorpusError, match=r"no reader is called melt; there are .*meld.*takes"):
        evaluate(LISTENER, [("melt", tmp_path)], "report")


@pytest.fixture
def small_meld(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_meld(tmp_path / "MELD.Raw")
    monkeypatch.setitem(READERS, "meld", lambda folder, part: meld.read(folder, part, MELD_SIZES))
    return tmp_path / "MELD.Raw"


def run_command(*arguments: Any) -> None:
    app = typer.Typer()
    app.command()(evaluate_command)
    app([str(argument) for argument in arguments], standalone_mode=False)


def test_the_command_measures_the_model_that_ships(model: EmotionModel, small_meld: Path, tmp_path: Path) -> None:
    out = tmp_path / "evaluation"
    run_command("--data", f"meld={small_meld}", "--out", out, "--branches", "text")
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert report["model_id"] == model.model_id
    found = report["reports"]["text, MELD"]
    assert (found["items"], found["part"], found["classes"]) == (8, "report", ["neutral", "happy", "angry"])
    assert found["decisions"]["thresholds_from"] == "text, MELD"
    assert found["accuracy"]["value"] > 0.5
    assert "text, MELD" in (out / "report.html").read_text("utf-8")


def test_the_command_says_what_is_missing(model: EmotionModel, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"MELD: there is no dev_sent_emo\.csv in") as error:
        run_command("--data", f"meld={tmp_path}", "--out", tmp_path / "out")
    assert "Expected in" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_the_command_names_the_corpora_there_are(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no reader is called melt; there are .*takes"):
        run_command("--data", f"melt={tmp_path}", "--out", tmp_path / "out")
    named = set(re.findall(r"[a-z0-9-]+", EXAMPLES))
    assert {*READERS, "takes"} <= named
