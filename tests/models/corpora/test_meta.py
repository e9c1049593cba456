"""A pickle from elsewhere is read as data or refused; nothing in it is ever run."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.corpora import meta as reading
from models.corpora.item import CorpusError
from models.corpora.layout import Layout
from models.corpora.meta import read_meta, unpickle_plain

LAYOUT = Layout("Corpus", "Ask for it.", "meta.pkl")
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text()
PLAIN = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(PLAIN, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_values_are_read_from_any_protocol(value: Any, protocol: int) -> None:
    assert unpickle_plain(pickle.dumps(value, protocol)) == value


@given(st.binary())
def test_what_is_no_pickle_is_an_error_or_a_plain_value(data: bytes) -> None:
    try:
        value = unpickle_plain(data)
    except Exception:
        return
    assert isinstance(value, dict | list | tuple | str | int | float | None)


class Command:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


def hostile(mark: Path) -> dict[str, bytes]:
    made = {f"reduce {protocol}": pickle.dumps({"id": Command(str(mark))}, protocol) for protocol in range(6)}
    made |= {f"named {protocol}": pickle.dumps({"id": os.system}, protocol) for protocol in range(6)}
    made["inst"] = f"(S'touch {mark}'\nios\nsystem\n.".encode()
    made["obj"] = f"(cos\nsystem\nS'touch {mark}'\no.".encode()
    made["persistent"] = b"Pname\n."
    made["extension"] = b"\x80\x02\x82\x01."
    made["ordered"] = pickle.dumps({"id": OrderedDict(text="")})
    made["numpy"] = pickle.dumps({"id": {"label": [np.int64(1)]}})
    made["bytes"] = pickle.dumps({"id": {"text": b"x"}})
    made["memory"] = b"\x80\x03}r\xff\xff\xff\x7f."  # a memo of 2 ** 31 places
    made["memory, as text"] = b"}p2147483647\n."
    return made


@pytest.mark.parametrize("name", hostile(Path("mark")))
def test_hostile_pickles_are_refused_and_not_run(name: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "meta.pkl").write_bytes(hostile(mark)[name])
    with pytest.raises(CorpusError, match=r"meta\.pkl cannot be read") as refused:
        read_meta(tmp_path, ".", LAYOUT)
    assert "claims more memory" in str(refused.value) or "meta.json" in str(refused.value)
    assert not mark.exists()


def test_no_name_is_looked_up_even_where_the_operation_was_let_through(tmp_path: Path, monkeypatch: Any) -> None:
    every = {operation.name for operation in reading.pickletools.opcodes}
    monkeypatch.setattr(reading, "PLAIN", frozenset(every))
    for data in (pickle.dumps(Command(str(tmp_path / "mark"))), pickle.dumps(os.system, 0)):
        with pytest.raises(pickle.UnpicklingError, match=r"asks for posix\.system"):
            unpickle_plain(data)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("data", [b"", b"garbage", pickle.dumps({"id": {"text": "x"}})[:-3], b"\x80\x04."])
def test_broken_files_are_named(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "meta.pkl").write_bytes(data)
    with pytest.raises(CorpusError, match=r"meta\.pkl cannot be read"):
        read_meta(tmp_path, ".", LAYOUT)


def test_json_of_the_same_content_is_read_first(tmp_path: Path) -> None:
    (tmp_path / "meta.pkl").write_bytes(pickle.dumps({"id": {"text": "pickled"}}))
    assert read_meta(tmp_path, ".", LAYOUT) == {"id": {"text": "pickled"}}
    (tmp_path / "meta.json").write_text('{"id": {"text": "JSON"}}')
    assert read_meta(tmp_path, ".", LAYOUT) == {"id": {"text": "JSON"}}
    (tmp_path / "meta.json").write_text("[" * 100_000)
    with pytest.raises(CorpusError, match=r"meta\.json cannot be read"):
        read_meta(tmp_path, ".", LAYOUT)


@pytest.mark.parametrize("value", [[], {"id": "x"}, {1: {}}, None])
def test_what_does_not_map_ids_to_entries_is_refused(value: Any, tmp_path: Path) -> None:
    (tmp_path / "meta.pkl").write_bytes(pickle.dumps(value))
    with pytest.raises(CorpusError, match="does not map ids"):
        read_meta(tmp_path, ".", LAYOUT)


def test_its_size_is_bounded_and_it_must_be_there(tmp_path: Path, monkeypatch: Any) -> None:
    with pytest.raises(CorpusError, match=r"there is no meta\.json and no meta\.pkl"):
        read_meta(tmp_path, ".", LAYOUT)
    monkeypatch.setattr(reading, "MAX_BYTES", 2**20)
    (tmp_path / "meta.pkl").write_bytes(b"\0" * (2**20 + 1))
    with pytest.raises(CorpusError, match="larger than 1 MiB"):
        read_meta(tmp_path, ".", LAYOUT)
