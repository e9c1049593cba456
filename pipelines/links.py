"""Symbolic links in a corpus: followed where the user named them, or where they stay in what the user named.

A link that leads elsewhere is never opened: whoever can put a file into a corpus could make any file on the machine
part of the labels.
"""

from collections.abc import Iterable
from pathlib import Path

OUTSIDE = "a link that leads out of the corpus; name its target as a source if it belongs to it"
OUTSIDE_FOLDER = "a link to a folder outside the corpus; name that folder as a source if it belongs to it"


def real(path: str) -> Path:
    """The path with all links followed. A loop of links stays as it is."""
    try:
        return Path(path).resolve()
    except RuntimeError:  # Python before 3.13 says so of loops
        return Path(path)


class Roots:
    """The folders that the user has named, by where they really are.

    Args:
        folders: as named; a link among them counts as its target.
    """

    def __init__(self, folders: Iterable[str]) -> None:
        self._folders = [real(folder) for folder in folders]

    def hold(self, path: str) -> bool:
        """Whether a path, with all links followed, lies in one of them."""
        target = real(path)
        return any(target == folder or folder in target.parents for folder in self._folders)
