"""`fv2es status`, once and with --watch, as a user sees it: of a run that goes on, was killed, lies in a bucket."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import s3fs
from typer.testing import CliRunner

from pipelines.cli.app import app
from tests.chaos.faults import ROOT
from tests.chaos.nights import SETTINGS
from tests.labelling import FV2ES, wait_until

FILES, SHARDS = 5, 4
SECONDS = 120


def start(folder: Path, pace_s: float = 0.0) -> subprocess.Popen[bytes]:
    """Begin a run over files of two minutes, a shard each, and one more that is broken."""
    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for number in range(FILES):
        told = {"said": number, "seconds": SECONDS, "broken": number == 3}
        (corpus / f"{number}.mp4").write_text(json.dumps(told))
    own = {"NIGHT_MOODS": str(folder / "moods"), "NIGHT_PACE_S": str(pace_s)}
    arguments = ["label", corpus, "--out", folder / "out", "--engine", "local", "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.stub_night", *map(str, arguments)],
        env=os.environ | SETTINGS | own,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run that came to its end."""
    folder = tmp_path_factory.mktemp("finished")
    assert start(folder, pace_s=0.5).wait(300) == 3  # times of runs are whole seconds, and this one is to have a speed
    return folder / "out"


def wait_for_run(out: Path) -> None:
    wait_until(lambda: any(out.glob("_runs/*/state.json")), 120)


def test_a_run_is_watched_to_its_end_line_by_line(tmp_path: Path) -> None:
    run = start(tmp_path, pace_s=2)
    wait_for_run(tmp_path / "out")
    # In this process, whose libraries are loaded: the run must not end before the first look.
    watched = CliRunner().invoke(app, ["status", str(tmp_path / "out"), "--watch", "--interval", "0.5"])
    assert run.wait(120) == 3
    assert watched.exit_code == 3, watched.output
    lines = watched.stdout.splitlines()
    assert len(lines) >= 3
    assert re.match(r"\d\d:\d\d:\d\d working, \d of 4 shards, .* of 8 min 0 s", lines[0])
    assert any("in hand: decode 1" in line for line in lines)
    assert any("x real time" in line and " left" in line for line in lines)
    assert re.search(r"finished, 4 of 4 shards, 8 min 0 s of 8 min 0 s, .* failed: unreadable 1$", lines[-1])
    done = [int(re.search(r"(\d) of 4 shards", line)[1]) for line in lines]  # type: ignore[index]
    assert done == sorted(done)


def test_a_killed_run_ends_the_watching(tmp_path: Path) -> None:
    run = start(tmp_path, pace_s=30)
    wait_for_run(tmp_path / "out")
    command = [str(FV2ES), "status", str(tmp_path / "out"), "--watch", "--json", "--interval", "0.5"]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    first = json.loads(watching.stdout.readline())
    assert (first["state"], first["shards"]) == ("working", SHARDS)
    assert f"process {run.pid}" in first["holder"]
    run.kill()
    run.wait()
    last = json.loads(watching.communicate(timeout=60)[0].splitlines()[-1])
    assert (watching.returncode, last["state"]) == (1, "killed")
    assert last["in_flight"] == {}


def test_on_a_terminal_one_table_is_shown_in_place(finished: Path) -> None:
    ours, theirs = pty.openpty()
    command = [str(FV2ES), "status", str(finished), "--watch"]
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    watching = subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=environment)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # the terminal is closed at the end
        pass
    finally:
        os.close(ours)
    assert watching.wait(60) == 3
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert ": finished" in text
    assert re.search(r"shards done\s*│\s*4 of 4", text)
    assert re.search(r"unreadable\s*│\s*1 ", text)
    assert re.search(r"speed\s*│.* x real time", text)


def test_ctrl_c_ends_the_watching_and_not_the_run(tmp_path: Path) -> None:
    run = start(tmp_path, pace_s=30)
    wait_for_run(tmp_path / "out")
    command = [str(FV2ES), "status", str(tmp_path / "out"), "--watch", "--interval", "60"]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    assert watching.wait(60) == 130
    assert watching.stderr is not None
    assert watching.stderr.read() == ""
    assert run.poll() is None
    run.kill()
    run.wait()


def test_once_it_says_what_became_of_the_segments(finished: Path) -> None:
    told = json.loads(CliRunner().invoke(app, ["status", str(finished), "--json"]).stdout)
    assert told["state"] == "finished"
    assert (told["shards_done"], told["media_done_ms"]) == (SHARDS, SHARDS * SECONDS * 1000)
    assert told["failed_by_status"] == {"unreadable": 1}
    assert (told["holder"], told["in_flight"]) == (None, {})
    assert told["failed_fraction"] == pytest.approx(1 / FILES)


@pytest.mark.s3
def test_a_run_is_watched_in_its_bucket_from_anywhere(finished: Path, bucket: str) -> None:
    s3fs.S3FileSystem().put(str(finished), f"{bucket}/labels", recursive=True)
    watched = CliRunner().invoke(app, ["status", f"s3://{bucket}/labels", "--watch"])
    assert watched.exit_code == 3, watched.output
    assert "finished, 4 of 4 shards" in watched.stdout


@pytest.mark.s3
def test_a_store_that_goes_away_is_waited_for(finished: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from operators.commit import Store
    from pipelines import runs
    from pipelines.cli.status import _looks
    from pipelines.progress import RunReader

    s3fs.S3FileSystem().put(str(finished), f"{bucket}/labels", recursive=True)
    store = Store(f"s3://{bucket}/labels")
    last = runs.latest(store)
    assert last is not None
    reader = RunReader(store, last.run_id)
    looks = _looks(reader, store.root, 0.5)
    with monkeypatch.context() as away:
        away.setattr(reader, "read", lambda: (_ for _ in ()).throw(OSError("the network is down")))
        assert "the network is down" in str(next(looks))
    assert getattr(next(looks), "state", None) == "finished"
