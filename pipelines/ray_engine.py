"""The Ray engine: Ray schedules, we commit. One shard is one block from its plan to its line in the ledger."""

import logging
import math
import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from operators.commit import OutputError
from pipelines.config import EngineSettings
from pipelines.errors import JobError
from pipelines.graph import Operator, Stage, process_environment
from pipelines.package import code_for_workers
from pipelines.staging import driver_environment

# Ray reads these when it is imported. It is to report to nobody, and to keep its inner log off our users' terminal.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_DATA_USAGE_DISABLED", "1")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

import ray
from ray.data import ActorPoolStrategy, DataContext

STARTS = 3
"""How often Ray is started on a busy machine before we give up."""


@dataclass
class Spill:
    """What Ray's object store wrote to disk in this job, in bytes: intermediate data, which nobody wants stored."""

    bytes: int = 0


class StageActor:
    """One operator in a process of its own, built once."""

    def __init__(self, build: Callable[[], Operator], environment: dict[str, str]) -> None:
        os.environ.update(environment)
        self._operator = build()

    def __call__(self, shard: pa.Table) -> pa.Table:
        """Pass one shard through."""
        return self._operator(shard)


@contextmanager
def cluster(settings: EngineSettings, stages: list[Stage], temporary: Path) -> Iterator[dict[str, str]]:
    """A Ray to work on: the cluster at `settings.address`, or one in this machine's memory for the time of the job.

    Yields the environment that operators want in their processes.

    Raises:
        JobError: the cluster can't be reached.
    """
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    common = {"logging_level": logging.ERROR, "log_to_driver": False}
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        with _stderr_to(temporary / "ray-start.log"):
            if settings.address:
                ray.init(address=settings.address, runtime_env=code_for_workers(temporary / "code"), **common)
                environment = process_environment(None) | driver_environment()
            else:
                environment = process_environment(temporary) | {"HOME": str(Path.home())}
                with _private_home(temporary):
                    _start_here(
                        # What the stages hold: a machine of one CPU can run them all, shared out by the system.
                        num_cpus=math.ceil(sum(stage.workers * stage.cpus for stage in stages)),
                        num_gpus=settings.gpus or None,
                        include_dashboard=False,
                        object_store_memory=settings.object_store_mb * 1_000_000,
                        _temp_dir=str(temporary),
                        **common,
                    )
    except Exception as error:  # Ray has no type of its own for what may go wrong here
        where = f"the Ray cluster at {settings.address}" if settings.address else "Ray on this machine"
        raise JobError(f"Can't start work on {where}: {error}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray has put its own there
    try:
        yield environment
    finally:
        ray.shutdown()


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


def run(
    shards: Iterable[pa.Table], stages: list[Stage], environment: dict[str, str], spill: Spill
) -> Iterator[pa.Table]:
    """Label shards on the Ray that `cluster` gave; yields what the last stage says of each, in order of completion.

    A shard is one block all the way: its identity comes from the plan and never from Ray's block layout, so blocks are
    neither split nor joined. An exception in an operator is an error of ours and ends the job.
    """
    context = DataContext.get_current()
    context.target_max_block_size = None
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = False
    blocks = list(shards)
    dataset = ray.data.from_arrow(blocks)
    for stage in stages:
        dataset = dataset.map_batches(
            StageActor,
            fn_constructor_args=(stage.build, environment),
            batch_size=None,
            batch_format="pyarrow",
            zero_copy_batch=True,
            compute=ActorPoolStrategy(size=min(stage.workers, len(blocks))),
            num_cpus=stage.cpus,
            num_gpus=stage.gpus,
        )
    try:
        yield from dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    except ray.exceptions.RayError as error:
        if (known := _cause(error, (JobError, OutputError))) is not None:
            raise JobError(str(known)) from error
        # The last line of Ray's account is the error itself; what comes before tells a developer where.
        raise JobError(f"{str(error).strip().splitlines()[-1]}\n\nThe whole account:\n{error}") from error
    finally:
        spill.bytes = _spilled_bytes()


def _cause(error: BaseException | None, kinds: tuple[type[Exception], ...]) -> BaseException | None:
    """The error of one of these kinds that Ray has wrapped, in however many layers."""
    while error is not None and type(error) not in kinds:
        error = getattr(error, "cause", None) or error.__cause__
    return error


def _spilled_bytes() -> int:
    from ray._private.internal_api import get_memory_info_reply, get_state_from_address

    state = get_state_from_address(ray.get_runtime_context().gcs_address)
    return int(get_memory_info_reply(state).store_stats.spilled_bytes_total)
