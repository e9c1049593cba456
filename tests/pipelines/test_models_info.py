"""`fv2es models info`: what a person is told of a model."""

import json
from pathlib import Path

import pytest

from models.catalogue import locate
from models.facts import model_facts
from models.weights_file import WeightsError, load_weights
from tests.pipelines.test_cli import run


@pytest.fixture
def weights() -> Path:
    return locate("v2em-s")


def test_the_emotion_model_is_told_with_its_cost_and_its_measured_numbers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], weights: Path
) -> None:
    model_id, _, state = load_weights(weights)
    code, out, _ = run(monkeypatch, capsys, "models", "info", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["model_id"] == model_id
    assert facts["parameters"]["all"] == sum(v.numel() for v in state.values() if v.is_floating_point())
    assert 0 < facts["gmac_per_s"]["face_and_voice"] <= 3
    assert facts["bytes"] == weights.stat().st_size <= 40_000_000
    assert facts["measured_on_these_weights"] is True
    assert (
        facts["numbers"]["face, FER2013"]["accuracy"]["value"]
        > facts["numbers"]["face, FER2013"]["accuracy"]["baselines"]["majority"]
    )
    code, out, _ = run(monkeypatch, capsys, "models", "info")
    assert (code, facts["sha256"] in out, "measured on other weights" in out) == (0, True, False)
    assert "GMAC for a second of video" in out


def test_other_models_are_told_by_the_catalogue(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(monkeypatch, capsys, "models", "info", "whisper-tiny.en")
    assert code == 0
    assert "licence" in out
    assert "sha256 of model.bin" in out
    code, _, err = run(monkeypatch, capsys, "models", "info", "none-such")
    assert code == 2
    assert "none-such" in err


def test_numbers_measured_on_other_weights_are_said_to_be_so(weights: Path, tmp_path: Path) -> None:
    changed = tmp_path / weights.name
    changed.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    (tmp_path / "v2em-s.evaluation.json").write_bytes(weights.with_suffix(".evaluation.json").read_bytes())
    assert model_facts(changed).measured_on_these_weights is False
    (tmp_path / "v2em-s.evaluation.json").unlink()
    assert model_facts(changed).measured_on_these_weights is None
    changed.write_bytes(b"no weights")
    with pytest.raises(WeightsError):
        model_facts(changed)
