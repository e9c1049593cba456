"""MELD as it is published: dialogues, mended words, clips where they are."""

import re
from pathlib import Path

import pytest

from models.corpora import meld
from models.corpora.item import CorpusError
from models.evaluate.score import group_items
from models.train.sentences import meld_part
from tests.models.corpora.minis import MELD_COLUMNS, MELD_SIZES, assert_disjoint, by_part, make_meld, touch, write_csv


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_meld(tmp_path)
    return tmp_path


def test_an_utterance_has_its_words_mended_and_its_label(folder: Path) -> None:
    corpus = meld.read(folder, "report", MELD_SIZES)
    item = corpus.items[3]
    assert (item.corpus, item.id, item.speaker, item.part) == ("MELD", "dev/dia1_utt1", "Ross", "report")
    assert item.text == "I am so happy, this is wonderful! It's 3..."
    assert [corpus.label_space[label] for label in item.labels] == ["joy"]
    assert (item.sound, item.video) == (None, None)
    (group,) = group_items(corpus)
    assert (group.available, group.left_out) == (("text",), 0)


def test_dialogues_of_the_train_table_fit_or_tune_as_in_training(folder: Path) -> None:
    parts = by_part(lambda part: meld.read(folder, part, MELD_SIZES))
    assert_disjoint(parts, lambda item: item.id.rsplit("_", 1)[0])
    assert len(parts["fit"]) + len(parts["tune"]) == 80
    for part in ("fit", "tune"):
        dialogues = {re.fullmatch(r"train/dia(\d+)_utt\d", item.id)[1] for item in parts[part]}  # type: ignore[index]
        assert {meld_part({"Dialogue_ID": dialogue}) for dialogue in dialogues} == {part}
    assert {item.id.split("/")[0] for item in parts["test"]} == {"test"}


def test_clips_are_read_where_their_folder_is_save_those_that_are_known_to_be_broken(folder: Path) -> None:
    write_csv(
        folder / "dev_sent_emo.csv",
        MELD_COLUMNS,
        [(1, "a", "Ross", "fear", "", 0, 0), (2, "b", "Phoebe", "neutral", "", 110, 7)],
    )
    sizes = MELD_SIZES | {"dev": 2}
    clip = touch(folder / "dev_splits_complete/dia0_utt0.mp4")
    first, broken = meld.read(folder, "report", sizes).items
    assert (first.sound, first.video) == (clip, clip)
    assert (broken.id, broken.sound, broken.video) == ("dev/dia110_utt7", None, None)
    clip.unlink()
    with pytest.raises(CorpusError, match=r"1 of 1 clips are not in dev_splits_complete: dia0_utt0\.mp4"):
        meld.read(folder, "report", sizes)


def test_meld_that_is_half_there_is_refused(folder: Path) -> None:
    with pytest.raises(CorpusError, match=r"dev_sent_emo\.csv has 8 utterances; the published one has 1,109"):
        meld.read(folder, "report")
    (folder / "test_sent_emo.csv").unlink()
    with pytest.raises(CorpusError, match=r"there is no test_sent_emo\.csv in") as error:
        meld.read(folder, "test")
    assert "Declare lab" in str(error.value)
    assert "output_repeated_splits_test/dia0_utt0.mp4" in str(error.value)
    write_csv(folder / "test_sent_emo.csv", MELD_COLUMNS, [(1, "a", "Ross", "bored", "", 0, 0)])
    with pytest.raises(CorpusError, match=r"emotions in test_sent_emo\.csv are not known: bored"):
        meld.read(folder, "test", {"test": 1})
    for content in ("a,b\n1,2\n", ",".join(MELD_COLUMNS) + "\n1\n"):
        touch(folder / "test_sent_emo.csv", content)
        with pytest.raises(CorpusError, match="none of MELD's tables, or broken"):
            meld.read(folder, "test", {"test": 1})
