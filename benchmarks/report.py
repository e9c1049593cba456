"""How long `fv2es report` takes, as a whole command, how much memory, and how large its page is.

python -m benchmarks.synthetic OUT && python -m benchmarks.report OUT
"""

import statistics
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.queries import measure


def main(out: Annotated[Path, typer.Argument(help="An output.")], rounds: int = 3) -> None:
    """Make the report `rounds` times, after once to warm up; print medians."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        command = ["report", str(out), "--output", str(page)]
        taken = [measure(command, folder) for _ in range(rounds + 1)][1:]
        wall_s, cpu_s, memory_mb = (statistics.median(values) for values in zip(*taken, strict=True))
        kilobytes = page.stat().st_size / 1000
    typer.echo(f"{wall_s:.1f} s, {cpu_s:.1f} CPU seconds, {memory_mb:,.0f} MB of memory; a page of {kilobytes:,.0f} kB")


if __name__ == "__main__":
    typer.run(main)
