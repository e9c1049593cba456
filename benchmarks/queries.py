"""How long the questions take, as whole commands, and how much memory: on an output of any size.

    python -m benchmarks.synthetic OUT && python -m benchmarks.queries OUT

Each is run once to warm up and then several times; medians are printed, with CPU time beside them: on a busy machine it
says more than the clock. Python's compiled modules are kept, as in any installation, whatever the environment says.
"""

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.synthetic import PHRASE
from benchmarks.watch import environment_as_installed
from pipelines.tables import open_tables
from tests.labelling import FV2ES


def questions(out: Path, uri: str) -> dict[str, list[str]]:
    """The commands."""
    return {
        "stats": ["stats", str(out)],
        "top": ["top", str(out), "fear", "--min-confidence", ".8"],
        "find, a rare phrase": ["find", str(out), " ".join(PHRASE)],
        "find, a common one": ["find", str(out), "it was"],
        "find, one that isn't there": ["find", str(out), "nobody says this"],
        "video": ["video", str(out), uri],
        "video, as JSON": ["video", str(out), uri, "--json"],
        "query: videos": ["query", str(out), "SELECT dominant, count(*) FROM videos GROUP BY dominant"],
        "query: all labels": ["query", str(out), "SELECT emotion, avg(confidence) FROM labels GROUP BY emotion"],
        "query: all rows as CSV": ["query", str(out), "--format", "csv", "SELECT uri, start_s, emotion FROM labels"],
    }


def measure(command: list[str], compiled: str) -> tuple[float, float, float]:
    """Wall and CPU seconds of a command, and its peak memory in MB."""
    env = environment_as_installed() | {"PYTHONPYCACHEPREFIX": compiled}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = time.monotonic()
    process = subprocess.Popen([str(FV2ES), *command], env=env, **quiet)
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise typer.Exit(process.returncode)
    return wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main(out: Annotated[Path, typer.Argument(help="An output.")], rounds: int = 5) -> None:
    """Ask everything `rounds` times."""
    with open_tables(str(out)) as tables:
        uri = tables.arrow("SELECT uri FROM videos ORDER BY utterances DESC LIMIT 1")["uri"][0].as_py()
    with tempfile.TemporaryDirectory() as compiled:
        for name, command in questions(out, uri).items():
            taken = [measure(command, compiled) for _ in range(rounds + 1)][1:]
            wall_s, cpu_s, memory_mb = (statistics.median(values) for values in zip(*taken, strict=True))
            typer.echo(f"{name:<28} {wall_s:6.2f} s  {cpu_s:6.2f} CPU-s  {memory_mb:5.0f} MB")


if __name__ == "__main__":
    typer.run(main)
