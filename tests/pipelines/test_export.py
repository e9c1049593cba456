"""What is exported comes back as it was, through readers of our own and of others."""

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pympi
import pytest
import s3fs
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.synthetic import Size, make
from operators.textgrid import _tiers, read_textgrid
from operators.transcript_formats import read_subtitles
from pipelines import questions
from pipelines.export.elan import eaf
from pipelines.export.export import SUFFIXES, export
from pipelines.export.names import file_names
from pipelines.export.praat import textgrid
from pipelines.export.subtitles import srt, vtt
from pipelines.export.tiers import tiers
from pipelines.tables import Tables, open_tables
from tests.labelling import fv2es

HOSTILE = 'a <b>&amp; "q" --> \n\n 00:00:01.000 --> 00:00:02.000 \x1b\x00 </c> ]]>'

KEY = [("uri", "ascending"), ("start_ms", "ascending")]


def row(start_ms: int, end_ms: int, text: str, emotion: str = "fear") -> dict:
    word = {"word": text, "start_ms": start_ms, "end_ms": end_ms, "score": 0.5}
    none = dict.fromkeys(("text_p", "audio_p", "face_p"))
    times = {"start_ms": start_ms, "end_ms": end_ms}
    return times | {"text": text, "emotion": emotion, "confidence": 0.5, "words": [word]} | none


def _spoken(tables: Tables) -> str:
    """A video in which somebody speaks."""
    return tables.arrow("SELECT uri FROM words ORDER BY uri LIMIT 1")["uri"][0].as_py()


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "out"
    list(make(root, Size(videos=6, rows=600, nights=1)))
    return root


@pytest.mark.parametrize("write", [srt, vtt])
def test_subtitles_come_back(synthetic: Path, write: Callable) -> None:
    with open_tables(str(synthetic)) as tables:
        _, _, labels = questions.video(tables, _spoken(tables))
    cues = read_subtitles(write(labels)).cues
    assert [(cue.start_ms, cue.end_ms, cue.text) for cue in cues] == [
        (item["start_ms"], item["end_ms"], item["text"]) for item in labels if item["text"]
    ]


@pytest.mark.parametrize("write", [srt, vtt])
def test_hostile_words_make_no_cues_of_their_own(write: Callable) -> None:
    cues = read_subtitles(write([row(0, 900, HOSTILE), row(1000, 2000, "plain")])).cues
    assert [(cue.start_ms, cue.end_ms) for cue in cues] == [(0, 900), (1000, 2000)]
    assert "<b>" not in vtt([row(0, 900, HOSTILE)])
    assert "<c.fear>plain</c>" in vtt([row(1000, 2000, "plain")])


def test_a_textgrid_comes_back(synthetic: Path) -> None:
    with open_tables(str(synthetic)) as tables:
        about, _, labels = questions.video(tables, _spoken(tables))
    made = tiers(labels)
    text = textgrid(made, about["duration_ms"])
    back = {
        name: [(round(start * 1000), round(end * 1000), said) for start, end, said in line if said]
        for name, line in _tiers(text)
    }
    assert back == {name: [(item.start_ms, item.end_ms, item.text) for item in line] for name, line in made.items()}
    for _, line in _tiers(text):
        assert line[0][0] == 0
        assert round(line[-1][1] * 1000) == about["duration_ms"]
        assert all(left[1] == right[0] for left, right in itertools.pairwise(line))
    assert read_textgrid(text).cues


def test_elan_reads_tiers_whose_times_are_in_order(synthetic: Path) -> None:
    with open_tables(str(synthetic)) as tables:
        _, _, labels = questions.video(tables, _spoken(tables))
    made = tiers([*labels, row(10**8, 10**8 + 5, HOSTILE)])
    root = ElementTree.fromstring(eaf(made, "/a b/é'\".mp4"))  # noqa: S314 - our own
    assert [child.tag for child in root][:2] == ["HEADER", "TIME_ORDER"]
    assert root.find("HEADER/MEDIA_DESCRIPTOR").attrib["MEDIA_URL"] == "file:///a%20b/%C3%A9%27%22.mp4"
    slots = {slot.attrib["TIME_SLOT_ID"]: int(slot.attrib["TIME_VALUE"]) for slot in root.iter("TIME_SLOT")}
    assert list(slots.values()) == sorted(slots.values())
    types = {kind.attrib["LINGUISTIC_TYPE_ID"] for kind in root.iter("LINGUISTIC_TYPE")}
    ids = [item.attrib["ANNOTATION_ID"] for item in root.iter("ALIGNABLE_ANNOTATION")]
    assert len(ids) == len(set(ids))
    for tier in root.iter("TIER"):
        assert tier.attrib["LINGUISTIC_TYPE_REF"] in types
        back = [
            (slots[item.attrib["TIME_SLOT_REF1"]], slots[item.attrib["TIME_SLOT_REF2"]])
            for item in tier.iter("ALIGNABLE_ANNOTATION")
        ]
        assert back == [(item.start_ms, item.end_ms) for item in made[tier.attrib["TIER_ID"]]]


def test_pympi_reads_what_annotators_get(tmp_path: Path) -> None:
    made = tiers([row(0, 900, "one <b> é"), row(1000, 2000, "two")])
    (tmp_path / "a.eaf").write_bytes(eaf(made, "/a b.mp4"))
    (tmp_path / "a.TextGrid").write_text(textgrid(made, 3000), "utf-8")
    elan, praat = pympi.Eaf(str(tmp_path / "a.eaf")), pympi.TextGrid(str(tmp_path / "a.TextGrid"))
    for name, line in made.items():
        expected = [(item.start_ms, item.end_ms, item.text) for item in line]
        assert elan.get_annotation_data_for_tier(name) == expected
        intervals = praat.get_tier(name).get_all_intervals()
        back = [(round(start * 1000), round(end * 1000), said) for start, end, said in intervals if said]
        assert back == expected
    assert elan.get_linked_files()[0]["MEDIA_URL"] == "file:///a%20b.mp4"


def test_a_dataset_folder_has_all_rows_and_a_card(synthetic: Path, tmp_path: Path) -> None:
    done = fv2es("export", synthetic, "--format", "hf", "--to", tmp_path / "set")
    assert done.returncode == 0, done.stderr
    card = (tmp_path / "set/README.md").read_text("utf-8")
    metadata = yaml.safe_load(card.split("---\n")[1])
    (config,) = metadata["configs"]
    (file,) = (tmp_path / "set").glob(config["data_files"][0]["path"])
    with open_tables(str(synthetic)) as tables:
        count = tables.arrow("SELECT count(*) AS n FROM labels")["n"][0].as_py()
    assert pq.read_table(file).num_rows == count
    assert metadata["size_categories"] == ["n<1K"]
    assert f"{count:,} utterances" in card


def test_every_video_gets_a_file_of_each_kind(synthetic: Path, tmp_path: Path) -> None:
    with open_tables(str(synthetic)) as tables:
        for form, suffix in SUFFIXES.items():
            done = export(tables, form, tmp_path / form)
            assert len(done.files) == len(list((tmp_path / form).glob(f"*{suffix}"))) == len(set(done.files.values()))


@pytest.mark.s3
@pytest.mark.parametrize("form", [*SUFFIXES, "hf"])
def test_a_bucket_is_exported_as_a_folder_is(bucket: str, synthetic: Path, tmp_path: Path, form: str) -> None:
    s3fs.S3FileSystem().put(f"{synthetic}/", f"{bucket}/my labels/", recursive=True)
    done = fv2es("export", f"s3://{bucket}/my labels", "--format", form, "--to", tmp_path / "bucket", "--json")
    assert done.returncode == 0, done.stderr
    with open_tables(str(synthetic)) as tables:
        assert json.loads(done.stdout) == asdict(export(tables, form, tmp_path / "folder"))
    of_folder, of_bucket = (_contents(tmp_path / name) for name in ("folder", "bucket"))
    assert of_folder == of_bucket != {}


def _contents(folder: Path) -> dict[str, object]:
    """What files hold, by their names; without the moment at which they were made, which ELAN's tell."""
    contents: dict[str, object] = {}
    for path in folder.rglob("*.*"):
        is_table = path.suffix == ".parquet"
        made = pq.read_table(path).sort_by(KEY) if is_table else re.sub(r' DATE="\S+"', "", path.read_text("utf-8"))
        contents[str(path.relative_to(folder))] = made
    return contents


@given(st.lists(st.text(max_size=40) | st.sampled_from(["/a/../..", "/x/..", "s3://b/.", "/a/CON.mp4", "/b/con.mp4"])))
def test_names_stay_in_the_folder_and_apart(uris: list[str]) -> None:
    names = file_names(set(uris))
    assert len({name.casefold() for name in names.values()}) == len(set(uris))
    for name in names.values():
        assert name
        assert not set(name) & set('/\\\0\n:*?"<>|')
        assert name.strip(". ") != ""
