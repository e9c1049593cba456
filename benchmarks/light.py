"""The speed of light: how fast labelling could be if nothing but the stages' kernels took time, and the share reached.

The kernels' costs are those of `benchmarks.flat_out`, in a process of its own. At W cores the light is W over their
sum: every core always busy, nothing spent on starting, passing on, waiting or writing.
"""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.alone import measured_alone, per_media_s

KERNELS = "benchmarks.flat_out"


@dataclass(frozen=True)
class Light:
    """CPU-seconds of each stage's kernel for a second of media.

    `alone`: with the machine to itself. `together`: with as many such processes at once as there are workers, which
    share caches and memory, and is what a machine at work can reach.
    """

    alone: dict[str, float]
    together: dict[str, float]
    workers: int

    @property
    def cpu_s_per_media_s(self) -> float:
        """All stages, alone."""
        return sum(self.alone.values())

    @property
    def speed(self) -> float:
        """Seconds of media a second with all workers, by what the kernels cost alone."""
        return light_speed(self.alone, self.workers)

    @property
    def speed_together(self) -> float:
        """The same by what the kernels cost together."""
        return light_speed(self.together, self.workers)

    def as_json(self) -> dict[str, Any]:
        """All figures, those that follow from others included."""
        derived = ("cpu_s_per_media_s", "speed", "speed_together")
        return asdict(self) | {name: getattr(self, name) for name in derived}


@dataclass(frozen=True)
class Reached:
    """How much of the light the whole command reaches, as fractions.

    Without start-up, which is taken off, where the work is more than it: None where the media are too short for that.
    """

    speed: float
    speed_without_start: float | None
    speed_of_together: float
    cpu: float
    cpu_without_start: float | None


def light_speed(kernels: dict[str, float], workers: int) -> float:
    """Seconds of media a second, of stages whose kernels cost so many CPU-seconds for a second of media."""
    return workers / sum(kernels.values())


def measure_light(videos: Sequence[Path], workers: int) -> Light:
    """Measure the kernels on these videos, first alone, then in all workers at once."""
    alone = per_media_s(measured_alone(KERNELS, videos))
    together = per_media_s(measured_alone(KERNELS, videos, workers)) if workers > 1 else alone
    return Light(alone, together, workers)


def median_light(lights: Sequence[Light]) -> Light:
    """Of each stage the median."""
    first = lights[0]
    alone = {stage: statistics.median(light.alone[stage] for light in lights) for stage in first.alone}
    together = {stage: statistics.median(light.together[stage] for light in lights) for stage in first.together}
    return Light(alone, together, first.workers)


def reached(
    light: Light, media_s: float, last_commit_s: float, cpu_s: float, start_s: float, start_cpu_s: float
) -> Reached:
    """Compare a run with the light.

    Args:
        light: of the same media.
        media_s: that were labelled.
        last_commit_s: from the start of the process to its last commit.
        cpu_s: of the whole run.
        start_s: last commit of a run over next to nothing.
        start_cpu_s: CPU-seconds of that run.
    """
    light_cpu_s = light.cpu_s_per_media_s * media_s
    return Reached(
        speed=media_s / last_commit_s / light.speed,
        speed_without_start=media_s / (last_commit_s - start_s) / light.speed if last_commit_s > start_s else None,
        speed_of_together=media_s / last_commit_s / light.speed_together,
        cpu=light_cpu_s / cpu_s,
        cpu_without_start=light_cpu_s / (cpu_s - start_cpu_s) if cpu_s > start_cpu_s else None,
    )
