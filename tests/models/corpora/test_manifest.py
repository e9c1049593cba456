"""The trainings' folder, read for evaluation: the same parts as in training, and never what is kept from it."""

from pathlib import Path

import pytest

from models.corpora import manifest
from models.corpora.item import CorpusError, Part
from models.emotions import EMOTIONS
from models.evaluate.score import group_items
from models.train import pictures, sounds
from models.train.manifest import read_manifest
from models.train.sentences import load_sentences
from tests.models.corpora.minis import by_part, make_meld, touch, write_csv, write_jpg, write_wav

COLUMNS = ("path", "dataset", "modality", "speaker", "emotion", "split")
TRAINING: tuple[Part, ...] = ("fit", "tune", "report")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows: list[tuple[str, ...]] = []
    for n, emotion in enumerate((*EMOTIONS, "calm", "boredom", "contempt")):
        for split in ("train", "val", "test", "test_av"):
            speaker = f"s{n}{split}"
            write_wav(tmp_path / f"speech/{speaker}.wav")
            rows.append((f"speech/{speaker}.wav", "RAVDESS", "audio", speaker, emotion, split))
            rows.append((f"faces/{speaker}.jpg", "FER2013", "face 48x48 grey", "", emotion, split))
            write_jpg(tmp_path / f"faces/{speaker}.jpg")
    rows += [(f"speech/u{s}.wav", "URDU", "audio", s, "sad", "train") for s in ("urdu_SM1", "urdu_SM2", "urdu_SF7")]
    for path, *_ in rows[-3:]:
        write_wav(tmp_path / path)
    rows.append(("speech/gone.wav", "LibriSpeech", "audio", "1088", "", "test_asr"))
    write_csv(tmp_path / "manifest.csv", COLUMNS, rows)
    return tmp_path


@pytest.fixture
def texts(folder: Path) -> Path:
    make_meld(folder / "text/meld")
    touch(folder / "text/goemotions_ekman/labels.txt", "anger\ndisgust\nfear\njoy\nneutral\nsadness\nsurprise\n")
    for name in ("train", "dev"):
        lines = [f"Said {n}.\t{n % 7},3\t{name}{n}\n" for n in range(60)]
        touch(folder / f"text/goemotions_ekman/{name}.tsv", "".join(lines))
    rows = [(n, f"isear_{n // 2}", ("happy", "shame")[n % 2], f"When {n}.") for n in range(120)]
    write_csv(folder / "text/isear/isear.csv", ("key", "subject", "emotion", "text"), rows)
    return folder


def test_its_parts_are_those_of_the_trainings(texts: Path) -> None:
    parts = by_part(lambda part: manifest.read(texts, part))
    faces = read_manifest(texts, pictures.CORPORA, "face")
    voices = read_manifest(texts, sounds.CORPORA, "audio")
    for part in TRAINING:
        expected = [(item.path, item.speaker, (item.label,)) for item in faces if pictures.part_of(item) == part]
        found = [(item.pictures[0], item.speaker, item.labels) for item in parts[part] if item.pictures]
        assert found == expected
        expected = [(item.path, item.speaker, (item.label,)) for item in voices if sounds.part_of(item) == part]
        assert [(item.sound, item.speaker, item.labels) for item in parts[part] if item.sound] == expected
        sentences = load_sentences(texts, part)  # type: ignore[arg-type]
        said = [(item.corpus, item.text, item.labels) for item in parts[part] if item.text]
        assert said == [(sentence.corpus, sentence.text, sentence.labels) for sentence in sentences]
        assert {item.corpus for item in parts[part]} >= {"RAVDESS", "URDU", "MELD", "GoEmotions"}
    assert parts["test"] == ()
    ids = [(item.corpus, item.id) for items in parts.values() for item in items]
    assert len(ids) == len(set(ids))


def test_what_is_kept_from_all_trainings_is_never_read(texts: Path) -> None:
    parts = by_part(lambda part: manifest.read(texts, part))
    assert not [item for items in parts.values() for item in items if "test_av" in item.id or "test_av" in item.speaker]


def test_sentences_may_have_several_labels_and_keep_who_said_them(texts: Path) -> None:
    items = {(item.corpus, item.id): item for item in manifest.read(texts, "report").items}
    said = items["GoEmotions", "dev5"]
    assert (said.text, said.labels) == ("Said 5.", (EMOTIONS.index("sad"), EMOTIONS.index("happy")))
    assert items["MELD", "dev/dia0_utt1"].speaker == "Ross"
    groups = group_items(manifest.read(texts, "report"))
    assert {group.corpus: group.available for group in groups} == {
        "FER2013": ("face",),
        "GoEmotions": ("text",),
        "MELD": ("text",),
        "RAVDESS": ("voice",),
        "URDU": ("voice",),
    }


def test_it_may_be_without_text_but_not_without_half_of_it(folder: Path) -> None:
    assert not [item for item in manifest.read(folder, "report").items if item.text]
    make_meld(folder / "text/meld")
    with pytest.raises(CorpusError, match=r"there is no text/goemotions_ekman/labels\.txt and no") as error:
        manifest.read(folder, "report")
    assert "text/isear/isear.csv" in str(error.value)


def test_files_that_are_listed_must_be_there(folder: Path) -> None:
    (folder / "speech/s0val.wav").unlink()
    (folder / "faces/s1train.jpg").unlink()
    with pytest.raises(
        CorpusError, match=r"2 of 51 files of manifest\.csv are not there: faces/s1train\.jpg, speech/s0val"
    ):
        manifest.read(folder, "report")
    with pytest.raises(CorpusError, match=r"there is no manifest\.csv in"):
        manifest.read(folder / "speech", "report")
