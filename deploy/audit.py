"""Audit the packages of this environment: against the locks and by licence offline, for known holes with a network.

    python -m deploy.audit

Exit code 0: nothing found. 1: something was. 2: nothing was, but nobody could be asked about known holes.
"""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from deploy.licences import Installed, installed
from deploy.lock import LOCKS, ROOT, Locked, read_locks

OURSELVES = "fv2es"


def strangers(locked: Iterable[Locked], packages: Mapping[str, Installed]) -> list[str]:
    """What is installed otherwise than the locks say, in words."""
    wanted = {item.name: item.version for item in locked if item.wanted_here()}
    found = []
    for name, package in sorted(packages.items()):
        if name not in wanted and name != OURSELVES:
            found.append(f"{name} {package.version} is installed, but no lock names it")
        elif name in wanted and package.version != wanted[name]:
            found.append(f"{name} {package.version} is installed, but the lock has {wanted[name]}")
    found += [f"{name} {wanted[name]} is in the lock, but not installed" for name in sorted(wanted.keys() - packages)]
    return found


def by_licence(packages: Mapping[str, Installed]) -> dict[str, list[str]]:
    """The names of packages by what they say of their licence, the most frequent first."""
    names = defaultdict(list)
    for name, package in sorted(packages.items()):
        names[package.licence or "not said"].append(name)
    return dict(sorted(names.items(), key=lambda item: (-len(item[1]), item[0])))


def pinned_script(locked: Iterable[Locked]) -> str:
    """A script that needs just what the locks have: uv's audit reads no other lock than its own."""
    pins = [f"{item.name}=={item.version}" + (f" ; {item.marker}" if item.marker else "") for item in locked]
    listed = "".join(f'#   "{pin.replace(chr(34), chr(39))}",\n' for pin in pins)
    # Overrides too: some packages ask for versions that the lock overrides.
    return (
        "# /// script\n"
        '# requires-python = ">=3.10,<3.13"\n'
        f"# dependencies = [\n{listed}# ]\n"
        f"# [tool.uv]\n# override-dependencies = [\n{listed}# ]\n"
        "# ///\n"
    )


def main(
    network: Annotated[bool, typer.Option(help="Whether to ask the database of known holes (osv.dev).")] = True,
) -> None:
    """Audit this environment."""
    locked, packages = read_locks(LOCKS), installed()
    typer.echo(f"{len(locked)} packages in the locks, each pinned to one version and by sha256.")
    found = strangers(locked, packages)
    for line in found:
        typer.echo(f"  {line}")
    if not found:
        typer.echo(f"{len(packages)} packages installed, none of them otherwise than locked.")
    typer.echo("Licences, as the packages say:")
    for licence, names in by_licence(packages).items():
        typer.echo(f"  {licence}: {', '.join(names)}")
    if found:
        raise typer.Exit(1)
    if network:
        raise typer.Exit(_known_holes(locked))


def _known_holes(locked: Iterable[Locked]) -> int:
    script = ROOT / "build" / "audit.py"
    script.parent.mkdir(exist_ok=True)
    script.write_text(pinned_script(locked), "utf-8")
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), "audit", "--preview-features", "audit-command", "--script", str(script)]
    code = subprocess.run(command, check=False).returncode  # noqa: S603
    if code == 2:
        typer.echo("Known holes were NOT looked up: that needs the network (see above).", err=True)
    return code


if __name__ == "__main__":
    typer.run(main)
