"""`fv2es train` as a user runs it, on corpora in miniature: alone, and by two workers on a real Ray."""

import csv
import json
import signal
import subprocess
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml

from models.train.checkpoint import load_checkpoint
from models.train.loop import read_metrics
from models.train.v2em_weights import load_v2em
from tests.labelling import FV2ES
from tests.models.v2em.albert import save_albert
from tests.models.v2em.conftest import small_config
from tests.models.v2em.made import EMOTIONS, tone
from tests.pipelines.test_cli import run

TIME_LIMIT_S = 900
"""Ray takes half a minute to start on an idle machine, and many times that on a busy one."""

FACE = {
    "recipe": {"kind": "face", "batch_size": 8, "sides": [], "pool_steps": 2, "mild_epochs": 1},
    "model": {"widths": [4, 8], "depths": [1], "time_dim": 8, "time_heads": 2},
    "loop": {"epochs": 2, "learning_rate": 0.01, "device": "cpu"},
}


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Noise that claims to be FER2013: a manifest, and pictures of the seven emotions."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "corpora"
    folder.mkdir()
    rows = []
    for k in range(140):
        emotion = ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise")[k % 7]
        cv2.imwrite(str(folder / f"{k}.png"), rng.integers(0, 256, (48, 48), dtype=np.uint8))
        rows.append((f"{k}.png", "FER2013", "face 48x48 grey", "", emotion, "train"))
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "dataset", "modality", "speaker", "emotion", "split"), *rows])
    return folder


@pytest.fixture
def dialogues(tmp_path: Path) -> Path:
    """IEMOCAP's layout: a tone, a word and a label for each of 18 utterances of four sessions, without pictures."""
    processed = tmp_path / "iemocap" / "IEMOCAP_RAW_PROCESSED"
    meta = {}
    for session, k in [(1 + k % 3, k) for k in range(12)] + [(4, k) for k in range(6)]:
        id = f"Ses0{session}F_impro01_F{k:03}"
        folder = processed / f"Ses0{session}F_impro01" / id
        folder.mkdir(parents=True)
        tone(folder / "audio_L.wav", 200 * 2 ** (k % 6 / 2))
        meta[id] = {"label": EMOTIONS[k % 6], "text": f"{'abcdef'[k % 6] * 3} and so on"}
    (processed / "meta.json").write_text(json.dumps(meta))
    return tmp_path / "iemocap"


def written(folder: Path, experiment: dict[str, Any]) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(experiment))
    return path


def v2em(folder: Path, epochs: int) -> dict[str, Any]:
    """V2EM in miniature on text and sound: without batch norms and dropout, so that workers can be compared."""
    sizes = json.loads(json.dumps(asdict(small_config(modalities="ta"))))
    sizes["audio"]["drop_path"] = sizes["encoder"]["dropout"] = 0.0
    albert = save_albert(folder / "albert", small_config().text)
    augmentation = {"sound": True, "time_mask_s": 0.2, "band_mask": 8}
    return {
        "recipe": {
            "kind": "v2em",
            "corpus": "iemocap-session5",
            "albert": str(albert),
            "batch_size": 4,
            "modality_dropout": 0.2,
            "augmentation": augmentation,
        },
        "model": sizes,
        "loop": {"epochs": epochs, "learning_rate": 0.001, "optimiser": "sgd", "device": "cpu"},
    }


def test_help_shows_examples(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(monkeypatch, capsys, "train", "-h")
    assert code == 0
    assert "fv2es train --config models/experiments/v2em-iemocap.yaml" in " ".join(out.split())


def test_a_training_leaves_weights_measures_and_curves_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, faces: Path
) -> None:
    out = tmp_path / "out"
    arguments = ("train", "--config", written(tmp_path, FACE), "--data", faces, "--out", out, "--json")
    code, said, progress = run(monkeypatch, capsys, *arguments)
    assert code == 0
    assert set(json.loads(said)["measures"]) >= {"accuracy"}
    assert "epoch 1/2" in progress
    assert "epoch 2/2" in progress
    assert {path.name for path in out.iterdir()} == {"checkpoint.pt", "curves.svg", "face.pt", "metrics.jsonl"}
    assert [row["epoch"] for row in read_metrics(out)] == [1, 2]
    code, again, progress = run(monkeypatch, capsys, *arguments)
    assert (code, "epoch" in progress) == (0, False)  # it had ended
    assert json.loads(again) == json.loads(said)
    code, _, err = run(monkeypatch, capsys, *arguments, "--set", "loop.epochs=3")
    assert code == 2
    assert "loop.epochs was 2, is 3" in " ".join(err.split())
    assert "--no-resume" in err
    code, _, progress = run(monkeypatch, capsys, *arguments, "--set", "loop.epochs=3", "--no-resume")
    assert code == 0
    assert "epoch 3/3" in progress


def test_v2em_is_trained_and_can_be_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, dialogues: Path
) -> None:
    out, config = tmp_path / "out", written(tmp_path, v2em(tmp_path, epochs=1))
    code, said, _ = run(monkeypatch, capsys, "train", "-c", config, "--data", dialogues, "--out", out)
    assert code == 0
    assert "mean_f1" in said
    trained = load_v2em(out / "v2em.safetensors")
    assert trained.deploy
    assert trained.emotions == EMOTIONS
    assert trained.fitted_on == "v2em, IEMOCAP, tune"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "/nowhere.yaml"], "no experiment at /nowhere.yaml; those that come with FV2ES are in"),
        (["--data", "/nowhere"], "no folder at /nowhere: give the one that holds the corpora"),
        (["--data", "EMPTY"], "no manifest.csv in"),
        (["--config", "V2EM", "--data", "EMPTY"], "IEMOCAP: there is no meta.json and no meta.pkl in"),
        (["--config", "V2EM", "--set", "recipe.corpus=movies"], "no reader is called movies; there are"),
        (["--config", "V2EM", "--set", "recipe.albert=/none"], "recipe.albert: no ALBERT in /none: give a folder with"),
        (
            ["--config", "V2EM", "--set", "model.audio.dim=3"],
            "model.audio.dim is no size of a v2em branch: dims, heads",
        ),
        (["--config", "V2EM", "--set", "model.modalities=at"], "modalities 'at': give some of 'tva'"),
        (["--config", "V2EM", "--set", "recipe.speed=3"], "recipe.v2em.speed: Extra inputs are not permitted"),
        (["--out", "FILE"], "is a file; --out wants a folder"),
        (["--set", "epochs"], "--set epochs: say NAME=VALUE"),
        (["--workers", "3"], "batches of 8 can't be shared out among 3 workers: set recipe.batch_size to a larger"),
        (["--workers", "8"], "--set recipe.batch_size=16"),  # a batch norm wants two
        (["--workers", "0"], "--workers"),
    ],
)
def test_mistakes_end_with_2_and_a_message_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    faces: Path,
    arguments: list[str],
    message: str,
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "v2em").mkdir()
    places = {
        "EMPTY": str(tmp_path / "empty"),
        "FILE": str(tmp_path / "file"),
        "V2EM": str(written(tmp_path / "v2em", v2em(tmp_path, 1))),
    }
    usual: list[object] = ["--config", written(tmp_path, FACE), "--data", faces, "--out", tmp_path / "out"]
    code, _, err = run(monkeypatch, capsys, "train", *usual, *[places.get(item, item) for item in arguments])
    assert code == 2
    assert message in " ".join(err.split())
    assert not (tmp_path / "out").exists()


def started(*arguments: object) -> subprocess.Popen[str]:
    command = [str(FV2ES), "train", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.ray
@pytest.mark.soak
def test_two_workers_come_to_the_weights_of_one_even_when_they_are_stopped_on_the_way(
    tmp_path: Path, dialogues: Path
) -> None:
    config = written(tmp_path, v2em(tmp_path, epochs=30))
    places = ["--config", config, "--data", dialogues, "--out"]
    process = started(*places, tmp_path / "two", "--workers", 2)
    until = time.monotonic() + TIME_LIMIT_S
    while not read_metrics(tmp_path / "two") and process.poll() is None and time.monotonic() < until:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=TIME_LIMIT_S)
    assert process.returncode == 130, err
    assert "Stopped; the same command goes on" in err
    done = len(read_metrics(tmp_path / "two"))
    assert 1 <= done < 30

    for name, workers in (("two", 2), ("one", 1)):
        process = started(*places, tmp_path / name, "--workers", workers)
        _, err = process.communicate(timeout=TIME_LIMIT_S)
        assert process.returncode == 0, err
        assert (f"epoch {done}/30 " in err) == (name == "one")
    files = {"checkpoint.pt", "curves.svg", "faces.fit.pt", "faces.tune.pt", "metrics.jsonl", "v2em.pt"}
    for name in ("one", "two"):
        assert {path.name for path in (tmp_path / name).iterdir()} == files | {"v2em.safetensors"}
    losses = [[row["loss"] for row in read_metrics(tmp_path / name)] for name in ("one", "two")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    modules = [load_checkpoint(tmp_path / name / "checkpoint.pt")["module"] for name in ("one", "two")]
    for name, value in modules[0].items():
        torch.testing.assert_close(modules[1][name], value, rtol=1e-3, atol=1e-5)

    process = started(*places, tmp_path / "two")
    _, err = process.communicate(timeout=TIME_LIMIT_S)
    assert process.returncode == 2
    assert "workers was 2, is None" in " ".join(err.split())


@pytest.mark.ray
@pytest.mark.soak
def test_workers_agree_on_every_kind_of_training(tmp_path: Path, faces: Path, dialogues: Path) -> None:
    """Batch norms, parameters without a gradient, files at the end: whatever a kind does beside the loop."""
    from models.train.experiment import read_experiment, run_experiment, shared_out
    from pipelines.ray_train import train_on_ray

    whole = v2em(tmp_path, epochs=2)
    whole["model"]["modalities"] = "tva"
    kinds = []
    for name, values, data in (("face", FACE, faces), ("v2em", whole, dialogues)):
        (tmp_path / name).mkdir()
        kinds.append((name, shared_out(read_experiment(written(tmp_path / name, values)), 2), data))

    def all_of_them(out: Path, on_epoch: Any) -> dict[str, float]:
        """Runs in the workers; gives how far their trained parameters are from the mean of all."""
        from models.train.loop import Training

        apart: list[float] = []
        ended = Training.run

        def note(training: Training[Any], tell: Any) -> Any:
            outcome = ended(training, tell)
            size = sum(float(p.detach().double().abs().sum()) for p in training.task.module.parameters())
            apart.append(abs(size - training.team.mean(size, training.device)))
            return outcome

        Training.run = note  # type: ignore[method-assign]
        for name, experiment, data in kinds:
            run_experiment(experiment, data, out / name, on_epoch)
        return dict(zip(["face", "v2em"], apart, strict=True))

    rows: list[dict[str, Any]] = []
    apart = train_on_ray(all_of_them, tmp_path / "out", 2, None, "cpu", rows.append)
    assert apart == {"face": 0, "v2em": 0}
    assert [row["epoch"] for row in rows] == [1, 2, 1, 2]
    assert all(np.isfinite(row["loss"]) for row in rows)
    assert (tmp_path / "out" / "face" / "face.pt").is_file()
    assert (tmp_path / "out" / "v2em" / "v2em.safetensors").is_file()
