"""What a run has committed, told from the ledger alone."""

from pathlib import Path

from operators.commit import Store
from operators.write import Target, Write
from pipelines import ledger
from pipelines.arrivals import Arrivals, is_committed
from pipelines.plan import Segment, Shard, Video, to_table
from tests.tables import inferred

VIDEOS = [Video(f"/corpus/{name}.mp4", 10, "1", 60_000, 64, 36, 25.0, "h264", "aac") for name in "ab"]
SHARDS = [Shard(video.uri[8], (Segment(video, 0, 0, 60_000),)) for video in VIDEOS]


def commit(root: Path, run_id: str, shard: Shard) -> None:
    Write(Target(str(root), "recipe=x", run_id, "{}"))(inferred(shard))


def test_each_shard_is_told_of_once(tmp_path: Path) -> None:
    arrivals = Arrivals(Store(str(tmp_path)), "recipe=x", "run", ["a", "b"])
    assert list(arrivals.new()) == []
    commit(tmp_path, "run", SHARDS[0])
    (summary,) = arrivals.new()
    assert summary.to_pylist() == [
        {"shard_id": "a", "media_ms": 60_000, "segments": 1, "failed_segments": 0, "utterances": 2}
    ]
    commit(tmp_path, "run", SHARDS[0])  # a bundle that was tried again
    commit(tmp_path, "run", SHARDS[1])
    assert [summary["shard_id"][0].as_py() for summary in arrivals.new()] == ["b"]


def test_only_what_this_run_has_committed_counts(tmp_path: Path) -> None:
    store, shard = Store(str(tmp_path)), to_table(SHARDS[:1])
    commit(tmp_path, "earlier", SHARDS[0])
    arrivals = Arrivals(store, "recipe=x", "run", ["a"])
    # The video had changed and is now what it was: its old rows have left, and their file stands there empty.
    ledger.retire(store, "recipe=x", ledger.read(store, "recipe=x"), [VIDEOS[0].video_id])
    assert not is_committed(str(tmp_path), "recipe=x", "run", shard)
    assert list(arrivals.new()) == []
    commit(tmp_path, "run", SHARDS[0])
    assert is_committed(str(tmp_path), "recipe=x", "run", shard)
    assert len(list(arrivals.new())) == 1
