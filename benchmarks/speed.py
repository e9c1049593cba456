"""How fast is labelling? Media seconds a second, CPU seconds and seconds a stage, on 720p30 talking heads.

    python -m benchmarks.speed --clips FOLDER [--minutes 10] [--videos 4] [--runs 3] [--workers 2]

Prints a table on stderr and one JSON object on stdout. A figure is the median of the runs; each starts from nothing.
"""

import json
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import duckdb
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import FV2ES
from benchmarks.footage import prepare_clips, write_loop
from benchmarks.watch import run_watched

STAGES = ("decode_s", "faces_s", "transcribe_s", "infer_s")


def main(
    clips: Annotated[Path, typer.Option(help="Folder of videos with sound to loop.")],
    minutes: Annotated[float, typer.Option(help="Media to label, all videos together.")] = 10.0,
    videos: Annotated[int, typer.Option(help="How many videos that is.")] = 4,
    runs: Annotated[int, typer.Option(min=1)] = 3,
    workers: Annotated[int, typer.Option(min=1)] = os.cpu_count() or 1,
    work: Annotated[Path | None, typer.Option(help="Keep the encoded clips here, for the next time.")] = None,
) -> None:
    """Measure the speed of `fv2es label`."""
    with tempfile.TemporaryDirectory(prefix="fv2es-speed-") as temporary:
        prepared = prepare_clips(clips, work or Path(temporary, "clips"))
        corpus = Path(temporary, "corpus")
        corpus.mkdir()
        seconds = round(minutes * 60 / videos)
        for number in range(videos):
            write_loop(prepared, corpus / f"{number}.mp4", seconds, first=number)
        measured = [measure(corpus, Path(temporary, f"out-{number}"), workers) for number in range(runs)]
    report = {
        "machine": {"cpu": cpu_model(), "cores": os.cpu_count(), "python": platform.python_version()},
        "corpus": {"videos": videos, "media_s": seconds * videos, "format": "1280x720, 30 fps, H.264 2 Mbit/s, AAC"},
        "workers": workers,
        "median": {key: statistics.median(run[key] for run in measured) for key in measured[0]},
        "runs": measured,
    }
    show(report)
    json.dump(report, sys.stdout, indent=2)
    sys.stdout.write("\n")


def measure(corpus: Path, out: Path, workers: int) -> dict[str, float]:
    """Label the corpus once, from nothing. All in seconds, but for the speeds and counts."""
    command = [FV2ES, "label", str(corpus), "--out", str(out), "--workers", str(workers), "--json"]
    done = run_watched(command).check()
    result = json.loads(done.stdout)
    sums = ", ".join(f"sum({stage})" for stage in STAGES)
    query = f"SELECT {sums} FROM read_parquet(?)"  # noqa: S608 - our own words
    spent = duckdb.connect().execute(query, [f"{out}/segments/**/*.parquet"]).fetchone()
    media_s = result["media_ms"] / 1000
    return {
        "speed": media_s / done.wall_s,  # the whole command, start-up and model loading included
        "speed_of_labelling": media_s / result["wall_s"],
        "wall_s": done.wall_s,
        "cpu_s": done.cpu_s,
        "cpu_s_per_media_s": done.cpu_s / media_s,
        "utterances": result["utterances"],
        "spilled_bytes": result["spilled_bytes"],
        **dict(zip(STAGES, spent or (), strict=True)),
    }


def show(report: dict[str, Any]) -> None:
    """Print the medians, and the runs beside them."""
    media_s = report["corpus"]["media_s"]
    table = Table("", "median", *(f"run {number + 1}" for number in range(len(report["runs"]))), box=None)
    table.title = f"{media_s} s of media, {report['workers']} workers, {report['machine']['cpu']}"
    for key, median in report["median"].items():
        table.add_row(key, f"{median:,.2f}", *(f"{run[key]:,.2f}" for run in report["runs"]))
    Console(stderr=True).print(table)


def cpu_model() -> str:
    """The processor's name, as Linux tells it."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    typer.run(main)
