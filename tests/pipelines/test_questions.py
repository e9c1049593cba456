"""The ready questions, in Python and on the command line, on disk and in a bucket."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import s3fs

from benchmarks.synthetic import PHRASE, Size, make
from models.emotions import EMOTIONS
from operators.commit import Store
from pipelines import label_sums, open_labels, questions
from pipelines.errors import SettingsError
from pipelines.phrase import may_hold, said_at, sketch, tokens
from pipelines.tables import Tables, open_tables
from tests.labelling import fv2es
from tests.pipelines.test_query import ONE, TWO, commit

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "out"
    list(make(root, Size(videos=12, rows=3_000, nights=2), shard_ms=20 * 60_000))
    return root


@pytest.fixture(params=["with sums", "without sums"])
def tables(synthetic: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tables]:
    if request.param == "without sums":
        monkeypatch.setattr(label_sums, "FOLDER", "_runs/nothing")
    with open_tables(str(synthetic)) as opened:
        yield opened


def test_top_is_what_sorting_all_rows_gives(tables: Tables) -> None:
    for emotion in EMOTIONS:
        for limit in (1, 7, 100_000):
            found = [(row["uri"], row["start_ms"]) for row in questions.top(tables, emotion, 0.6, limit)]
            sql = f"""SELECT uri, start_ms FROM labels WHERE emotion = '{emotion}' AND confidence >= .6
                      ORDER BY confidence DESC, uri, start_ms LIMIT {limit}"""
            assert found == [tuple(row.values()) for row in tables.arrow(sql).to_pylist()]
    with pytest.raises(SettingsError, match="no emotion here"):
        questions.top(tables, "joy", 0, 1)


def test_a_phrase_is_found_at_the_times_of_its_words(tables: Tables) -> None:
    found = list(questions.find(tables, "Of THE", 100_000))
    rows = tables.arrow("SELECT uri, text, words FROM labels WHERE text IS NOT NULL").to_pylist()
    truth = [
        (row["uri"], row["words"][at]["start_ms"] or 0)
        for row in rows
        for at in range(len(row["words"]) - 1)
        if (row["words"][at]["word"].lower(), row["words"][at + 1]["word"].lower()) == ("of", "the")
    ]
    assert len(found) == len(truth) > 5
    timed = {place for place in truth if place[1]}
    assert len(timed - {(item.uri, item.start_ms) for item in found}) == 0
    assert len(list(questions.find(tables, "of the", 2))) == 2
    assert list(questions.find(tables, "nobody says this", 5)) == []
    with pytest.raises(SettingsError, match="holds no word"):
        list(questions.find(tables, "...", 5))


def hold(sketches: list[bytes | None], phrase: list[str]) -> list[bool]:
    return may_hold(pa.array(sketches, pa.binary()), phrase).tolist()


@pytest.mark.parametrize(
    ("words", "phrase", "places"),
    [
        (["the", "best", "of", "times.", "It", "was"], "TIMES it", [(3, 4)]),
        (["Blüe", "MOON!"], "blue moon", [(0, 1)]),
        (["blue", "moon"], "blüe", [(0, 0)]),
        (["don’t", "stop"], "don't stop", [(0, 1)]),
        (["ice-cream"], "ice cream", [(0, 0)]),
        (["Straße"], "strasse", [(0, 0)]),
        (["sunshine"], "sun", []),
        (["今", "日", "は"], "今日", [(0, 1)]),
        (["a", "a", "a"], "a a", [(0, 1), (1, 2)]),
    ],
)
def test_what_counts_as_said(words: list[str], phrase: str, places: list[tuple[int, int]]) -> None:
    assert said_at(words, tokens(phrase)) == places
    if places:
        assert hold([sketch([" ".join(words)])], tokens(phrase)) == [True]


def test_sketches_rule_out_most_of_what_is_not_said() -> None:
    known = sketch([f"word{number}" for number in range(1_000)])
    wrong = sum(hold([known], [f"other{number}"])[0] for number in range(2_000))
    assert wrong < 40
    assert hold([known, None, sketch([])], ["word999"]) == [True, True, False]
    assert may_hold(pa.array([known, sketch([]), None], pa.binary()).slice(1), ["word999"]).tolist() == [False, True]
    assert hold([], ["word999"]) == []


def test_a_video_is_found_by_what_it_is_called(tables: Tables) -> None:
    uri = "/corpus/channel 03/talk 000003.mp4"
    for name in (uri, "talk 000003.mp4", "channel 03/talk 000003.mp4"):
        about, segments, labels = questions.video(tables, name)
        assert about["uri"] == uri
        assert len(labels) == about["utterances"] == sum(row["utterances"] for row in segments)
        assert [row["start_ms"] for row in labels] == sorted(row["start_ms"] for row in labels)
    with pytest.raises(SettingsError, match=r"Like it are: .*talk 000003\.mp4"):
        questions.video(tables, "tolk 000003.mp4")


def test_stats_add_up(tables: Tables) -> None:
    found = questions.stats(tables)
    (truth,) = tables.arrow("SELECT count(*) AS n, sum(end_ms - start_ms) AS ms FROM labels").to_pylist()
    assert sum(item["utterances"] for item in found["emotions"].values()) == found["utterances"] == truth["n"]
    minutes = sum(item["minutes"] for item in found["emotions"].values())
    assert minutes == pytest.approx(int(truth["ms"]) / 60_000, abs=0.1)
    assert found["videos"] == 12


def test_the_commands_print_what_people_and_scripts_read(synthetic: Path) -> None:
    shown = fv2es("video", synthetic, "talk 000003.mp4")
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^[nhsafdu·]{60}$", shown.stdout, re.MULTILINE)
    top = json.loads(fv2es("top", synthetic, "neutral", "-n", "3", "--json").stdout)
    assert len(top["rows"]) == 3
    found = json.loads(fv2es("find", synthetic, "of the", "-n", "2", "--json").stdout)
    assert (len(found["found"]), found["more"]) == (2, True)
    wrong = fv2es("top", synthetic, "joy")
    assert (wrong.returncode, "no emotion here" in wrong.stderr) == (2, True)


def test_the_example_of_the_readme_runs(synthetic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("polars")
    text = README.read_text("utf-8")
    (code,) = re.findall(r"```python\n(from pipelines import open_labels.*?)```", text, re.DOTALL)
    monkeypatch.chdir(synthetic.parent)
    synthetic_named = code.replace('"labels/"', repr(str(synthetic)))
    exec(compile(synthetic_named, "README.md", "exec"), {})  # noqa: S102


def test_arrow_pandas_and_polars_hold_the_same(synthetic: Path) -> None:
    pytest.importorskip("polars")
    with open_labels(str(synthetic)) as labels:
        sql = "SELECT uri, count(*) AS rows FROM labels GROUP BY uri ORDER BY uri"
        arrow = labels.sql(sql).arrow().to_pydict()
        assert labels.sql(sql).pandas().to_dict("list") == arrow
        assert labels.sql(sql).polars().to_dict(as_series=False) == arrow
        assert sum(batch.num_rows for batch in labels.labels().batches()) == sum(arrow["rows"])
        assert labels.top("neutral", limit=3).num_rows == 3
        assert len(list(labels.find(" ".join(PHRASE[:2]), limit=1))) <= 1


@pytest.mark.s3
def test_a_bucket_is_asked_as_a_folder_is(bucket: str) -> None:
    out = f"s3://{bucket}/labels of [2026]"
    commit(out, ONE, TWO)
    label_sums.refresh(Store(out), "recipe=aa")
    asked = fv2es("query", out, "SELECT uri, count(*) AS n FROM labels GROUP BY uri ORDER BY uri", "--json")
    assert asked.returncode == 0, asked.stderr
    counts = [json.loads(line) for line in asked.stdout.splitlines()]
    assert [row["n"] for row in counts] == [4, 2, 2]
    assert json.loads(fv2es("find", out, "HELLO", "-n", "1", "--json").stdout)["more"]
    s3fs.S3FileSystem().pipe_file(f"{bucket}/other.csv", b"secret\n1\n")
    with open_tables(out) as tables, pytest.raises(Exception, match="disabled by configuration"):
        tables.arrow(f"SELECT * FROM read_csv('s3://{bucket}/other.csv')")
