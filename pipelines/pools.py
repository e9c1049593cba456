"""How many workers each stage gets, and what of a cluster each takes: arithmetic over what a cluster has.

In Ray's books a decoder takes a CPU and all others take next to nothing: whatever decoders, or the machines that leave,
do to a cluster, there is room for one worker of every stage, and nothing waits for itself. How many others there are
follows from the decoders here, and not from those books.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.config import EngineSettings
from pipelines.errors import SettingsError

DECODER_CPUS = 0.993  # no number of these fills a machine of less than 993 CPUs to the brim
OTHER_CPUS = 0.0001  # the least that Ray counts; what takes none may be placed on a head that is to run no work
OTHERS_A_DECODER = 50  # and there is room for more beside each
SMALLEST_DECODER_CPUS = 0.01
DECODERS_A_TRANSCRIBER = 2
DECODERS_AN_INFERRER = 4
DECODERS_A_WRITER = 64
GROWTH = 4
"""Where no number is set, decoders wait for so many times the CPUs that there are: those of machines that join."""
MOST_ON_A_GPU = 4
"""Processes that share a GPU: each keeps its models and its CUDA context in the GPU's memory."""
MOST_WITH_DECODERS = 12
"""The same where decoders are among them: they keep little there, and it takes several to keep a GPU's decoder busy."""

_ROUNDING = 1e-6


@dataclass(frozen=True)
class Node:
    """A machine of a cluster: what it has and what other jobs have left of it, by Ray's names (CPU, GPU, your own)."""

    total: Mapping[str, float]
    free: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pool:
    """The workers of a stage: how many there are at first, how many there may be, what each takes.

    `eager`: all that there may be are asked for at once, and wait where there is no room for them yet.
    """

    size: int
    most: int
    cpus: float
    gpus: float = 0.0
    resources: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    eager: bool = False


@dataclass(frozen=True)
class Pools:
    """The pools of the four stages; `crowded` where other jobs have left no room to begin in."""

    decode: Pool
    transcribe: Pool
    infer: Pool
    write: Pool
    crowded: bool = False

    @property
    def workers(self) -> int:
        """Decoders, which the size of shards follows from."""
        return self.decode.size

    @property
    def cpus(self) -> float:
        """What the pools take at first, in CPUs."""
        return sum(pool.size * pool.cpus for pool in (self.decode, self.transcribe, self.infer, self.write))


def pools_here(settings: EngineSettings, cpus: int, decoders_on_gpu: bool = False) -> Pools:
    """Pools of a fixed size for this machine. With `decoders_on_gpu` decoders share its GPUs too, if there are any.

    Raises:
        SettingsError: something was set that only a cluster has.
    """
    if settings.decode_resources or settings.decode_labels:
        raise SettingsError(
            "engine.decode_resources and engine.decode_labels are of the machines of a Ray cluster: say which cluster "
            "by --address, or leave them out."
        )
    decoders = settings.workers or cpus
    return _pools(settings, decoders, decoders, DECODER_CPUS, settings.gpus or 0.0, decoders_on_gpu)


def pools_of_cluster(settings: EngineSettings, nodes: Sequence[Node], decoders_on_gpu: bool = False) -> Pools:
    """Pools for a cluster as it is, which grow with it. Those that use GPUs have a fixed size.

    With `decoders_on_gpu` decoders share its GPUs too, if there are any, and are where those are.

    Raises:
        SettingsError: the cluster has not what was asked for, and doesn't grow.
    """
    grows = settings.autoscales or not _sum(nodes, "CPU")
    if grows and settings.workers is None:
        raise SettingsError(
            "A cluster that grows as it is asked, or has no CPU yet, can't be asked for its size: say by "
            "engine.workers how many decoders it is to get, and by engine.gpus how many GPUs."
        )
    if not grows:
        _check(settings, nodes)
    able = [node for node in nodes if _can_decode(settings, node)]
    cpus, room = DECODER_CPUS, sum(_times(node, {"CPU": 1.0} | settings.decode_resources) for node in able)
    if not room and not grows and (spare := _largest_spare(settings, able)) >= SMALLEST_DECODER_CPUS:
        cpus, room = spare, 1
    decoders = settings.workers if grows else min(settings.workers or room, room)
    gpus = settings.gpus if settings.gpus is not None else sum(math.floor(node.free.get("GPU", 0)) for node in nodes)
    decoders = decoders or 1
    most = settings.workers or GROWTH * decoders
    return _pools(settings, decoders, most, cpus, gpus, decoders_on_gpu, crowded=not room and not grows)


def _pools(
    settings: EngineSettings,
    decoders: int,
    most: int,
    cpus: float,
    gpus: float,
    decoders_on_gpu: bool,
    crowded: bool = False,
) -> Pools:
    def for_decoders(each: int, set_to: int | None) -> Pool:
        if set_to:
            return Pool(set_to, set_to, OTHER_CPUS)
        return Pool(-(-decoders // each), -(-most // each), OTHER_CPUS)

    transcribe = for_decoders(DECODERS_A_TRANSCRIBER, settings.transcribers)
    infer = for_decoders(DECODERS_AN_INFERRER, settings.inferrers)
    share = 0.0
    if gpus:
        wanted = decoders if decoders_on_gpu else 0
        found, transcribe, infer = _on_gpus(settings, wanted, transcribe.size, infer.size, gpus)
        if decoders_on_gpu:
            decoders = most = found
            share = infer.gpus
    elif transcribe.size + infer.size > OTHERS_A_DECODER * decoders:
        raise SettingsError(
            f"engine.transcribers and engine.inferrers are {transcribe.size + infer.size:,} in all, for {decoders:,} "
            f"decoders: {OTHERS_A_DECODER} for each is the most."
        )
    return Pools(
        decode=Pool(decoders, most, cpus, share, settings.decode_resources, settings.decode_labels, eager=True),
        transcribe=transcribe,
        infer=infer,
        write=for_decoders(DECODERS_A_WRITER, None),
        crowded=crowded,
    )


def _on_gpus(
    settings: EngineSettings, decoders: int, transcribers: int, inferrers: int, gpus: float
) -> tuple[int, Pool, Pool]:
    """As many as have room: all take the same share of one GPU, and those that don't decode no CPU in Ray's books."""
    whole = math.floor(gpus)
    inferrers = settings.inferrers or min(inferrers, max(1, whole))
    transcribers = settings.transcribers or max(1, min(transcribers, MOST_ON_A_GPU * whole - inferrers))
    if decoders:
        decoders = max(1, min(decoders, MOST_WITH_DECODERS * whole - transcribers - inferrers))
    workers = decoders + transcribers + inferrers
    share = 1 / -(-workers // whole) if whole else gpus / workers
    share = math.floor(share * 10_000) / 10_000  # Ray counts no finer
    if not share:
        raise SettingsError(
            f"{workers} workers can't share {gpus:g} GPUs: set engine.transcribers or .inferrers lower."
        )
    return decoders, Pool(transcribers, transcribers, 0.0, share), Pool(inferrers, inferrers, 0.0, share)


def _can_decode(settings: EngineSettings, node: Node) -> bool:
    has_all = all(node.total.get(name, 0) >= amount for name, amount in settings.decode_resources.items())
    has_labels = all(node.labels.get(name) == value for name, value in settings.decode_labels.items())
    return bool(node.total.get("CPU")) and has_all and has_labels


def _times(node: Node, wanted: Mapping[str, float]) -> int:
    """How often there is room on a machine for what is wanted."""
    return min(math.floor(node.free.get(name, 0) / amount + _ROUNDING) for name, amount in wanted.items())


def _largest_spare(settings: EngineSettings, able: Iterable[Node]) -> float:
    """What one decoder may take where no machine has a whole CPU left; most of the rest stays for other stages."""
    roomy = [node for node in able if not settings.decode_resources or _times(node, settings.decode_resources)]
    return math.floor(max((node.free.get("CPU", 0) for node in roomy), default=0) * 9_000) / 10_000


def _check(settings: EngineSettings, nodes: Sequence[Node]) -> None:
    grow = "Does it grow when it is asked? Then set engine.autoscales."
    for name, amount in settings.decode_resources.items():
        if (most := max(node.total.get(name, 0) for node in nodes)) < amount:
            raise SettingsError(
                f"engine.decode_resources asks for {amount:g} of {name!r} a decoder; no machine of the cluster has "
                f"more than {most:g}. Machines get resources by `ray start --resources`. {grow}"
            )
    for name, value in settings.decode_labels.items():
        if not any(node.labels.get(name) == value for node in nodes):
            there = sorted({node.labels[name] for node in nodes if name in node.labels})
            raise SettingsError(
                f"engine.decode_labels asks for machines with {name}={value}; the cluster has "
                + (f"{name}={', '.join(there)}" if there else "none with such a label")
                + f". Machines get labels by `ray start --labels`. {grow}"
            )
    if not any(_can_decode(settings, node) for node in nodes):
        raise SettingsError(
            "No machine of the cluster has a CPU and all that engine.decode_resources and engine.decode_labels ask for "
            f"together. {grow}"
        )
    if settings.gpus and settings.gpus > (gpus := _sum(nodes, "GPU")):
        raise SettingsError(f"engine.gpus is {settings.gpus:g}; the cluster has {gpus:g}. {grow}")


def _sum(nodes: Iterable[Node], name: str) -> float:
    return sum(node.total.get(name, 0) for node in nodes)
