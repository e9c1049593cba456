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
_FILE, _VERSION = "file", "file_version"
_SCHEMA = pa.schema([*SEGMENTS, pa.field(_FILE, pa.string()), pa.field(_VERSION, pa.string())])

Reader = Callable[[str], pa.Table]


def read(store: Store, partition: str, read_one: Reader) -> pa.Table:
    """All rows of a partition's ledger (`SEGMENTS`); `read_one` reads a file that the snapshot lacks."""
    return _tagged(store, partition, read_one)[0].select(SEGMENTS.names)


def refresh(store: Store, partition: str, read_one: Reader) -> None:
    """Bring the snapshot up to the files; nothing is written where it is."""
    rows, is_new = _tagged(store, partition, read_one)
    if is_new:
        store.put_table(_name(partition), rows)


def _tagged(store: Store, partition: str, read_one: Reader) -> tuple[pa.Table, bool]:
    """The rows, each with its file and that file's version, and whether the snapshot doesn't have them so."""
    versions = {name: version(info) for name, info in store.details(f"segments/{partition}", ".parquet").items()}
    kept, dropped = _still_true(_stored(store, partition), versions)
    known = set(pc.unique(kept[_FILE]).to_pylist())
    missing = [name for name in versions if name not in known]

    def tagged(name: str) -> pa.Table:
        rows = read_one(name)
        for column, value in ((_FILE, name), (_VERSION, versions[name])):
            rows = rows.append_column(column, pa.repeat(pa.scalar(value, pa.string()), rows.num_rows))
        return rows

    with ThreadPoolExecutor(_READERS) as pool:
        tables = list(pool.map(tagged, missing))
    # An older FV2ES has written fewer columns.
    return pa.concat_tables([kept, *tables], promote_options="default"), bool(missing) or dropped


def _still_true(stored: pa.Table, versions: dict[str, str]) -> tuple[pa.Table, bool]:
    """The rows whose files are still those that they came from, and whether there are others."""
    files = stored.group_by([_FILE, _VERSION]).aggregate([])
    pairs = zip(files[_FILE].to_pylist(), files[_VERSION].to_pylist(), strict=True)
    true = [name for name, version in pairs if version and versions.get(name) == version]
    kept = stored.filter(pc.is_in(stored[_FILE], pa.array(true, pa.string())))
    return kept, kept.num_rows < stored.num_rows


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
