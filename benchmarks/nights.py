"""Two months of nights, what a night costs, and a million objects.

    python -m benchmarks.nights                    # all three
    python -m benchmarks.nights --nights 60 --seed 1 --sizes "" --objects 0

Every night over a corpus that grows, changes and shrinks is compared with labelling from scratch (see
`tests.chaos.nights`); what a night of three changed files asks of the store, by the size of the corpus; the memory and
time of listing a bucket of so many objects, whose pages are made up. Exits with 1 when a table differs.
"""

import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import typer
from fsspec import AbstractFileSystem

from pipelines import beside, corpus
from pipelines.corpus import list_corpus
from tests.chaos.nights import DONE, Simulation

PAGE = 1_000
CHANGED = 3


class Bucket(AbstractFileSystem):
    """A bucket of objects that are made up as they are listed, a page at a time."""

    protocol = "s3"
    req_kw: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, objects: int, folders: int = 1_000) -> None:
        super().__init__()
        self._objects = objects
        self._folders = folders

    def split_path(self, path: str) -> tuple[str, str, None]:
        """Bucket, key, version."""
        bucket, _, key = path.partition("/")
        return bucket, key, None

    def isfile(self, path: str) -> bool:
        """Folders alone are named here."""
        return False

    def exists(self, path: str, **_: Any) -> bool:
        """Everything that is asked for is there."""
        return True

    def call_s3(self, method: str, Bucket: str, Prefix: str, **options: str) -> dict[str, Any]:  # noqa: N803
        """One page of the listing."""
        each = -(-self._objects // self._folders)
        folder = int(Prefix.rstrip("/").rpartition("/")[2]) if "Delimiter" in options else None
        begin, end = (0, self._objects) if folder is None else (folder * each, min((folder + 1) * each, self._objects))
        first = int(options.get("ContinuationToken", begin))
        last = min(first + PAGE, end)
        contents = [
            {
                "Key": f"corpus/{number // each:05}/video-{number:09}.mp4",
                "Size": 100_000_000 + number,
                "ETag": f'"{number:032x}"',
            }
            for number in range(first, last)
        ]
        return {"Contents": contents, "IsTruncated": last < end, "NextContinuationToken": str(last)}


def list_objects(objects: int) -> None:
    """List a made-up bucket and say what that took."""
    bucket = Bucket(objects)

    def filesystem_of(source: str) -> tuple[Bucket, str]:
        return bucket, source.partition("://")[2]

    with patch.object(corpus, "filesystem_of", filesystem_of), patch.object(beside, "filesystem_of", filesystem_of):
        before = peak_bytes()
        started = time.monotonic()
        files = list_corpus(["s3://bucket/corpus"], transcripts=True).files
        wall_s = time.monotonic() - started
    assert len(files) == objects
    each = (peak_bytes() - before) / objects
    typer.echo(f"{objects:,} objects listed in {wall_s:.1f} s; memory at its highest {each:.0f} bytes an object")


def peak_bytes() -> int:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def cost_by_size(base: Path, sizes: list[int], seed: int) -> None:
    """A night of a few changed files over corpora of several sizes."""
    for size in sizes:
        folder = base / f"size-{size}"
        folder.mkdir()
        simulation = Simulation(folder, seed, size)
        simulation.run()
        simulation.change(CHANGED)
        started = time.monotonic()
        simulation.run()
        wall_s = time.monotonic() - started
        typer.echo(
            f"{size:,} files, {CHANGED} changed: {simulation.requests():,} requests to the store, {wall_s:.1f} s"
        )


def main(
    nights: Annotated[int, typer.Option(help="How many.")] = 60,
    seed: int = 1,
    files: Annotated[int, typer.Option(help="Of the corpus to begin with.")] = 30,
    sizes: Annotated[str, typer.Option(help="Of corpora whose nights are compared, in files.")] = "20,200,2000",
    objects: Annotated[int, typer.Option(help="Of the bucket that is listed.")] = 1_000_000,
) -> None:
    """Let nights pass, and say what they were like."""
    base = Path(tempfile.mkdtemp(prefix="fv2es-nights-"))
    different = 0
    events: Counter[str] = Counter()
    compared = 0
    try:
        (base / "nights").mkdir()
        for night in Simulation(base / "nights", seed, files).nights(nights):
            verdict = ("same" if night.same else "DIFFERENT") if night.exit_code in DONE else "not compared"
            different += not night.same
            compared += night.exit_code in DONE
            events[night.event] += 1
            typer.echo(
                f"night {night.number}: {night.event}, {night.files} files, {night.touched} touched, exit code "
                f"{night.exit_code}, {night.requests} requests, {night.wall_s:.1f} s, {verdict}"
            )
        typer.echo(
            f"{nights} nights {dict(events)}: {compared} compared with labelling from scratch, {different} differ"
        )
        cost_by_size(base, [int(size) for size in sizes.split(",") if size], seed)
        if objects:
            list_objects(objects)
    finally:
        shutil.rmtree(base)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    typer.run(main)
