"""The files below a folder or prefix, one after the other: what a store says of a million files is not kept.

fsspec's own `find` gathers a dictionary a file, and keeps a second one in its cache: two kilobytes each.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

Listed = tuple[str, dict[str, Any]]
"""A path, as its filesystem wants it, and what the listing says: `size` and `ETag` in a bucket, nothing on disk."""


def files_below(
    filesystem: fsspec.AbstractFileSystem, folder: str, on_unlisted: Callable[[str], None] = lambda folder: None
) -> Iterator[Listed]:
    """Every file below a folder or prefix, in no order.

    Args:
        filesystem: the store.
        folder: a path as the filesystem wants it.
        on_unlisted: is told of each folder on disk that can't be listed; what is in it is left out.
    """
    if isinstance(filesystem, LocalFileSystem):
        return ((path, {}) for path in _on_disk(folder, on_unlisted))
    if hasattr(filesystem, "call_s3"):
        return _in_bucket(filesystem, folder)
    return iter(filesystem.find(folder, detail=True).items())


def files_in(filesystem: fsspec.AbstractFileSystem, folder: str) -> Iterator[Listed]:
    """The files of a folder or prefix itself, in no order.

    Raises:
        OSError: it can't be listed.
    """
    if isinstance(filesystem, LocalFileSystem):
        with os.scandir(folder) as entries:
            yield from ((entry.path, {}) for entry in entries if not entry.is_dir(follow_symlinks=False))
    elif hasattr(filesystem, "call_s3"):
        yield from _in_bucket(filesystem, folder, Delimiter="/")
    else:
        listed = filesystem.ls(folder, detail=True)
        yield from ((info["name"], info) for info in listed if info["type"] != "directory")


def _on_disk(folder: str, on_unlisted: Callable[[str], None]) -> Iterator[str]:
    """Links are files here, wherever they lead."""
    folders = [folder or "/"]
    while folders:
        here = folders.pop()
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        yield entry.path
        except FileNotFoundError:
            continue  # gone since its parent was listed
        except OSError:
            on_unlisted(here)


def _in_bucket(filesystem: fsspec.AbstractFileSystem, prefix: str, **options: str) -> Iterator[Listed]:
    """Page by page: a thousand objects in memory."""
    bucket, key, _ = filesystem.split_path(prefix)
    request = {"Bucket": bucket, "Prefix": f"{key.rstrip('/')}/" if key else "", **filesystem.req_kw, **options}
    more: dict[str, str] = {}
    while True:
        page = filesystem.call_s3("list_objects_v2", **request, **more)
        for item in page.get("Contents", ()):
            if not item["Key"].endswith("/"):  # a folder's place-holder
                yield f"{bucket}/{item['Key']}", {"size": item["Size"], "ETag": item["ETag"]}
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}
