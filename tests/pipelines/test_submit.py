"""What is sent to a cluster, and what is refused before anything is."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pipelines import package
from pipelines.cli.app import main
from pipelines.config import load
from pipelines.errors import SettingsError
from pipelines.submit import SETTINGS_FILE, Submission, prepare
from tests.labelling import fv2es

ROOT = Path(__file__).parent.parent.parent
SECRETS = {
    "FV2ES_STORAGE__SECRET_ACCESS_KEY": "secret-key-that-must-not-leak",
    "FV2ES_STORAGE__SESSION_TOKEN": "session-that-must-not-leak",
    "FV2ES_ALARM__URL": "https://alarm.example/token-that-must-not-leak",
    "AWS_SECRET_ACCESS_KEY": "aws-key-that-must-not-leak",
}


def submission(out: str = "s3://bucket/labels", config: Path | None = None) -> Submission:
    return prepare(["s3://bucket/corpus"], out, load(config), nightly=False)


@pytest.mark.parametrize("name", ["a film", 'it\'s "late"', "$(touch hacked) `id` $HOME", "a;b&c|d", "two\nlines"])
def test_names_reach_the_driver_as_they_are_through_rays_shell(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
    python.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    sent = prepare([name], f"out of {name}", load(), nightly=True, flags=["--allow-mass-removal"])
    env = os.environ | {"PATH": f"{python.parent}:{os.environ['PATH']}"}
    said = subprocess.run(sent.entrypoint, shell=True, env=env, capture_output=True, check=True).stdout  # noqa: S602
    assert said.decode().split("\0")[:-1] == [
        *("-m", "pipelines", "nightly", str(tmp_path / name), "--out", str(tmp_path / f"out of {name}")),
        *("--address", "auto", "--config", SETTINGS_FILE, "--allow-mass-removal"),
    ]
    assert any("every node of the cluster must see the same there" in note for note in sent.notes)


def test_secrets_stay_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FV2ES_STORAGE__REGION", "eu-west-1")
    sent = submission()
    env = sent.runtime_env(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 100
    said = [json.dumps(env).encode(), sent.entrypoint.encode(), repr(sent).encode(), *map(Path.read_bytes, files)]
    assert not [secret for secret in SECRETS.values() for text in said if secret.encode() in text]
    assert sent.settings == {"storage": {"region": "eu-west-1"}}
    assert [note.split()[0] for note in sent.notes] == [
        "alarm.url",
        "storage.secret_access_key",
        "storage.session_token",
    ]


def test_the_settings_of_here_win_over_a_nodes_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("speech: {language: null, asr: base}\nnightly: {until: '06:00'}\nengine: {address: 'http://a:1'}\n")
    monkeypatch.setenv("FV2ES_WINDOWS__MIN_PAUSE_MS", "250")
    sent, here = submission(config=file), load(file)
    env = sent.runtime_env(tmp_path)
    # On a node, where variables say something else.
    monkeypatch.setenv("FV2ES_WINDOWS__MIN_PAUSE_MS", "100")
    monkeypatch.setenv("FV2ES_SPEECH__ASR", "tiny.en")
    monkeypatch.setenv("FV2ES_ENGINE__WORKERS", "64")
    for name, value in env["env_vars"].items():
        monkeypatch.setenv(name, value)
    there = load(Path(env["working_dir"]) / SETTINGS_FILE)
    assert there.speech == here.speech
    assert there.windows.min_pause_ms == 250
    assert there.nightly.until == "06:00"
    assert there.engine.workers == 64  # which nobody has set here
    assert there.engine.address is None


def test_the_package_holds_the_code_and_its_data_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package.copy_code(tmp_path)
    sent = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    tracked = subprocess.run(
        ["git", "ls-files", "-z", *package.PACKAGES], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout.split("\0")
    assert sent >= {name for name in tracked if name and (ROOT / name).exists()}
    assert {Path(name).suffix for name in sent} <= package.SUFFIXES
    assert not [name for name in sent if "__pycache__" in name or "/." in name]
    monkeypatch.setattr(package, "MAX_BYTES", 1 << 20)
    with pytest.raises(SettingsError, match=r"largest file is .*v2em-s\.safetensors"):
        package.copy_code(tmp_path / "again")


def test_the_packages_run_where_nothing_is_installed_and_say_what_they_lack(tmp_path: Path) -> None:
    package.copy_code(tmp_path)
    bare = [sys.executable, "-S", "-m", "pipelines", "--version"]
    done = subprocess.run(bare, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "lacks the package" in done.stderr
    assert "requirements.lock" in done.stderr


def test_an_id_stands_for_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = submission()
    assert submission().digest == first.digest
    assert submission(out="s3://bucket/other").digest != first.digest
    monkeypatch.setenv("FV2ES_STORAGE__SECRET_ACCESS_KEY", "another day, another key")
    assert submission().digest == first.digest
    monkeypatch.setenv("FV2ES_SPEECH__BEAM_SIZE", "1")
    assert submission().digest != first.digest


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere/", "--out", "s3://b/o"], "no such file or folder here"),
        (["s3://key:secret@bucket/x", "--out", "s3://b/o"], "holds a password"),
        (["s3://", "--out", "s3://b/o"], "names no bucket"),
        (["ftps://bucket/x", "--out", "s3://b/o"], "this kind of address is not known"),
        (["s3://b/x", "--out", "file"], "is a file"),
        (["s3://b/x", "--out", "s3://b/o", "--until", "06:00"], "are for --nightly"),
        (["s3://b/x", "--out", "s3://b/o"], "Where is the cluster?"),
        (["s3://b/x", "--out", "s3://b/o", "--address", "auto"], "as http://HOST:8265"),
        (["s3://b/x", "--out", "s3://b/o", "--address", "ray://head:10001"], "ray:// (Ray Client) are something else"),
        (["s3://b/x", "--out", "s3://b/o", "--address", "http://127.0.0.1:1"], "No job server answers"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_sent(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "FV2ES_ENGINE__ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "argv", ["fv2es", "submit", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    assert said in capsys.readouterr().err.replace("\n", " ")
    assert left.value.code == (1 if "answers" in said else 2)


def test_a_run_on_a_cluster_is_not_driven_through_ray_client(tmp_path: Path) -> None:
    done = fv2es("label", tmp_path, "--out", tmp_path / "out", "--address", "ray://head:10001")
    assert done.returncode == 2
    assert "fv2es submit" in done.stderr


@pytest.fixture
def not_ours(request: pytest.FixtureRequest) -> Iterator[str]:
    """A web server that answers every request with the test's parameter."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(request.param.encode())

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("not_ours", "said", "code"),
    [
        ('{"version": "4", "ray_version": "2.9.3"}', "runs Ray 2.9.3; FV2ES needs 2.60 or newer", 2),
        ("<html>It works!</html>", "is no job server of Ray", 1),
    ],
    indirect=["not_ours"],
)
def test_a_server_that_cannot_do_it_is_named(not_ours: str, said: str, code: int) -> None:
    env = os.environ | {"RAY_ADDRESS": "http://127.0.0.1:1"}  # a flag comes before it
    done = fv2es("submit", "s3://b/x", "--out", "s3://b/o", "--address", not_ours, env=env)
    assert said in done.stderr.replace("\n", " "), done.stderr
    assert done.returncode == code
