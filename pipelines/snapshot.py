"""What the files of a ledger held when a run last read them, in one file: the next run reads only what is new.

OUT/_runs/ledger/<partition>.parquet is no truth of its own. A row counts only while the listing shows the very file
that it came from (its size, and its ETag, or its inode and time); all others are read. It can be deleted at any time.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from operators.commit import OutputError, Store
from operators.schema import SEGMENTS

FOLDER = "_runs/ledger"
_READERS = 8
_AT_ONCE = 1_000
"""Files that are read before their rows are joined: a small table takes a hundred times the room of its rows."""

_FILE, _VERSION = "file", "file_version"
_SCHEMA = pa.schema([*SEGMENTS, pa.field(_FILE, pa.string()), pa.field(_VERSION, pa.string())])

Reader = Callable[[str], pa.Table]
Listing = dict[str, dict[str, Any]]


def read(store: Store, partition: str, read_one: Reader, listing: Listing | None = None) -> pa.Table:
    """All rows of a partition's ledger (`SEGMENTS`).

    Args:
        store: the output.
        partition: the recipe's.
        read_one: reads a file that the snapshot lacks.
        listing: the ledger's files, as `Store.details` gives them, where they have been listed already.
    """
    found = _listing(store, partition) if listing is None else listing
    return _tagged(found, read_one, _stored(store, partition))[0].select(SEGMENTS.names)


class Following:
    """The rows of a partition's ledger for who looks again and again: each time only files that are new are read."""

    def __init__(self, store: Store, partition: str, read_one: Reader) -> None:
        self._store = store
        self._partition = partition
        self._read_one = read_one
        self._rows: pa.Table | None = None

    def read(self) -> pa.Table:
        """All rows as they are now (`SEGMENTS`)."""
        known = _stored(self._store, self._partition) if self._rows is None else self._rows
        self._rows = _tagged(_listing(self._store, self._partition), self._read_one, known)[0]
        return self._rows.select(SEGMENTS.names)


def refresh(store: Store, partition: str, read_one: Reader) -> pa.Table:
    """Bring the snapshot up to the files; nothing is written where it is. Returns the rows, as `read` does."""
    known = _stored(store, partition)
    rows, is_new = _tagged(_listing(store, partition), read_one, known)
    if is_new:
        store.put_table(_name(partition), rows)
    return rows.select(SEGMENTS.names)


def _listing(store: Store, partition: str) -> Listing:
    return store.details(f"segments/{partition}", ".parquet")


def _tagged(listing: Listing, read_one: Reader, known: pa.Table) -> tuple[pa.Table, bool]:
    """The rows, each with its file and that file's version, and whether what is `known` doesn't have them so."""
    versions = {name: version(info) for name, info in listing.items()}
    kept, dropped = _still_true(known, versions)
    have = set(pc.unique(kept[_FILE]).to_pylist())
    missing = [name for name in versions if name not in have]

    def tagged(name: str) -> pa.Table:
        rows = read_one(name)
        for column, value in ((_FILE, name), (_VERSION, versions[name])):
            rows = rows.append_column(column, pa.repeat(pa.scalar(value, pa.string()), rows.num_rows))
        return rows

    tables = [kept]
    with ThreadPoolExecutor(_READERS) as pool:
        for first in range(0, len(missing), _AT_ONCE):
            read_now = pool.map(tagged, missing[first : first + _AT_ONCE])
            # An older FV2ES has written fewer columns.
            tables.append(pa.concat_tables(read_now, promote_options="default").combine_chunks())
    return pa.concat_tables(tables, promote_options="default"), bool(missing) or dropped


def _still_true(stored: pa.Table, versions: dict[str, str]) -> tuple[pa.Table, bool]:
    """The rows whose files are still those that they came from, and whether there are others."""
    # Not by group_by: it imports pandas, for half a second.
    marks = pc.binary_join_element_wise(stored[_FILE], stored[_VERSION], "\0")
    true = [f"{name}\0{version}" for name, version in versions.items() if version]
    are_true = pc.is_in(marks, pa.array(true, pa.string()))
    if pc.all(are_true).as_py():
        return stored, False
    return stored.filter(are_true), True


def _stored(store: Store, partition: str) -> pa.Table:
    with suppress(FileNotFoundError, OutputError):
        stored = store.read_table(_name(partition)).replace_schema_metadata(None)
        if stored.schema.equals(_SCHEMA):
            return stored
    return _SCHEMA.empty_table()


def version(info: dict[str, Any]) -> str:
    """A mark of a file's content by its listing; empty where the store tells too little."""
    etag = info.get("ETag") or info.get("etag")
    if etag:
        return f"{info.get('size')} {etag}"
    if "ino" in info and "mtime" in info:
        return f"{info.get('size')} {info['ino']} {info['mtime']!r}"
    return ""


def _name(partition: str) -> str:
    return f"{FOLDER}/{partition}.parquet"
