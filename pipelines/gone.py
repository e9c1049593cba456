"""Which labelled files are gone, and whether that is to be believed.

A disk not mounted, a prefix that was moved, a folder that may not be read: all look as if files had been deleted.
Rows of half a corpus don't leave before somebody has said that this is meant.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pipelines.corpus import Corpus, naming
from pipelines.errors import SettingsError


@dataclass(frozen=True)
class HeldBack:
    """Files that are not to be seen, whose rows stay all the same, and why."""

    where: str
    files: int
    why: str


@dataclass(frozen=True)
class Gone:
    """The files whose rows are to leave, and those that stay; `elsewhere` counts files that belong to no source."""

    files: tuple[str, ...]
    held_back: tuple[HeldBack, ...]
    elsewhere: int


def what_is_gone(
    sources: Sequence[str], corpus: Corpus, known: Collection[str], current: Collection[str], allowed: float
) -> Gone:
    """Compare the addresses that were labelled with those that are there, source by source.

    Args:
        sources: as they were named.
        corpus: their listing.
        known: addresses of labelled files.
        current: addresses of files that are there.
        allowed: the fraction of a source that may go at once.

    Raises:
        SettingsError: a source isn't there, and never was.
    """
    gone: list[str] = []
    held_back = []
    others = set(known)
    for source in sources:
        ours = set(filter(naming(source), others))
        if source in corpus.missing and not ours:
            raise SettingsError(f"{source}: no such file or folder, and no pattern that matches anything.")
        others -= ours
        missing = ours.difference(current)
        for folder in corpus.unlisted:
            unseen = set(filter(naming(folder), missing))
            missing -= unseen
            if unseen:
                held_back.append(HeldBack(folder, len(unseen), "the folder can't be looked into"))
        if len(missing) > allowed * len(ours):
            why = (
                f"{len(missing):,} of {len(ours):,} labelled files are gone, more than nightly.max_removed_fraction "
                "allows; if that is meant: --allow-mass-removal"
            )
            held_back.append(HeldBack(source, len(missing), why))
        else:
            gone += missing
    return Gone(tuple(sorted(gone)), tuple(held_back), len(others))
