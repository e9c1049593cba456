"""Annotations as a corpus: what is read of them, and that the branches of words and voice can train on it."""

from pathlib import Path

import pytest

from models.corpora import annotations, read_corpus
from models.corpora.item import CorpusError
from models.emotions import EMOTIONS
from models.train.sentences import load_sentences
from models.train.sounds import list_clips, read_clip
from tests.models.corpora.minis import RATE_HZ, write_wav
from tests.models.corpora.test_manifest import folder, texts
from tests.view_output import a_video, said, write_output
from tests.view_server import serving

__all__ = ["folder", "texts"]
UTTERANCES = [said(1000, 2500, "good morning", "happy", 0.8), said(3000, 4000, None, "sad", 0.4)]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "corpus").mkdir()
    videos = []
    for name in ("a.mp4", "b.mp4", "c.mp4", "d.mp4"):
        (tmp_path / "corpus" / name).write_bytes(name.encode())
        videos.append(a_video(tmp_path / "corpus" / name, 5000))
    write_output(tmp_path / "out", dict.fromkeys(videos, UTTERANCES))
    with serving(tmp_path / "out", "maria") as maria, serving(tmp_path / "out", "li") as li:
        for video in videos:
            maria.say(video.video_id, 0, "sad")
            maria.say(video.video_id, 0, "angry")
            maria.say(video.video_id, 1, "fear")
            li.say(video.video_id, 1, "sad")
    return tmp_path / "out"


def test_what_annotators_agree_on_is_an_item_with_its_sound(out: Path) -> None:
    items = [item for part in ("fit", "tune", "report") for item in read_corpus("annotations", out, part).items]
    assert len(items) == 4
    assert {(item.labels, item.text, item.start_s, item.end_s) for item in items} == {
        ((EMOTIONS.index("angry"),), "good morning", 1.0, 2.5)
    }
    assert sorted(item.sound.name for item in items if item.sound) == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert read_corpus("annotations", out, "test").items == ()


def test_media_that_are_gone_and_damaged_files_are_named(out: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "corpus").iterdir():
        path.unlink()
    with pytest.raises(CorpusError, match="videos are not there"):
        [read_corpus("annotations", out, part) for part in ("fit", "tune", "report")]
    (out / "annotations" / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(CorpusError, match=r"x\.parquet can't be read"):
        annotations.stretches(out)
    with pytest.raises(CorpusError, match="there is no annotations"):
        annotations.stretches(tmp_path / "corpus")


def test_the_text_branch_trains_on_them_where_the_folder_has_them(
    out: Path, texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {part: load_sentences(texts, part) for part in ("fit", "tune", "report")}
    (texts / "annotations").symlink_to(out / "annotations")
    monkeypatch.setattr(annotations, "part_of", lambda video_id: "tune")
    assert load_sentences(texts, "tune") == before["tune"]  # none of them is fitted
    monkeypatch.setattr(annotations, "part_of", lambda video_id: "fit")
    new = load_sentences(texts, "fit")[len(before["fit"]) :]
    assert {(sentence.corpus, sentence.text, sentence.labels) for sentence in new} == {
        ("annotations", "good morning", (EMOTIONS.index("angry"),))
    }
    assert len(new) == 4


def test_the_voice_branch_trains_on_them_where_the_folder_has_them(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speech = write_wav(tmp_path / "data" / "speech" / "sad.wav", samples=8000)
    table = "path,dataset,modality,speaker,emotion,split\nspeech/sad.wav,RAVDESS,audio,01,sad,train\n"
    (tmp_path / "data" / "manifest.csv").write_text(table, "utf-8")
    (tmp_path / "data" / "annotations").symlink_to(out / "annotations")
    for path in (tmp_path / "corpus").iterdir():
        write_wav(path, samples=5 * RATE_HZ)
    monkeypatch.setattr(annotations, "part_of", lambda video_id: "report")
    assert list_clips(tmp_path / "data", "report") == []  # none of them is fitted
    monkeypatch.setattr(annotations, "part_of", lambda video_id: "fit")
    clip, *judged = list_clips(tmp_path / "data", "fit")
    assert (clip.path, len(read_clip(clip))) == (speech, 8000)
    assert {(item.corpus, item.label, len(read_clip(item))) for item in judged} == {
        ("annotations", EMOTIONS.index("angry"), int(1.5 * RATE_HZ))
    }
    assert len({item.speaker for item in judged}) == len(judged) == 4
    assert list_clips(tmp_path / "data", "report") == []
    (tmp_path / "corpus" / "a.mp4").unlink()
    with pytest.raises(CorpusError, match="videos are not there"):
        list_clips(tmp_path / "data", "fit")
