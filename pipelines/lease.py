"""The lease on an output: while a run holds it, no other writes there. OUT/_runs/lock.json says who and until when.

A thread renews it. A run that was killed is found out at once on its own host, because its process is gone, and
elsewhere when the lease has run out. A run that could not renew in time stops before it commits anything more.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from operators.commit import OutputError, Store
from pipelines.conditional import ConditionalFile, Versioned
from pipelines.errors import JobError, OutputInUseError

LOCK = "_runs/lock.json"
RENEWALS_PER_LEASE = 6
CLOCKS_APART_S = 5.0
"""How far the clocks of two hosts may differ: a stranger's lease is honoured for so much longer."""


@dataclass(frozen=True)
class Holder:
    """Who holds an output. Times are ISO 8601 in UTC; `process_start` tells a process from a later one of its pid."""

    run_id: str
    host: str
    pid: int
    process_start: str
    command: str
    started_at: str
    expires_at: str

    def has_run_out(self) -> bool:
        """Whether the lease has expired, or its process, on this host, is gone."""
        here = self.host == socket.gethostname() and self.process_start.rpartition(":")[0] == _boot()
        if here and self.process_start != _process_start(self.pid):
            return True
        return _now() > datetime.fromisoformat(self.expires_at) + timedelta(seconds=CLOCKS_APART_S)


class Lease:
    """A lease that is held. `check` is called before whatever must not happen without it."""

    def __init__(self, file: ConditionalFile, holder: Holder, length_s: float) -> None:
        self._file = file
        self._holder = holder
        self._length_s = length_s
        self._until = time.monotonic() + length_s
        self._ended = threading.Event()
        self._lost: str | None = None
        self._written = _content(holder)
        self._thread = threading.Thread(target=self._renew, name="fv2es-lease", daemon=True)

    @property
    def exclusive(self) -> bool:
        """Whether the store keeps two runs apart at all times, or only ones that start some seconds apart."""
        return self._file.exclusive

    def check(self) -> None:
        """Raises JobError once the lease is lost."""
        if self._lost is None and time.monotonic() > self._until:
            self._lost = "it could not be renewed in time (was this process suspended, or the storage out of reach?)"
        if self._lost is not None:
            raise JobError(
                f"This run has lost its lease on the output: {self._lost}. It has stopped committing; what is "
                "committed stays. Run the same command again once no other run is at work."
            )

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def end(self) -> None:
        """Stop renewing, and give the output free."""
        self._ended.set()
        self._thread.join()
        if self._lost is None:
            with suppress(OSError, OutputError):  # it runs out by itself
                self._file.remove(self._written)

    def _renew(self) -> None:
        while not self._ended.wait(self._length_s / RENEWALS_PER_LEASE) and self._lost is None:
            began = time.monotonic()
            holder = replace(self._holder, expires_at=_iso(self._length_s))
            try:
                renewed = self._file.write(_content(holder).content, self._written)
            except (OSError, OutputError):
                continue  # tried again soon; `check` knows when it is too late
            if renewed:
                self._written, self._until = _content(holder), began + self._length_s
            else:
                self._lost = f"{describe(holder_of(self._file.read()))} has taken it over"


@contextmanager
def held(store: Store, run_id: str, command: str, length_s: float) -> Iterator[Lease]:
    """Hold the output for the time of the block.

    Raises:
        OutputInUseError: another run does.
    """
    file = ConditionalFile(store, LOCK)
    holder = Holder(
        run_id=run_id,
        host=socket.gethostname(),
        pid=os.getpid(),
        process_start=_process_start(os.getpid()),
        command=command,
        started_at=_iso(0),
        expires_at=_iso(length_s),
    )
    found = file.read()
    other = holder_of(found)
    if other is not None and not other.has_run_out():
        raise OutputInUseError(in_use(store.root, other))
    lease = Lease(file, holder, length_s)
    if not file.write(_content(holder).content, found):
        raise OutputInUseError(in_use(store.root, holder_of(file.read())))
    lease.start()
    try:
        yield lease
    finally:
        lease.end()


def current(store: Store) -> Holder | None:
    """Who holds the output now, dead or alive; None where nobody does."""
    return holder_of(ConditionalFile(store, LOCK).read())


def check_holder(store: Store, run_id: str) -> None:
    """For workers, before they commit: raises JobError where another run holds the output, or none."""
    holder = current(store)
    if holder is None or holder.run_id != run_id:
        raise JobError(f"This run has lost its lease on the output to {describe(holder)}; nothing more was committed.")


def in_use(root: str, holder: Holder | None) -> str:
    """The message for the one who comes second."""
    until = f" Its lease lasts until {holder.expires_at} (UTC), and is renewed while it works." if holder else ""
    return (
        f"{root} is in use by {describe(holder)}.{until} Two runs can't write to one output: wait for it, or end it. "
        "After a kill the same host goes on at once, another one when the lease has run out."
    )


def describe(holder: Holder | None) -> str:
    """A holder in words."""
    if holder is None:
        return "another run"
    return f"run {holder.run_id} (fv2es {holder.command}, process {holder.pid} on {holder.host})"


def holder_of(found: Versioned | None) -> Holder | None:
    """What a lock file says; None for none, or one that nobody could have meant."""
    if found is None:
        return None
    try:
        values = json.loads(found.content)
        holder = Holder(**values)
        datetime.fromisoformat(holder.expires_at)
    except (ValueError, TypeError):
        return None
    return holder


def _content(holder: Holder) -> Versioned:
    content = json.dumps(asdict(holder), indent=2)
    return Versioned(content.encode(), content)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _iso(seconds_from_now: float) -> str:
    return (_now() + timedelta(seconds=seconds_from_now)).isoformat(timespec="milliseconds")


def _boot() -> str:
    """A mark of this boot of this host: in containers with one name, pids are not each other's."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot}-{Path('/proc/self/ns/pid').readlink().name}"
    return "unknown"


def _process_start(pid: int) -> str:
    """A mark of a process that no later process of the same pid has; empty once it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else f"{_boot()}:{fields[19]}"
