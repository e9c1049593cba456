"""Damage to an output is found, named by file, and taken out so that it is labelled again."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from operators.commit import OutputError, Store
from operators.write import LABELS_DIGEST, LABELS_ORDER, Target, Write, with_labels_digest
from pipelines import ledger, runs
from pipelines.errors import SettingsError
from pipelines.plan import Segment, Shard, Video
from pipelines.recipe import partition, recipe_id
from pipelines.validate import Report, repair, validate
from tests.pipelines.test_cli import run
from tests.tables import inferred

RECIPE = {"a": 1}
PARTITION = partition(recipe_id(RECIPE))
VIDEOS = [Video(f"/corpus/{name}.mp4", 10, "1", 120_000, 64, 36, 25.0, "h264", "aac") for name in "abc"]
SHARDS = [
    Shard("one", (Segment(VIDEOS[0], 0, 0, 60_000), Segment(VIDEOS[1], 0, 0, 60_000))),
    Shard("two", (Segment(VIDEOS[0], 3, 60_000, 120_000), Segment(VIDEOS[2], 0, 0, 120_000))),
]
ONE = {table: f"{table}/{PARTITION}/one.parquet" for table in ("labels", "segments")}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An output of two shards, as a run leaves it."""
    commit(tmp_path, *SHARDS)
    return Store(str(tmp_path))


def commit(root: Path, *shards: Shard) -> None:
    write = Write(Target(str(root), PARTITION, "run", json.dumps(RECIPE)))
    for shard in shards:
        write(inferred(shard))


def rewrite(store: Store, change: Callable[[pa.Table], pa.Table], table: str = "labels") -> None:
    """Change a table of shard one as somebody might who also sets the digest right."""
    changed = change(store.read_table(ONE[table]))
    if table == "segments":
        store.put_table(ONE[table], changed)
        return
    digest = store.put_table(ONE[table], changed, LABELS_ORDER)
    store.put_table(ONE["segments"], with_labels_digest(store.read_table(ONE["segments"]), digest))


def put(table: pa.Table, column: str, row: int, value: object) -> pa.Table:
    """The table with one value changed."""
    values = table[column].to_pylist()
    values[row] = value
    at = table.schema.get_field_index(column)
    return table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))


def found(store: Store) -> list[tuple[str, str]]:
    return [(item.file, item.what) for item in validate(store).problems]


def test_an_output_as_it_was_committed_is_clean(store: Store) -> None:
    assert validate(store) == Report(shards=2, segments=4, utterances=8)


def test_a_flipped_bit_is_found(store: Store) -> None:
    path = Path(store.path(ONE["labels"]))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    ((file, what),) = found(store)
    assert file == ONE["labels"]
    assert "not what was committed" in what


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: pa.concat_tables([t, t.slice(0, 1)]), "an utterance is in it twice"),
        (lambda t: t.slice(1), "/corpus/"),
        (lambda t: put(t, "end_ms", 0, 0), "ends before it starts"),
        (lambda t: t.take([1, 0, 2, 3]), "not in order"),
        (lambda t: put(t, "end_ms", 0, 2500), "overlap"),
        (lambda t: put(t, "end_ms", 3, 130_000), "beyond the video's end"),
        (lambda t: put(t, "p_sad", 0, 1.5), "not in 0 to 1"),
        (lambda t: put(t, "p_sad", 0, float("nan")), "not in 0 to 1"),
        (lambda t: put(t, "emotion", 0, "sad"), "not the most probable"),
        (lambda t: put(t, "emotion", 0, "bored"), "none of ours"),
        (lambda t: put(t, "confidence", 0, 0.9), "not its emotion's probability"),
        (lambda t: put(t, "segment_index", 0, 7), "that its ledger doesn't know"),
        (lambda t: put(t, "uri", 0, "/other.mp4"), "its ledger knows this video as"),
        (lambda t: t.drop_columns(["text_p"]), "not those of the schema"),
        (lambda t: t.replace_schema_metadata({}), "schema version is not said"),
        (
            lambda t: t.replace_schema_metadata(t.schema.metadata | {b"fv2es.schema_version": b"9"}),
            "schema version is 9",
        ),
        (lambda t: t.replace_schema_metadata(t.schema.metadata | {b"fv2es.recipe": b"[]"}), "it belongs to recipe="),
    ],
)
def test_wrong_labels_are_found_though_the_digest_is_right(
    store: Store, change: Callable[[pa.Table], pa.Table], message: str
) -> None:
    rewrite(store, change)
    ((file, what),) = found(store)
    assert file == ONE["labels"]
    assert message in what


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: pa.concat_tables([t, t.slice(0, 1)]), "a segment is in it twice"),
        (lambda t: put(t, "status", 0, "fine"), "unknown status: fine"),
        (lambda t: put(t, "status", 0, "unreadable"), "a segment that failed has utterances"),
        (lambda t: put(t, "shard_id", 0, "two"), "of another shard"),
        (lambda t: put(t, "end_ms", 0, 0), "ends before it starts"),
    ],
)
def test_a_wrong_ledger_is_found(store: Store, change: Callable[[pa.Table], pa.Table], message: str) -> None:
    rewrite(store, change, "segments")
    ((file, what),) = found(store)
    assert file == ONE["segments"]
    assert message in what


@pytest.mark.parametrize("table", ["labels", "segments"])
@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all"])
def test_files_that_are_no_parquet_are_found(store: Store, table: str, content: bytes) -> None:
    store.put(ONE[table], content)
    assert [file for file, _ in found(store)] == [ONE[table]]


def test_files_that_lack_their_other_half_are_found(store: Store) -> None:
    store.remove(ONE["labels"])
    store.remove(ONE["segments"].replace("one", "two"))
    assert {file for file, _ in found(store)} == {ONE["labels"], ONE["labels"].replace("one", "two")}


def test_a_segment_in_two_shards_is_found(store: Store, tmp_path: Path) -> None:
    commit(tmp_path, Shard("three", (Segment(VIDEOS[2], 0, 0, 120_000),)))
    problems = validate(store).problems
    assert {item.shard_id for item in problems} == {"two", "three"}
    assert "/corpus/c.mp4" in problems[0].what


def test_two_versions_of_a_file_are_found(store: Store, tmp_path: Path) -> None:
    newer = Video("/corpus/c.mp4", 11, "2", 120_000, 64, 36, 25.0, "h264", "aac")
    commit(tmp_path, Shard("three", (Segment(newer, 0, 0, 120_000),)))
    assert any("two versions" in item.what for item in validate(store).problems)


def test_what_an_older_fv2es_wrote_is_said_to_be_unchecked(store: Store) -> None:
    def no_digest(table: pa.Table) -> pa.Table:
        metadata = {key: value for key, value in table.schema.metadata.items() if key != LABELS_DIGEST}
        return table.replace_schema_metadata(metadata)

    rewrite(store, no_digest, "segments")
    report = validate(store)
    assert (report.without_digest, report.problems) == (1, [])


def test_replaced_videos_leave_a_valid_output(store: Store) -> None:
    rows = ledger.read(store, PARTITION)
    ledger.retire(store, PARTITION, rows, {VIDEOS[1].video_id})
    assert validate(store) == Report(shards=2, segments=3, utterances=6)


def test_repair_takes_out_what_is_damaged_and_nothing_else(store: Store, tmp_path: Path) -> None:
    good = Path(store.path(ONE["labels"].replace("one", "two"))).read_bytes()
    store.put(ONE["labels"], b"")
    report = repair(store, 90)
    assert {item.shard_id for item in report.problems} == {"one"}
    assert ledger.committed_shards(store, PARTITION) == {"two"}
    assert store.names("labels", "") == [ONE["labels"].replace("one", "two")]
    assert Path(store.path(store.names("labels", "")[0])).read_bytes() == good
    assert validate(store).problems == []
    assert not (tmp_path / "_runs/lock.json").exists()


def test_the_command_says_it_in_words_and_by_exit_codes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, capsys, "validate", tmp_path)[0] == 0
    store.put(ONE["labels"], b"")
    code, out, _ = run(monkeypatch, capsys, "validate", tmp_path)
    assert code == 3
    assert f"damaged {ONE['labels']}" in out
    assert "--repair" in out
    code, out, _ = run(monkeypatch, capsys, "validate", tmp_path, "--json")
    assert (code, json.loads(out)["problems"][0]["file"]) == (3, ONE["labels"])
    code, out, _ = run(monkeypatch, capsys, "validate", tmp_path, "--repair")
    assert code == 0
    assert "fv2es label" in out
    assert run(monkeypatch, capsys, "validate", tmp_path)[0] == 0
    code, _, err = run(monkeypatch, capsys, "validate", tmp_path / "nowhere")
    assert code == 2
    assert "no run of FV2ES" in err


@pytest.mark.parametrize("content", [b"", b"PAR1 and nothing", b"\x00" * 100])
def test_a_run_is_told_of_a_damaged_ledger_and_what_to_do(store: Store, content: bytes) -> None:
    store.put(ONE["segments"], content)
    with pytest.raises(OutputError, match=r"one\.parquet is damaged: .*fv2es validate .*--repair"):
        ledger.read(store, PARTITION)
    repair(store, 90)
    assert {row["shard_id"] for row in ledger.read(store, PARTITION).to_pylist()} == {"two"}


def test_a_damaged_state_of_a_run_is_named(store: Store) -> None:
    store.put("_runs/20260101T000000000-abcdef/state.json", b"{")
    with pytest.raises(OutputError, match=r"20260101T000000000-abcdef/state\.json is damaged.*Remove its folder"):
        runs.states(store)


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no run of FV2ES"):
        validate(Store(str(tmp_path)))


def test_the_digest_is_that_of_the_file(store: Store) -> None:
    import hashlib

    metadata = pq.read_schema(store.path(ONE["segments"])).metadata
    assert metadata[LABELS_DIGEST].decode() == hashlib.sha256(store.read(ONE["labels"])).hexdigest()
    assert pc.sum(store.read_table(ONE["segments"])["utterances"]).as_py() == 4
