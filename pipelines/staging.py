"""Weights on the nodes of a cluster: brought from the driver's node, once a node, and checked by sha256.

They come through Ray's object store rather than by `fv2es models pull` on each node: the driver has them anyway, so
that nodes need no network beyond their cluster, and all have what the recipe names rather than what a hub gives today.
A node that joins late asks when its first worker is built.
"""

import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from models import catalogue
from pipelines.errors import JobError
from pipelines.recipe import Weights

DRIVER_VARIABLE = "FV2ES_DRIVER_NODE"
"""In workers on a cluster: Ray's id of the node where the driver is, and all weights are."""

BLOCK_BYTES = 32 << 20
"""So much of a file passes the object store at once."""


@dataclass(frozen=True)
class WeightsFile:
    """One file of weights: its name, its size in bytes and its sha256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Parcel:
    """Weights that a node may lack.

    `source` is where the driver has them, a folder or a single file; `name` their place in a node's cache; `packaged`
    the folder inside the package `models` where the node may have them with its code.
    """

    source: Path
    name: str
    files: tuple[WeightsFile, ...]
    single_file: bool
    packaged: str | None = None


class StagedWeights:
    """The weights of a run, for workers on any node: each is brought to the node of the worker that asks for it."""

    def __init__(self, weights: Weights) -> None:
        self._asr = pack(weights.asr) if isinstance(weights.asr, Path) else weights.asr
        self._detector = pack(weights.detector)
        self._emotion = pack(weights.emotion)
        self._voice_encoder = pack(weights.voice_encoder)
        self._text_encoder = pack(weights.text_encoder)
        self._gpu_detector = pack(weights.gpu_detector) if weights.gpu_detector else None

    @property
    def asr(self) -> Path | str:
        """See `Weights`; what whisperx gets from the hub, each node gets from there."""
        return self._asr if isinstance(self._asr, str) else on_this_node(self._asr)

    @property
    def detector(self) -> Path:
        """See `Weights`."""
        return on_this_node(self._detector)

    @property
    def emotion(self) -> Path:
        """See `Weights`."""
        return on_this_node(self._emotion)

    @property
    def voice_encoder(self) -> Path:
        """See `Weights`."""
        return on_this_node(self._voice_encoder)

    @property
    def text_encoder(self) -> Path:
        """See `Weights`."""
        return on_this_node(self._text_encoder)

    @property
    def gpu_detector(self) -> Path | None:
        """See `Weights`."""
        return on_this_node(self._gpu_detector) if self._gpu_detector else None


def pack(source: Path) -> Parcel:
    """Describe weights that lie here; by the catalogue if it knows them, else by what they hold."""
    single = source.is_file()
    for entry in catalogue.entries().values():
        place = catalogue.folder(entry)
        if source == (place / entry.files[0].name if entry.single_file else place):
            files = tuple(_described(place / file.name, file.sha256) for file in entry.files)
            name = f"{entry.name}-{_digest_of(files)}" if entry.package_folder else place.name
            return Parcel(source, name, files, single, entry.package_folder)
    paths = [source] if single else sorted(path for path in source.iterdir() if path.is_file())
    files = tuple(_described(path, None) for path in paths)
    return Parcel(source, f"own-{_digest_of(files)}", files, single)


def on_this_node(parcel: Parcel) -> Path:
    """Where the weights are on this node, once they are there and right.

    They are where the driver has them, on its own node and where the nodes share a disk; or in the code; or in the
    cache (FV2ES_CACHE), to which they are brought if need be: by one worker, while the others of the node wait.

    Raises:
        JobError: they can't be had, or can't be stored.
    """
    try:
        for place in _places(parcel):
            if all(_is_right(place / file.name, file) for file in parcel.files):
                return place / parcel.files[0].name if parcel.single_file else place
        cached = _cached(parcel)
        with _lock():
            for file in parcel.files:
                if not _is_right(cached / file.name, file):
                    _bring(parcel, file, cached / file.name)
    except OSError as error:
        raise JobError(
            f"{socket.gethostname()}: the weights {parcel.name} can't be stored in {catalogue.cache_folder()}: "
            f"{error.strerror or error}. Set {catalogue.CACHE_VARIABLE} on that node to a folder with room that can be "
            "written to."
        ) from error
    return cached / parcel.files[0].name if parcel.single_file else cached


def driver_environment() -> dict[str, str]:
    """What workers must be told of their driver; to be called in the driver, once it is connected to the cluster."""
    import ray

    return {DRIVER_VARIABLE: ray.get_runtime_context().get_node_id()}


def _described(path: Path, sha256: str | None) -> WeightsFile:
    return WeightsFile(path.name, path.stat().st_size, sha256 or catalogue.sha256_of(path))


def _digest_of(files: tuple[WeightsFile, ...]) -> str:
    return hashlib.sha256(json.dumps([[file.name, file.sha256] for file in files]).encode()).hexdigest()[:12]


def _cached(parcel: Parcel) -> Path:
    return catalogue.cache_folder() / "weights" / parcel.name


def _places(parcel: Parcel) -> Iterator[Path]:
    yield parcel.source.parent if parcel.single_file else parcel.source
    if parcel.packaged:
        yield Path(catalogue.__file__).parent / parcel.packaged
    yield _cached(parcel)


def _is_right(path: Path, file: WeightsFile) -> bool:
    """Whether a file is what it should be. It is read once; its digest is kept, for as long as it isn't touched."""
    try:
        stat = path.stat()
        if stat.st_size != file.size:
            return False
        note = _notes() / hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:32]
        state = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        with suppress(OSError, ValueError, LookupError, TypeError):
            known = json.loads(note.read_text("utf-8"))
            if known["state"] == state:
                return bool(known["sha256"] == file.sha256)
        sha256 = catalogue.sha256_of(path)
    except FileNotFoundError:
        return False
    with suppress(OSError):  # without a note it is read again by the next worker
        _notes().mkdir(parents=True, exist_ok=True)
        fresh = note.with_name(f"{note.name}.{os.getpid()}")
        fresh.write_text(json.dumps({"state": state, "sha256": sha256}), "utf-8")
        fresh.replace(note)
    return sha256 == file.sha256


def _notes() -> Path:
    return catalogue.cache_folder() / "staging"


@contextmanager
def _lock() -> Iterator[None]:
    """Held by one worker of the node at a time; let go by the system, however the worker ends."""
    _notes().mkdir(parents=True, exist_ok=True)
    with (_notes() / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for left in _notes().glob("*.part"):  # by a worker that was killed
            left.unlink()
        yield


def _bring(parcel: Parcel, file: WeightsFile, target: Path) -> None:
    """Fetch a file from the driver's node and put it into place, whole and checked."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    on_driver = NodeAffinitySchedulingStrategy(os.environ[DRIVER_VARIABLE], soft=False)
    read = ray.remote(num_cpus=0)(_read_block).options(scheduling_strategy=on_driver)
    source = parcel.source if parcel.single_file else parcel.source / file.name
    part = _notes() / f"{file.sha256}.part"
    try:
        with part.open("wb") as stream:
            for offset in range(0, file.size, BLOCK_BYTES):
                stream.write(ray.get(read.remote(str(source), offset, BLOCK_BYTES)))
            stream.flush()
            os.fsync(stream.fileno())
    except ray.exceptions.RayError as error:
        raise JobError(f"{socket.gethostname()}: {source} can't be had from the driver's node: {error}") from error
    if (got := catalogue.sha256_of(part)) != file.sha256:
        part.unlink()
        raise JobError(
            f"{source} on the driver's node is not the file that it should be: its sha256 should be {file.sha256} and "
            f"is {got}. Move it away there and run `fv2es models pull`."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    part.replace(target)


def _read_block(path: str, offset: int, length: int) -> bytes:
    """A piece of a file; runs on the driver's node."""
    with Path(path).open("rb") as stream:
        stream.seek(offset)
        return stream.read(length)
