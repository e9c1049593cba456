"""Write the bill of materials: what the locks and the catalogue of weights let in, as CycloneDX JSON, without network.

    python -m deploy.sbom build/sbom.json

The same locks on the same machine give the same bytes. Programs and libraries inside wheels (the ffmpeg of
imageio-ffmpeg, the libav of av, CUDA) are covered by the digests of their wheels and not listed one by one.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.licences import Installed, installed
from deploy.lock import LOCKS, ROOT, Locked, read_locks
from models.catalogue import Entry, entries

SPEC = "1.6"


def bill(locked: Iterable[Locked], packages: Mapping[str, Installed], weights: Iterable[Entry]) -> dict[str, Any]:
    """The bill of materials; licences are those of `packages`, as a lock has none."""

    def name_and_version(item: Locked) -> tuple[str, str]:
        return item.name, item.version

    groups = groupby(sorted(locked, key=name_and_version), key=name_and_version)
    components = [_package(name, version, list(items), packages.get(name)) for (name, version), items in groups]
    components += [_weights(entry) for entry in weights]
    content = json.dumps(components, sort_keys=True).encode()
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=hashlib.sha256(content).digest()[:16], version=4)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "fv2es",
                "name": "fv2es",
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": components,
    }


def _package(name: str, version: str, items: list[Locked], package: Installed | None) -> dict[str, Any]:
    address = f"pkg:pypi/{name}@{version}"
    digests = sorted({digest for item in items for digest in item.sha256})
    markers = [str(item.marker) for item in items if item.marker]
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": address,
        "name": name,
        "version": version,
        "purl": address,
        # Of all files of this release that may be installed: wheels for each system, and the source.
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in digests],
    }
    if len(markers) == len(items):
        component["properties"] = [{"name": "fv2es:installed-where", "value": marker} for marker in markers]
    if package and package.version == version and package.licence:
        licence = package.licence
        component["licenses"] = [{"expression": licence} if package.is_expression else {"license": {"name": licence}}]
    return component


def _weights(entry: Entry) -> dict[str, Any]:
    files = []
    for file in entry.files:
        part: dict[str, Any] = {"type": "file", "bom-ref": f"weights:{entry.name}/{file.name}", "name": file.name}
        if file.sha256:
            part["hashes"] = [{"alg": "SHA-256", "content": file.sha256}]
        files.append(part)
    return {
        "type": "machine-learning-model",
        "bom-ref": f"weights:{entry.name}",
        "name": entry.name,
        "description": entry.role,
        "licenses": [{"license": {"name": entry.licence}}],
        "components": files,
    }


def main(path: Annotated[Path, typer.Argument(help="Where to write it.")] = ROOT / "build" / "sbom.json") -> None:
    """Write the bill of materials."""
    found = bill(read_locks(LOCKS), installed(), entries().values())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    named = sum("licenses" in component for component in found["components"])
    typer.echo(
        f"{path}: {len(found['components'])} components, {named} with a licence (others are not installed here)."
    )


if __name__ == "__main__":
    typer.run(main)
