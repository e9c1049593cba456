"""Put whole files into the output, local or in a bucket: a reader sees the old file or the new one, never a part."""

import errno
import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from operators.sources import as_os_errors

ROW_GROUP_ROWS = 120_000
TEMPORARY = "_tmp"
"""Folder of OUT in which files are written before they are renamed into place; no glob over the tables reaches it."""


class OutputError(Exception):
    """The output can't be written, or what is there is damaged. The message is for people: what, where, what to do."""


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
        """Put a file in place at once: temporary name, fsync and rename on disk; one request in a bucket.

        Raises:
            OutputError: it can't be written; what was there before still is.
        """
        with self.explaining(name):
            if self.local:
                self._put_local(name, content)
            else:
                with as_os_errors():
                    self.filesystem.pipe_file(self.path(name), content)

    def _put_local(self, name: str, content: bytes) -> None:
        target = Path(self.path(name))
        temporary = Path(self.path(f"{TEMPORARY}/{uuid.uuid4().hex}"))
        for folder in (target.parent, temporary.parent):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)

    @contextmanager
    def explaining(self, name: str) -> Iterator[None]:
        """Turn what the system says to writing a file into an OutputError."""
        try:
            yield
        except OSError as error:
            where = f"{self.root.rstrip('/')}/{name}"
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                what = "there is no space left. Make room"
            else:
                what = f"{error.strerror or error}. Mend that"
            raise OutputError(
                f"Can't write {where}: {what} and run the same command again; what is committed stays."
            ) from error

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        try:
            with as_os_errors():
                yield
        except FileNotFoundError:
            raise
        except OSError as error:
            if isinstance(error, PermissionError) and not self.local:
                raise  # of the credentials: whoever has set them is told in other words
            raise OutputError(
                f"Can't read {self.root.rstrip('/')}/{name}: {error.strerror or error}. Mend that and run the same "
                "command again; what is committed stays."
            ) from error

    def put_table(self, name: str, table: pa.Table, sorting: list[tuple[str, str]] | None = None) -> str:
        """Put a table in place as Parquet: zstd, statistics, page index, and its order declared.

        Returns the sha256 of the file, in hex digits.
        """
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
        content = sink.getvalue().to_pybytes()
        self.put(name, content)
        return hashlib.sha256(content).hexdigest()

    def read(self, name: str) -> bytes:
        """The content of a file; FileNotFoundError when there is none."""
        with self._reading(name):
            return bytes(self.filesystem.cat_file(self.path(name)))

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A Parquet file as a table; FileNotFoundError when there is none.

        Raises:
            OutputError: it is damaged.
        """
        content = self.read(name)
        try:
            # Not by pq.read_table, which sets up a data set for each file: a third more time for a small one.
            return pq.ParquetFile(pa.BufferReader(content)).read(columns=columns)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise OutputError(
                f"{self.root.rstrip('/')}/{name} is damaged: {str(error).splitlines()[0]} `fv2es validate {self.root}` "
                "names all that is damaged; with --repair it is taken out, and labelled again by the next run."
            ) from error

    def names(self, folder: str, suffix: str) -> list[str]:
        """The names, relative to the root, of the files below `folder` that end in `suffix`, sorted."""
        return list(self.details(folder, suffix))

    def details(self, folder: str, suffix: str) -> dict[str, dict[str, Any]]:
        """The same, and what the listing says of each."""
        self.filesystem.invalidate_cache()
        prefix = len(self._base) + 1
        with self._reading(folder):
            path = self.path(folder)
            if not self.filesystem.exists(path):
                return {}
            found = _files_below(path) if self.local else self.filesystem.find(path, detail=True)
        return {path[prefix:]: found[path] for path in sorted(found) if path.endswith(suffix)}

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens when there is none."""
        with self.explaining(name), as_os_errors():
            if self.filesystem.exists(self.path(name)):
                self.filesystem.rm_file(self.path(name))

    def exists(self, name: str) -> bool:
        """Whether there is such a file now."""
        self.filesystem.invalidate_cache()
        with self._reading(name):
            return bool(self.filesystem.isfile(self.path(name)))

    def clear(self, folder: str) -> None:
        """Remove a folder with all that is in it; nothing happens when there is none."""
        self.filesystem.invalidate_cache()
        with self.explaining(folder), as_os_errors():
            if self.filesystem.exists(self.path(folder)):
                self.filesystem.rm(self.path(folder), recursive=True)

    def clear_temporary(self) -> None:
        """Remove what a killed run has left in the temporary folder."""
        if self.local:
            self.clear(TEMPORARY)


def _files_below(folder: str) -> dict[str, dict[str, Any]]:
    """What fsspec would say of the files in a folder on disk, where ten thousand of them take it a second."""
    found: dict[str, dict[str, Any]] = {}
    folders = [folder]
    while folders:
        with suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    folders += [] if entry.is_symlink() else [entry.path]
                    continue
                with suppress(FileNotFoundError):
                    status = entry.stat()
                    found[entry.path] = {"size": status.st_size, "ino": status.st_ino, "mtime": status.st_mtime}
    return found


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
