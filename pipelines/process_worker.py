"""A worker of `pipelines.process_engine`, which has been forked for it.

Shards come, one after the other; what the last operator says of each goes back, or what went wrong.
"""

import os
import traceback
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from typing import NoReturn

import pyarrow as pa

from operators.commit import OutputError
from pipelines.errors import JobError, with_account
from pipelines.graph import Operator
from pipelines.parts import PartByPart

READY, DONE, FAILED = b"ready", b"done", b"failed"
"""Answers of a worker. Another message follows each: nothing, a table, or what went wrong."""

Build = Callable[[], Operator]


def work(job: Connection, builds: Iterable[Build]) -> NoReturn:
    """Build the operators, and work until the job has no more for them."""
    with job:
        try:
            _work(job, builds)
        except EOFError:
            pass
        except (JobError, OutputError) as error:
            _tell(job, FAILED, str(error).encode())
        except Exception:  # whatever an operator may raise is an error of ours
            _tell(job, FAILED, with_account(traceback.format_exc()).encode())
    os._exit(0)  # at once: libraries take a while to take leave


def to_bytes(table: pa.Table) -> pa.Buffer:
    """A table as it goes through a socket."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def from_bytes(content: bytes) -> pa.Table:
    """What `to_bytes` was given."""
    with pa.ipc.open_stream(content) as stream:
        return stream.read_all()


def _work(job: Connection, builds: Iterable[Build]) -> None:
    operate = PartByPart([build() for build in builds])
    _tell(job, READY, b"")
    while True:
        _tell(job, DONE, to_bytes(operate(from_bytes(job.recv_bytes()))))


def _tell(job: Connection, kind: bytes, what: bytes | pa.Buffer) -> None:
    job.send_bytes(kind)
    job.send_bytes(what)
