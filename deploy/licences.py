"""What the packages installed here say of their licences."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from sysconfig import get_path

from packaging.utils import canonicalize_name

LONGEST_NAME = 80
"""Some packages put the text of the licence where its name belongs."""


@dataclass(frozen=True)
class Installed:
    """A package on this machine. `licence` is an SPDX expression where `is_expression`; None: it says nothing."""

    name: str
    version: str
    licence: str | None
    is_expression: bool


def installed(found: Iterable[Distribution] | None = None) -> dict[str, Installed]:
    """The packages of this environment by canonical name; not those that some carry inside them, as Ray does."""
    packages: dict[str, Installed] = {}
    for distribution in distributions(path=[get_path("purelib")]) if found is None else found:
        name = canonicalize_name(distribution.metadata["Name"])
        expression = _field(distribution, "License-Expression")
        licence = expression or _named(distribution) or _classified(distribution)
        packages.setdefault(name, Installed(name, distribution.version, licence, bool(expression)))
    return packages


def _field(distribution: Distribution, name: str) -> str:
    return (distribution.metadata.get_all(name) or [""])[0].strip()


def _named(distribution: Distribution) -> str | None:
    text = _field(distribution, "License")
    return text if text and text.upper() != "UNKNOWN" and len(text) <= LONGEST_NAME and "\n" not in text else None


def _classified(distribution: Distribution) -> str | None:
    classifiers = distribution.metadata.get_all("Classifier") or []
    names = [name.rpartition(" :: ")[2] for name in classifiers if name.startswith("License :: ")]
    return " and ".join(names) or None
