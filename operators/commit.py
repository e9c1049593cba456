"""Put whole files into the output, local or in a bucket: a reader sees the old file or the new one, never a part."""

import os
import uuid
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

ROW_GROUP_ROWS = 120_000
TEMPORARY = "_tmp"
"""Folder of OUT in which files are written before they are renamed into place; no glob over the tables reaches it."""


class Store:
    """A folder or bucket prefix that receives whole files.

    Args:
        root: a path or an address that fsspec knows, such as s3://bucket/prefix.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        if "://" in root:
            self.filesystem, self._base = fsspec.core.url_to_fs(root)
        else:
            self.filesystem, self._base = LocalFileSystem(), str(Path(root).absolute())
        self.local = isinstance(self.filesystem, LocalFileSystem)

    def path(self, name: str) -> str:
        """The full path of a file, as the filesystem wants it."""
        return f"{self._base}/{name}"

    def put(self, name: str, content: bytes) -> None:
        """Put a file in place at once: temporary name, fsync and rename on disk; one request in a bucket."""
        if not self.local:
            self.filesystem.pipe_file(self.path(name), content)
            return
        target = Path(self.path(name))
        temporary = Path(self.path(f"{TEMPORARY}/{uuid.uuid4().hex}"))
        for folder in (target.parent, temporary.parent):
            folder.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        _sync_folder(target.parent)

    def put_table(self, name: str, table: pa.Table, sorting: list[tuple[str, str]] | None = None) -> None:
        """Put a table in place as Parquet: zstd, statistics, page index, and its order declared."""
        sink = pa.BufferOutputStream()
        pq.write_table(
            table,
            sink,
            compression="zstd",
            row_group_size=ROW_GROUP_ROWS,
            write_statistics=True,
            write_page_index=True,
            sorting_columns=pq.SortingColumn.from_ordering(table.schema, sorting) if sorting else None,
        )
        self.put(name, sink.getvalue().to_pybytes())

    def read(self, name: str) -> bytes:
        """The content of a file; FileNotFoundError when there is none."""
        return bytes(self.filesystem.cat_file(self.path(name)))

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A Parquet file as a table."""
        return pq.read_table(pa.BufferReader(self.read(name)), columns=columns)

    def names(self, folder: str, suffix: str) -> list[str]:
        """The names, relative to the root, of the files below `folder` that end in `suffix`, sorted."""
        self.filesystem.invalidate_cache()
        if not self.filesystem.exists(self.path(folder)):
            return []
        prefix = len(self._base) + 1
        return sorted(path[prefix:] for path in self.filesystem.find(self.path(folder)) if path.endswith(suffix))

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens when there is none."""
        if self.filesystem.exists(self.path(name)):
            self.filesystem.rm_file(self.path(name))

    def clear_temporary(self) -> None:
        """Remove what a killed run has left in the temporary folder."""
        if self.local and self.filesystem.exists(self.path(TEMPORARY)):
            self.filesystem.rm(self.path(TEMPORARY), recursive=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
