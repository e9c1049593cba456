"""The demo: build a small corpus of good and broken files from published samples, and show what labelling made of it.

Run as `python -m pipelines.demo build DIR` and `python -m pipelines.demo show OUT`; `make demo` does both.
"""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import duckdb
import typer
from rich.console import Console
from rich.table import Table

from models.catalogue import CatalogueError, locate
from operators.ffmpeg import find_ffmpeg
from pipelines.cli.console import count

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help="Build the demo corpus; show its labels.")

EPOCH_S = 1_735_689_600
"""Modification time of every file: the same corpus gives the same plan whenever it is built."""

TEXT = "This is a text file that somebody renamed to .mp4.\n"
TRUNCATED_SHARE = 0.6

_H264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-bf", "0", "-threads", "1"]
_AAC = ["-c:a", "aac", "-b:a", "96k"]
# No date and no encoder's name in the files: the same bytes whenever they are built.
_PLAIN = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"]


def build_corpus(into: Path) -> list[Path]:
    """Write the demo corpus into the folder `into` and return its files, by name. Needs the catalogue's two samples.

    Two files are broken on purpose: a text named .mp4, and a video whose second part, with the index, is missing.
    """
    face, speech = str(locate("sample-face")), str(locate("sample-speech"))
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=into) as scratch:
        work = Path(scratch)
        once = work / "once.mp4"  # the sample, 4 s of 176 x 144, at the size of a common video
        _ffmpeg(once, ["-i", face, "-vf", "scale=704:576:flags=bicubic,setsar=1", *_H264])
        looped = ["-stream_loop", "-1", "-i", str(once)]
        hush = ["-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono"]
        _ffmpeg(work / "talking head.mp4", [*looped, "-i", speech, "-t", "44", "-c:v", "copy", *_AAC])
        _ffmpeg(work / "silent.mp4", [*looped, "-t", "12", "-an", "-c:v", "copy"])
        _ffmpeg(work / "no speech.mp4", [*looped, *hush, "-t", "12", "-c:v", "copy", *_AAC])
        _ffmpeg(work / "speech alone.flac", ["-t", "15", "-i", speech, "-c:a", "flac"])
        (work / "notes.mp4").write_text(TEXT, "utf-8")
        whole = (work / "talking head.mp4").read_bytes()
        (work / "truncated.mp4").write_bytes(whole[: int(len(whole) * TRUNCATED_SHARE)])
        once.unlink()
        built = []
        for path in sorted(work.iterdir()):
            os.utime(path, (EPOCH_S, EPOCH_S))
            built.append(path.replace(into / path.name))
    return built


def _ffmpeg(target: Path, arguments: list[str]) -> None:
    command = [find_ffmpeg(), "-nostdin", "-v", "error", "-y", *arguments, *_PLAIN, f"file:{target}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed argument list
    if done.returncode:
        raise RuntimeError(f"ffmpeg could not make {target.name}: {done.stderr.strip()}")


@app.command()
def build(into: Annotated[Path, typer.Argument(metavar="DIR")]) -> None:
    """Build the corpus in DIR."""
    try:
        built = build_corpus(into)
    except CatalogueError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    for path in built:
        typer.echo(f"{path}  {path.stat().st_size / 1e3:,.0f} kB")


@app.command()
def show(out: Annotated[Path, typer.Argument(metavar="OUT")]) -> None:
    """Print the labelled rows and the files that could not be labelled, and say how to query them."""
    console = Console(highlight=False)
    labels, segments = (f"{out}/{table}/**/*.parquet" for table in ("labels", "segments"))
    database = duckdb.connect()
    columns = "uri, start_ms, end_ms, text, emotion, confidence"
    query = f"SELECT {columns} FROM read_parquet(?) ORDER BY uri, start_ms"  # noqa: S608 - our own words
    rows = database.execute(query, [labels]).fetchall() if any(out.glob("labels/**/*.parquet")) else []
    if not rows:
        typer.echo(f"Error: there are no rows in {labels}", err=True)
        raise typer.Exit(1)
    table = Table(
        "file", "seconds", "words", "emotion", "p", box=None, header_style="bold", title=count(len(rows), "utterance")
    )
    for uri, start_ms, end_ms, text, emotion, confidence in rows:
        times = f"{start_ms / 1000:.2f}-{end_ms / 1000:.2f}"
        table.add_row(uri.rsplit("/", 1)[-1], times, text or "[dim](none)[/]", emotion, f"{confidence:.2f}")
    console.print(table)

    ledger = "SELECT uri, status, reason FROM read_parquet(?) ORDER BY uri, start_ms"
    table = Table("file", "status", "reason", box=None, header_style="bold", title="\nThe ledger: one row a segment")
    for uri, status, reason in database.execute(ledger, [segments]).fetchall():
        table.add_row(uri.rsplit("/", 1)[-1], status, reason or "")
    console.print(table)
    console.print(
        f"\nThe Parquet is in {out}/labels and {out}/segments. Query it with DuckDB, for one, in Python:\n",
        markup=False,
        soft_wrap=True,
    )
    quoted = labels.replace("'", "''")
    example = f"SELECT emotion, count(*) FROM '{quoted}' GROUP BY emotion"  # noqa: S608 - printed, not run
    console.print(f'  import duckdb\n  duckdb.sql("{example}").show()\n', markup=False, soft_wrap=True)


if __name__ == "__main__":
    app()
