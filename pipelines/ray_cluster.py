"""The Ray to work on: a cluster that is there, or one in this machine's memory for the time of a job."""

import logging
import math
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.config import EngineSettings
from pipelines.environment import process_environment
from pipelines.errors import JobError
from pipelines.graph import WORKER_NICENESS
from pipelines.package import code_for_workers
from pipelines.pools import Node
from pipelines.staging import driver_environment

# Ray reads these when it is imported. It is to report to nobody, and to keep its inner log off our users' terminal.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_DATA_USAGE_DISABLED", "1")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
os.environ.setdefault("RAY_worker_niceness", str(WORKER_NICENESS))

import ray  # isort: skip
from ray._private.state import available_resources_per_node  # isort: skip

QUIET = {"logging_level": logging.ERROR, "log_to_driver": False}

STARTS = 3
"""How often Ray is started on a busy machine before we give up."""


@contextmanager
def cluster(settings: EngineSettings, cpus: float, temporary: Path) -> Iterator[dict[str, str]]:
    """A Ray to work on: the cluster at `settings.address`, or one in this machine's memory for the time of the job.

    Yields the environment that operators want in their processes.

    Args:
        settings: of the engine.
        cpus: what a Ray on this machine is told that there are: what the stages take, shared out by the system.
        temporary: where a Ray on this machine keeps what it must.

    Raises:
        JobError: the cluster can't be reached.
    """
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    with _connecting(settings.address, temporary):
        if settings.address:
            ray.init(address=settings.address, runtime_env=code_for_workers(temporary / "code"), **QUIET)
            environment = process_environment(None) | driver_environment()
        else:
            environment = process_environment(temporary) | {"HOME": str(Path.home())}
            with _private_home(temporary):
                _start_here(
                    num_cpus=math.ceil(cpus),
                    num_gpus=settings.gpus or None,
                    include_dashboard=False,
                    object_store_memory=settings.object_store_mb * 1_000_000,
                    _temp_dir=str(temporary),
                    **QUIET,
                )
    try:
        yield environment
    finally:
        ray.shutdown()


def nodes(address: str, temporary: Path) -> list[Node]:
    """The machines of a cluster as they are now; what other jobs hold of them is not free.

    Raises:
        JobError: it can't be reached.
    """
    with _connecting(address, temporary):
        ray.init(address=address, **QUIET)
    try:
        free = available_resources_per_node()
        return [
            Node(node["Resources"], free.get(node["NodeID"], {}), node["Labels"])
            for node in ray.nodes()
            if node["Alive"]
        ]
    finally:
        ray.shutdown()


@contextmanager
def _connecting(address: str | None, temporary: Path) -> Iterator[None]:
    """While Ray starts: what goes wrong is a JobError, what it says goes to a file, its signal handlers go again."""
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        with _stderr_to(temporary / "ray-start.log"):
            yield
    except Exception as error:  # Ray has no type of its own for what may go wrong here
        where = f"the Ray cluster at {address}" if address else "Ray on this machine"
        raise JobError(f"Can't start work on {where}: {error}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)


def _start_here(**options: Any) -> None:
    """Start Ray on this machine. It gives itself half a minute; a machine that is busy just then gets more chances."""
    for attempt in range(1, STARTS + 1):
        try:
            ray.init(address="local", **options)
        except Exception:  # as above
            ray.shutdown()
            if attempt == STARTS:
                raise
        else:
            return


@contextmanager
def _private_home(temporary: Path) -> Iterator[None]:
    """While Ray starts here, its home is the temporary area and its token is made up for this job.

    Else it writes ~/.ray/auth_token; and where it finds no ray_bootstrap_config.yaml, the process that reports usage
    asks the addresses of cloud providers who runs it, even when reporting is off.
    """
    (temporary / "ray_bootstrap_config.yaml").touch()
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    home = os.environ.pop("HOME", None)
    os.environ["HOME"] = str(temporary)
    try:
        yield
    finally:
        del os.environ["HOME"]
        if home is not None:
            os.environ["HOME"] = home


@contextmanager
def _stderr_to(file: Path) -> Iterator[None]:
    """Ray's C++ core writes to descriptor 2 whatever its log level; while it starts, that goes to a file."""
    kept = os.dup(2)
    try:
        with file.open("wb") as log:
            os.dup2(log.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
