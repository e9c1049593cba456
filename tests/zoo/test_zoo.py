"""The zoo: over a hundred good, bad and hostile files, labelled in one run, each with its own expected end."""

import os
import shutil
import socket
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from models.catalogue import CatalogueError
from tests.labelling import label_json, labels, segments
from tests.zoo import hostile
from tests.zoo.animal import Animal
from tests.zoo.broken import BROKEN
from tests.zoo.healthy import HEALTHY
from tests.zoo.moving import MOVING, SLEEP_S, make_stand_in
from tests.zoo.named import NAMED
from tests.zoo.scripted import SCRIPTED
from tests.zoo.sources import make_sources
from tests.zoo.watching import address, openings

pytestmark = pytest.mark.media

ZOO = [*HEALTHY, *BROKEN, *NAMED, *hostile.HOSTILE, *SCRIPTED, *MOVING]

TIME_LIMIT_S = 1_500  # of the whole zoo, a minute of CPU time, on a machine that does much else

ENVIRONMENT = {
    "FV2ES_DECODE__TIME_LIMIT_BASE_S": "25",  # of a decode on a busy machine; one file hangs until then
    "FV2ES_DECODE__TIME_LIMIT_FACTOR": "0.5",
    "FV2ES_LIMITS__MAX_PIXELS": "10000000",  # 4K is less; real bombs take long to make
}


class Labelled(NamedTuple):
    corpus: Path
    code: int
    ledger: dict[str, list[dict]]  # rows of segments by name of file
    labels: dict[str, list[dict]]
    opened: list[str]  # what happened to the canary
    visitors: list[str]  # who came to the address


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labelled]:
    """All of it, labelled by one command."""
    base = tmp_path_factory.mktemp("zoo")
    corpus, sources = base / "corpus", base / "sources"
    corpus.mkdir()
    sources.mkdir()
    try:
        make_sources(sources)
    except CatalogueError as error:
        pytest.skip(f"the samples were not pulled: {error}")
    canary = sources / hostile.CANARY
    shutil.copy(sources / "talk.mp4", canary)
    with address() as (url, visitors):
        (sources / hostile.URL).write_text(url)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda animal: animal.make(corpus / animal.name, sources), ZOO))
        no_files(corpus, canary)
        environment = os.environ | ENVIRONMENT | {"FV2ES_FFMPEG": str(make_stand_in(base, corpus))}
        with openings(canary) as opened:
            code, _ = label_json(corpus, "--out", base / "out", env=environment, time_limit_s=TIME_LIMIT_S)
        ledger, labelled = by_name(segments(base / "out").to_pylist()), by_name(labels(base / "out").to_pylist())
        yield Labelled(corpus, code, ledger, labelled, opened, visitors)


def no_files(corpus: Path, canary: Path) -> None:
    """What a folder may hold that is no regular file."""
    os.mkfifo(corpus / "pipe.mp4")
    (corpus / "folder.mp4").mkdir()
    (corpus / "dangling.mp4").symlink_to("nowhere.mp4")
    (corpus / "loop.mp4").symlink_to("loop.mp4")
    (corpus / "link out.mp4").symlink_to(canary)
    (corpus / "folder.mp4" / "up.mp4").symlink_to(corpus)
    (corpus / "device.mp4").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as door:
        here = Path.cwd()
        os.chdir(corpus)  # the address of a socket may be 108 bytes long
        try:
            door.bind("socket.mp4")
        finally:
            os.chdir(here)
    Path(os.fsdecode(os.fsencode(corpus) + b"/bad\xff.mp4")).write_bytes(b"x")


NO_FILES = {
    "pipe.mp4": "not a regular file",
    "socket.mp4": "not a regular file",
    "dangling.mp4": "can't be read: No such file or directory",
    "loop.mp4": "can't be read: Too many levels of symbolic links",
    "link out.mp4": "a link that leads out of the corpus",
    "device.mp4": "a link that leads out of the corpus",
    "bad\\xff.mp4": "its name is not valid UTF-8",
}


def by_name(rows: list[dict]) -> dict[str, list[dict]]:
    found = defaultdict(list)
    for row in rows:
        found[row["uri"].rpartition("/")[2]].append(row)
    return dict(found)


def test_every_file_has_its_row_and_nothing_else_has_one(zoo: Labelled) -> None:
    assert len(ZOO) >= 100
    assert len({animal.name for animal in ZOO}) == len(ZOO)
    assert set(zoo.ledger) == {animal.name for animal in ZOO} | set(NO_FILES)
    assert zoo.code == 3


@pytest.mark.parametrize("animal", ZOO, ids=lambda animal: repr(animal.name))
def test_each_file_ends_as_it_must(zoo: Labelled, animal: Animal) -> None:
    (row,) = zoo.ledger[animal.name]
    rows = zoo.labels.get(animal.name, [])
    has = "".join(letter for letter, name in zip("taf", ("text", "audio", "face"), strict=True)
                  if any(label[f"has_{name}"] for label in rows))  # fmt: skip
    found = (row["status"], has, row["retryable"])
    assert found == (animal.status, animal.has, animal.retryable), f"{row['reason']}\n{row['stderr_tail']}"
    if animal.reason is None:
        assert row["reason"] is None
    else:
        assert animal.reason in row["reason"]
        assert str(zoo.corpus) not in row["reason"]
    if animal.transcript is None:
        assert row["transcript"] is None
    else:
        assert animal.transcript in row["transcript"]
        assert str(zoo.corpus) not in row["transcript"]
        words = " ".join(label["text"] for label in rows if label["has_text"]).lower()
        assert words.replace("é", "e").startswith("it was the best of times")


@pytest.mark.parametrize("name", NO_FILES)
def test_what_is_no_file_is_not_opened(zoo: Labelled, name: str) -> None:
    (row,) = zoo.ledger[name]
    assert row["status"] == "unreadable"
    assert row["reason"].startswith(NO_FILES[name])
    assert name not in zoo.labels


def test_no_file_was_opened_that_was_not_given(zoo: Labelled) -> None:
    assert zoo.opened == []


def test_nobody_reached_for_the_network(zoo: Labelled) -> None:
    assert zoo.visitors == []


def test_nothing_of_a_decoder_that_hung_lives_on(zoo: Labelled) -> None:
    assert zoo.code == 3
    assert [process for process in psutil.process_iter() if SLEEP_S in command_of(process)] == []


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_the_watchers_see(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    with openings(path) as opened:
        path.read_text()
    assert opened
    with address() as (url, visitors), socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as caller:
        caller.sendall(b"hello")
        caller.recv(1)
    assert visitors == ["b'hello'"]
