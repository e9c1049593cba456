"""What is planned again, and what never is: resumes, changed videos, new files."""

import itertools
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from operators.commit import Store
from operators.write import Target, Write
from pipelines import ledger, planner, runs
from pipelines.config import Config
from pipelines.corpus import Corpus, SourceFile
from pipelines.plan import Lengths, Shard, Video, pack, to_table
from pipelines.planner import JobPlan, make_plan
from tests.tables import inferred

PARTITION = "recipe=r1"
FILES = tuple(SourceFile(f"/corpus/{name}.mp4", 100, "1") for name in "abcdefgh")


@pytest.fixture(autouse=True)
def _probing_finds_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is ten minutes long: planning is tested here, probing elsewhere."""

    def probe(files, config):
        return [
            Video(item.uri, item.size, item.etag_or_mtime, 600_000, 640, 360, 25.0, "h264", "aac") for item in files
        ]

    monkeypatch.setattr(planner, "probe_files", probe)


def a_plan(store: Store, files: tuple[SourceFile, ...] = FILES, workers: int = 2) -> JobPlan:
    return make_plan(Corpus(files, 0), store, "r1", PARTITION, Config(), workers)


def commit(store: Store, shards: list[Shard] | tuple[Shard, ...]) -> None:
    write = Write(Target(store.root, PARTITION, "run", "{}"))
    for shard in shards:
        write(inferred(shard))


def begin(store: Store, plan: JobPlan, finished_at: str | None = None) -> None:
    state = runs.RunState(runs.new_run_id(), PARTITION, runs.now(), finished_at, shards=len(plan.shards))
    runs.start(store, state, {}, {}, to_table(plan.shards))


def test_a_second_plan_has_nothing_to_do(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    first = a_plan(store)
    assert first.media_ms == 8 * 600_000
    begin(store, first)
    commit(store, first.shards)
    second = a_plan(store)
    assert (second.shards, second.done_videos, second.done_ms) == ((), 8, 8 * 600_000)


def test_a_resume_keeps_the_stored_shards_whatever_the_number_of_workers(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    first = a_plan(store, workers=2)
    begin(store, first)
    commit(store, first.shards[:2])
    resumed = a_plan(store, workers=64)
    assert list(resumed.shards) == list(first.shards[2:])
    assert resumed.kept == len(first.shards) - 2


def test_new_files_are_planned_beside_what_was_left(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    first = a_plan(store, FILES[:6])
    begin(store, first)
    commit(store, first.shards[:1])
    resumed = a_plan(store, FILES)
    assert list(resumed.shards[: resumed.kept]) == list(first.shards[1:])
    new = {item.video.uri for shard in resumed.shards[resumed.kept :] for item in shard.segments}
    assert new == {file.uri for file in FILES[6:]}


def test_a_lost_plan_is_made_again_around_what_is_committed(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    first = a_plan(store)
    commit(store, first.shards[::2])  # no run was stored: only the ledger knows
    second = a_plan(store, workers=1)
    media = [
        (item.video.uri, item.start_ms, item.end_ms)
        for plan in (first.shards[::2], second.shards)
        for shard in plan
        for item in shard.segments
    ]
    for file in FILES:
        intervals = sorted((start, end) for uri, start, end in media if uri == file.uri)
        assert intervals[0][0] == 0
        assert intervals[-1][1] == 600_000
        assert all(left[1] == right[0] for left, right in itertools.pairwise(intervals))


def test_a_changed_video_is_planned_again_and_its_old_rows_leave(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    first = a_plan(store)
    begin(store, first, finished_at=runs.now())
    commit(store, first.shards)
    changed = (*FILES[:3], SourceFile(FILES[3].uri, 101, "2"), *FILES[4:])
    second = a_plan(store, changed)
    assert {item.video.uri for shard in second.shards for item in shard.segments} == {FILES[3].uri}
    assert len(second.replaced) == 1
    ledger.retire(store, PARTITION, ledger.read(store, PARTITION), second.replaced)
    uris = duckdb.sql(f"select distinct uri from '{tmp_path}/labels/**/*.parquet'").fetchall()
    assert sorted(uri for (uri,) in uris) == sorted(file.uri for file in FILES if file.uri != FILES[3].uri)
    commit(store, second.shards)
    versions = duckdb.sql(
        f"select count(distinct video_id) from '{tmp_path}/labels/**/*.parquet' group by uri"
    ).fetchall()
    assert versions == [(1,)] * 8


def test_broken_videos_are_known_and_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path))
    monkeypatch.setattr(
        planner,
        "probe_files",
        lambda files, config: [
            Video(item.uri, item.size, item.etag_or_mtime, status="unreadable", reason="bad") for item in files
        ],
    )
    first = a_plan(store)
    assert len(first.unreadable) == 8
    commit(store, first.shards)
    second = a_plan(store)
    assert (second.shards, len(second.failed)) == ((), 8)
    assert second.failed[0]["reason"] == "bad"


def test_a_file_that_could_not_be_read_for_a_while_is_read_by_the_run_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path))
    probe = planner.probe_files

    def probe_but_one(files, config):
        return [
            replace(video, status="unreadable", reason="a bad day", retryable=True, duration_ms=0)
            if video.uri == FILES[0].uri
            else video
            for video in probe(files, config)
        ]

    with monkeypatch.context() as patch:
        patch.setattr(planner, "probe_files", probe_but_one)
        first = a_plan(store)
    assert [video.uri for video in first.unreadable] == [FILES[0].uri]
    begin(store, first)
    commit(store, first.shards[-1:])  # and killed
    resumed = a_plan(store)
    assert resumed.unreadable == []
    planned = [(item.video.uri, item.start_ms) for shard in resumed.shards for item in shard.segments]
    committed = [(item.video.uri, item.start_ms) for item in first.shards[-1].segments]
    assert len({*planned, *committed}) == len(planned) + len(committed)
    assert resumed.media_ms + first.shards[-1].media_ms == 8 * 600_000


def test_a_video_whose_parts_are_done_is_whole_even_if_a_part_is_planned_anew(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    first = a_plan(store)
    begin(store, first, finished_at=runs.now())
    commit(store, first.shards)
    whole = Lengths(1, 20_000, set_shard_ms=3_600_000)
    part = pack(first.shards[1].segments, whole, "r1", "again")  # a retry of one shard, which was cut short
    begin(store, replace(first, shards=tuple(part)))
    assert [shard.shard_id for shard in a_plan(store).shards] == [shard.shard_id for shard in part]


def test_other_recipes_are_not_mixed_in(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    commit(store, a_plan(store).shards)
    other = make_plan(Corpus(FILES, 0), store, "r2", "recipe=r2", Config(), 2)
    assert other.media_ms == 8 * 600_000


def test_labels_that_were_never_committed_leave_unless_their_shard_is_planned(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    first = a_plan(store)
    begin(store, first)
    commit(store, first.shards)
    for shard in first.shards[:2]:  # killed after the labels, before the ledger
        store.remove(f"segments/{PARTITION}/{shard.shard_id}.parquet")
    again, gone = first.shards[0].shard_id, first.shards[1].shard_id
    assert ledger.remove_uncommitted(store, PARTITION, [again]) == [f"labels/{PARTITION}/{gone}.parquet"]
    left = {path.stem for path in (tmp_path / "labels").rglob("*.parquet")}
    assert left == {shard.shard_id for shard in first.shards} - {gone}
