"""Where the workers of `pipelines.process_engine` come from: `python -m pipelines.process_nursery DESCRIPTOR`.

It imports the libraries of the operators, which takes longer than all else of a start, and then forks a worker whenever
the job asks for one. It has one thread and loads no models: a fork of it is as sound as a new process.
"""

import gc
import importlib
import os
import pickle
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import NoReturn

from pipelines import nursery
from pipelines.graph import WORKER_NICENESS
from pipelines.process_worker import Build, work
from pipelines.sparing import spare_pandas


def main() -> None:
    """Fork workers until the job has ended."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they are the job's to answer
        signal.signal(number, signal.SIG_IGN)
    os.nice(WORKER_NICENESS)
    spare_pandas()
    for name in pickle.load(sys.stdin.buffer):  # noqa: S301 - from the job
        importlib.import_module(name)
    try:
        environment = pickle.load(sys.stdin.buffer)  # noqa: S301
    except EOFError:  # the job has come to its end, and wants no workers
        return
    os.environ.clear()
    os.environ.update(environment)
    builds = pickle.load(sys.stdin.buffer)  # noqa: S301
    gc.freeze()  # a worker that looks for garbage would copy every page of what was imported
    with socket.socket(fileno=int(sys.argv[1])) as job:
        job.send(nursery.READY)
        _serve(job, builds)
    os._exit(0)  # at once: libraries take a while to take leave, and have something to say of it


def _serve(job: socket.socket, builds: Sequence[Build]) -> None:
    life, ours = os.pipe()  # nothing is ever written: workers read the end of it when this process has ended
    pids: list[int] = []
    while True:
        request, descriptors, _, _ = socket.recv_fds(job, nursery.MESSAGE_BYTES, 2)
        match request.split():
            case [nursery.BEGIN]:
                pid = os.fork()
                if not pid:
                    job.close()
                    os.close(ours)
                    _become_worker(builds, life, *descriptors)
                pids.append(pid)
                for descriptor in descriptors:
                    os.close(descriptor)
            case [nursery.END, number]:
                pid, pids[int(number)] = pids[int(number)], 0
                job.send(str(_end(pid)).encode())
            case _:  # the job has ended
                for pid in filter(None, pids):
                    _end(pid)
                return


def _become_worker(builds: Sequence[Build], life: int, connection: int, log: int) -> NoReturn:
    try:
        threading.Thread(target=_end_with, args=[life], daemon=True).start()
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log, stream.fileno())
        work(Connection(connection), builds)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _end_with(life: int) -> None:
    os.read(life, 1)
    os._exit(1)


def _end(pid: int) -> int:
    os.kill(pid, signal.SIGKILL)  # of no effect where it has ended already
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main()
