"""Names of exported files: a video's address may be anything, and its files stay in the folder all the same."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

LONGEST = 120  # characters; file systems allow 255 bytes
_NOT_PLAIN = re.compile(r"[^\w .()-]+")
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


def file_names(uris: Iterable[str]) -> dict[str, str]:
    """A name without suffix for each address, as its file is called; where two are called the same, with a number."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for uri in sorted(uris):
        plain = _plain(uri)
        name, number = plain, 2
        while name.casefold() in taken:
            name, number = f"{plain} ({number})", number + 1
        taken.add(name.casefold())
        names[uri] = name
    return names


def _plain(uri: str) -> str:
    stem = PurePosixPath(uri.rpartition("/")[2]).stem
    name = _NOT_PLAIN.sub("_", stem).strip(" .-")[:LONGEST].rstrip(" .")
    return f"_{name}" if not name or _DEVICES.match(name) else name
