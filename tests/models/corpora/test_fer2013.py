"""FER2013 in both layouts: the challenge's table, and folders of pictures."""

from pathlib import Path

import numpy as np
import pytest

from models.corpora import fer2013
from models.corpora.item import CorpusError
from models.evaluate.score import group_items
from models.train.manifest import Item as ManifestItem
from models.train.pictures import part_of
from tests.models.corpora.minis import assert_disjoint, by_part, touch, write_csv, write_jpg

COLUMNS = ("emotion", "pixels", "Usage")
SIZES = {"Training": 60, "PublicTest": 7, "PrivateTest": 7}


def greys(first: int) -> str:
    return " ".join(str((first + i) % 256) for i in range(48 * 48))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [(n % 7, greys(n), usage) for usage, size in SIZES.items() for n in range(size)]
    write_csv(tmp_path / "fer2013.csv", COLUMNS, rows)
    return tmp_path


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for n, emotion in enumerate(fer2013.LABELS):
        for k in range(10):
            write_jpg(tmp_path / f"train/{emotion}/Training_{n}{k}.jpg")
        write_jpg(tmp_path / f"test/{emotion}/PublicTest_{n}.jpg")
        write_jpg(tmp_path / f"test/{emotion}/PrivateTest_{n}.png")
    return tmp_path


def test_the_table_holds_pictures_in_its_cells(table: Path) -> None:
    parts = by_part(lambda part: fer2013.read(table, part, SIZES))
    assert_disjoint(parts, lambda item: item.id)
    assert {part: len(items) for part, items in parts.items() if part in ("report", "test")} == {"report": 7, "test": 7}
    assert len(parts["fit"]) + len(parts["tune"]) == 60
    item = parts["test"][3]
    assert (item.corpus, item.id, item.speaker, item.labels) == ("FER2013", "PrivateTest_3", "", (3,))
    assert item.image is not None
    assert (item.image.shape, item.image.dtype) == ((48, 48), np.uint8)
    assert item.image.ravel()[:3].tolist() == [3, 4, 5]
    (group,) = group_items(fer2013.read(table, "test", SIZES))
    assert [item.labels[0] for item in group.items] == [3, 5, 4, 1, 2, 6, 0]  # angry ... neutral, as EMOTIONS has them
    assert (group.available, group.left_out) == (("face",), 0)


def test_folders_are_read_by_the_names_of_their_pictures(folders: Path) -> None:
    parts = by_part(lambda part: fer2013.read(folders, part))
    assert_disjoint(parts, lambda item: item.id)
    assert [item.id for item in parts["report"]] == [
        f"test/{e}/PublicTest_{n}.jpg" for n, e in enumerate(fer2013.LABELS)
    ]
    assert {len(parts["report"]), len(parts["test"])} == {7}
    item = parts["test"][6]
    assert (item.labels, item.pictures) == ((6,), (folders / "test/neutral/PrivateTest_6.png",))
    for part in ("fit", "tune"):  # as the training of the face branch takes them
        for item in parts[part]:
            assert part_of(ManifestItem(item.pictures[0], "FER2013", "", "train", 0)) == part


def test_folders_without_such_names_are_taken_at_their_own(tmp_path: Path) -> None:
    for top in ("train", "validation", "test"):
        for emotion in fer2013.LABELS:
            write_jpg(tmp_path / top / emotion / "1.jpg")
    parts = {
        part: {item.id.split("/")[0] for item in fer2013.read(tmp_path, part).items} for part in ("report", "test")
    }
    assert parts == {"report": {"validation"}, "test": {"test"}}


def test_fer2013_that_is_half_there_is_refused(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(CorpusError, match=r"there is no fer2013\.csv and no train, validation, test in") as error:
        fer2013.read(empty, "report")
    assert "Kaggle" in str(error.value)
    assert "columns emotion, pixels, Usage" in str(error.value)
    for emotion in fer2013.LABELS:
        (folders / f"test/{emotion}").rename(folders / f"{emotion}")
    with pytest.raises(CorpusError, match="there is no test/angry and no test/disgust"):
        fer2013.read(folders, "report")
    (folders / "test").rmdir()
    with pytest.raises(CorpusError, match="there is no picture of the part report in train"):
        fer2013.read(folders, "report")


def test_a_table_that_was_cut_short_or_is_broken_is_refused(table: Path) -> None:
    with pytest.raises(CorpusError, match=r"not whole: it has 60 of 28,709 Training, 7 of 3,589 PublicTest"):
        fer2013.read(table, "report")
    for emotion, pixels in (("7", greys(0)), ("x", greys(0)), ("0", "1 2 3"), ("0", greys(0)[:-3] + "256"), ("0", "")):
        write_csv(table / "fer2013.csv", COLUMNS, [(emotion, pixels, "PublicTest")])
        with pytest.raises(CorpusError, match="row PublicTest_0 is broken"):
            fer2013.read(table, "report", {"PublicTest": 1})
    touch(table / "fer2013.csv", "emotion,pixels,Usage\n0")
    with pytest.raises(CorpusError, match="not whole"):
        fer2013.read(table, "report", {"PublicTest": 1})
