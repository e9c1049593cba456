"""One night: what is dropped and what is not, when it stops, who is told."""

import http.server
import json
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from operators.commit import Store
from operators.write import Target, Write
from pipelines import alarm, ledger, snapshot
from pipelines.config import load
from pipelines.corpus import Corpus, naming
from pipelines.errors import EXIT_HELD_BACK, EXIT_IN_USE, EXIT_USAGE, SettingsError
from pipelines.gone import what_is_gone
from pipelines.lease import held
from pipelines.nightly import tonights
from pipelines.plan import Segment, Shard, Video
from pipelines.runs import new_run_id
from pipelines.source_file import SourceFile
from pipelines.until import seconds_until
from tests.chaos.nights import DONE, Simulation
from tests.labelling import labels, segments
from tests.tables import inferred


@pytest.fixture
def corpus(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path, seed=3, files=4)


def files_of(out: Path) -> set[str]:
    return {Path(uri).name for uri in labels(out)["uri"].to_pylist()}


def test_a_source_that_has_lost_most_of_its_files_drops_no_rows_until_that_is_meant(corpus: Simulation) -> None:
    corpus.run()
    before = labels(corpus.out)
    for path in sorted(corpus.corpus.iterdir())[1:]:
        path.unlink()
    code, report = corpus.run()
    assert code == EXIT_HELD_BACK
    assert report["held_back"][0]["where"] == str(corpus.corpus)
    assert "3 of 4 labelled files are gone" in report["held_back"][0]["why"]
    assert labels(corpus.out).equals(before)
    code, report = corpus.run("--allow-mass-removal")
    assert code in DONE
    assert report["gone"] == 3
    assert files_of(corpus.out) <= {"video-00001.mp4"}
    shards = [{path.stem for path in corpus.out.glob(f"{name}/*/*.parquet")} for name in ("labels", "segments")]
    assert shards[0] == shards[1] == set(segments(corpus.out)["shard_id"].to_pylist())


def test_the_second_is_told_that_the_output_is_in_use_and_the_alarm_goes_off(
    corpus: Simulation, tmp_path: Path
) -> None:
    heard = tmp_path / "heard.json"
    command = json.dumps(["sh", "-c", 'cat > "$0"', str(heard)])
    with held(Store(str(corpus.out)), new_run_id(), "nightly", 60):
        code, report = corpus.run(FV2ES_ALARM__COMMAND=command, expect=EXIT_IN_USE)
    assert code == EXIT_IN_USE
    assert report["outcome"] == "in_use"
    assert json.loads(heard.read_text()) == report
    assert not (corpus.out / f"_runs/{report['run_id']}").exists()


def test_a_source_that_never_was_there_is_said(corpus: Simulation) -> None:
    corpus.corpus.rename(corpus.corpus.with_name("elsewhere"))
    code, report = corpus.run(expect=EXIT_USAGE)
    assert code == EXIT_USAGE
    assert "no such file or folder" in report["error"]


def test_rows_of_other_sources_and_of_folders_that_cannot_be_seen_stay() -> None:
    known = {"/a/1.mp4", "/a/2.mp4", "/a/closed/3.mp4", "/b/4.mp4"}
    seen = Corpus((), 0, unlisted=("/a/closed",))
    found = what_is_gone(["/a"], seen, known, {"/a/1.mp4"}, 0.5)
    assert found.files == ("/a/2.mp4",)
    assert [(item.where, item.files) for item in found.held_back] == [("/a/closed", 1)]
    assert found.elsewhere == 1
    with pytest.raises(SettingsError, match="/c: no such"):
        what_is_gone(["/c"], Corpus((), 0, missing=("/c",)), known, set(), 0.5)


@pytest.mark.parametrize(
    ("source", "uri", "belongs"),
    [
        ("/a", "/a/b/c.mp4", True),
        ("/a/", "/a/c.mp4", True),
        ("/a", "/ab/c.mp4", False),
        ("/a/x.mp4", "/a/x.mp4", True),
        ("/a/*.mp4", "/a/x.mp4", True),
        ("/a/*.mp4", "/a/b/x.mp4", False),
        ("/a/2026-*", "/a/2026-01/deep/x.mp4", True),
        ("/a/**/x.mp4", "/a/b/c/x.mp4", True),
        ("s3://bucket/p/", "s3://bucket/p/x.mp4", True),
        ("s3://bucket/p/*.mp4", "s3://bucket/p/x.mp4", True),
        ("s3://bucket/p", "/bucket/p/x.mp4", False),
    ],
)
def test_which_files_belong_to_a_source(source: str, uri: str, belongs: bool) -> None:
    assert naming(source)(uri) is belongs


def test_new_files_wait_for_another_night_where_they_are_too_many() -> None:
    files = [SourceFile(f"/c/{name}", 1, "1") for name in "abcde"]
    current = {file.uri: f"id-{file.uri}" for file in files}
    chosen = tonights(files, {"/c/b": {"id-/c/b"}}, current, {"/c/e"}, limit=2)
    assert [file.uri for file in chosen] == ["/c/a", "/c/b", "/c/e"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("06:00", 9 * 3600), ("21:30", 1800), ("21:00", 86_400), ("8h", 28_800), ("7h30m", 27_000), ("45s", 45)],
)
def test_until_when(text: str, seconds: float) -> None:
    assert seconds_until(text, datetime(2026, 6, 15, 21, 0)) == seconds


@pytest.mark.parametrize("text", ["", "6", "24:00", "6:60", "h", "soon", "0m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"nightly\.until"):
        load(None, {"nightly": {"until": text}})


@pytest.fixture
def door() -> Iterator[tuple[str, list[bytes]]]:
    """A web server that keeps what it is sent, and sends those who come to /moved to another place."""
    got: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(307 if self.path == "/moved" else 204)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_report_goes_to_the_address_and_nowhere_else(door: tuple[str, list[bytes]]) -> None:
    address, got = door
    assert alarm.send(alarm.AlarmSettings(url=f"{address}/hidden-key"), b"{}") == []
    assert got == [b"{}"]
    (problem,) = alarm.send(alarm.AlarmSettings(url=f"{address}/moved"), b"{}")
    assert problem == "the alarm at 127.0.0.1 did not get the report: it answered with 307"
    assert len(got) == 2


def test_an_alarm_that_fails_is_said_without_its_secrets(tmp_path: Path) -> None:
    settings = alarm.AlarmSettings(url="http://127.0.0.1:9/hidden-key", command=("false", "hidden-argument"))
    problems = alarm.send(settings, b"{}")
    assert len(problems) == 2
    assert "exit code 1" in problems[0]
    assert not [problem for problem in problems if "hidden" in problem]
    (problem,) = alarm.send(alarm.AlarmSettings(command=(str(tmp_path / "nothing"),)), b"{}")
    assert "No such file" in problem


def test_the_address_of_an_alarm_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FV2ES_ALARM__URL", "https://hooks.example.com/hidden-key")
    config = load()
    for text in (repr(config), str(config.shown()), str(config.public()), str(config.model_dump())):
        assert "hidden" not in text
    monkeypatch.setenv("FV2ES_ALARM__URL", "ftp://hidden")
    with pytest.raises(SettingsError, match=r"alarm\.url: .*https://") as caught:
        load()
    assert "hidden" not in str(caught.value)


def commit(store: Store, name: str) -> None:
    video = Video(f"/c/{name}", 1, "1", 60_000)
    Write(Target(store.root, "recipe=r", "run", "{}"))(
        inferred(Shard(f"shard-{name}", (Segment(video, 0, 0, 60_000),)))
    )


def test_a_ledger_is_read_once_and_files_that_have_changed_again(tmp_path: Path) -> None:
    store, read = Store(str(tmp_path)), []

    def read_one(name: str):
        read.append(Path(name).stem)
        return store.read_table(name).replace_schema_metadata(None)

    for name in "abc":
        commit(store, name)
    snapshot.refresh(store, "recipe=r", read_one)
    assert sorted(read) == ["shard-a", "shard-b", "shard-c"]
    read.clear()
    commit(store, "b")
    store.remove("segments/recipe=r/shard-c.parquet")
    rows = snapshot.read(store, "recipe=r", read_one)
    assert read == ["shard-b"]
    assert sorted(rows["uri"].to_pylist()) == ["/c/a", "/c/b"]
    snapshot.refresh(store, "recipe=r", read_one)
    file = tmp_path / "_runs/ledger/recipe=r.parquet"
    before = file.stat().st_mtime_ns
    snapshot.refresh(store, "recipe=r", read_one)
    assert file.stat().st_mtime_ns == before
    file.write_bytes(b"damaged")
    assert ledger.read(store, "recipe=r").num_rows == 2
