"""What a listing of files, folders and globs finds."""

import os
from pathlib import Path

import pytest

from pipelines.corpus import list_corpus
from pipelines.errors import SettingsError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")


def names(*sources: object) -> list[str]:
    return [Path(file.uri).name for file in list_corpus(map(str, sources)).files]


def test_a_folder_gives_its_media_in_order_and_counts_the_rest(tmp_path: Path) -> None:
    touch(tmp_path, "b.mp4", "sub/a.MKV", "c.wav", "notes.txt", ".hidden.mp4")
    corpus = list_corpus([str(tmp_path)])
    assert [Path(file.uri).relative_to(tmp_path).as_posix() for file in corpus.files] == ["b.mp4", "c.wav", "sub/a.MKV"]
    assert corpus.skipped == 2
    assert {file.size for file in corpus.files} == {5}
    assert corpus.files[0].etag_or_mtime == str((tmp_path / "b.mp4").stat().st_mtime_ns)


def test_a_named_file_counts_whatever_its_name(tmp_path: Path) -> None:
    touch(tmp_path, "recording.bin")
    assert names(tmp_path / "recording.bin") == ["recording.bin"]


def test_a_file_found_twice_is_listed_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    assert names(tmp_path, tmp_path / "a.mp4", tmp_path / "*.mp4") == ["a.mp4"]


def test_globs(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "x/c.mp4")
    assert names(tmp_path / "*.mp4") == ["a.mp4", "b.mp4"]
    assert names(tmp_path / "**" / "*.mp4") == ["a.mp4", "b.mp4", "c.mp4"]


@pytest.mark.parametrize(
    "name", ["[live] talk?.mp4", "with space.mp4", "-dash.mp4", "quote'\".mp4", "líne\nbreak.mp4", "a::b.mp4", "~x.mp4"]
)
def test_odd_names_are_names(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name)
    assert names(tmp_path / name) == [name]
    assert names(tmp_path) == [name]


def test_a_name_that_no_table_can_hold_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/bad\xff.mp4"
    Path(os.fsdecode(path)).write_bytes(b"x")
    (file,) = list_corpus([str(tmp_path)]).files
    assert file.uri.endswith("bad\\xff.mp4")
    assert "not valid UTF-8" in str(file.problem)


def test_a_dangling_link_is_listed_with_its_problem(tmp_path: Path) -> None:
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (file,) = list_corpus([str(tmp_path)]).files
    assert "No such file" in str(file.problem)


def test_a_source_that_is_not_there_stops_the_job_before_it_starts(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file or folder"):
        list_corpus([str(tmp_path / "none")])
    with pytest.raises(SettingsError, match="not known"):
        list_corpus(["gopher9://host/x"])


def test_an_empty_folder_is_an_empty_corpus(tmp_path: Path) -> None:
    assert list_corpus([str(tmp_path)]).files == ()
