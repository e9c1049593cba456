"""One file of a corpus: where it is and which version of it."""

import os
from dataclasses import dataclass
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from pipelines.errors import SettingsError

UNDECODABLE = "its name is not valid UTF-8, so no table could hold it; rename the file"


@dataclass(frozen=True, order=True, slots=True)
class SourceFile:
    """One file of the corpus in one version: its address, its size in bytes, its ETag or mtime in nanoseconds.

    `problem` says why it can't be opened where the listing knows already. `transcript` is the file beside it that holds
    its words, if there is one.
    """

    uri: str
    size: int
    etag_or_mtime: str
    problem: str | None = None
    transcript: "SourceFile | None" = None


def filesystem_of(source: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The filesystem of an address, and the address as that filesystem wants it.

    Raises:
        SettingsError: no such kind of address is known.
    """
    if "://" not in source:
        # Not through fsspec's own parsing: a local name may hold "::", "~" or anything else.
        return LocalFileSystem(), str(Path(source).absolute())
    try:
        filesystem, path = fsspec.core.url_to_fs(source)
    except (ValueError, ImportError) as error:
        raise SettingsError(
            f"{source}: this kind of address is not known ({error}). Give a path or s3://..."
        ) from error
    return filesystem, path


def absolute(source: str) -> str:
    """A source as it is found from any folder."""
    return source if "://" in source else str(Path(source).absolute())


def source_file(filesystem: fsspec.AbstractFileSystem, path: str, info: dict) -> SourceFile:
    """A listed file as it is now; `info` is what the listing says of it."""
    if isinstance(filesystem, LocalFileSystem):
        try:
            stat = Path(path).stat()
        except OSError as error:  # a dangling link, gone since it was listed, or not ours to read
            return SourceFile(printable(path), 0, "", problem=f"can't be read: {error.strerror}")
        if printable(path) != path:
            return SourceFile(printable(path), stat.st_size, str(stat.st_mtime_ns), problem=UNDECODABLE)
        return SourceFile(path, stat.st_size, str(stat.st_mtime_ns))
    version = info.get("ETag") or info.get("etag") or info.get("LastModified") or ""
    return SourceFile(filesystem.unstrip_protocol(path), int(info.get("size") or 0), str(version).strip('"'))


def printable(path: str) -> str:
    """The path with bytes that are no UTF-8 written as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
