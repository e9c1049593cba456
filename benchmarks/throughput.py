"""How does labelling scale on one machine? By workers, by hours of media, by clips; a long video; what a shard costs.

    python -m benchmarks.throughput workers [--clips FOLDER] [--minutes 10] [--workers 1 --workers 2]
    python -m benchmarks.throughput length  [--minutes 10 --minutes 60 --minutes 600]
    python -m benchmarks.throughput clips   [--count 10000] [--seconds 5] [--small]
    python -m benchmarks.throughput long    [--hours 6]
    python -m benchmarks.throughput cost    [--videos 100000] [--shards 12000]

Media are 720p30 as in `benchmarks.speed`, or 360p30 (`--small`); many videos are a few linked under many names, each of
which is a video of its own to the plan. An hour takes 1 GB of disk, of which videos that are links take none.
Prints tables on stderr and one JSON object on stdout.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import scale
from benchmarks.footage import HD, SMALL, Format, prepare_clips, write_loop
from benchmarks.light import measure_light
from benchmarks.machine import this_machine
from benchmarks.whole_command import Run, measure, measure_start

CORES = os.cpu_count() or 1
VIDEO_MINUTES = 10
"""Of the videos that hours of media are made of."""
DIFFERENT = 20
"""Clips, or videos, that aren't links to others."""
LIGHT_CLIPS = 60
"""Clips that the kernels are measured on: the first calls take longer, and should not count for much."""
GOAL_OVERHEAD_MS = 50.0

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help="Measure how labelling scales.")
Clips = Annotated[Path | None, typer.Option(help="Folder of videos with sound to loop; by default the demo's sample.")]
Work = Annotated[Path | None, typer.Option(help="Keep the encoded clips here, for the next time.")]
Workers = Annotated[int, typer.Option(min=1)]


@app.command()
def workers(
    clips: Clips = None,
    minutes: Annotated[float, typer.Option(help="Media to label, in four videos.")] = 10.0,
    workers: Annotated[list[int] | None, typer.Option(min=1, help="Repeat it; by default 1 and 2.")] = None,
    work: Work = None,
) -> None:
    """Speed with 1 and 2 workers, start-up apart."""
    with room(work) as (kept, folder):
        corpus = several(clips, kept, folder, round(minutes * 60 / 4), count=4)
        runs = {}
        for count in workers or [1, 2]:
            start = measure_start(next(corpus.iterdir()), count)
            runs[f"{count} workers"] = (measure([corpus], folder / f"out-{count}", count), start)
    tell(runs)


@app.command()
def length(
    clips: Clips = None,
    minutes: Annotated[list[int] | None, typer.Option(min=1, help="Repeat it; by default 10, 60, 600.")] = None,
    workers: Workers = CORES,
    work: Work = None,
) -> None:
    """Time and memory by the length of all media together, in videos of ten minutes."""
    with room(work) as (kept, folder):
        runs = {}
        start = None
        for whole in sorted(minutes or [10, 60, 600]):
            count = max(1, whole // VIDEO_MINUTES)
            corpus = several(clips, kept, folder / str(whole), whole * 60 // count, count)
            start = start or measure_start(next(corpus.iterdir()), workers)
            runs[f"{whole} minutes"] = (measure([corpus], folder / f"out-{whole}", workers), start)
    tell(runs)


@app.command()
def clips(
    clips: Clips = None,
    count: Annotated[int, typer.Option(min=1, help="How many clips.")] = 10_000,
    seconds: Annotated[int, typer.Option(min=1, help="How long each is.")] = 5,
    light_minutes: Annotated[float, typer.Option(help="Length of the video that the light is measured on.")] = 2.0,
    small: Annotated[bool, typer.Option("--small", help="360p30, which takes less long.")] = False,
    workers: Workers = CORES,
    work: Work = None,
) -> None:
    """What a clip costs beside the work on its media: what the kernels take is taken off.

    That is told twice: by what they take for a video that is as long as all clips, and by what they take for clips,
    where speech recognition hears less at once.
    """
    with room(work) as (kept, folder):
        form = SMALL if small else HD
        long = several(clips, kept, folder / "long", round(light_minutes * 60), 1, form)
        corpus = several(clips, kept, folder, seconds, count, form)
        some = sorted(corpus.iterdir())[:LIGHT_CLIPS]
        lights = {"of a long video": measure_light(list(long.iterdir()), workers)}
        lights["of the clips"] = measure_light(some, workers)
        start = measure_start(next(long.iterdir()), workers)
        run = measure([corpus], folder / "out", workers)
    overhead = {
        name: overhead_ms(run, start, light.cpu_s_per_media_s, light.speed, count) for name, light in lights.items()
    }
    figures = {name: asdict(light) for name, light in lights.items()}
    tell({f"{count} clips": (run, start)}, light=figures, overhead_ms_a_clip=overhead)
    for name, values in overhead.items():
        told = ", ".join(f"{value:.0f} ms {how}" for how, value in values.items())
        console().print(f"overhead a clip, beyond the light {name}: {told} (goal: under {GOAL_OVERHEAD_MS:.0f} ms)")


@app.command()
def long(
    clips: Clips = None,
    hours: Annotated[float, typer.Option(help="Length of the video.")] = 6.0,
    workers: Workers = CORES,
    work: Work = None,
) -> None:
    """One long video: when it begins to commit, how fast it is, how much memory it takes."""
    with room(work) as (kept, folder):
        corpus = several(clips, kept, folder, round(hours * 3600), count=1)
        start = measure_start(next(corpus.iterdir()), workers)
        run = measure([corpus], folder / "out", workers)
    tell({f"one video of {hours:g} hours": (run, start)})


@app.command()
def cost(
    videos: Annotated[int, typer.Option(min=10, help="Made-up files to plan, commit and resume.")] = 100_000,
    shards: Annotated[int, typer.Option(min=5, help="Shards that are passed through Ray.")] = 12_000,
    folder: Annotated[Path, typer.Option(help="Where the output goes.")] = Path("/tmp"),  # noqa: S108
) -> None:
    """What is spent beside the work: plan, shard, commit, resume. Listing, headers and labels are made up."""
    settings = {"engine": {"engine": "local"}, "plan": {"shard_minutes": 30}}
    steps = scale.measure(videos, folder, settings, console())
    costs = costs_of(steps) | {"Ray's driver, a shard and stage, CPU-ms": driver_ms(shards)}
    table = Table("what", "cost", box=None)
    for name, value in costs.items():
        table.add_row(name, f"{value:,.2f}")
    console().print(table)
    report = {"videos": videos, "costs": costs, "steps": {name: asdict(step) for name, step in steps.items()}}
    write(report)


def costs_of(steps: dict[str, scale.Measured]) -> dict[str, float]:
    """What `benchmarks.scale` has measured, for one of each."""
    plan, half, again = (steps[name] for name in ("plan", "label, the other half", "label, nothing to do"))
    shards = half.found["shards"]
    return {
        "plan of all files, s": plan.wall_s,
        "plan of all files, CPU-s": plan.cpu_s,
        "plan of all files, peak MiB": plan.peak_mb,
        "commit of a shard, ms": half.phases["commit"] / shards * 1000,
        "shard, all but its work, CPU-ms": (half.cpu_s - plan.cpu_s) / shards * 1000,
        "resume at half until the first shard, s": sum(
            half.phases.get(name, 0.0) for name in ("list", "plan", "store the plan")
        ),
        "resume with nothing left, s": again.wall_s,
    }


def driver_ms(shards: int) -> float:
    """CPU time of Ray's driver for a shard and a stage, in the last fifth of the shards."""
    from benchmarks import ray_blocks  # here: the steps of `scale` are measured without Ray's memory

    with ray_blocks.small_ray():
        return float(ray_blocks.measure(shards, 2)["cpu_ms_a_shard_and_stage_by_fifth"][-1])


def overhead_ms(run: Run, start: Run, light_cpu_s: float, light_speed: float, clips: int) -> dict[str, float]:
    """Milliseconds a clip beyond the light of its media, by the clock and of CPU; start-up is left out.

    Args:
        run: over all clips.
        start: of the command over next to nothing.
        light_cpu_s: CPU-seconds of the kernels for a second of media.
        light_speed: seconds of media a second at the speed of light.
        clips: how many.
    """
    wall_s = run.last_commit_s - start.last_commit_s - run.media_s / light_speed
    cpu_s = run.cpu_s - start.cpu_s - run.media_s * light_cpu_s
    return {"by the clock": wall_s / clips * 1000, "CPU": cpu_s / clips * 1000}


@contextmanager
def room(work: Path | None) -> Iterator[tuple[Path, Path]]:
    """A folder for encoded clips, kept if it was given, and one on the same disk for what is labelled."""
    with tempfile.TemporaryDirectory(prefix="fv2es-throughput-", dir=made(work) if work else None) as temporary:
        yield (work or Path(temporary)) / "clips", Path(temporary)


def several(clips: Path | None, kept: Path, folder: Path, seconds: int, count: int, form: Format = HD) -> Path:
    """A folder of so many videos of that length: the first few are different ones, the others links to them."""
    different = min(count, DIFFERENT)
    prepared = prepare_clips(clips, kept, form, enough_s=seconds * different)
    corpus = made(folder / "corpus")
    for number in range(count):
        video = corpus / f"{number:06}.mp4"
        if number < different:
            write_loop(prepared, video, seconds, first=number)
        else:
            os.link(corpus / f"{number % different:06}.mp4", video)
    return corpus


def made(folder: Path) -> Path:
    """The folder, once it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def tell(runs: dict[str, tuple[Run, Run]], **more: Any) -> None:
    """Print runs and the start-up that is taken off them, then all as JSON."""
    columns = ("speed", "without start", "CPU-s a media-s", "first commit, s", "wall, s", "peak, GB", "store, GB")
    table = Table("", *columns, "spilled", box=None)
    for name, (run, start) in runs.items():
        without = run.media_s / (run.last_commit_s - start.last_commit_s)
        memory = (run.peak_bytes / 1e9, run.peak_object_store_bytes / 1e9)
        values = (run.speed, without, run.cpu_s_per_media_s, run.first_commit_s, run.wall_s, *memory)
        table.add_row(name, *(f"{value:,.2f}" for value in values), f"{run.spilled_bytes:,}")
    console().print(table)
    told = {name: run.as_json() | {"start": start.as_json()} for name, (run, start) in runs.items()}
    write({"runs": told, **more})


def write(report: dict[str, Any]) -> None:
    """The report as JSON on stdout, with the machine and the command."""
    command: Sequence[str] = ["python", "-m", "benchmarks.throughput", *sys.argv[1:]]
    json.dump({"machine": this_machine().as_json(), "command": command, **report}, sys.stdout, indent=2)
    sys.stdout.write("\n")


def console() -> Console:
    """Where people are told."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    app()
