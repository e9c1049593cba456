"""Buckets as corpus and as output, against a real S3 server."""

import json
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
from tests.pipelines.conftest import CREDENTIALS
from tests.tables import inferred

pytestmark = pytest.mark.s3


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
