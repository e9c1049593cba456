"""What the command line says: help with examples, settings, and mistakes, at 80 columns."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines.cli import app as cli
from pipelines.cli.console import count, duration
from tests.models.test_pickles import Bomb


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command line, run in this process."""
    monkeypatch.setattr("sys.argv", ["fv2es", *map(str, arguments)])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    captured = capsys.readouterr()
    return int(exited.value.code or 0), captured.out, captured.err


@pytest.mark.parametrize("command", ["label", "plan", "status", "retry", "validate", "config show", "config validate"])
def test_help_shows_examples(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, _ = run(monkeypatch, capsys, *command.split(), "-h")
    assert code == 0
    assert "Example" in out
    assert f"fv2es {command}" in out


def test_the_settings_that_are_shown_are_valid_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, _ = run(monkeypatch, capsys, "config", "show")
    assert code == 0
    assert yaml.safe_load(out)["speech"]["asr"] == "tiny.en"
    file = tmp_path / "fv2es.yaml"
    file.write_text(out)
    code, out, _ = run(monkeypatch, capsys, "config", "validate", file)
    assert (code, out.strip()) == (0, f"{file}: valid.")
    _, shown, _ = run(monkeypatch, capsys, "config", "show", "--config", file, "--json")
    assert json.loads(shown) == yaml.safe_load(file.read_text())


def test_the_schema_explains_the_settings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(monkeypatch, capsys, "config", "show", "--schema")
    schema = json.loads(out)
    assert schema["$defs"]["SpeechSettings"]["properties"]["asr"]["description"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["label", "/nowhere", "--out", "OUT"], "/nowhere: no such file or folder"),
        (["label", ".", "--out", "FILE"], "is a file; --out wants a folder"),
        (["label", ".", "--out", "OUT", "--config", "/nowhere.yaml"], "/nowhere.yaml: can't be read"),
        (
            ["label", ".", "--out", "OUT", "--engine", "spark"],
            "engine.engine: Input should be 'processes', 'ray', 'beam' or 'local'",
        ),
        (["status", "OUT"], "no run of FV2ES has written here"),
        (["plan", "/nowhere"], "no such file or folder"),
        (["label", ".", "--out", "OUT", "--workers", "0"], "workers"),
    ],
)
def test_mistakes_end_with_2_and_a_message_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    (tmp_path / "file").touch()
    places = {"OUT": str(tmp_path / "out"), "FILE": str(tmp_path / "file")}
    code, _, err = run(monkeypatch, capsys, *[places.get(item, item) for item in arguments])
    assert code == 2
    assert message in " ".join(err.split())
    assert not (tmp_path / "out").exists()


def test_missing_weights_say_what_to_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("FV2ES_CACHE", str(tmp_path))
    code, _, err = run(monkeypatch, capsys, "label", ".", "--out", tmp_path / "out")
    assert code == 2
    assert "fv2es models pull" in err


def test_amounts_read_as_people_say_them() -> None:
    assert [duration(ms) for ms in (0, 1_500, 42_000, 200_000, 3_600_000 * 12 + 300_000)] == [
        "0.0 s", "1.5 s", "42 s", "3 min 20 s", "12 h 5 min"
    ]  # fmt: skip
    assert [count(number, "video") for number in (0, 1, 1200)] == ["0 videos", "1 video", "1,200 videos"]


def test_an_english_model_is_refused_for_another_language(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("FV2ES_SPEECH__LANGUAGE", "de")
    code, _, err = run(monkeypatch, capsys, "label", ".", "--out", tmp_path / "out")
    assert code == 2
    assert "knows English only" in err


def test_weights_that_are_a_pickle_end_the_job_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "corpus").mkdir()
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(pickle.dumps(Bomb(tmp_path / "it went off")))
    monkeypatch.setenv("FV2ES_INFER__MODEL", str(weights))
    code, _, err = run(monkeypatch, capsys, "label", tmp_path / "corpus", "--out", tmp_path / "out")
    assert code == 2
    assert "weights.safetensors is not a safetensors file" in " ".join(err.split())
    assert {path.name for path in tmp_path.iterdir()} == {"corpus", "weights.safetensors"}


def test_commands_begin_without_loading_what_only_some_need() -> None:
    """A question need not wait for PyTorch, which takes seconds to load, nor for the other large ones."""
    heavy = {"torch", "ray", "apache_beam", "whisperx", "transformers", "cv2", "sklearn", "matplotlib", "pandas"}
    code = f"import sys, pipelines.cli.app; print(*({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
