"""A training by several workers: Ray Train starts them and introduces them to each other; the training is its own.

Each worker runs the same training, and finds by torch.distributed that it is one of several (models/train/team.py).
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipelines.config import EngineSettings
from pipelines.errors import JobError, SettingsError
from pipelines.ray_cluster import cluster  # before Ray itself: it sets what Ray reads when it is imported
from pipelines.temporary import temporary_area

import ray  # isort: skip
from ray.train import RunConfig, ScalingConfig, TrainingFailedError, get_context  # isort: skip
from ray.train.torch import TorchConfig, TorchTrainer  # isort: skip
from ray.util.queue import Empty, Queue  # isort: skip

Row = dict[str, Any]
OnEpoch = Callable[[Row], None]
Train = Callable[[Path, OnEpoch], dict[str, float]]
"""A whole training in a folder: tells the row of each epoch, gives the measures."""

LONGEST_WAIT_S = 24 * 3600
"""Workers wait so long for each other: while the first validates, or looks for faces, the others do nothing."""

POLL_S = 0.5


def train_on_ray(
    train: Train, out: Path, workers: int, address: str | None, device: str, on_epoch: OnEpoch
) -> dict[str, float]:
    """Run a training on so many workers, each a process with one CPU, or with one GPU where there are enough.

    Args:
        train: picklable; the first worker runs it in `out`, the others in folders that nobody will see.
        out: on a cluster a folder that all machines share, as that of the corpora must be.
        workers: how many.
        address: of a Ray cluster, or None for one on this machine for the time of the training.
        device: auto, cpu or cuda.
        on_epoch: is told the first worker's rows.

    Raises:
        SettingsError: there are fewer GPUs than workers, and GPUs were asked for.
        JobError: the cluster can't be reached, or a worker was lost.
        Exception: what the training itself raised in a worker.
    """
    out = out.absolute()
    with temporary_area() as temporary, cluster(EngineSettings(address=address), workers, temporary) as environment:
        gpus = ray.cluster_resources().get("GPU", 0)
        if device.startswith("cuda") and gpus < workers:
            raise SettingsError(f"loop.device {device} and {workers} workers ask for as many GPUs; Ray has {gpus:g}")
        on_gpus = device != "cpu" and gpus >= workers
        storage = out / ".ray" if address else temporary / "train"
        rows = Queue(actor_options={"num_cpus": 0})
        trainer = TorchTrainer(
            _work,
            train_loop_config={
                "train": train,
                "out": out,
                "rows": rows,
                "environment": environment | ({} if on_gpus else {"CUDA_VISIBLE_DEVICES": ""}),
            },
            torch_config=TorchConfig(timeout_s=LONGEST_WAIT_S),
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=on_gpus),
            run_config=RunConfig(name="fv2es", storage_path=str(storage)),
        )
        try:
            return _measures(trainer, rows, on_epoch)
        finally:
            shutil.rmtree(storage, ignore_errors=True)  # Ray's notes on its workers; ours are in `out`


def _measures(trainer: TorchTrainer, rows: Queue, on_epoch: OnEpoch) -> dict[str, float]:
    """Train, in a thread: in the main one Ray Train would take Ctrl-C for itself, and leave in its own way."""
    thread = ThreadPoolExecutor(1)
    ended = thread.submit(trainer.fit)
    thread.shutdown(wait=False)
    while not ended.done():
        with suppress(Empty):
            on_epoch(rows.get(timeout=POLL_S))
    while not rows.empty():
        on_epoch(rows.get())
    try:
        return dict(ended.result().return_value)
    except TrainingFailedError as error:
        raise _own_error(error) or JobError(str(error)) from error


def _work(share: dict[str, Any]) -> dict[str, float]:
    """In a worker's process."""
    os.environ.update(share["environment"])
    train: Train = share["train"]
    if get_context().get_world_rank() == 0:
        return train(share["out"], share["rows"].put)
    with tempfile.TemporaryDirectory() as unseen:  # what it writes at its end is what the first writes
        return train(Path(unseen), lambda row: None)


def _own_error(error: TrainingFailedError) -> Exception | None:
    """What the training raised, if it did; the others then fail too, as torch loses its connection to that worker."""
    failures: dict[int, Exception] = getattr(error, "worker_failures", {})
    return next((failure for failure in failures.values() if not isinstance(failure, RuntimeError)), None)
