"""Failed segments are tried again: which, and how their old rows give way to the new ones, whatever comes between."""

from pathlib import Path

import pytest

from operators.commit import Store
from operators.write import Target, Write
from pipelines import ledger, planner, retry, runs
from pipelines.config import Config
from pipelines.corpus import Corpus, SourceFile
from pipelines.plan import Shard, Video, failed_video, to_table
from pipelines.planner import JobPlan, make_plan
from tests.chaos import faults
from tests.labelling import segments
from tests.tables import inferred

PARTITION = "recipe=r1"
FILES = tuple(SourceFile(f"/corpus/{name}.mp4", 100, "1") for name in "abcd")
STATUS = {"b": ("unreadable", True), "c": ("unreadable", False)}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An output in which b failed for a reason that may pass, and c for one that won't."""
    store = Store(str(tmp_path))
    probe(monkeypatch, broken=STATUS)
    plan = make_plan(Corpus(FILES, 0), store, "r1", PARTITION, Config(), 1)
    begin(store, plan, finished_at=runs.now())
    commit(store, *plan.shards)
    probe(monkeypatch, broken={})
    return store


def probe(monkeypatch: pytest.MonkeyPatch, broken: dict[str, tuple[str, bool]]) -> None:
    def probe_files(files, config):
        for file in files:
            name = Path(file.uri).stem
            if name in broken:
                yield failed_video(file, broken[name][0], "the storage said so", broken[name][1])
            else:
                yield Video(file.uri, file.size, file.etag_or_mtime, 60_000, 64, 36, 25.0, "h264", "aac")

    monkeypatch.setattr(planner, "probe_files", probe_files)


def begin(store: Store, plan: JobPlan, finished_at: str | None = None) -> None:
    state = runs.RunState(runs.new_run_id(), PARTITION, runs.now(), finished_at, shards=len(plan.shards))
    runs.start(store, state, {}, {}, to_table(plan.shards))


def commit(store: Store, *shards: Shard) -> None:
    for shard in shards:
        Write(Target(store.root, PARTITION, "run", "{}"))(inferred(shard))


def again(store: Store, everything: bool = False) -> JobPlan:
    rows = retry.failed_rows(store, PARTITION, everything)
    uris = set(rows["uri"].to_pylist())
    corpus = Corpus(tuple(file for file in FILES if file.uri in uris), 0)
    return make_plan(corpus, store, "r1", PARTITION, Config(), 1, again=rows)


def statuses(store: Store) -> dict[str, list[str]]:
    """Statuses by file, as any reader of the files sees them."""
    found: dict[str, list[str]] = {}
    for name in store.names("segments", ".parquet"):
        for row in store.read_table(name).to_pylist():
            found.setdefault(Path(row["uri"]).stem, []).append(row["status"])
    return found


@pytest.mark.parametrize(("everything", "tried"), [(False, {"b"}), (True, {"b", "c"})])
def test_only_what_may_pass_is_tried_again_unless_all_is_asked_for(
    store: Store, everything: bool, tried: set[str]
) -> None:
    plan = again(store, everything)
    assert {Path(item.video.uri).stem for shard in plan.shards for item in shard.segments} == tried
    assert {shard.shard_id for shard in plan.shards}.isdisjoint(ledger.committed_shards(store, PARTITION))


def test_old_rows_leave_as_the_new_ones_come(store: Store) -> None:
    plan = again(store, everything=True)
    superseding = ledger.Superseding(store, PARTITION, plan.again)
    for shard in plan.shards:
        commit(store, shard)
        superseding.committed(shard)
    assert statuses(store) == {name: ["ok"] for name in "abcd"}
    assert again(store, everything=True).shards == ()


def test_a_kill_before_the_old_rows_left_shows_them_to_nobody_and_is_mended(store: Store) -> None:
    plan = again(store)
    begin(store, plan)
    commit(store, *plan.shards)  # killed here
    assert statuses(store)["b"] == ["unreadable", "ok"] or statuses(store)["b"] == ["ok", "unreadable"]
    rows = ledger.read(store, PARTITION).to_pylist()
    assert [row["status"] for row in rows if row["uri"].endswith("b.mp4")] == ["ok"]
    ledger.settle(store, PARTITION)
    assert statuses(store) == {"a": ["ok"], "b": ["ok"], "c": ["unreadable"], "d": ["ok"]}


def test_a_kill_before_the_new_rows_came_is_gone_on_with(store: Store) -> None:
    plan = again(store)
    begin(store, plan)  # killed here
    resumed = again(store)
    assert [shard.shard_id for shard in resumed.shards] == [shard.shard_id for shard in plan.shards]
    assert resumed.kept == len(plan.shards)
    by_label = make_plan(Corpus(FILES, 0), store, "r1", PARTITION, Config(), 1)
    assert [shard.shard_id for shard in by_label.shards] == [shard.shard_id for shard in plan.shards]
    commit(store, *by_label.shards)
    ledger.settle(store, PARTITION)
    assert statuses(store)["b"] == ["ok"]


def test_what_fails_again_stands_once_in_the_ledger(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    probe(monkeypatch, broken=STATUS)
    for _ in range(2):
        plan = again(store, everything=True)
        superseding = ledger.Superseding(store, PARTITION, plan.again)
        for shard in plan.shards:
            commit(store, shard)
            superseding.committed(shard)
        assert statuses(store) == {"a": ["ok"], "b": ["unreadable"], "c": ["unreadable"], "d": ["ok"]}


def test_a_file_that_has_changed_is_planned_in_its_new_version(store: Store) -> None:
    rows = retry.failed_rows(store, PARTITION, everything=False)
    corpus = Corpus((SourceFile(FILES[1].uri, 101, "2"),), 0)
    plan = make_plan(corpus, store, "r1", PARTITION, Config(), 1, again=rows)
    assert [item.video.size for shard in plan.shards for item in shard.segments] == [101]
    assert len(plan.replaced) == 1


@pytest.mark.media
def test_a_retry_from_another_folder_finds_the_files_and_follows_no_link_that_was_refused(tmp_path: Path) -> None:
    log, out, env = tmp_path / "log", tmp_path / "out", faults.environment(tmp_path / "watch")
    corpus = faults.build_corpus(tmp_path / ".hidden" / "corpus", files=1)
    secret = faults.build_corpus(tmp_path / "elsewhere", files=1) / "clip-0.mp4"
    (corpus / "link.mp4").symlink_to(secret)
    (corpus / "inside.mov").symlink_to(corpus / "clip-0.mp4")
    low = env | {"FV2ES_LIMITS__MAX_HOURS": "0.0001"}
    local = ("--engine", "local")
    assert faults.finish("label", "corpus", "--out", out, *local, env=low, log=log, cwd=corpus.parent) == 3
    other = faults.build_corpus(tmp_path / "other", files=1)
    assert faults.finish("label", other, "--out", out, *local, env=env, log=log) == 3
    before = {row["uri"]: row for row in segments(out).to_pylist()}
    assert "too long" in before[str(corpus / "clip-0.mp4")]["reason"]
    assert faults.finish("retry", out, "--all", *local, env=env, log=log) == 3
    after = {row["uri"]: row for row in segments(out).to_pylist()}
    assert after.keys() == before.keys()
    assert after[str(corpus / "clip-0.mp4")]["status"] == "ok"
    for path in (corpus / "link.mp4", corpus / "notes.mp4", other / "notes.mp4"):
        assert (after[str(path)]["status"], after[str(path)]["reason"]) == ("unreadable", before[str(path)]["reason"])
    assert "leads out of the corpus" in after[str(corpus / "link.mp4")]["reason"]
    assert faults.finish("validate", out, env=env, log=log) == 0
    (other / "notes.mp4").unlink()
    said = tmp_path / "said"
    assert faults.finish("retry", out, "--all", *local, env=env, log=said) == 3  # of the whole output
    assert "3 segments failed before; tried again: 2; 1 whose files are gone" in said.read_text()
