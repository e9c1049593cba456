"""The labelling graph: which operators, in which order, with which resources. Engines bind it; it knows none."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from operators.commit import Store
from operators.write import Target, Write
from pipelines import lease
from pipelines.config import Config
from pipelines.errors import JobError
from pipelines.gpus import faces_on_gpu
from pipelines.guard import Guard, Operator
from pipelines.logged import Logged
from pipelines.pools import Pool, Pools
from pipelines.ray_machines import RayMachines
from pipelines.recipe import Weights
from pipelines.staging import StagedWeights

AnyWeights = Weights | StagedWeights
"""Where they are in this process: a worker on another node of a cluster has them brought when it asks."""


@dataclass(frozen=True)
class Stage:
    """One operator: how to build it (picklable: it is built once in each worker), and the pool of its workers.

    `niceness`: by how much its processes, where they are its own, stand back when cores are short.
    """

    name: str
    build: Callable[[], Operator]
    pool: Pool
    niceness: int = 0


WORKER_NICENESS = 10
"""Workers on this machine give way to what people do here, and leave room below for decoders to give way to them."""
DECODE_NICENESS = 9
"""Decoders stand back behind what comes after them: else they run ahead, and at the end cores wait for one stage."""


def labelling_graph(config: Config, weights: AnyWeights, target: Target, pools: Pools) -> list[Stage]:
    """decode, transcribe, infer, write."""
    alone = config.engine.chosen == "ray"  # has a process to itself: elsewhere one process is all that uses a GPU
    shares = {name: getattr(pools, name).gpus if alone else 1.0 for name in ("decode", "transcribe", "infer")}
    device = "cuda" if pools.transcribe.gpus else "cpu"
    shares_process = config.engine.chosen == "local"
    machines = RayMachines() if config.engine.chosen == "ray" else None
    guard = partial(Guard, root=target.root, run_id=target.run_id, shares_process=shares_process, machines=machines)
    builders = {
        "decode": partial(_decode, config, weights, device="cuda" if faces_on_gpu(config, pools) else "cpu"),
        "transcribe": partial(_transcribe, config, weights, device=device),
        "infer": partial(_infer, config, weights, device=device),
    }
    for name, build in builders.items():
        if build.keywords["device"] != "cpu":
            builders[name] = partial(_sharing_gpu, build, shares[name])
    decode = partial(guard, builders["decode"], "decode", first=True, apart=True)
    transcribe = partial(guard, builders["transcribe"], "transcribe")
    infer = partial(guard, builders["infer"], "infer")
    stages = [
        Stage("decode", decode, pools.decode, DECODE_NICENESS),
        Stage("transcribe", transcribe, pools.transcribe),
        Stage("infer", infer, pools.infer),
        Stage("write", partial(_write, target), pools.write),
    ]
    if config.engine.chosen in ("local", "processes") and config.job.log_format == "text":
        return stages  # they would write into the progress that is shown, or for nobody
    log = partial(Logged, run_id=target.run_id, form=config.job.log_format, level=config.job.log_level)
    return [replace(stage, build=partial(log, stage.build, stage.name, last=stage is stages[-1])) for stage in stages]


def _sharing_gpu(build: Callable[[], Operator], share: float) -> Operator:
    """An operator in a process that has a share of a GPU."""
    from models.device import prepare_gpu

    prepare_gpu(share)
    return build()


def _decode(config: Config, weights: AnyWeights, device: str) -> Operator:
    from operators.decode import Decode
    from operators.faces import FaceDetector
    from operators.nvdec import HardwareError
    from operators.segment_media import FRAMES_AT_ONCE

    frames_at_once = FRAMES_AT_ONCE
    if device == "cpu":
        faces = FaceDetector.load(config.faces, weights.detector)
    else:
        from models.device import Execution
        from models.retinaface_gpu import FRAMES_A_PASS, load_on_gpu

        frames_at_once = FRAMES_A_PASS
        execution = Execution.on(device, graphs=config.infer.graphs)
        published = weights.gpu_detector or weights.detector
        detector = load_on_gpu(config.faces.detector, published, execution, quick_side_px=config.faces.quick_side_px)
        faces = FaceDetector(config.faces, detector)
    try:
        return Decode(config.decode, config.windows, faces, limits=config.limits, frames_at_once=frames_at_once)
    except HardwareError as error:
        raise JobError(str(error)) from error


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
