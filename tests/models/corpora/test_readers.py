"""All readers: their names, and what they say of a folder that holds nothing of theirs."""

from pathlib import Path

import pytest

from models.corpora import READERS, check_names, read_corpus
from models.corpora.item import CorpusError, Part
from tests.models.corpora.minis import PARTS


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("part", PARTS)
def test_an_empty_folder_is_told_what_is_missing_what_to_get_and_where_it_goes(
    name: str, part: Part, tmp_path: Path
) -> None:
    with pytest.raises(CorpusError) as error:
        read_corpus(name, tmp_path, part)
    problem, source, expected, *tree = str(error.value).splitlines()
    assert "there is no" in problem
    assert str(tmp_path) in problem
    assert len(source) > 40
    assert "://" not in source
    assert expected == f"Expected in {tmp_path}:"
    assert 1 <= len(tree) <= 6
    assert all(line.startswith("  ") for line in tree)


def test_a_name_that_is_none_of_a_reader_is_answered_with_those_there_are(tmp_path: Path) -> None:
    check_names(READERS)
    with pytest.raises(
        CorpusError, match="no reader is called melt; there are annotations, crema-d, emo-db, fer2013, "
    ):
        read_corpus("melt", tmp_path, "report")
    check_names(["takes"], besides=["takes"])
    with pytest.raises(CorpusError, match="no reader is called takes"):
        check_names(["takes"])
