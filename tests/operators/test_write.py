"""What a committed shard looks like to somebody who reads the files."""

import json
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from operators.commit import Store
from operators.schema import LABELS, RUN_COLUMNS, SCHEMA_VERSION, SEGMENTS
from operators.write import Target, Write, file_names
from pipelines.corpus import SourceFile
from pipelines.plan import Segment, Shard, Video, failed_video
from tests.tables import inferred

GOOD = Video("/corpus/a b's.mp4", 10, "1", 60_000, 1280, 720, 25.0, "h264", "aac")
BROKEN = failed_video(SourceFile("/corpus/z.mp4", 3, "1"), "unreadable", "not a media file", retryable=False)
SHARD = Shard("abc", (Segment(GOOD, 0, 0, 40_000), Segment(GOOD, 2, 40_000, 60_000), Segment(BROKEN, 0, 0, 0)))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    Write(Target(str(tmp_path), "recipe=r1", "run-1", '{"a":1}'))(inferred(SHARD))
    return tmp_path


def test_both_tables_have_their_schema_and_say_what_they_are(written: Path) -> None:
    labels_name, segments_name = file_names("recipe=r1", "abc")
    for name, schema in ((labels_name, LABELS), (segments_name, SEGMENTS)):
        file = pq.ParquetFile(written / name)
        assert file.schema_arrow.remove_metadata().equals(schema)
        assert file.schema_arrow.metadata[b"fv2es.schema_version"] == str(SCHEMA_VERSION).encode()
        assert json.loads(file.schema_arrow.metadata[b"fv2es.recipe"]) == {"a": 1}
        column = file.metadata.row_group(0).column(0)
        assert column.compression == "ZSTD"
        assert column.is_stats_set
        assert column.has_column_index
    assert [
        item.column_index for item in pq.ParquetFile(written / labels_name).metadata.row_group(0).sorting_columns
    ] == [
        LABELS.get_field_index("video_id"),
        LABELS.get_field_index("start_ms"),
    ]


def test_labels_are_sorted_and_the_ledger_accounts_for_every_segment(written: Path) -> None:
    labels = duckdb.sql(f"select video_id, start_ms, emotion from '{written}/labels/**/*.parquet'").fetchall()
    assert [row[1] for row in labels] == [0, 2000, 40_000, 42_000]
    assert {row[0] for row in labels} == {GOOD.video_id}
    ledger = duckdb.sql(
        f"select uri, status, reason, utterances, faces, recipe from '{written}/segments/**/*.parquet' order by all"
    ).fetchall()
    assert ledger == [
        ("/corpus/a b's.mp4", "ok", None, 2, 3, "r1"),
        ("/corpus/a b's.mp4", "ok", None, 2, 3, "r1"),
        ("/corpus/z.mp4", "unreadable", "not a media file", 0, None, "r1"),
    ]


def test_writing_twice_gives_the_same_rows_once(tmp_path: Path) -> None:
    for run_id in ("run-1", "run-2"):
        Write(Target(str(tmp_path), "recipe=r1", run_id, "{}"))(inferred(SHARD))
    assert len(list(tmp_path.glob("labels/**/*.parquet"))) == 1
    rows = duckdb.sql(f"select run_id, count(*) from '{tmp_path}/labels/**/*.parquet' group by 1").fetchall()
    assert rows == [("run-2", 4)]
    assert set(RUN_COLUMNS) <= set(LABELS.names) | set(SEGMENTS.names)


def test_the_summary_counts_what_was_written(tmp_path: Path) -> None:
    summary = Write(Target(str(tmp_path), "recipe=r1", "run-1", "{}"))(inferred(SHARD)).to_pylist()
    assert summary == [{"shard_id": "abc", "media_ms": 60_000, "segments": 3, "failed_segments": 1, "utterances": 4}]


def test_a_shard_without_any_label_is_committed_too(tmp_path: Path) -> None:
    only_broken = Shard("empty", (Segment(BROKEN, 0, 0, 0),))
    summary = Write(Target(str(tmp_path), "recipe=r1", "run-1", "{}"))(inferred(only_broken)).to_pylist()
    assert summary[0]["utterances"] == 0
    assert pq.read_table(tmp_path / "labels/recipe=r1/empty.parquet").num_rows == 0


def test_nothing_temporary_is_left(written: Path) -> None:
    store = Store(str(written))
    assert not list((written / "_tmp").iterdir())
    (written / "_tmp" / "left by a killed run").write_bytes(b"x")
    store.clear_temporary()
    assert not (written / "_tmp").exists()
