"""`fv2es query`: committed rows of current versions, in SQL that can only read."""

import itertools
import json
import shutil
import threading
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from benchmarks.synthetic import Size, make
from operators.commit import Store
from operators.schema import SCHEMA_VERSION
from operators.write import Target, Write
from pipelines import label_sums, ledger
from pipelines.cli.asking import asked
from pipelines.errors import SettingsError
from pipelines.plan import Segment, Shard, Video
from pipelines.read_only import NotReadOnlyError
from pipelines.tables import Tables, open_tables
from tests.labelling import fv2es
from tests.tables import inferred

A, B, C = (Video(f"/corpus/{name}.mp4", 10, "1", 120_000, 64, 36, 25.0, "h264", "aac") for name in "abc")
BROKEN = Video("/corpus/broken.mp4", 10, "1", status="unreadable", reason="the index is missing")
ONE = Shard("one", (Segment(A, 0, 0, 60_000), Segment(B, 0, 0, 60_000)))
TWO = Shard("two", (Segment(A, 3, 60_000, 120_000), Segment(C, 0, 0, 120_000), Segment(BROKEN, 0, 0, 0)))


def commit(root: Path | str, *shards: Shard, partition: str = "recipe=aa") -> None:
    write = Write(Target(str(root), partition, "run", "{}"))
    for shard in shards:
        write(inferred(shard))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    root = tmp_path / 'o\'u[t]*? "x"'
    commit(root, ONE, TWO)
    return root


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "out"
    assert sum(make(root, Size(videos=12, rows=3_000, nights=2))) == pytest.approx(3_000, abs=15)
    return root


def rows(tables: Tables, sql: str) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in tables.query(sql).read_all().to_pylist()]


def test_views_have_seconds_words_and_a_row_a_video(out: Path) -> None:
    with open_tables(str(out)) as tables:
        assert rows(tables, "SELECT uri, start_s, duration_s FROM labels ORDER BY uri, start_ms LIMIT 2") == [
            ("/corpus/a.mp4", 0.0, 1.0),
            ("/corpus/a.mp4", 2.0, 1.0),
        ]
        assert rows(tables, "SELECT uri, status, dominant, utterances, minutes_happy FROM videos ORDER BY uri") == [
            ("/corpus/a.mp4", "ok", "happy", 4, pytest.approx(4 / 60)),
            ("/corpus/b.mp4", "ok", "happy", 2, pytest.approx(2 / 60)),
            ("/corpus/broken.mp4", "unreadable", None, 0, 0.0),
            ("/corpus/c.mp4", "ok", "happy", 2, pytest.approx(2 / 60)),
        ]
        assert rows(tables, "SELECT word, start_s, end_s FROM words LIMIT 1") == [("hello", 0.0, 0.4)]
        assert rows(tables, "SELECT reason FROM segments WHERE status = 'unreadable'") == [("the index is missing",)]
        assert set(tables.columns()) == {"labels", "segments", "videos", "words"}


def test_labels_that_no_ledger_commits_are_not_seen(out: Path) -> None:
    (out / "segments/recipe=aa/two.parquet").unlink()
    with open_tables(str(out)) as tables:
        assert rows(tables, "SELECT DISTINCT uri FROM labels ORDER BY 1") == [("/corpus/a.mp4",), ("/corpus/b.mp4",)]


def test_of_two_versions_of_a_file_the_later_alone_is_seen(out: Path) -> None:
    """As a listing may show them while a run replaces one."""
    newer = Video(C.uri, 11, "2", 120_000, 64, 36, 25.0, "h264", "aac")
    commit(out, Shard("three", (Segment(newer, 0, 0, 120_000),)))
    label_sums.refresh(Store(str(out)), "recipe=aa")
    with open_tables(str(out)) as tables:
        for view in ("labels", "segments", "videos", "words"):
            seen = rows(tables, f"SELECT DISTINCT video_id FROM {view} WHERE uri = '{C.uri}'")
            assert seen == [(newer.video_id,)], view


def test_the_sums_that_are_stored_change_no_answer(synthetic: Path) -> None:
    sql = "SELECT * EXCLUDE (mean_confidence, face_coverage) FROM videos ORDER BY uri"
    with open_tables(str(synthetic)) as tables:
        assert tables.unsummed == []
        with_sums = rows(tables, sql)
    folder = synthetic / "_runs/sums"
    folder.rename(synthetic / "elsewhere")
    try:
        with open_tables(str(synthetic)) as tables:
            assert len(tables.unsummed) == len(tables.committed.labels)
            assert rows(tables, sql) == with_sums
    finally:
        (synthetic / "elsewhere").rename(folder)


def test_recipes_do_not_mix_and_can_be_named(out: Path) -> None:
    commit(out, ONE, partition="recipe=bb")
    with open_tables(str(out), recipe="a") as tables:
        assert rows(tables, "SELECT count(*) FROM labels") == [(8,)]
    with open_tables(str(out), recipe="recipe=bb") as tables:
        assert rows(tables, "SELECT count(*) FROM labels") == [(4,)]
    with pytest.raises(SettingsError, match=r"no such recipe.* aa, bb"):
        open_tables(str(out), recipe="c")
    with pytest.raises(SettingsError, match="no run of FV2ES has written here"):
        open_tables(str(out.parent / "nothing"))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_parquet('http://127.0.0.1:1/x.parquet')",
        "SELECT * FROM parquet_metadata('/etc/passwd')",
        "SELECT getenv('HOME')",
        "COPY labels TO 'TARGET'",
        "WITH x AS (COPY labels TO 'TARGET') SELECT 1",
        "SELECT * FROM query('WITH x AS (COPY labels TO ''TARGET'') SELECT 1')",
        "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
        "EXPLAIN ANALYZE COPY labels TO 'TARGET'",
        "WITH x AS (DELETE FROM stored.replaced RETURNING *) SELECT * FROM x",
        "WITH x AS (INSERT INTO stored.replaced VALUES ('v') RETURNING *) SELECT * FROM x",
        "ATTACH 'TARGET'",
        "EXPORT DATABASE 'TARGET'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA database_list",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "CALL enable_logging(storage = 'file', storage_path = 'TARGET')",
        "CREATE TABLE t (i INT)",
        "DROP VIEW labels",
        "SELECT 1; SELECT 2",
        "",
    ],
)
def test_sql_reads_the_views_and_does_nothing_else(out: Path, tmp_path: Path, sql: str) -> None:
    target = tmp_path / "target"
    with open_tables(str(out)) as tables, pytest.raises((NotReadOnlyError, duckdb.Error)):
        tables.query(sql.replace("TARGET", str(target))).read_all()
    assert not target.exists()


def test_a_query_cannot_overwrite_the_very_files_it_may_read(out: Path) -> None:
    file = out / "labels/recipe=aa/one.parquet"
    before = file.read_bytes()
    quoted = str(file).replace("'", "''")
    with open_tables(str(out)) as tables, pytest.raises(NotReadOnlyError, match="COPY is not allowed"):
        tables.query(f"WITH x AS (COPY labels TO '{quoted}') SELECT 1")
    assert file.read_bytes() == before


def test_useful_sql_goes_through(out: Path) -> None:
    with open_tables(str(out)) as tables:
        for sql in (
            "FROM labels",
            "DESCRIBE labels",
            "SUMMARIZE labels",
            "WITH x AS (SELECT * FROM labels) SELECT * FROM x UNION ALL FROM x",
            "SELECT * FROM labels, range(2)",
            "PIVOT labels ON emotion IN ('happy', 'sad') USING count(*) GROUP BY uri",
            "SELECT *, row_number() OVER (PARTITION BY uri ORDER BY start_ms) FROM labels",
        ):
            assert tables.query(sql).read_all().num_rows, sql


def test_tables_csv_json_and_parquet(out: Path, tmp_path: Path) -> None:
    sql = "SELECT uri, start_s, text_p FROM labels ORDER BY uri, start_ms LIMIT 1"
    assert "/corpus/a.mp4" in fv2es("query", out, sql).stdout
    assert fv2es("query", out, sql, "--format", "csv").stdout == "uri,start_s,text_p\n/corpus/a.mp4,0.0,\n"
    asked = fv2es("query", out, sql, "--json").stdout
    assert json.loads(asked) == {"uri": "/corpus/a.mp4", "start_s": 0.0, "text_p": None}
    done = fv2es("query", out, "FROM labels", "--format", "parquet", "--output", tmp_path / "all.parquet")
    assert (done.returncode, pq.read_table(tmp_path / "all.parquet").num_rows) == (0, 8)


def test_wrong_sql_is_answered_with_what_there_is(out: Path) -> None:
    done = fv2es("query", out, "SELECT feeling FROM labels")
    assert done.returncode == 2
    assert "feeling" in done.stderr
    assert "videos: video_id, uri" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_output_of_a_newer_fv2es_is_not_guessed_at(out: Path) -> None:
    for name in ("labels", "segments"):
        file = out / name / "recipe=aa/one.parquet"
        table = pq.read_table(file, partitioning=None)
        newer = {b"fv2es.schema_version": str(SCHEMA_VERSION + 1).encode()}
        pq.write_table(table.replace_schema_metadata(newer), file)
    done = fv2es("query", out, "FROM labels")
    assert done.returncode == 1
    assert "written by a newer FV2ES" in done.stderr


def test_damaged_labels_are_named(out: Path) -> None:
    (out / "labels/recipe=aa/one.parquet").write_bytes(b"no parquet")
    done = fv2es("query", out, "SELECT count(text) FROM labels")
    assert done.returncode == 1
    assert "one.parquet" in done.stderr
    assert "fv2es validate" in done.stderr


def test_other_tools_read_the_files_as_they_are(synthetic: Path) -> None:
    """The glob is all that they need to know."""
    glob = f"{synthetic}/labels/*/*.parquet"
    files = sorted(map(str, (synthetic / "labels").rglob("*.parquet")))
    (truth,) = duckdb.sql(f"SELECT count(*), round(sum(confidence), 1) FROM '{glob}'").fetchall()
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    frame = pandas.concat(pandas.read_parquet(file, columns=["confidence"]) for file in files)
    assert (len(frame), round(float(frame["confidence"].astype(float).sum()), 1)) == truth
    lazy = polars.scan_parquet(glob).select(polars.len(), polars.col("confidence").cast(polars.Float64).sum())
    assert (lazy.collect()[0, 0], round(lazy.collect()[0, 1], 1)) == truth
    arrow = pa.dataset.dataset(files).to_table(columns=["confidence"])["confidence"].cast(pa.float64())
    assert (len(arrow), round(pa.compute.sum(arrow).as_py(), 1)) == truth


def test_spark_reads_the_files_as_they_are(synthetic: Path) -> None:
    """Spark is large and needs Java: where they are not installed, this is skipped."""
    sql = pytest.importorskip("pyspark.sql")
    if not shutil.which("java"):
        pytest.skip("Spark needs Java, which is not here")
    (truth,) = duckdb.sql(f"SELECT count(*), count(DISTINCT recipe) FROM '{synthetic}/labels/*/*.parquet'").fetchall()
    spark = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        labels = spark.read.parquet(str(synthetic / "labels"))
        assert (labels.count(), labels.select("recipe").distinct().count()) == truth
        sure = labels.filter("p_fear > 0.5").select("video_id", "start_ms", "words.word").toArrow()
        assert sure.num_rows == duckdb.sql(f"FROM '{synthetic}/labels/*/*.parquet' WHERE p_fear > 0.5").shape[0]
    finally:
        spark.stop()


def test_filters_skip_row_groups(tmp_path: Path) -> None:
    """In a file of three row groups, a filter on the key reads one; DuckDB tells how many bytes it has read."""
    from operators.commit import ROW_GROUP_ROWS
    from operators.schema import LABELS
    from operators.write import LABELS_ORDER

    count = 3 * ROW_GROUP_ROWS
    made = {
        "video_id": pa.array([f"{number * 1000 // count:04}" for number in range(count)]),
        "start_ms": pa.array(range(count), pa.int64()),
        "words": pa.repeat(pa.scalar([], LABELS.field("words").type), count),
    }
    plain = {"emotion": "happy", "uri": "u", "model_id": "m", "run_id": "r"}
    blank = {pa.string(): "x", pa.bool_(): False}
    columns = [
        made[f.name]
        if f.name in made
        else pa.repeat(pa.scalar(plain.get(f.name, blank.get(f.type, 0 if not f.nullable else None)), f.type), count)
        for f in LABELS
    ]
    Store(str(tmp_path)).put_table("labels.parquet", pa.table(columns, schema=LABELS), LABELS_ORDER)
    file = pq.ParquetFile(tmp_path / "labels.parquet")
    at = file.schema_arrow.get_field_index("video_id")
    groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    holding = [g for g in groups if g.column(at).statistics.min <= "0500" <= g.column(at).statistics.max]
    assert (len(groups), len(holding)) == (3, 1)
    dataset = pa.dataset.dataset(tmp_path / "labels.parquet")
    (fragment,) = dataset.get_fragments()
    wanted = pa.compute.field("video_id") == "0500"
    assert [g.id for g in fragment.subset(filter=wanted, schema=dataset.schema).row_groups] == [1]
    one, whole = (bytes_read(tmp_path / "labels.parquet", where) for where in ("WHERE video_id = '0500'", ""))
    assert one < whole / 2


def bytes_read(file: Path, where: str) -> int:
    sql = f"EXPLAIN (ANALYZE, FORMAT json) SELECT sum(start_ms), max(video_id) FROM '{file}' {where}"
    (row,) = duckdb.connect().execute(sql).fetchall()
    return json.loads(row[1])["io"]["total_bytes_read"]


def test_beside_a_writer_no_query_sees_two_versions_of_a_file(tmp_path: Path) -> None:
    """A run replaces the same file again and again, as runs do: the old rows leave, the new ones come."""
    root, stop = tmp_path / "out", threading.Event()
    commit(root, ONE, TWO)

    def keep_replacing() -> None:
        store = Store(str(root))
        for number in itertools.count(2):
            if stop.wait(1.5):
                return
            newer = Video(C.uri, 10 + number, str(number), 120_000, 64, 36, 25.0, "h264", "aac")
            known = ledger.read(store, "recipe=aa")
            old = known.filter(pa.compute.equal(known["uri"], C.uri))["video_id"].to_pylist()
            ledger.retire(store, "recipe=aa", known, old)
            commit(root, Shard(f"shard{number}", (Segment(newer, 0, 0, 120_000),)))

    writer = threading.Thread(target=keep_replacing)
    writer.start()
    sql = "SELECT count(DISTINCT video_id), count(DISTINCT uri) FROM labels"
    try:
        for _ in range(15):
            versions, files = asked(str(root), None, None, lambda tables: rows(tables, sql)[0])
            assert versions == files >= 2
    finally:
        stop.set()
        writer.join()
