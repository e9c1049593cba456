"""The media of a corpus for a player: only what the ledger names, in the version that was labelled."""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import fsspec

from operators.sources import as_os_errors, is_local, source_version
from pipelines.corpus import local_folder_of
from pipelines.links import Roots, real
from pipelines.source_file import SourceFile

CONTENT_TYPES = {
    **dict.fromkeys(("mp4", "m4v", "mov"), "video/mp4"),  # browsers read QuickTime's files by MP4's reader, if told so
    **dict.fromkeys(("webm",), "video/webm"),
    **dict.fromkeys(("mkv", "mka"), "video/x-matroska"),
    **dict.fromkeys(("ogv",), "video/ogg"),
    **dict.fromkeys(("oga", "ogg", "opus"), "audio/ogg"),
    **dict.fromkeys(("m4a", "aac"), "audio/mp4"),
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "wav": "audio/wav",
}
OTHER_TYPE = "application/octet-stream"


class MediaError(Exception):
    """A video that can't be shown; the message says why. `status` is that of HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class MediaFiles:
    """Opens the files of a corpus.

    Links are followed by the rule of labelling: where the user has named them, or where they stay in what was named.

    Args:
        sources: what the runs of this output were given, as absolute paths or addresses.
    """

    def __init__(self, sources: Iterable[str]) -> None:
        self._named = {source for source in sources if is_local(source)}
        self._roots = Roots(folder for folder in map(local_folder_of, self._named) if folder)

    @contextmanager
    def open(self, file: SourceFile) -> Iterator[BinaryIO]:
        """The file to read from, once it is known to be the version that the ledger names.

        Raises:
            MediaError: it is gone, has changed, or is not to be opened.
        """
        try:
            with self._local(file) if is_local(file.uri) else _remote(file) as opened:
                yield opened
        except FileNotFoundError as error:
            raise MediaError(404, "The file is no longer where it was labelled.") from error
        except PermissionError as error:
            raise MediaError(403, "You may not read this file.") from error

    @contextmanager
    def _local(self, file: SourceFile) -> Iterator[BinaryIO]:
        target = real(file.uri)
        if target != Path(file.uri) and file.uri not in self._named and not self._roots.hold(file.uri):
            raise MediaError(403, "The file is a link that leads out of the corpus now; it is not followed.")
        # Not blocking: a pipe in the file's place would make us wait for its other end.
        descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb", buffering=0) as opened:
            now = os.fstat(descriptor)
            if not stat.S_ISREG(now.st_mode):
                raise MediaError(403, "This is no regular file any more.")
            _check_version(file, now.st_size, str(now.st_mtime_ns))
            yield opened


@contextmanager
def _remote(file: SourceFile) -> Iterator[BinaryIO]:
    now = source_version(file.uri)
    _check_version(file, now.size, now.etag_or_mtime)
    with as_os_errors():
        filesystem, path = fsspec.core.url_to_fs(file.uri)
        with filesystem.open(path, "rb", cache_type="none") as opened:
            yield opened


def _check_version(file: SourceFile, size: int, etag_or_mtime: str) -> None:
    if (size, etag_or_mtime) != (file.size, file.etag_or_mtime):
        raise MediaError(409, "The file has changed since it was labelled: `fv2es label` labels it anew.")


def content_type(uri: str) -> str:
    """What a browser is told of a file, by the end of its name."""
    return CONTENT_TYPES.get(PurePosixPath(uri).suffix.lstrip(".").lower(), OTHER_TYPE)
