"""RAVDESS, CREMA-D, EMO-DB: what a file's name says, and that no speaker is in two parts."""

from pathlib import Path

import pytest

from models.corpora import crema_d, emo_db, ravdess
from models.corpora.item import CorpusError
from models.evaluate.score import group_items
from tests.models.corpora.minis import PARTS, assert_disjoint, by_part, ravdess_names, touch, write_wavs


@pytest.fixture(scope="module")
def ravdess_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ravdess")
    write_wavs([folder / f"Actor_{actor:02}/{name}.wav" for actor in range(1, 25) for name in ravdess_names(actor)])
    touch(folder / f"Actor_18/{ravdess_names(18, channel='02')[0]}.wav")  # a song
    touch(folder / "Video_Speech_Actor_18/01-01-01-01-01-01-18.mp4")
    touch(folder / "Video_Speech_Actor_18/Actor_18/01-01-01-01-01-02-18.mp4")
    touch(folder / "Actor_18/01-01-01-01-02-01-18.mp4")
    touch(folder / "Actor_18/02-01-01-01-02-02-18.mp4")  # picture alone
    return folder


def test_ravdess_is_read_by_its_codes(ravdess_folder: Path) -> None:
    corpus = ravdess.read(ravdess_folder, "report")
    assert corpus.label_space == ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
    assert len(corpus.items) == 120
    item = next(item for item in corpus.items if item.id == "03-01-06-02-02-01-19")
    assert (item.corpus, item.speaker, item.part) == ("RAVDESS", "ravdess_19", "report")
    assert [corpus.label_space[label] for label in item.labels] == ["fearful"]
    assert item.text == "Dogs are sitting by the door."
    assert item.sound == ravdess_folder / "Actor_19/03-01-06-02-02-01-19.wav"
    assert item.video is None
    videos = [item.video.relative_to(ravdess_folder).as_posix() for item in corpus.items if item.video]
    assert videos == [
        "Video_Speech_Actor_18/01-01-01-01-01-01-18.mp4",
        "Video_Speech_Actor_18/Actor_18/01-01-01-01-01-02-18.mp4",
        "Actor_18/01-01-01-01-02-01-18.mp4",
    ]
    (group,) = group_items(corpus)
    assert group.left_out == 0
    assert sum(item.labels == (0,) for item in group.items) == 2 * (4 + 8)  # calm is neutral


def test_no_speaker_of_ravdess_is_in_two_parts(ravdess_folder: Path) -> None:
    parts = by_part(lambda part: ravdess.read(ravdess_folder, part))
    assert_disjoint(parts, lambda item: item.speaker)
    assert {item.speaker for item in parts["tune"]} == {"ravdess_16", "ravdess_17"}
    assert {item.speaker for item in parts["test"]} == {f"ravdess_{actor:02}" for actor in (1, 20, 21, 22, 23, 24)}
    assert sum(map(len, parts.values())) == 24 * 60


def test_ravdess_that_is_half_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="there is no Actor_16 in") as error:
        ravdess.read(tmp_path, "tune")
    assert "Zenodo" in str(error.value)
    assert "Actor_01/03-01-01-01-01-01-01.wav" in str(error.value)
    write_wavs([tmp_path / f"Actor_16/{name}.wav" for name in ravdess_names(16)[:-1]])
    with pytest.raises(CorpusError, match="Actor_16 has 59 of its 60 recordings of speech"):
        ravdess.read(tmp_path, "tune")
    write_wavs([tmp_path / f"Actor_16/{ravdess_names(17)[0]}.wav"])
    with pytest.raises(CorpusError, match=r"1 of 60 files in Actor_16 are of another actor: 03-01-01-01-01-01-17\.wav"):
        ravdess.read(tmp_path, "tune")


@pytest.mark.parametrize(
    "stem",
    [
        "03-01-09-01-01-01-01",
        "03-01-01-02-01-01-01",
        "03-01-03-01-01-01-25",
        "03-01-03-01-01-01",
        "x",
        "03-03-03-01-01-01-01",
    ],
)
def test_names_that_are_none_of_ravdess_s_are_refused(stem: str) -> None:
    with pytest.raises(CorpusError, match="not named as it names its files"):
        ravdess.parse_name(stem)


CREMA_ACTORS = range(1001, 1092)


@pytest.fixture(scope="module")
def crema_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crema")
    names = [f"{actor}_{clip}" for actor in CREMA_ACTORS for clip in ("DFA_ANG_XX", "IEO_HAP_HI")]
    names += ["1040_ITH_SAD_X", "1076_MTI_SAD_XX", "1064_IEO_DIS_MD"]
    write_wavs([folder / f"AudioWAV/{name}.wav" for name in names])
    touch(folder / "VideoFlash/1001_DFA_ANG_XX.flv")
    return folder


def test_crema_d_is_read_by_its_names_save_its_broken_files(crema_folder: Path) -> None:
    parts = by_part(lambda part: crema_d.read(crema_folder, part, 185))
    items = {item.id: item for items in parts.values() for item in items}
    assert len(items) == 183
    assert "1040_ITH_SAD_X" in items
    item = items["1001_DFA_ANG_XX"]
    assert (item.corpus, item.speaker, item.labels, item.text) == (
        "CREMA-D",
        "cremad_1001",
        (0,),
        "Don't forget a jacket.",
    )
    assert item.sound == crema_folder / "AudioWAV/1001_DFA_ANG_XX.wav"
    assert item.video == crema_folder / "VideoFlash/1001_DFA_ANG_XX.flv"
    assert items["1002_IEO_HAP_HI"].labels == (crema_d.LABELS.index("hap"),)
    assert items["1002_IEO_HAP_HI"].video is None
    assert all(group.left_out == 0 for part in PARTS for group in group_items(crema_d.read(crema_folder, part, 185)))


def test_no_speaker_of_crema_d_is_in_two_parts(crema_folder: Path) -> None:
    parts = by_part(lambda part: crema_d.read(crema_folder, part, 185))
    assert_disjoint(parts, lambda item: item.speaker)
    speakers = {part: len({item.speaker for item in items}) for part, items in parts.items()}
    assert sum(speakers.values()) == 91
    assert speakers["fit"] > 40
    assert min(speakers.values()) >= 5


def test_crema_d_that_is_half_there_is_refused(crema_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="AudioWAV has 185 clips; 7,442 are published"):
        crema_d.read(crema_folder, "report")
    with pytest.raises(CorpusError, match="there is no AudioWAV in"):
        crema_d.read(tmp_path, "report")
    for name in ("1001_DFA_SUR_XX", "1001_XYZ_ANG_XX", "1001"):
        touch(tmp_path / f"AudioWAV/{name}.wav")
    with pytest.raises(CorpusError, match=r"3 of 3 files .* named as CREMA-D names its own: 1001\.wav, 1001_DFA_SUR"):
        crema_d.read(tmp_path, "report", 3)


@pytest.fixture(scope="module")
def emo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("emo")
    clips = [f"{text}{letter}{take}" for text in ("a01", "b10") for letter in "WLEAFTN" for take in "abcdef"]
    write_wavs([folder / f"wav/{s}{clip}.wav" for s, count in emo_db.CLIPS.items() for clip in clips[:count]])
    return folder


def test_emo_db_is_read_by_its_names_and_no_speaker_is_in_two_parts(emo_folder: Path) -> None:
    parts = by_part(lambda part: emo_db.read(emo_folder, part))
    assert_disjoint(parts, lambda item: item.speaker)
    assert {item.speaker for item in parts["report"]} == {"emodb_12", "emodb_13"}
    assert {item.speaker for item in parts["test"]} == {"emodb_15", "emodb_16"}
    assert sum(map(len, parts.values())) == 535
    named = {item.id[5]: emo_db.LABELS[item.labels[0]] for items in parts.values() for item in items}
    assert named == dict(
        zip("WLEAFTN", ("anger", "boredom", "disgust", "fear", "happiness", "sadness", "neutral"), strict=True)
    )
    item = parts["fit"][0]
    assert (item.corpus, item.id, item.text) == ("EMO-DB", "03a01Aa", None)
    assert item.sound == emo_folder / "wav/03a01Aa.wav"
    (group,) = group_items(emo_db.read(emo_folder, "report"))
    assert group.left_out == sum(item.id[5] == "L" for item in parts["report"])  # bored is none of the seven
    assert group.available == ("voice",)


def test_emo_db_that_is_half_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="there is no wav in") as error:
        emo_db.read(tmp_path, "report")
    assert "Technical University of Berlin" in str(error.value)
    touch(tmp_path / "wav/12a01Fa.wav")
    with pytest.raises(CorpusError, match="wav has 1 of the 35 clips of speaker 12"):
        emo_db.read(tmp_path, "report")
    touch(tmp_path / "wav/12a01Xa.wav")
    with pytest.raises(CorpusError, match=r"1 of 2 files in wav are not named .*: 12a01Xa\.wav"):
        emo_db.read(tmp_path, "report")
