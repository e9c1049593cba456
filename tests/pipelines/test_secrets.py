"""Credentials are used and never written, said or handed on."""

import subprocess
from pathlib import Path

import pytest
import s3fs
import yaml

from operators import media
from operators.process import Process
from pipelines.config import load
from tests.chaos import faults
from tests.pipelines.conftest import CREDENTIALS

SECRETS = [CREDENTIALS["secret"], CREDENTIALS["key"]]


@pytest.mark.s3
@pytest.mark.media
def test_credentials_of_the_settings_are_nowhere_in_what_a_run_leaves_or_says(
    bucket: str, endpoint: str, tmp_path: Path
) -> None:
    filesystem = s3fs.S3FileSystem()
    for path in faults.build_corpus(tmp_path / "corpus", files=2).iterdir():
        filesystem.put_file(str(path), f"{bucket}/corpus/{path.name}")
    source, out, log = f"s3://{bucket}/corpus", f"s3://{bucket}/out", tmp_path / "log"
    storage = {"endpoint_url": endpoint, "region": "us-east-1", "access_key_id": CREDENTIALS["key"]}
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump({"storage": storage}))
    secret = {"FV2ES_STORAGE__SECRET_ACCESS_KEY": CREDENTIALS["secret"]}
    env = faults.environment(tmp_path / "watch", **secret, FV2ES_JOB__LOG_FORMAT="json", FV2ES_JOB__LOG_LEVEL="debug")
    env = {name: value for name, value in env.items() if not name.startswith("AWS_")}
    for command in (
        ["label", source, "--out", out, "--engine", "local"],
        ["plan", source, "--out", out, "--json"],
        ["retry", out, "--all", "--engine", "local"],
        ["validate", out, "--json"],
        ["status", out],
        ["config", "show"],
    ):
        code = faults.finish(*command, "--config", settings, env=env, log=log)
        assert code in (0, 3), log.read_text()
    said = log.read_text()
    assert not [secret for secret in SECRETS if secret in said]
    assert "Signature" not in said
    filesystem.invalidate_cache()
    names = filesystem.find(f"{bucket}/out")
    assert len(names) >= 8
    for name in names:
        content = filesystem.cat_file(name)
        assert not [secret for secret in SECRETS if secret.encode() in content], name
        assert b"Signature" not in content, name


def test_shown_settings_have_no_secrets_and_can_be_used_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FV2ES_STORAGE__SECRET_ACCESS_KEY", "hidden")
    config = load()
    assert config.storage.environment() == {"AWS_SECRET_ACCESS_KEY": "hidden"}
    for text in (repr(config), str(config.model_dump()), yaml.safe_dump(config.shown()), str(config.public())):
        assert "hidden" not in text
    file = tmp_path / "shown.yaml"
    file.write_text(yaml.safe_dump(config.shown()))
    monkeypatch.delenv("FV2ES_STORAGE__SECRET_ACCESS_KEY")
    assert load(file).storage.environment() == {}


def test_programs_that_read_hostile_files_get_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.setenv("FV2ES_STORAGE__SECRET_ACCESS_KEY", "hidden")
    with Process(["/usr/bin/env"], 30, 1 << 20, 4096) as process:
        pass
    assert b"hidden" not in process.stdout
    assert b"PATH=" in process.stdout
    assert b"hidden" in subprocess.run(["/usr/bin/env"], capture_output=True, check=True).stdout


def test_the_process_that_reads_headers_gets_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer = '{"unreadable": {"reason": "no", "retryable": false, "status": "unreadable"}}'
    seen = tmp_path / "seen"
    script = f"{{ /usr/bin/env; echo ready >&2; read question; echo \"$question\"; }} > {seen} 2>&3; echo '{answer}'"
    monkeypatch.setattr(media, "CHILD", ["/bin/sh", "-c", f"exec 3>&1; {script}"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.setenv("FV2ES_STORAGE__SECRET_ACCESS_KEY", "hidden")
    with pytest.raises(media.UnreadableMedia):
        media.probe("s3://bucket/clip.mp4", storage_options={"key": "name", "secret": "hidden"})
    assert "hidden" not in seen.read_text()
    assert "PATH=" in seen.read_text()
    assert "clip.mp4?" in seen.read_text()  # the address, signed
