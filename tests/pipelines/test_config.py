"""Settings: where they come from, and what a wrong one says."""

from pathlib import Path

import pytest

from pipelines.config import load
from pipelines.errors import SettingsError


def test_flags_win_over_the_environment_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "fv2es.yaml"
    file.write_text("speech: {asr: from-file, language: de, batch_size: 3}\nengine: {workers: 5, gpus: 1}\n")
    monkeypatch.setenv("FV2ES_SPEECH__ASR", "from-environment")
    monkeypatch.setenv("FV2ES_ENGINE__WORKERS", "6")
    config = load(file, {"engine": {"workers": 7, "gpus": None}})
    assert (config.speech.asr, config.speech.language, config.speech.batch_size) == ("from-environment", "de", 3)
    assert (config.engine.workers, config.engine.gpus) == (7, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speech: {languag: en}", "speech.languag: unknown setting"),
        ("speach: {language: en}", "speach: unknown setting"),
        ("speech: {vad_threshold: 7}", "speech.vad_threshold: Input should be less than 1"),
        ("speech: 3", "speech: Input should be"),
        ("- a list", "settings are groups of names and values"),
        ("a: [", "not valid YAML"),
        ("!!python/object/apply:os.system ['true']", "tags .* are not taken"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "fv2es.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load(file)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="can't be read: No such file"):
        load(tmp_path / "none.yaml")


@pytest.mark.parametrize("name", ["FV2ES_SPEACH__ASR", "FV2ES_ASR"])
def test_an_unknown_variable_is_an_error(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "base")
    with pytest.raises(SettingsError, match=f"unknown environment variable {name}"):
        load()
