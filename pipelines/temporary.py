"""The temporary area of a job: one folder, named after the process, empty of what it held once the job has ended."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "fv2es-"
_LONGEST_SOCKET_FOLDER = 40
"""Ray puts unix sockets some 60 characters below its folder, and their addresses end at 107."""


@contextmanager
def temporary_area() -> Iterator[Path]:
    """A folder for this job, removed at its end; folders of jobs that were killed are removed first.

    While it is there it is TMPDIR, also of the processes that are started: what libraries leave behind goes with it.
    """
    parent = Path(tempfile.gettempdir())
    if len(str(parent)) > _LONGEST_SOCKET_FOLDER:
        parent = Path("/tmp")  # noqa: S108 - mkdtemp makes a folder of our own in it
    _remove_orphans(parent)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))
    try:
        with _as_tmpdir(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _as_tmpdir(folder: Path) -> Iterator[None]:
    variable, chosen = os.environ.get("TMPDIR"), tempfile.tempdir
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = chosen
        if variable is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = variable


def _remove_orphans(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).split("-")[0]
        if owner.isdigit() and folder.stat().st_uid == os.getuid() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(folder, ignore_errors=True)
