"""IEMOCAP and MOSEI as V2EM's parents lay them out: who speaks, on which side, in which part, with which labels."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.corpora import iemocap, mosei
from models.corpora.item import Corpus, CorpusError, Part
from models.evaluate.score import group_items
from tests.models.corpora.minis import PARTS, assert_disjoint, by_part, touch, write_jpg, write_wav

SIZES = {"train": 4, "valid": 2, "test": 3}
IEMOCAP = {
    "train": ["Ses01F_impro01_F000", "Ses01F_impro01_M001", "Ses02M_script01_1b_F024", "Ses04F_script01_1_F024"],
    "valid": ["Ses03M_impro05a_M006", "Ses04F_script03_2_M009"],
    "test": ["Ses01F_impro02_F000", "Ses05M_script01_1_F013", "Ses05F_impro04_M042"],
}
SPOKEN = [id for ids in IEMOCAP.values() for id in ids]
LABELS = dict(zip(SPOKEN, "ang exc fru hap neu sad ang neu exc".split(), strict=True))
MOSEI = {
    "train": ["-571d8cVauQ_0", "-571d8cVauQ_3", "101787_10", "06st0Ez_E_I_4"],
    "valid": ["--qXJuDtHPw_5", "_BvNNdEkhZA_11"],
    "test": ["7_K3F-lAv1k_2", "7_K3F-lAv1k_12", "80566_0"],
}
HOT = [[1, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0]]
Split = dict[str, list[str]]


def write_split(folder: Path, split: Split) -> None:
    for name, ids in split.items():
        touch(folder / f"{name}_split.txt", "".join(f"{id}\n" for id in ids))


def write_meta(folder: Path, meta: Any) -> None:
    touch(folder / "meta.pkl").write_bytes(pickle.dumps(meta, 3))


def iemocap_meta() -> dict[str, Any]:
    return {
        id: {"start_time": 1.5, "end_time": 3.0, "label": label, "text": f"Said {id}.", "sr": 16000, "fps": 29.97}
        for id, label in (LABELS | {"Ses05F_impro04_M043": "xxx"}).items()
    }


@pytest.fixture
def iemocap_folder(tmp_path: Path) -> Path:
    write_split(tmp_path / "IEMOCAP_SPLIT", IEMOCAP)
    write_meta(tmp_path / "IEMOCAP_RAW_PROCESSED", iemocap_meta())
    for id in LABELS:
        folder = tmp_path / "IEMOCAP_RAW_PROCESSED" / "_".join(id.split("_")[:2]) / id
        for channel in ("audio", "audio_L", "audio_R"):
            write_wav(folder / f"{channel}.wav")
    for i in range(32):
        for side in "LR":
            write_jpg(folder.parents[1] / f"Ses01F_impro01/Ses01F_impro01_F000/image_{side}_{i}.jpg")
    return tmp_path


@pytest.fixture
def mosei_folder(tmp_path: Path) -> Path:
    write_split(tmp_path / "MOSEI_SPLIT", MOSEI)
    ids = [id for ids in MOSEI.values() for id in ids]
    meta = {id: {"text": f"Said {id}.", "label": HOT[n % 4]} for n, id in enumerate(ids)}
    write_meta(tmp_path / "MOSEI_RAW_PROCESSED", meta)
    for id in ids:
        write_wav(tmp_path / "MOSEI_RAW_PROCESSED" / id / "audio.wav")
    for i in range(12):
        write_jpg(tmp_path / "MOSEI_RAW_PROCESSED/80566_0" / f"image_{i}.jpg")
    return tmp_path


def test_an_utterance_of_iemocap_has_the_sound_and_the_pictures_of_who_speaks(iemocap_folder: Path) -> None:
    corpus = iemocap.read(iemocap_folder, "fit", SIZES)
    assert corpus.label_space == ("ang", "exc", "fru", "hap", "neu", "sad")
    left, right, other, merged = corpus.items
    folder = iemocap_folder / "IEMOCAP_RAW_PROCESSED/Ses01F_impro01/Ses01F_impro01_F000"
    assert (left.corpus, left.id, left.part) == ("IEMOCAP", "Ses01F_impro01_F000", "fit")
    assert (left.text, left.labels, left.speaker) == ("Said Ses01F_impro01_F000.", (0,), "iemocap_01F")
    assert left.sound == folder / "audio_L.wav"
    assert [path.name for path in left.pictures] == ["image_L_0.jpg", "image_L_15.jpg", "image_L_30.jpg"]
    assert right.sound is not None
    assert (right.sound.name, right.speaker, right.labels) == ("audio_R.wav", "iemocap_01M", (1,))
    assert right.pictures == ()
    assert other.sound is not None
    assert other.sound.relative_to(iemocap_folder / "IEMOCAP_RAW_PROCESSED").as_posix() == (
        "Ses02M_script01/Ses02M_script01_1b_F024/audio_R.wav"
    )
    assert merged.sound is not None
    assert merged.sound.parent.parent.name == "Ses04F_script01"
    assert (merged.sound.name, merged.speaker) == ("audio_L.wav", "iemocap_04F")


def test_the_published_split_of_iemocap_gives_its_test_for_report_and_for_test(iemocap_folder: Path) -> None:
    parts = by_part(lambda part: iemocap.read(iemocap_folder, part, SIZES))
    found = {part: [item.id for item in items] for part, items in parts.items()}
    test = IEMOCAP["test"]
    assert found == {"fit": IEMOCAP["train"], "tune": IEMOCAP["valid"], "report": test, "test": test}
    (group,) = group_items(iemocap.read(iemocap_folder, "fit", SIZES))
    assert (len(group.items), group.left_out) == (2, 2)  # excited and frustrated are none of the seven
    assert group.available == ("text", "voice", "face")


def test_by_session_no_speaker_is_in_two_parts_and_no_split_file_is_read(iemocap_folder: Path) -> None:
    for file in (iemocap_folder / "IEMOCAP_SPLIT").iterdir():
        file.unlink()
    parts = by_part(lambda part: iemocap.read_session5(iemocap_folder, part))
    assert [item.id for item in parts["test"]] == ["Ses05F_impro04_M042", "Ses05M_script01_1_F013"]
    assert {item.speaker for item in parts["tune"]} == {"iemocap_04F", "iemocap_04M"}
    assert [item.id for item in parts["report"]] == [item.id for item in parts["test"]]
    assert_disjoint({part: parts[part] for part in ("fit", "tune", "report")}, lambda item: item.speaker)


def test_mosei_has_any_number_of_labels_and_its_ids_split_at_the_last_underscore(mosei_folder: Path) -> None:
    corpus = mosei.read(mosei_folder, "fit", SIZES)
    assert corpus.label_space == ("anger", "disgust", "fear", "happy", "sad", "surprise")
    assert [item.labels for item in corpus.items] == [(0, 5), (), (1, 2), (3,)]
    assert [item.speaker for item in corpus.items] == ["-571d8cVauQ", "-571d8cVauQ", "101787", "06st0Ez_E_I"]
    first = corpus.items[0]
    assert (first.corpus, first.text) == ("CMU-MOSEI", "Said -571d8cVauQ_0.")
    assert first.sound == mosei_folder / "MOSEI_RAW_PROCESSED/-571d8cVauQ_0/audio.wav"
    parts = by_part(lambda part: mosei.read(mosei_folder, part, SIZES))
    pictures = parts["test"][-1].pictures
    assert [path.name for path in pictures] == [f"image_{i}.jpg" for i in range(12)]  # 2 before 10
    assert [item.id for item in parts["report"]] == MOSEI["test"]
    assert_disjoint({part: parts[part] for part in ("fit", "tune", "test")}, lambda item: item.speaker)
    (group,) = group_items(corpus)
    assert (len(group.items), group.left_out) == (4, 0)  # no emotion is an answer too


def test_meta_may_be_json(mosei_folder: Path) -> None:
    pickled = mosei_folder / "MOSEI_RAW_PROCESSED/meta.pkl"
    expected = mosei.read(mosei_folder, "tune", SIZES)
    touch(pickled.with_suffix(".json"), json.dumps(pickle.loads(pickled.read_bytes())))  # noqa: S301
    pickled.unlink()
    assert mosei.read(mosei_folder, "tune", SIZES) == expected


Read = Callable[[Path, Part], Corpus]


@pytest.mark.parametrize("read", [iemocap.read, iemocap.read_session5, mosei.read])
@pytest.mark.parametrize("part", PARTS)
def test_a_corpus_that_is_not_there_is_named_with_what_to_get_and_where_it_goes(
    read: Read, part: Part, tmp_path: Path
) -> None:
    with pytest.raises(CorpusError) as error:
        read(tmp_path, part)
    said = str(error.value)
    assert "there is no" in said
    assert "MESM" in said
    assert f"Expected in {tmp_path}:" in said
    assert "RAW_PROCESSED/meta.pkl" in said
    assert 5 <= said.count("\n") <= 9


def test_splits_of_another_size_are_half_there_or_other_ones(iemocap_folder: Path) -> None:
    with pytest.raises(CorpusError, match=r"IEMOCAP_SPLIT/train_split\.txt has 4 ids; the published one has 5,162"):
        iemocap.read(iemocap_folder, "tune")
    assert (sum(iemocap.SIZES.values()), sum(mosei.SIZES.values())) == (7380, 20477)


SPLITS: dict[str, tuple[Split, str]] = {
    "twice": (
        {"test": ["80566_0", "80566_0", "x_1"]},
        r"1 of 3 ids are in MOSEI_SPLIT/test_split\.txt more than once: 80566_0",
    ),
    "shared": (
        {"test": ["80566_0", "101787_10", "-571d8cVauQ_3"]},
        r"2 of 3 ids of MOSEI_SPLIT/test_split\.txt are in MOSEI_SPLIT/train_split\.txt too: -571d8cVauQ_3, 101787_10",
    ),
    "strange": ({"test": ["80566_0", "../80566_0", "x"]}, r"2 of 3 ids are not VIDEO_CLIP: \.\./80566_0, x"),
    "no meta": ({"test": ["80566_0", "a_1", "b_2"]}, "2 of 3 ids of the part test are not in meta: a_1, b_2"),
}


@pytest.mark.parametrize("name", SPLITS)
def test_splits_that_are_not_sound_are_refused(name: str, mosei_folder: Path) -> None:
    split, message = SPLITS[name]
    write_split(mosei_folder / "MOSEI_SPLIT", split)
    with pytest.raises(CorpusError, match=message):
        mosei.read(mosei_folder, "test", SIZES)


def test_clips_without_sound_and_entries_without_labels_are_counted_and_named(mosei_folder: Path) -> None:
    for id in MOSEI["test"]:
        (mosei_folder / "MOSEI_RAW_PROCESSED" / id / "audio.wav").unlink()
    with pytest.raises(
        CorpusError, match=r"3 of 3 clips have no folder, or no audio\.wav in it: 7_K3F-lAv1k_12, 7_K3F"
    ):
        mosei.read(mosei_folder, "test", SIZES)
    for label in ([1, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0], "anger", None):
        write_meta(mosei_folder / "MOSEI_RAW_PROCESSED", {id: {"text": "x", "label": label} for id in MOSEI["valid"]})
        with pytest.raises(CorpusError, match="2 of 2 entries of meta lack a text, or a label of six 0 or 1"):
            mosei.read(mosei_folder, "tune", SIZES)


def test_iemocap_that_is_half_there_is_refused(iemocap_folder: Path) -> None:
    processed = iemocap_folder / "IEMOCAP_RAW_PROCESSED"
    (processed / "Ses05F_impro04/Ses05F_impro04_M042/audio_R.wav").unlink()
    silent = "1 of [23] utterances have no folder, or no sound of their speaker in it: Ses05F_impro04_M042"
    with pytest.raises(CorpusError, match=silent):
        iemocap.read(iemocap_folder, "test", SIZES)
    with pytest.raises(CorpusError, match=silent):
        iemocap.read_session5(iemocap_folder, "test")
    write_meta(processed, iemocap_meta() | {"Ses03M_impro05a_M006": {"label": "oth", "text": "x"}})
    with pytest.raises(CorpusError, match="1 of 2 entries of meta lack a text, or a label of ang"):
        iemocap.read(iemocap_folder, "tune", SIZES)
    write_meta(processed, {id: entry for id, entry in iemocap_meta().items() if not id.startswith("Ses05")})
    with pytest.raises(CorpusError, match="meta has no utterance of session 05"):
        iemocap.read_session5(iemocap_folder, "report")
    write_split(iemocap_folder / "IEMOCAP_SPLIT", {"valid": ["Ses03M_impro05a_M006", "Ses09M_impro05a_M006"]})
    with pytest.raises(CorpusError, match="1 of 2 ids are none of IEMOCAP's: Ses09M"):
        iemocap.read(iemocap_folder, "tune", SIZES)
