"""Which stages use GPUs, and what `auto` means in the settings of how they compute: settled before work begins."""

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from operators import nvdec
from operators.ffmpeg import find_ffmpeg
from pipelines.config import Config
from pipelines.errors import SettingsError
from pipelines.pools import Node, Pools

DecodersOnGpu = Literal["never", "if any", "must"]

RAYS_NAME = "accelerator_type:"
"""What Ray's name of a resource begins with that tells which GPU a machine has."""
WITHOUT_BFLOAT16 = re.compile(r"\b([KMPTV]\d+|GTX|RTX 20\d\d|Quadro|TITAN)\b")
"""NVIDIA's cards of before 2020: no others will ever be made."""

QUERY_TIME_LIMIT_S = 30

BEFORE = {"infer": {"precision": "float32"}, "speech": {"compute_type": "int8"}}
"""What was computed in by releases that stored no word of it."""


def decoders_on_gpu(config: Config) -> DecodersOnGpu:
    """Whether decoders are to have a share of a GPU: to decode by it, or to find faces on it.

    By default faces are found there by the large detector alone: the small one costs a CPU less than decoding does,
    and decoders that need a GPU can't be where there is none.
    """
    if config.decode.hardware == "cuda" or config.engine.faces_on == "gpu":
        return "must"
    return "if any" if config.engine.faces_on == "auto" and config.faces.detector == "resnet50" else "never"


def faces_on_gpu(config: Config, pools: Pools) -> bool:
    """Whether decoders find faces on the GPU: by default wherever they have a share of one."""
    return bool(pools.decode.gpus) and config.engine.faces_on != "cpu"


def check_hardware(config: Config, pools: Pools) -> None:
    """Raises SettingsError when the settings want a GPU that no worker will have, or an ffmpeg that can't use it.

    Whether the GPUs of a cluster can decode is seen by its workers, before they begin.
    """
    check_there_is_one(config, pools)
    if config.decode.hardware == "cuda":
        try:
            nvdec.check_binary(find_ffmpeg())
            if config.engine.address is None and config.engine.chosen != "beam":
                nvdec.check_device(find_ffmpeg())
        except nvdec.HardwareError as error:
            raise SettingsError(str(error)) from error


def check_there_is_one(config: Config, pools: Pools) -> None:
    """Raises SettingsError when the settings want a GPU that no worker will have."""
    if decoders_on_gpu(config) == "must" and not pools.decode.gpus:
        name = "decode.hardware=cuda" if config.decode.hardware == "cuda" else "engine.faces_on=gpu"
        raise SettingsError(
            f"{name} wants a GPU for each decoder to share, and none is to be used: set engine.gpus (--gpus), or name "
            "a cluster that has some."
        )


def settled(config: Config, pools: Pools, gpu_names: Sequence[str], stored: Mapping[str, Any] | None) -> Config:
    """The configuration without `auto` in what changes a label.

    An output that was begun is gone on with as it was begun, on whatever machines: else all would be labelled anew when
    a GPU comes or goes. A new one gets what its machines are fast in.

    Args:
        pools: of the run.
        gpu_names: of the GPUs that are known of.
        stored: the settings of the output's last run, by group; None where there was none.
    """
    fast = "bfloat16" if pools.infer.gpus and all_have_bfloat16(gpu_names) else "float32"
    new = {
        "infer": {"precision": fast},
        "speech": {"compute_type": "float16" if pools.transcribe.gpus else "int8"},
    }
    changes: dict[str, Any] = {}
    for group, names in new.items():
        settings = getattr(config, group)
        for name, value in names.items():
            if getattr(settings, name) == "auto":
                then = value if stored is None else stored.get(group, {}).get(name, BEFORE[group][name])
                settings = type(settings)(**settings.model_dump() | {name: value if then == "auto" else then})
        changes[group] = settings
    return config.model_copy(update=changes)


def all_have_bfloat16(gpu_names: Sequence[str]) -> bool:
    """Whether these GPUs, by name, are all of those that compute in bfloat16; of none nothing is known."""
    return bool(gpu_names) and not any(WITHOUT_BFLOAT16.search(name) for name in gpu_names)


def names_of_cluster(nodes: Iterable[Node]) -> list[str]:
    """Names of the GPUs of a cluster, as Ray has them ("A10G", "T4")."""
    return [
        name.removeprefix(RAYS_NAME)
        for node in nodes
        if node.total.get("GPU")
        for name in node.total
        if name.startswith(RAYS_NAME)
    ]


def names_here() -> list[str]:
    """Names of this machine's GPUs, as its driver has them ("NVIDIA A10G", "Tesla T4"); none where it can't be asked.

    The driver is asked, and not PyTorch, which would take seconds, and memory of the GPU.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False, timeout=QUERY_TIME_LIMIT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []
