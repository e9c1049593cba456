"""How fast a machine would label, by calculation: measured costs on CPUs, published figures of GPUs, and assumptions.

Nothing here was measured on a GPU. Each stage takes seconds of CPU, and of GPU where it runs on one, for a second of
video; whatever is used up first sets the pace. All figures are for talking heads in 720p30 H.264, two frames a second
looked at, speech all the time.
"""

from dataclasses import dataclass
from typing import Literal

from operators import nvdec
from pipelines.config import Config
from pipelines.errors import SettingsError
from pipelines.gpus import check_there_is_one, decoders_on_gpu, faces_on_gpu
from pipelines.pools import Pools, pools_here

Stage = Literal["decode", "faces", "transcribe", "infer"]

CPU_S: dict[Stage, float] = {"decode": 0.050, "faces": 0.008, "transcribe": 0.032, "infer": 0.012}
"""CPU-seconds for a second of 720p30: each stage's kernels with all workers at work, by `python -m benchmarks.speed` on
2 cores of an AMD EPYC with AVX-512. The simulated cluster takes them from here."""

FACES_IN_FULL_S = 0.041
"""The same for two frames of 640x360 that the small detector looks at in full, as large detectors always do."""

MEASURED_SPEED, MEASURED_CORES = {"processes": 17.5, "ray": 13.8}, 2
"""Of a whole command by `python -m benchmarks.speed`, start-up included: seconds of video a second, by engine."""

STAYS: dict[Stage, float] = {"decode": 0.3, "faces": 0.1, "transcribe": 0.34, "infer": 0.2}
"""Of a stage's CPU-seconds, what a GPU leaves. Measured on a CPU for transcribe (word times, voice activity, spectra:
0.016 of 0.046). Assumed for decode (reading, copying frames back, filters), faces (cutting crops) and infer (making
batches and rows)."""

DETECTOR_MACS = {"mobilenet0.25": 0.558e9, "resnet50": 25.3e9}
"""Multiply-adds for a frame of 640x360, by `models.cost.count_macs`."""
DETECTOR_BYTES = {"mobilenet0.25": 60e6, "resnet50": 600e6}
"""Of the GPU's memory that the network's layers read and write for a frame; estimated from their sizes."""
FRAMES_A_SECOND = 2

V2EM_MACS = 0.57e9
"""Multiply-adds for a second: face, voice and Whisper's inner layers, by `models.cost.cost_per_second`."""

WHISPER_PARAMETERS = {"tiny": 39e6, "base": 74e6, "small": 244e6, "medium": 769e6, "large": 1550e6}
"""As published (openai/whisper, README). The work of recognition is taken to grow with them."""
TINY_MACS = 0.5e9 + 4 * 5 * 29.5e6
"""For a second: the encoder in windows of 15 s, and a decoder of 29.5 million weights for 4 tokens and 5 beams."""
TINY_BYTES = 4 * 2 * 29.5e6 / 8
"""For a second: the decoder's weights in float16 are read for each of 4 tokens, by batches of 8."""
TINY_LAUNCHES = 4 * 60 / 8
"""For a second: kernels that CTranslate2 launches one by one; the other networks are CUDA graphs."""

UTILISATION = 0.3
"""Of a card's published peak, what is assumed to be reached: in arithmetic and in reading memory."""
LAUNCH_S = 5e-6
"""Between a kernel's launch and the next (assumed)."""
NVDEC_FRAMES = 700
"""Of 1080p H.264 that one decoder of a GPU is assumed to decode a second: cards differ, and with them this."""
FRAMES_720P30 = 30 * (1280 * 720) / (1920 * 1080)


@dataclass(frozen=True)
class Card:
    """A GPU by its maker's data sheet: dense arithmetic in 10^12 a second, memory in GB and GB a second, decoders."""

    float32_tflops: float
    half_tflops: float  # float16 and bfloat16 by tensor cores, without sparsity
    memory_gb: float
    bandwidth_gb_s: float
    decoders: int


# By NVIDIA's data sheets of each ("NVIDIA A10 Tensor Core GPU", ...); the A10G's arithmetic is AWS's, for instances g5.
# Decoders: NVIDIA's "Video Encode and Decode GPU Support Matrix".
CARDS = {
    "t4": Card(8.1, 65, 16, 320, 2),
    "a10": Card(31.2, 125, 24, 600, 2),
    "a10g": Card(31.5, 70, 24, 600, 2),
    "l4": Card(30.3, 121, 24, 300, 4),
    "l40s": Card(91.6, 362, 48, 864, 3),
    "a100-40g": Card(19.5, 312, 40, 1555, 5),
    "a100-80g": Card(19.5, 312, 80, 2039, 5),
    "h100": Card(67, 989, 80, 3350, 7),
    "h200": Card(67, 989, 141, 4800, 7),
}


@dataclass(frozen=True)
class StageCost:
    """What a stage takes for a second of video, and how many workers it has; `on_gpu` where its work is done."""

    stage: Stage
    on_gpu: bool
    workers: int
    cpu_s: float
    gpu_s: float  # of the GPU's arithmetic units
    decoder_s: float  # of one of the GPU's video decoders

    @property
    def seconds(self) -> float:
        """How long a worker is at it."""
        return self.cpu_s + self.gpu_s + self.decoder_s


@dataclass(frozen=True)
class Estimate:
    """How fast, by calculation. Speeds are seconds of video a second."""

    speed: float
    wall_hours: float
    limited_by: str
    limits: dict[str, float]  # how fast it could be if only this counted
    stages: list[StageCost]
    gpu_share_gb: float | None  # of a GPU's memory, for each process that shares it
    calculated: bool = True


def estimate(config: Config, hours: float, cpu_cores: int, card: str | None) -> Estimate:
    """How long a machine takes for so many hours of video, with the settings' models, workers and GPUs.

    Args:
        config: `engine.gpus` says how many GPUs there are.
        hours: of video.
        cpu_cores: as `nproc` counts them.
        card: a name in `CARDS`; needed with GPUs.

    Raises:
        SettingsError: a card or model that nothing is known of, or settings that the machine can't have.
    """
    gpus = config.engine.gpus or 0.0
    known = _card(card) if gpus else None
    pools = pools_here(config.engine, cpu_cores, decoders_on_gpu(config) != "never")
    check_there_is_one(config, pools)
    stages = costs(config, pools, known)
    cpu_s = sum(stage.cpu_s for stage in stages)
    on_ray = config.engine.chosen == "ray"
    reached = MEASURED_SPEED["ray" if on_ray else "processes"] * sum(CPU_S.values()) / MEASURED_CORES
    limits = {"CPU": reached * cpu_cores / cpu_s}
    if known is not None:
        gpu_s, decoder_s = sum(stage.gpu_s for stage in stages), sum(stage.decoder_s for stage in stages)
        limits["GPU"] = gpus / gpu_s
        if decoder_s:
            limits["the GPU's video decoders"] = gpus * known.decoders / decoder_s
    # Decoders find faces as they go: the two are one worker's work, one after the other. Elsewhere than on Ray all is.
    chains = {"decoders": stages[:2], "transcribers": stages[2:3], "inferrers": stages[3:]}
    for name, chain in chains.items() if on_ray else [("workers", stages)]:
        limits[name] = chain[0].workers / sum(stage.seconds for stage in chain)
    limited_by = min(limits, key=limits.__getitem__)
    speed = limits[limited_by]
    share_gb = known.memory_gb * min(1.0, pools.infer.gpus) if known else None
    return Estimate(speed, hours / speed, limited_by, limits, stages, share_gb)


def costs(config: Config, pools: Pools, card: Card | None) -> list[StageCost]:
    """What each stage takes for a second of video, where it would run."""
    detector = config.faces.detector
    in_full_s = FACES_IN_FULL_S * DETECTOR_MACS[detector] / DETECTOR_MACS["mobilenet0.25"]
    larger_asr = _parameters(config.speech.asr) / WHISPER_PARAMETERS["tiny"]
    by_nvdec = card is not None and nvdec.decodes(config.decode, "h264")
    moved_asr = CPU_S["transcribe"] * (1 - STAYS["transcribe"])
    cpu_s = CPU_S | {
        "faces": CPU_S["faces"] if detector == "mobilenet0.25" else in_full_s,
        "transcribe": CPU_S["transcribe"] + moved_asr * (larger_asr - 1),
    }
    on_gpu: dict[Stage, bool] = {
        "decode": by_nvdec,
        "faces": card is not None and faces_on_gpu(config, pools),
        "transcribe": card is not None,
        "infer": card is not None,
    }
    gpu_s: dict[Stage, float] = dict.fromkeys(CPU_S, 0.0)
    if card is not None:
        macs, moved = FRAMES_A_SECOND * DETECTOR_MACS[detector], FRAMES_A_SECOND * DETECTOR_BYTES[detector]
        gpu_s["faces"] = _gpu_s(macs, moved, card, card.float32_tflops)
        speech_s = _gpu_s(TINY_MACS * larger_asr, TINY_BYTES * larger_asr, card, card.half_tflops)
        gpu_s["transcribe"] = speech_s + TINY_LAUNCHES * LAUNCH_S
        gpu_s["infer"] = _gpu_s(V2EM_MACS, 0.0, card, card.half_tflops)
    workers: dict[Stage, int] = dict.fromkeys(CPU_S, pools.decode.size)
    if config.engine.chosen == "ray":
        workers |= {"transcribe": pools.transcribe.size, "infer": pools.infer.size}
    return [
        StageCost(
            stage,
            on_gpu[stage],
            workers[stage],
            CPU_S[stage] * STAYS[stage] if on_gpu[stage] else cpu_s[stage],
            gpu_s[stage] if on_gpu[stage] else 0.0,
            FRAMES_720P30 / NVDEC_FRAMES if by_nvdec and stage == "decode" else 0.0,
        )
        for stage in CPU_S
    ]


def _gpu_s(macs: float, moved_bytes: float, card: Card, tflops: float) -> float:
    """Seconds of a card: its arithmetic or its memory, whichever takes longer."""
    return max(2 * macs / (tflops * 1e12), moved_bytes / (card.bandwidth_gb_s * 1e9)) / UTILISATION


def _card(name: str | None) -> Card:
    card = CARDS.get((name or "").lower())
    if card is None:
        raise SettingsError(f"Which GPU? Give --gpu with one of: {', '.join(CARDS)}.")
    return card


def _parameters(asr: str) -> float:
    size = asr.removesuffix(".en").partition("-")[0]
    if size not in WHISPER_PARAMETERS:
        sizes = ", ".join(WHISPER_PARAMETERS)
        raise SettingsError(f"speech.asr is {asr!r}: nothing is known of what it costs, only of {sizes}.")
    return WHISPER_PARAMETERS[size]
