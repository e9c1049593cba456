"""List a corpus: files, folders, globs and buckets become `SourceFile`s, in one order whatever the listing's."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import glob_translate

from pipelines.beside import with_transcripts
from pipelines.errors import SettingsError
from pipelines.links import OUTSIDE, OUTSIDE_FOLDER, Roots, real
from pipelines.listing import files_below
from pipelines.source_file import SourceFile, filesystem_of, printable, source_file
from pipelines.storage import explained

__all__ = ["Corpus", "SourceFile", "is_media_name", "list_corpus", "naming"]

MEDIA_SUFFIXES = frozenset(
    "3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg mts mxf ogv qt ts vob webm wmv"  # video
    " aac aif aiff flac m4a mka mp3 oga ogg opus wav wma".split()  # sound alone
)
"""In folders and buckets a file is media by its name; a file that is named on the command line always counts."""


@dataclass(frozen=True)
class Corpus:
    """The media of all sources, sorted by uri, none twice.

    `skipped` counts files that are no media by their names, and links whose targets are listed themselves. `missing`
    are sources that match nothing, `unlisted` folders that can't be looked into.
    """

    files: tuple[SourceFile, ...]
    skipped: int
    missing: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Listed:
    """A file of a source: `named` by the user, or found as a `link` in a folder."""

    file: SourceFile
    below: str  # its path from the folder that was named
    named: bool = False
    link: bool = False


def list_corpus(
    sources: Iterable[str],
    transcripts: bool = False,
    language: str | None = None,
    within: Iterable[str] | None = None,
    missing_too: bool = False,
) -> Corpus:
    """List every source.

    Args:
        sources: files, folders, patterns, addresses that fsspec knows.
        transcripts: whether transcripts beside the videos are looked for.
        language: of the transcripts, as in `clip.en.srt`; None: any.
        within: what the user has named, where `sources` are files that were found in it before: links among them are
            followed as they were then.
        missing_too: whether a source that doesn't exist, or matches nothing, is `missing` and no error.

    Raises:
        SettingsError: a source doesn't exist, or matches nothing; a store refuses.
        JobError: a store is out of reach.
    """
    sources = list(sources)
    named = sources if within is None else list(within)
    roots = Roots(folder for folder in map(local_folder_of, named) if folder)
    found: dict[str, SourceFile] = {}
    links: dict[str, SourceFile] = {}
    skipped: set[str] = set()
    missing: list[str] = []
    unlisted: set[str] = set()
    for source in sources:
        empty = True
        with explained(source):
            for item in _list_source(source, named, lambda folder: unlisted.add(printable(folder))):
                empty = False
                if item.link and not item.named:
                    problem = _refusal(item, roots)
                    if problem or (is_media_name(item.below) and not real(item.file.uri).is_dir()):
                        file = SourceFile(item.file.uri, 0, "", problem=problem) if problem else item.file
                        links[item.file.uri] = file
                    else:
                        skipped.add(item.file.uri)
                elif item.named or is_media_name(item.below):
                    found[item.file.uri] = item.file
                else:
                    skipped.add(item.file.uri)
            if empty and not _exists(source):
                missing.append(source)
    if missing and not missing_too:
        raise SettingsError(f"{missing[0]}: no such file or folder, and no pattern that matches anything.")
    for uri, file in links.items():
        if uri in found or str(real(uri)) in found:
            skipped.add(uri)
        else:
            found[uri] = file
    files = list(found.values())
    if transcripts:
        files = with_transcripts(files, roots, language)
        skipped -= {file.transcript.uri for file in files if file.transcript}
    files.sort(key=lambda file: file.uri)
    return Corpus(tuple(files), len(skipped - found.keys()), tuple(missing), tuple(sorted(unlisted)))


def naming(source: str) -> Callable[[str], bool]:
    """A test of whether the file at an address belongs to a source, or would if it were still there."""
    filesystem, path = filesystem_of(source)
    base = path if isinstance(filesystem, LocalFileSystem) else filesystem.unstrip_protocol(path)
    base = printable(base.rstrip("/"))
    protocol, separator, fixed = base.rpartition("://")
    pattern = re.compile(glob_translate(fixed)) if any(char in fixed for char in "*?[") else None

    def names(uri: str) -> bool:
        if uri == base or uri.startswith(f"{base}/"):
            return True
        if pattern is None or not uri.startswith(protocol + separator):
            return False
        parts = uri[len(protocol + separator) :].split("/")
        return any(pattern.match("/".join(parts[:count])) for count in range(1, len(parts) + 1))

    return names


def is_media_name(path: str) -> bool:
    """Whether a file is media by its name; hidden files, and files in hidden folders, are not."""
    *_, name = parts = path.split("/")
    return not any(part.startswith(".") for part in parts) and name.rpartition(".")[2].lower() in MEDIA_SUFFIXES


def _refusal(item: _Listed, roots: Roots) -> str | None:
    """Why a link is not followed; None for one that leads to a file in the corpus, and for what is no media anyway."""
    uri = item.file.uri
    if not item.file.problem and not roots.hold(uri) and real(uri).is_dir():
        return OUTSIDE_FOLDER
    if not is_media_name(item.below):
        return None
    return item.file.problem or (None if roots.hold(uri) else OUTSIDE)


def _list_source(source: str, named: Collection[str], on_unlisted: Callable[[str], None]) -> Iterator[_Listed]:
    filesystem, path = filesystem_of(source)
    known = source not in named and isinstance(filesystem, LocalFileSystem)  # found before, and not trusted for it
    # A file whose name holds glob characters is that file, not a pattern.
    if filesystem.isfile(path) or (known and filesystem.exists(path)):
        below = path.rpartition("/")[2]  # the folders above it were looked at when it was found
        yield _Listed(source_file(filesystem, path, filesystem.info(path)), below, named=not known, link=known)
        return
    base = _fixed_part(filesystem, path)
    if base == path.rstrip("/"):
        for name, info in files_below(filesystem, base, on_unlisted):
            yield _found(filesystem, base, name, info)
        return
    for name, info in filesystem.glob(path, detail=True).items():
        is_folder = info["type"] == "directory"
        for inner, inner_info in files_below(filesystem, name, on_unlisted) if is_folder else ((name, info),):
            yield _found(filesystem, base, inner, inner_info)


def _found(filesystem: fsspec.AbstractFileSystem, base: str, path: str, info: dict) -> _Listed:
    below = path[len(base) :].lstrip("/")
    link = isinstance(filesystem, LocalFileSystem) and real(path) != real(base) / below
    return _Listed(source_file(filesystem, path, info), printable(below), link=link)


def _fixed_part(filesystem: fsspec.AbstractFileSystem, path: str) -> str:
    """The folder before the first part of a path that is a pattern; all of a path that is none."""
    if filesystem.exists(path) or not any(char in path for char in "*?["):
        return path.rstrip("/")
    parts = path.split("/")
    first = next(index for index, part in enumerate(parts) if any(char in part for char in "*?["))
    return "/".join(parts[:first])


def local_folder_of(source: str) -> str | None:
    """The folder that a source opens to links: itself, that of a file, a pattern's fixed part; None in a bucket."""
    filesystem, path = filesystem_of(source)
    if not isinstance(filesystem, LocalFileSystem):
        return None
    return str(Path(path).parent) if Path(path).is_file() else _fixed_part(filesystem, path) or "/"


def _exists(source: str) -> bool:
    filesystem, path = filesystem_of(source)
    return bool(filesystem.exists(path))
