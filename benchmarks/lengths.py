"""How long should segments be? What cuts cost against what workers wait for one another at the end, calculated.

    python -m benchmarks.lengths [--divisor 1 --divisor 2 --divisor 3] [--rounds 100]

A segment is what is left, divided by the workers and by a divisor, between a minute and four minutes. Plans are the
planner's own; the time that a segment takes is its length, and `CUT_S` more at each cut, give or take what segments
differ by. Prints how much longer a run takes than without cuts and waiting, by corpus and divisor; start-up is left
out, and so is that a worker which is left alone is faster.
"""

import random
import statistics
from typing import Annotated
from unittest.mock import patch

import typer
from rich.console import Console
from rich.table import Table

from operators.settings import WindowSettings
from pipelines import plan

CUT_S = 10.0
"""Seconds of media for which a cut takes as long: decoding on both sides of it, short batches, starts of ffmpeg.

Measured on an Intel Xeon: `fv2es label` of two videos of five minutes with FV2ES_PLAN__SHARD_MINUTES=1 took 14.0, 13.9
and 17.2 CPU-seconds more with FV2ES_PLAN__SEGMENT_MINUTES=1 than with 5, which took 102 to 107: for 8 cuts."""

SPREAD = 0.12
"""Standard deviation of the logarithm of a segment's speed: some say more, and show more faces."""

ANCHOR_MS = WindowSettings().anchor_ms

CORPORA: dict[str, tuple[list[int], int]] = {
    "6 videos of 5 minutes, 2 workers": ([300] * 6, 2),
    "one of 10 minutes, 2 workers": ([600], 2),
    "one of 30 minutes, 2 workers": ([1800], 2),
    "one of an hour, 2 workers": ([3600], 2),
    "12 of 10 minutes, 4 workers": ([600] * 12, 4),
    "one of 2 hours, 8 workers": ([7200], 8),
    "30 of 20 minutes, 8 workers": ([1200] * 30, 8),
    "360 of 5 seconds, 2 workers": ([5] * 360, 2),
}
"""Seconds of each video, and workers."""


def shards_of(lengths_s: list[int], workers: int, divisor: float) -> list[plan.Shard]:
    """The plan for videos of these lengths."""
    videos = [
        plan.Video(f"{number:04}.mp4", 1, "", duration_ms=length * 1000) for number, length in enumerate(lengths_s)
    ]
    lengths = plan.Lengths(workers, ANCHOR_MS)
    with patch.object(plan, "SEGMENTS_PER_WORKER", divisor):
        return plan.pack(plan.segments_of(videos, {}, lengths), lengths, recipe_id="")


def takes_s(shard: plan.Shard, chance: random.Random) -> float:
    """Seconds of media for which a shard takes as long."""
    return sum(
        ((s.end_ms - s.start_ms) / 1000 + CUT_S / 2 * ((s.start_ms > 0) + (s.end_ms < s.video.duration_ms)))
        * chance.lognormvariate(-(SPREAD**2) / 2, SPREAD)
        for s in shard.segments
    )


def excess(shards: list[plan.Shard], workers: int, seed: int) -> float:
    """By what factor a run takes longer than without cuts and waiting."""
    chance = random.Random(seed)
    free_at = [0.0] * workers
    for shard in shards:
        first = free_at.index(min(free_at))
        free_at[first] += takes_s(shard, chance)
    return max(free_at) * workers / (sum(shard.media_ms for shard in shards) / 1000)


def main(
    divisor: Annotated[list[float] | None, typer.Option(min=1, help="Repeat it; by default 1, 1.5, 2, 3.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Runs, each with other speeds of its segments.")] = 100,
) -> None:
    """Print the table."""
    divisors = divisor or [1.0, 1.5, 2.0, 3.0]
    table = Table("corpus", *(f"1/{value:g}: longer by, shards" for value in divisors), box=None)
    for name, (lengths_s, workers) in CORPORA.items():
        cells = []
        for value in divisors:
            shards = shards_of(lengths_s, workers, value)
            mean = statistics.mean(excess(shards, workers, seed) for seed in range(rounds))
            cells.append(f"{mean - 1:.1%}, {len(shards)}")
        table.add_row(name, *cells)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
