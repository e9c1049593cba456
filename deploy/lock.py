"""Read the locks back: every package with its version, where it is installed, and the digests of its files."""

from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCKS = (ROOT / "requirements.lock", ROOT / "requirements-uv.lock")

_HASH = "--hash=sha256:"


class LockError(Exception):
    """A lock that lets in something else than it says."""


@dataclass(frozen=True)
class Locked:
    """A package of a lock: canonical name, version, the marker that says where it is wanted, digests of its files."""

    name: str
    version: str
    marker: Marker | None
    sha256: tuple[str, ...]

    def wanted_here(self) -> bool:
        """Whether this Python on this system gets it."""
        return self.marker is None or self.marker.evaluate()


def read_locks(paths: tuple[Path, ...] = LOCKS) -> list[Locked]:
    """The packages of locks, in their order.

    Raises:
        LockError: a package has no exact version, or no digest.
    """
    lines = (line for path in paths for line in path.read_text("utf-8").replace("\\\n", " ").splitlines())
    return [_locked(line) for line in lines if line.strip()]


def _locked(line: str) -> Locked:
    head, *hashes = line.split(_HASH)
    try:
        requirement = Requirement(head.strip())
    except InvalidRequirement as error:
        raise LockError(f"{head.strip()!r} is no requirement: {error}") from error
    pins = list(requirement.specifier)
    if len(pins) != 1 or pins[0].operator != "==" or pins[0].version.endswith("*") or requirement.url:
        raise LockError(f"{requirement.name} is not pinned to one version")
    digests = tuple(digest.strip() for digest in hashes)
    if not digests or any(len(digest) != 64 for digest in digests):
        raise LockError(f"{requirement.name} is not pinned by sha256")
    return Locked(canonicalize_name(requirement.name), pins[0].version, requirement.marker, digests)
