"""What a listing of files, folders and globs finds."""

import hashlib
import os
from pathlib import Path

import pytest

from pipelines.corpus import list_corpus
from pipelines.errors import SettingsError
from pipelines.plan import video_id


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


def transcripts(*sources: object, language: str | None = "en") -> dict[str, str | None]:
    files = list_corpus(map(str, sources), transcripts=True, language=language).files
    return {Path(file.uri).name: file.transcript and Path(file.transcript.uri).name for file in files}


def test_transcripts_are_found_beside_their_videos(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "a.srt", "b.mp4", "b.en.vtt", "b.de.srt", "c.d.mkv", "c.d.TextGrid", "notes.txt")
    touch(tmp_path, "sub/e.mp4")
    assert transcripts(tmp_path) == {
        "a.mp4": "a.srt",
        "b.mp4": "b.en.vtt",
        "c.d.mkv": "c.d.TextGrid",
        "e.mp4": None,
    }
    assert transcripts(tmp_path / "b.mp4", language="de") == {"b.mp4": "b.de.srt"}
    assert transcripts(tmp_path / "*.mkv") == {"c.d.mkv": "c.d.TextGrid"}
    assert list_corpus([str(tmp_path)], transcripts=True, language="en").skipped == 2  # b.de.srt and notes.txt
    assert all(file.transcript is None for file in list_corpus([str(tmp_path)]).files)


def test_a_transcript_makes_another_version_of_a_video_and_none_leaves_its_id_as_it_was(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")

    def identity() -> str:
        (file,) = list_corpus([str(tmp_path)], transcripts=True).files
        return video_id(file)

    (plain,) = list_corpus([str(tmp_path)]).files
    without = identity()
    digest = hashlib.sha256(f"{plain.uri}\n{plain.size}\n{plain.etag_or_mtime}".encode()).hexdigest()
    assert without == video_id(plain) == digest[:16]
    touch(tmp_path, "a.srt")
    first = identity()
    os.utime(tmp_path / "a.srt", ns=(1, 1))
    second = identity()
    assert len({without, first, second}) == 3
    (tmp_path / "a.srt").unlink()
    assert identity() == without


def problems(*sources: object) -> dict[str, str | None]:
    return {Path(file.uri).name: file.problem for file in list_corpus(map(str, sources)).files}


def test_links_are_followed_only_within_what_was_named(tmp_path: Path) -> None:
    corpus, outside = tmp_path / "corpus", tmp_path / "outside"
    touch(corpus, "a.mp4", "blobs/0123", "sub/b.mp4")
    touch(outside, "secret.mp4", "more/c.mp4")
    (corpus / "named.mp4").symlink_to("blobs/0123")  # as git-annex and model hubs keep files
    (corpus / "twice.mp4").symlink_to("a.mp4")
    (corpus / "out.mp4").symlink_to(outside / "secret.mp4")
    (corpus / "out.txt").symlink_to(outside / "secret.mp4")
    (corpus / "more").symlink_to(outside / "more")
    (corpus / "sub" / "again").symlink_to(corpus)
    (corpus / "sub" / "again.mp4").symlink_to(corpus)
    (corpus / "loop.mp4").symlink_to("loop.mp4")
    found = problems(corpus)
    assert set(found) == {"a.mp4", "b.mp4", "named.mp4", "out.mp4", "more", "loop.mp4"}
    assert [found[name] for name in ("a.mp4", "b.mp4", "named.mp4")] == [None] * 3
    assert str(found["out.mp4"]).startswith("a link that leads out of the corpus; name its target")
    assert str(found["more"]).startswith("a link to a folder outside the corpus; name that folder")
    assert "Too many levels of symbolic links" in str(found["loop.mp4"])
    assert list_corpus([str(corpus)]).skipped == 5  # blobs/0123, twice.mp4, out.txt, sub/again, sub/again.mp4
    assert problems(corpus, outside)["c.mp4"] is None
    assert "out.mp4" not in problems(corpus, outside)  # its target is listed by its own name


def test_a_link_that_is_named_is_followed(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.mp4", "other/b.bin")
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "file").symlink_to("other/b.bin")
    assert problems(tmp_path / "folder", tmp_path / "file") == {"a.mp4": None, "file": None}
    assert problems(tmp_path / "folder" / "*.mp4") == {"a.mp4": None}


def test_a_pattern_does_not_lead_through_links_either(tmp_path: Path) -> None:
    touch(tmp_path, "corpus/a.mp4", "outside/b.mp4")
    (tmp_path / "corpus" / "way").symlink_to(tmp_path / "outside")
    (tmp_path / "corpus" / "a.srt").symlink_to(tmp_path / "outside" / "b.mp4")
    assert "way" in problems(tmp_path / "corpus" / "*")
    with pytest.raises(SettingsError, match="no pattern that matches anything"):
        problems(tmp_path / "corpus" / "w*" / "*.mp4")
    (file,) = list_corpus([str(tmp_path / "corpus" / "*.mp4")], transcripts=True).files
    assert file.transcript is not None
    assert "leads out" in str(file.transcript.problem)


def test_hidden_folders_are_left_alone(tmp_path: Path) -> None:
    touch(tmp_path, ".git/annex/a.mp4", "b.mp4")
    assert names(tmp_path) == ["b.mp4"]
    assert names(tmp_path / ".git") == ["a.mp4"]
