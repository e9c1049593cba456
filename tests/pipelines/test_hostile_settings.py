"""Configuration and plan files that somebody has tampered with: one clear error, quickly, whatever is in them."""

import os
import time
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given

from operators.commit import Store
from operators.schema import PLANNED
from pipelines.config import Config, load
from pipelines.corpus import Corpus
from pipelines.errors import JobError, SettingsError
from pipelines.plan import Lengths, PlanError, from_table, pack, segments_of, to_table
from pipelines.planner import make_plan
from tests.fuzzing import PLAN_CELLS, YAML_TEXTS
from tests.pipelines.test_plan import ANCHOR_MS, a_video
from tests.pipelines.test_planner import FILES, PARTITION, begin

LAUGHS = "a0: &a0 [ha, ha]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 40))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 12))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "aliases"),
        (MERGES, "aliases"),
        ("a: &a [*a]", "aliases"),
        ("[" * 50_000, "nested deeper than 20"),
        ("a:\n" + "".join(" " * i + "- \n" for i in range(1, 200)) + "{" * 100, "not valid YAML|nested deeper"),
        ("speech: {asr: " + "x" * 200_000 + "}", "larger than 100,000 bytes"),
        ("1: {asr: base}", "settings are groups of names and values"),
        ("speech: {asr: 2026-13-45}", "not valid YAML"),
        ("speech: {batch_size: 1" + "0" * 5_000 + "}", "not valid YAML|speech.batch_size"),
        ("decode: {time_limit_base_s: .inf}", "decode.time_limit_base_s: Input should be a finite number"),
        ("plan: {shard_minutes: .nan}", "plan.shard_minutes"),
        ("speech: !!python/name:os.system", r"tags \(!!python/name:os.system\) are not taken"),
        ("!!timestamp", r"tags \(!!timestamp\) are not taken"),
        ("speech: {batch_size: !!int ''}", r"tags \(!!int\) are not taken"),
        ("job: {grace_s: 1" + ":0" * 20_000 + "}", "job.grace_s"),
        ("? {a: b}\n: c", "not valid YAML"),
        ("\0", "not valid YAML"),
    ],
    ids=range(17),
)
def test_a_hostile_configuration_is_one_error(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "fv2es.yaml"
    file.write_text(text)
    started = time.monotonic()
    with pytest.raises(SettingsError, match=message) as caught:
        load(file)
    assert time.monotonic() - started < 20
    assert len(str(caught.value)) < 10_000


def test_what_is_no_file_is_no_configuration(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(SettingsError, match="not a regular file"):
            load(path)
    with pytest.raises(SettingsError, match="Is a directory"):
        load(tmp_path)


@given(YAML_TEXTS)
def test_any_text_is_settings_or_one_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with suppress(SettingsError):
        assert isinstance(load(file), Config)


def a_plan() -> pa.Table:
    videos = [a_video(number, 50_000) for number in range(3)]
    lengths = Lengths(1, ANCHOR_MS, set_segment_ms=20_000, set_shard_ms=60_000)
    return to_table(pack(segments_of(videos, {}, lengths), lengths, "r"))


@given(PLAN_CELLS)
def test_a_plan_that_was_changed_anywhere_is_an_error(change: tuple[int, str, object]) -> None:
    row, name, value = change
    rows = a_plan().to_pylist()
    rows[row % len(rows)][name] = value
    try:
        table = pa.Table.from_pylist(rows, schema=PLANNED)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return  # no such plan can be written
    if name in NOT_IN_IDS or table == a_plan():  # written, 0.5 is 0
        return
    with pytest.raises(PlanError):
        from_table(table, "r")


NOT_IN_IDS = frozenset(
    "segment_index duration_ms width height fps video_codec audio_codec status reason retryable "
    "transcript_size transcript_etag_or_mtime transcript".split()
)
"""Of a video without a transcript, these say what probing found, and are not part of its name."""


def test_the_attempt_in_the_id_of_a_shard_is_no_way_out() -> None:
    rows = a_plan().to_pylist()
    for attempt, good in (("20260101T000000000001", True), ("/../../../escape", False), ("a/b", False), ("", False)):
        changed = [row | {"shard_id": f"{row['shard_id']}-{attempt}"} for row in rows]
        table = pa.Table.from_pylist(changed, schema=PLANNED)
        if good:
            assert {shard.shard_id for shard in from_table(table, "r")} == {row["shard_id"] for row in changed}
        else:
            with pytest.raises(PlanError, match="doesn't hold what its id says"):
                from_table(table, "r")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "can't be used"),
        (b"PAR1" + bytes(100) + b"PAR1", "can't be used"),
        (b"no parquet at all", "can't be used"),
        (pa.table({"a": [1]}), "its columns are others: 'a', "),
        (a_plan().drop_columns(["uri"]), "its columns are others: 'uri'"),
        (a_plan().set_column(3, "size", pa.array(["x"] * 6)), "its column 'size' is not of the kind"),
        (a_plan().set_column(0, "shard_id", pa.array(["../../escape"] * 6)), "'../../escape' doesn't hold what"),
    ],
    ids=["empty", "hollow", "text", "other", "less", "types", "escape"],
)  # fmt: skip
def test_a_damaged_plan_of_an_unfinished_run_is_one_error(
    tmp_path: Path, content: bytes | pa.Table, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.planner.probe_files", lambda files, config: [])
    store = Store(str(tmp_path))
    begin(store, make_plan(Corpus(FILES, 0), store, "r", PARTITION, Config(), 2))
    (path,) = tmp_path.glob("_runs/*/plan.parquet")
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        pq.write_table(content, path)
    with pytest.raises(JobError, match=message) as caught:
        make_plan(Corpus(FILES, 0), store, "r", PARTITION, Config(), 2)
    assert "Remove _runs/" in str(caught.value)
