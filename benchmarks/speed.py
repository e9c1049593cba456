"""How fast is labelling, how fast could it be, and what do other ways cost? All of it in one run, on the same footage.

    python -m benchmarks.speed [--clips FOLDER] [--minutes 45] [--runs 3] [--workers 2] [--json FILE] [--plot FILE.svg]
    python -m benchmarks.speed --clips FOLDER --minutes 2 --runs 1 --part whole --part light     # while developing

Footage: real clips, looped, as 720p30 (two thirds of the minutes) and 1080p30; without clips, the demo's sample. Parts:

    whole       `fv2es label` from the start of its process to its last commit, for each format, medians of the runs;
                start-up by itself, on clips of a second
    ray         the same on Ray, for 720p30: what a machine of a cluster does
    light       each stage's kernel alone, flat out, on the first video of each format: see `benchmarks.light`
    two-step    the same operators with features stored between two steps, on the first 720p30 video
    reference   the reference's way, on the first --reference-seconds of that video: it holds every frame in memory

The first three take turns, run after run, and what a run reaches of the light is reckoned by the light measured beside
it: machines that share a host with others get slower and faster. Prints tables on stderr and compares with the baseline
where there is one. CPU-seconds say more than the clock where the machine has other work, and even they are larger then:
measure on a quiet machine.
"""

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from benchmarks.alone import measured_alone, per_media_s
from benchmarks.compare import TOLERANCE, compare, differences
from benchmarks.compare import show as show_comparison
from benchmarks.footage import FULL_HD, HD, Corpus, Format, write_corpus, write_part, write_pieces
from benchmarks.light import Light, measure_light, median_light, reached
from benchmarks.machine import this_machine
from benchmarks.speed_plot import plot
from benchmarks.speed_report import figures_of, show
from benchmarks.whole_command import Run, measure, measure_start


class Part(str, Enum):
    """What is measured."""

    WHOLE = "whole"
    RAY = "ray"
    LIGHT = "light"
    TWO_STEP = "two-step"
    REFERENCE = "reference"


SHAPE: dict[Format, tuple[float, int]] = {HD: (2 / 3, 6), FULL_HD: (1 / 3, 3)}
"""Of each format its share of the minutes, and the number of its videos."""
LIGHT_S = 60
"""The light is measured on the first video, which shows all clips, in pieces that are labelled without a cut."""
BASELINE = Path(__file__).with_name("baseline.json")
T = TypeVar("T")


def main(
    clips: Annotated[
        Path | None, typer.Option(help="Folder of videos with sound to loop; by default the demo's sample.")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.1, help="Media to label, all videos together.")] = 45.0,
    runs: Annotated[int, typer.Option(min=1, help="Of the whole command and of the light, for each format.")] = 3,
    workers: Annotated[int, typer.Option(min=1)] = os.cpu_count() or 1,
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="720p30, 1080p30; repeat it. Default: both.")
    ] = None,
    parts: Annotated[list[Part] | None, typer.Option("--part", help="Repeat it; by default all parts.")] = None,
    reference_seconds: Annotated[float, typer.Option(min=1.0, help="Footage for the reference's way.")] = 20.0,
    work: Annotated[Path | None, typer.Option(help="Keep the encoded clips here, for the next time.")] = None,
    json_to: Annotated[Path | None, typer.Option("--json", help="Write the report here.")] = None,
    plot_to: Annotated[Path | None, typer.Option("--plot", help="Draw into this file, .svg or .png.")] = None,
    baseline: Annotated[Path, typer.Option(help="A report to compare with, if it is there.")] = BASELINE,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when a figure is worse than there.")] = False,
) -> None:
    """Measure the speed of `fv2es label`, the speed of light, and other ways."""
    machine = this_machine()
    wanted = tuple(parts or Part)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    shape = {form: how for form, how in SHAPE.items() if not formats or form.name in formats}
    if not shape:
        raise typer.BadParameter(f"formats are {', '.join(form.name for form in SHAPE)}")
    with tempfile.TemporaryDirectory(prefix="fv2es-speed-") as temporary:
        where = work or Path(temporary)
        where.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="corpus-", dir=where) as folder:
            corpora = [
                step(
                    console,
                    f"footage {form.name}",
                    lambda form=form, how=how: write_corpus(
                        clips, where / "clips", Path(folder), form, minutes * how[0], how[1]
                    ),
                )
                for form, how in shape.items()
            ]
            report = {
                "machine": machine.as_json(),
                "command": ["python", "-m", "benchmarks.speed", *sys.argv[1:]],
                "workers": workers,
                "footage": {c.format.name: f"{len(c.videos)} videos, {c.media_s} s, {c.format}" for c in corpora},
                **measure_parts(corpora, wanted, runs, workers, reference_seconds, console),
            }
    report["figures"] = figures_of(report)
    show(report, console)
    if json_to:
        json_to.parent.mkdir(parents=True, exist_ok=True)
        json_to.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    if plot_to:
        plot_to.parent.mkdir(parents=True, exist_ok=True)
        plot(report, plot_to)
    if baseline.exists():
        base = json.loads(baseline.read_text("utf-8"))
        console.print(f"\nAgainst {baseline}, of commit {base['machine']['commit']}:")
        found = compare(base, report)
        if parts or formats:
            found = [item for item in found if item.new is not None]
        is_well = show_comparison(found, differences(base, report), TOLERANCE, console)
        raise typer.Exit(1 if strict and not is_well else 0)


def measure_parts(
    corpora: Sequence[Corpus], parts: Sequence[Part], runs: int, workers: int, reference_s: float, console: Console
) -> dict[str, Any]:
    """All that was asked for, by part; each measurement has the machine to itself."""
    found: dict[str, Any] = {}
    first = corpora[0].videos[0]
    start = None
    if Part.WHOLE in parts:
        start = step(console, "start-up", lambda: measure_start(first, workers))
        found["start"] = start.as_json()
    for corpus in corpora:
        wanted = set(parts) if corpus is corpora[0] else set(parts) - {Part.RAY}
        rounds = measure_rounds(corpus, wanted, runs, workers, console)
        name = corpus.format.name
        for part, measured in (("whole", rounds.whole), ("ray", rounds.on_ray)):
            if measured:
                found.setdefault(part, {})[name] = [run.as_json() for run in measured]
        if rounds.lights:
            found.setdefault("light", {})[name] = median_light(rounds.lights).as_json()
        if rounds.lights and rounds.whole and start is not None:
            shares = [share_reached(*both, start) for both in zip(rounds.lights, rounds.whole, strict=True)]
            found.setdefault("reached", {})[name] = {
                key: statistics.median(share[key] for share in shares) for key in shares[0]
            }
    if Part.TWO_STEP in parts:
        (found["two_step"],) = step(console, "two steps", lambda: measured_alone("benchmarks.two_step", [first]))
        found["two_step"]["cpu_s_per_media_s"] = per_media_s([found["two_step"]])
    if Part.REFERENCE in parts:
        with tempfile.TemporaryDirectory(prefix="fv2es-reference-") as temporary:
            start_of_it = Path(temporary, "reference.mp4")
            write_part(first, start_of_it, reference_s)
            (found["reference"],) = step(
                console, "the reference's way", lambda: measured_alone("benchmarks.reference_way", [start_of_it])
            )
        found["reference"]["cpu_s_per_media_s"] = per_media_s([found["reference"]])
    return found


@dataclass
class Rounds:
    """What was measured of one format, one of each a round."""

    whole: list[Run] = field(default_factory=list)
    on_ray: list[Run] = field(default_factory=list)
    lights: list[Light] = field(default_factory=list)


def measure_rounds(corpus: Corpus, parts: Collection[Part], runs: int, workers: int, console: Console) -> Rounds:
    """Measure so many times what is wanted, in turns."""
    rounds, name = Rounds(), corpus.format.name
    with tempfile.TemporaryDirectory(prefix="fv2es-speed-") as temporary:
        sample = write_pieces(corpus.videos[0], Path(temporary), LIGHT_S)
        for number in range(runs):
            out = Path(temporary, f"out-{number}")
            if Part.WHOLE in parts:
                run = step(console, f"whole command {name}", lambda out=out: measure([corpus.folder], out, workers))
                rounds.whole.append(run)
            if Part.LIGHT in parts:
                rounds.lights.append(step(console, f"kernels {name}", lambda: measure_light(sample, workers)))
            if Part.RAY in parts:
                out = Path(temporary, f"ray-{number}")
                run = step(
                    console,
                    f"whole command on Ray {name}",
                    lambda out=out: measure([corpus.folder], out, workers, engine="ray"),
                )
                rounds.on_ray.append(run)
    return rounds


def share_reached(light: Light, run: Run, start: Run) -> dict[str, float]:
    """How much of the light a run has reached."""
    shares = reached(light, run.media_s, run.last_commit_s, run.cpu_s, start.last_commit_s, start.cpu_s)
    return {name: share for name, share in asdict(shares).items() if share is not None}


def step(console: Console, name: str, measure: Callable[[], T]) -> T:
    """Say what is being measured, while it is."""
    with console.status(f"{name} ..."):
        found = measure()
    console.print(f"{name}: done")
    return found


if __name__ == "__main__":
    typer.run(main)
