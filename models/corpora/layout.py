"""What a corpus looks like on disk, and what to say when it isn't there or only half of it is."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent

from models.corpora.item import CorpusError

NAMED_AT_MOST = 5


@dataclass(frozen=True)
class Layout:
    """How people get a corpus (in words), and the tree that its reader expects in the folder it is given."""

    corpus: str
    source: str
    tree: str

    def error(self, folder: Path, problem: str) -> CorpusError:
        """The problem, what to get, and where it goes."""
        tree = indent(dedent(self.tree).strip(), "  ")
        return CorpusError(f"{self.corpus}: {problem}\n{self.source}\nExpected in {folder}:\n{tree}")

    def require(self, folder: Path, *names: str) -> None:
        """CorpusError when one of these files and folders is not in `folder`."""
        absent = [name for name in names if not (folder / name).exists()]
        if absent:
            raise self.error(folder, f"there is no {' and no '.join(absent)} in {folder}")

    def require_none(self, folder: Path, bad: Iterable[str], of: int, what: str) -> None:
        """CorpusError, which counts and names the first of them, when any of `of` things is bad; `what` says how."""
        named = sorted(bad)
        if named:
            more = ", ..." if len(named) > NAMED_AT_MOST else ""
            raise self.error(folder, f"{len(named):,} of {of:,} {what}: {', '.join(named[:NAMED_AT_MOST])}{more}")
