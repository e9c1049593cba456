"""Small files that are put in place only where nobody else has been: the ground that the lease stands on.

On disk a lock of the kernel on the folder makes "look, then write" one step. In a bucket the store does, by conditional
requests (If-None-Match, If-Match). Stores without conditions get the next best: write, wait, and look who is there.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operators.commit import Store
from operators.sources import as_os_errors

SETTLE_S = 2.0
"""How long a store without conditions is given before we look whose file has stayed."""

_UNMET = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412", "409")
_UNKNOWN = ("NotImplemented", "InvalidArgument", "InvalidRequest", "501", "400")


@dataclass(frozen=True)
class Versioned:
    """The content of a file, and a mark that changes with it."""

    content: bytes
    version: str


class ConditionalFile:
    """One small file of an output that several processes want.

    `exclusive` turns False when the store turns out not to know conditions: two that come within moments of each other
    are then told apart by who wrote last.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self._s3 = hasattr(store.filesystem, "call_s3")
        self.exclusive = store.local or self._s3

    def read(self) -> Versioned | None:
        """The file as it is now, or None."""
        try:
            content = self._store.read(self._name)
        except FileNotFoundError:
            return None
        return Versioned(content, self._version(content))

    def write(self, content: bytes, expected: Versioned | None) -> bool:
        """Put the file in place if it still is what it was (None: if there is none); whether that was so."""
        if self._store.local:
            with self._alone():
                return self._write_if(content, expected, self._store.put)
        if self._s3 and self.exclusive:
            return self._write_by_condition(content, expected)
        return self._write_and_look(content, expected)

    def remove(self, expected: Versioned) -> None:
        """Remove the file if it still is what it was."""
        with self._alone() if self._store.local else _nothing():
            now = self.read()
            if now is not None and now.version == expected.version:
                self._store.remove(self._name)

    def _version(self, content: bytes) -> str:
        # Every writer puts its run's id and the time in: the same content is the same write.
        return content.decode("utf-8", "replace")

    def _write_if(self, content: bytes, expected: Versioned | None, put: Callable[[str, bytes], Any]) -> bool:
        now = self.read()
        if (now and now.version) != (expected and expected.version):
            return False
        put(self._name, content)
        return True

    def _write_by_condition(self, content: bytes, expected: Versioned | None) -> bool:
        """By the ETag of what we mean to replace. A first write is tried twice: the second must be refused."""
        condition: dict[str, str] = {"IfNoneMatch": "*"}
        if expected is not None:
            etag = self._etag_of(expected)
            if etag is None:
                return False
            condition = {"IfMatch": etag}
        try:
            if not self._put_s3(content, condition):
                return False
            if expected is None and self._put_s3(content, condition):
                self.exclusive = False  # the store overlooks conditions
                return self._still_there(content)
        except _ConditionsUnknownError:
            self.exclusive = False
            return self._write_and_look(content, expected)
        return True

    def _etag_of(self, expected: Versioned) -> str | None:
        """The ETag of the file while it is what we expect."""
        filesystem, path = self._store.filesystem, self._store.path(self._name)
        filesystem.invalidate_cache()
        try:
            with as_os_errors():
                before = filesystem.info(path)["ETag"]
                now = self.read()
                filesystem.invalidate_cache()
                same = now is not None and now.version == expected.version and filesystem.info(path)["ETag"] == before
        except FileNotFoundError:
            return None
        return str(before) if same else None

    def _put_s3(self, content: bytes, condition: dict[str, str]) -> bool:
        filesystem = self._store.filesystem
        bucket, key, _ = filesystem.split_path(self._store.path(self._name))
        try:
            with as_os_errors():
                filesystem.call_s3("put_object", Bucket=bucket, Key=key, Body=content, **condition)
        except OSError as error:
            code = _code(error)
            if code in _UNMET:
                # A request that was repeated after its answer got lost meets what it has written itself.
                now = self.read() if "IfMatch" in condition else None
                return now is not None and now.content == content
            if code in _UNKNOWN:
                raise _ConditionsUnknownError from error
            raise
        return True

    def _write_and_look(self, content: bytes, expected: Versioned | None) -> bool:
        return self._write_if(content, expected, self._store.put) and self._still_there(content)

    def _still_there(self, content: bytes) -> bool:
        time.sleep(SETTLE_S)
        now = self.read()
        return now is not None and now.content == content

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder's lock; the kernel lets go of it whatever becomes of us."""
        folder = Path(self._store.path(self._name)).parent
        with self._store.explaining(self._name):
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY)
        try:
            with suppress(OSError):  # some network file systems have no locks: then it is write after look
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


class _ConditionsUnknownError(Exception):
    pass


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _code(error: OSError) -> str:
    """The store's own word for what went wrong."""
    cause = error.__cause__
    response = getattr(cause, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))
