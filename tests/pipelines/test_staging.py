"""Weights on nodes: which file is taken for right."""

import os
from pathlib import Path

import pytest

from models import catalogue
from pipelines import staging


def test_weights_are_taken_from_where_they_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FV2ES_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "mine.bin"
    source.write_bytes(b"weights")
    parcel = staging.pack(source)
    assert staging.on_this_node(parcel) == source
    # A node that has another file there, of the same size, takes its cache's.
    source.write_bytes(b"WEIGHTS")
    cached = tmp_path / "cache" / "weights" / parcel.name / "mine.bin"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"weights")
    assert staging.on_this_node(parcel) == cached


def test_a_file_that_was_touched_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FV2ES_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "mine.bin"
    source.write_bytes(b"weights")
    read: list[Path] = []
    digest = catalogue.sha256_of
    monkeypatch.setattr(catalogue, "sha256_of", lambda path: (read.append(path), digest(path))[1])
    parcel = staging.pack(source)
    for _ in range(3):
        staging.on_this_node(parcel)
    assert read == [source, source]  # when it was packed, and when it was first asked for
    os.utime(source, (1, 1))
    staging.on_this_node(parcel)
    assert read == [source] * 3


def test_the_catalogues_weights_go_where_pull_would_put_them(tmp_path: Path) -> None:
    try:
        detector = catalogue.locate("retinaface-mobilenet0.25")
    except catalogue.CatalogueError as error:
        pytest.skip(str(error))
    parcel = staging.pack(detector)
    assert parcel.name == detector.parent.name
    assert [file.sha256 for file in parcel.files] == [catalogue.find("retinaface-mobilenet0.25").files[0].sha256]
    code = staging.pack(catalogue.locate("v2em-s"))
    assert code.packaged == "weights"
    assert staging.on_this_node(code) == catalogue.locate("v2em-s")
