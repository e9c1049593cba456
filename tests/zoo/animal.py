"""What one file of the zoo is, and what must become of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Animal:
    """A file of the zoo.

    `make` writes it at the path it is given; `sources` has what it may be made of. `status`, `reason` (a part of it;
    None: there is none) and `retryable` are those of its row in `segments`. `has` are the modalities that its labels
    have, over all its rows: t(ext), a(udio), f(ace); "" where it has no labels.
    """

    name: str
    make: Callable[[Path, Path], object]
    status: str
    has: str = ""
    reason: str | None = None
    retryable: bool = False
    transcript: str | None = None
