"""List a corpus: files, folders, globs and buckets become `SourceFile`s, in one order whatever the listing's."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from pipelines.errors import SettingsError

MEDIA_SUFFIXES = frozenset(
    "3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg mts mxf ogv qt ts vob webm wmv"  # video
    " aac aif aiff flac m4a mka mp3 oga ogg opus wav wma".split()  # sound alone
)
"""In folders and buckets a file is media by its name; a file that is named on the command line always counts."""


@dataclass(frozen=True, order=True)
class SourceFile:
    """One file of the corpus in one version: its address, its size in bytes, its ETag or mtime in nanoseconds.

    `problem` says why it can't be opened where the listing knows already.
    """

    uri: str
    size: int
    etag_or_mtime: str
    problem: str | None = None


@dataclass(frozen=True)
class Corpus:
    """The media of all sources, sorted by uri, none twice; `skipped` counts files that are no media by their names."""

    files: tuple[SourceFile, ...]
    skipped: int


def list_corpus(sources: Iterable[str]) -> Corpus:
    """List every source.

    Raises:
        SettingsError: a source doesn't exist, or matches nothing.
    """
    found: dict[str, SourceFile] = {}
    skipped = 0
    for source in sources:
        listed = list(_list_source(source))
        if not listed and not _exists(source):
            raise SettingsError(f"{source}: no such file or folder, and no pattern that matches anything.")
        for file, named in listed:
            if named or is_media_name(file.uri):
                found[file.uri] = file
            else:
                skipped += 1
    return Corpus(tuple(sorted(found.values())), skipped)


def is_media_name(uri: str) -> bool:
    """Whether a file is media by its name; hidden files are not."""
    name = uri.rpartition("/")[2]
    return not name.startswith(".") and name.rpartition(".")[2].lower() in MEDIA_SUFFIXES


def _list_source(source: str) -> Iterator[tuple[SourceFile, bool]]:
    """Yields (file, whether it was named itself)."""
    filesystem, path = _filesystem(source)
    # A file whose name holds glob characters is that file, not a pattern.
    if filesystem.isfile(path):
        yield _source_file(filesystem, path, filesystem.info(path)), True
        return
    pattern = any(char in path for char in "*?[") and not filesystem.exists(path)
    entries = filesystem.glob(path, detail=True) if pattern else filesystem.find(path, detail=True)
    for name, info in entries.items():
        if info["type"] == "directory":
            for inner, inner_info in filesystem.find(name, detail=True).items():
                yield _source_file(filesystem, inner, inner_info), False
        else:
            yield _source_file(filesystem, name, info), False


def _filesystem(source: str) -> tuple[fsspec.AbstractFileSystem, str]:
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


_UNDECODABLE = "its name is not valid UTF-8, so no table could hold it; rename the file"


def _printable(path: str) -> str:
    """The path with bytes that are no UTF-8 written as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _exists(source: str) -> bool:
    filesystem, path = _filesystem(source)
    return bool(filesystem.exists(path))


def _source_file(filesystem: fsspec.AbstractFileSystem, path: str, info: dict) -> SourceFile:
    if isinstance(filesystem, LocalFileSystem):
        try:
            stat = Path(path).stat()
        except OSError as error:  # a dangling link, gone since it was listed, or not ours to read
            return SourceFile(_printable(path), 0, "", problem=f"can't be read: {error.strerror}")
        if _printable(path) != path:
            return SourceFile(_printable(path), stat.st_size, str(stat.st_mtime_ns), problem=_UNDECODABLE)
        return SourceFile(path, stat.st_size, str(stat.st_mtime_ns))
    version = info.get("ETag") or info.get("etag") or info.get("LastModified") or ""
    return SourceFile(filesystem.unstrip_protocol(path), int(info.get("size") or 0), str(version).strip('"'))
