"""Readers of labelled corpora, by name: from the layout in which people get them to `Item`s."""

from collections.abc import Callable, Iterable
from pathlib import Path

from models.corpora import annotations, crema_d, emo_db, fer2013, iemocap, manifest, meld, mosei, ravdess
from models.corpora.item import Corpus, CorpusError, Part

Reader = Callable[[Path, Part], Corpus]
READERS: dict[str, Reader] = {
    "annotations": annotations.read,
    "crema-d": crema_d.read,
    "emo-db": emo_db.read,
    "fer2013": fer2013.read,
    "iemocap": iemocap.read,
    "iemocap-session5": iemocap.read_session5,
    "manifest": manifest.read,
    "meld": meld.read,
    "mosei": mosei.read,
    "ravdess": ravdess.read,
}


def check_names(names: Iterable[str], besides: Iterable[str] = ()) -> None:
    """CorpusError, which lists the known ones, when a name is none of a reader, nor of those that are known besides."""
    known = sorted({*READERS, *besides})
    for name in names:
        if name not in known:
            raise CorpusError(f"no reader is called {name}; there are {', '.join(known)}")


def read_corpus(name: str, folder: Path, part: Part) -> Corpus:
    """The items of one part of the corpus in `folder`. CorpusError when it isn't there, or is half there."""
    check_names([name])
    return READERS[name](folder, part)
