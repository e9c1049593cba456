"""A worker of `pipelines.process_engine`: `python -m pipelines.process_worker DESCRIPTOR`, of a socket to the job.

The operators come pickled, then shards, one after the other; what the last operator says of each goes back, or what
went wrong. The end of stdin is the end of the job: whatever has killed that, this goes too.
"""

import os
import pickle
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection

import pyarrow as pa

from operators.commit import OutputError
from pipelines.errors import JobError, with_account
from pipelines.graph import WORKER_NICENESS, Operator

READY, DONE, FAILED = b"ready", b"done", b"failed"
"""Answers of a worker. Another message follows each: nothing, a table, or what went wrong."""


def main() -> None:
    """Work until the job has no more for it."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they are the job's to answer
        signal.signal(number, signal.SIG_IGN)
    os.nice(WORKER_NICENESS)
    threading.Thread(target=_end_with_the_job, daemon=True).start()
    with Connection(int(sys.argv[1])) as job:
        try:
            _work(job)
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


def _work(job: Connection) -> None:
    operators: list[Operator] = [build() for build in pickle.loads(job.recv_bytes())]  # noqa: S301 - from the job
    _tell(job, READY, b"")
    while True:
        table = from_bytes(job.recv_bytes())
        for operate in operators:
            table = operate(table)
        _tell(job, DONE, to_bytes(table))


def _tell(job: Connection, kind: bytes, what: bytes | pa.Buffer) -> None:
    job.send_bytes(kind)
    job.send_bytes(what)


def _end_with_the_job() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
