"""The labelling graph: which operators, in which order, with which resources. Engines bind it; it knows none."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from operators.write import Target, Write
from pipelines.config import Config
from pipelines.recipe import Weights

Operator = Callable[[pa.Table], pa.Table]


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


def labelling_graph(config: Config, weights: Weights, target: Target, workers: int) -> list[Stage]:
    """decode, transcribe, infer, write, for `workers` decoders.

    Decoding and face detection take most of the time; one transcriber keeps up with two decoders, one inference worker
    with eight.
    """
    transcribers, inferrers = -(-workers // 2), -(-workers // 8)
    gpu_share = config.engine.gpus / (transcribers + inferrers)
    device = "cuda" if config.engine.gpus else "cpu"
    return [
        Stage("decode", partial(_decode, config, weights, device="cpu"), workers, cpus=0.5),
        Stage("transcribe", partial(_transcribe, config, weights, device), transcribers, cpus=0.25, gpus=gpu_share),
        Stage("infer", partial(_infer, config, weights, device), inferrers, cpus=0.1, gpus=gpu_share),
        Stage("write", partial(Write, target), 1, cpus=0.05),
    ]


def limit_threads() -> None:
    """One thread for each operator: two processes of one thread beat one of two, and nobody fights over cores."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "CT2_INTRA_THREADS"):
        os.environ[name] = "1"


def _decode(config: Config, weights: Weights, device: str) -> Operator:
    from operators.decode import Decode
    from operators.faces import FaceDetector

    return Decode(config.decode, config.windows, FaceDetector.load(config.faces, weights.detector, device))


def _transcribe(config: Config, weights: Weights, device: str) -> Operator:
    from operators.transcribe import Transcribe

    return Transcribe(config.speech, config.windows, weights.asr, device)


def _infer(config: Config, weights: Weights, device: str) -> Operator:
    from operators.infer import Infer

    return Infer(config.infer, weights.voice_encoder, weights.text_encoder, weights.emotion, device)
