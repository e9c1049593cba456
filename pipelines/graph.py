"""The labelling graph: which operators, in which order, with which resources. Engines bind it; it knows none."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from operators.commit import Store
from operators.write import Target, Write
from pipelines import lease
from pipelines.config import Config
from pipelines.guard import Guard, Operator
from pipelines.recipe import Weights
from pipelines.staging import StagedWeights

AnyWeights = Weights | StagedWeights
"""Where they are in this process: a worker on another node of a cluster has them brought when it asks."""


@dataclass(frozen=True)
class Stage:
    """One operator: how to build it (picklable: it is built once in each worker), how many, with what share of a node.

    The shares add up to less than one CPU for one worker of each, so that a one-CPU cluster never waits for itself.
    """

    name: str
    build: Callable[[], Operator]
    workers: int
    cpus: float
    gpus: float = 0.0


def labelling_graph(config: Config, weights: AnyWeights, target: Target, workers: int) -> list[Stage]:
    """decode, transcribe, infer, write, for `workers` decoders.

    Decoding and face detection take most of the time; one transcriber keeps up with two decoders, one inference worker
    with eight.
    """
    transcribers, inferrers = -(-workers // 2), -(-workers // 8)
    gpu_share = config.engine.gpus / (transcribers + inferrers)
    device = "cuda" if config.engine.gpus else "cpu"
    shares_process = config.engine.engine == "local"
    guard = partial(Guard, root=target.root, run_id=target.run_id, shares_process=shares_process)
    decode = partial(guard, partial(_decode, config, weights, device="cpu"), "decode", first=True, apart=True)
    transcribe = partial(guard, partial(_transcribe, config, weights, device), "transcribe")
    infer = partial(guard, partial(_infer, config, weights, device), "infer")
    return [
        Stage("decode", decode, workers, cpus=0.5),
        Stage("transcribe", transcribe, transcribers, cpus=0.25, gpus=gpu_share),
        Stage("infer", infer, inferrers, cpus=0.1, gpus=gpu_share),
        Stage("write", partial(_write, target), 1, cpus=0.05),
    ]


def process_environment(temporary: Path | None) -> dict[str, str]:
    """Variables for a process that runs operators, to be set before it imports their libraries.

    One thread for each operator: two processes of one thread beat one of two, and nobody fights over cores. No
    telemetry: onnxruntime and pyannote would report to their makers. What libraries cache for themselves goes to the
    temporary area.
    """
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    quiet = {"ORT_DISABLE_TELEMETRY": "1", "PYANNOTE_METRICS_ENABLED": "0"}
    caches = {"MPLCONFIGDIR": str(temporary / "matplotlib")} if temporary else {}
    return dict.fromkeys(threads, "1") | quiet | caches


def _decode(config: Config, weights: AnyWeights, device: str) -> Operator:
    from operators.decode import Decode
    from operators.faces import FaceDetector

    faces = FaceDetector.load(config.faces, weights.detector, device)
    return Decode(config.decode, config.windows, faces, limits=config.limits)


def _transcribe(config: Config, weights: AnyWeights, device: str) -> Operator:
    from operators.transcribe import Transcribe

    return Transcribe(config.speech, config.windows, weights.asr, device)


def _infer(config: Config, weights: AnyWeights, device: str) -> Operator:
    from operators.infer import Infer

    return Infer(config.infer, weights.voice_encoder, weights.text_encoder, weights.emotion, device)


def _write(target: Target) -> Operator:
    write = Write(target, fence=partial(lease.check_holder, Store(target.root), target.run_id))

    def pass_on(shard: pa.Table) -> pa.Table:
        # Nothing comes through of a shard that a run handed back when it was told to stop.
        return write(shard) if shard.num_rows else shard

    return pass_on
