"""`fv2es status`: how far the last run on an output has come; with --watch, as it goes on."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from operators.commit import OutputError, Store
from pipelines import runs
from pipelines.cli.console import ConfigOption, JsonOption, duration, errors, harmless, load_config, printable
from pipelines.cli.console import out as console
from pipelines.errors import (
    EXIT_FAILED,
    EXIT_FAILED_SEGMENTS,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_TOO_MANY_FAILED,
    JobError,
    SettingsError,
)
from pipelines.progress import RunProgress, RunReader
from pipelines.storage import explained

EXAMPLES = """
[bold]Examples[/]

  fv2es status labels/

  fv2es status s3://bucket/labels --json

  fv2es status s3://bucket/labels --watch --interval 30

With --watch the exit code says how the run ended: 0 all labelled; 3 finished, but some files could not be labelled; 4 \
the same, and more than job.max_failed_fraction allows; 130 stopped; 1 killed. Ctrl-C ends the watching, not the run: \
130.
"""

BAR_WIDTH = 40
MOST_VANISHED = 10
"""Looks in a row at which a file was not there any more."""
STATES = {
    "working": "working",
    "finished": "finished",
    "not complete": "not complete: more of its files failed than job.max_failed_fraction allows",
    "stopped": "stopped; the same command goes on",
    "killed": "killed; the same command goes on",
}


def status(
    out: Annotated[str, typer.Argument(metavar="OUT", help="The output of a job.", show_default=False)],
    watch: Annotated[bool, typer.Option("--watch", help="Show it again and again, until the run ends.")] = False,
    interval: Annotated[float, typer.Option(min=0.5, help="Seconds between two looks of --watch.")] = 5.0,
    config: ConfigOption = None,
    json_output: JsonOption = False,
) -> None:
    """Say how far the last run has come: shards and media done, failed and left, speed, time left."""
    load_config(config).storage.apply()
    with explained(out):
        last = runs.latest(store := Store(out))
    if last is None:
        raise SettingsError(f"{out}: no run of FV2ES has written here. Is the path right?")
    if watch:
        with explained(out):
            reader = RunReader(store, last.run_id)
        try:
            raise typer.Exit(follow(_looks(reader, out, interval), json_output))
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None
    with explained(out):
        found = RunReader(store, last.run_id).read()
    if json_output:
        typer.echo(json.dumps(asdict(found)))
    else:
        console.print(table(found))


def _looks(reader: RunReader, out: str, interval_s: float) -> Iterator[RunProgress | str]:
    """What there is to see, again and again, until the run has ended; where the store doesn't answer, what it says.

    Raises:
        SettingsError: what there was is gone.
    """
    vanished = 0
    while True:
        try:
            with explained(out):
                found = _look(reader)
        except (JobError, OutputError) as error:
            yield str(error)
        else:
            vanished = 0 if found else vanished + 1
            if vanished == MOST_VANISHED:
                raise SettingsError(f"{out}: what the run has written is no longer there.")
            if found:
                yield found
                if found.state != "working":
                    return
        time.sleep(interval_s)


def _look(reader: RunReader) -> RunProgress | None:
    """None where a file was taken away between the listing and the reading, as happens while a run goes on."""
    try:
        return reader.read()
    except FileNotFoundError:
        return None


def follow(looks: Iterator[RunProgress | str], json_output: bool) -> int:
    """Show each look: in place on a terminal, elsewhere as a line when there is news; the exit code of the run."""
    if json_output:
        return _as_lines(looks, lambda found: json.dumps(asdict(found)))
    if not console.is_terminal:
        return _as_lines(looks, lambda found: f"{datetime.now():%H:%M:%S} {line(found)}")
    found: RunProgress | None = None
    trouble = ""
    with Live(console=console, auto_refresh=False) as live:
        for look in looks:
            found, trouble = (found, look) if isinstance(look, str) else (look, "")
            shown: list[RenderableType] = [table(found), bar(found)] if found else []
            live.update(Group(*shown, Text(printable(trouble), "yellow")), refresh=True)
    return exit_code(found)


def _as_lines(looks: Iterator[RunProgress | str], say: Callable[[RunProgress], str]) -> int:
    before: RunProgress | str | None = None
    found: RunProgress | None = None
    for look in looks:
        if look != before:
            before = look
            if isinstance(look, str):
                errors.print(harmless(look), soft_wrap=True)
            else:
                found = look
                typer.echo(say(look))
    return exit_code(found)


def exit_code(found: RunProgress | None) -> int:
    """What the run's own exit code was, or would have been."""
    if found is None or found.state in ("killed", "working"):
        return EXIT_FAILED
    if found.state == "finished":
        return EXIT_FAILED_SEGMENTS if found.failed_fraction or found.segments_failed else EXIT_OK
    return EXIT_TOO_MANY_FAILED if found.state == "not complete" else EXIT_INTERRUPTED


def table(found: RunProgress) -> Table:
    """The account of a run."""
    made = Table(title=f"Run {found.run_id}: {STATES[found.state]}", title_justify="left", show_header=False)
    made.add_column("what")
    made.add_column("amount", justify="right")
    made.add_row("started", found.started_at)
    made.add_row("finished", found.finished_at or "-")
    made.add_row("shards done", f"{found.shards_done:,} of {found.shards:,}")
    made.add_row("in hand", _counts(found.in_flight) or "-")
    made.add_row("media done", f"{duration(found.media_done_ms)} of {duration(found.media_ms)}")
    made.add_row("media left", duration(found.media_ms - found.media_done_ms))
    made.add_row("failed segments", f"{found.segments_failed:,} ({duration(found.media_failed_ms)})")
    for status, segments in sorted(found.failed_by_status.items(), key=lambda item: -item[1]):
        made.add_row(f"  {status}", f"{segments:,}")
    made.add_row("utterances", f"{found.utterances:,}")
    made.add_row("speed", f"{found.speed:.2f} x real time" if found.speed else "-")
    made.add_row("time left", duration(found.left_s * 1000) if found.left_s is not None else "-")
    made.add_row("last commit", found.last_commit_at or "-")
    made.add_row("held by", harmless(found.holder) if found.holder else "-")
    return made


def bar(found: RunProgress) -> ProgressBar:
    """The share of the media that is done."""
    return ProgressBar(total=max(found.media_ms, 1), completed=found.media_done_ms, width=BAR_WIDTH)


def line(found: RunProgress) -> str:
    """The same in one line."""
    parts = [
        found.state,
        f"{found.shards_done:,} of {found.shards:,} shards",
        f"{duration(found.media_done_ms)} of {duration(found.media_ms)}",
    ]
    if found.speed:
        parts.append(f"{found.speed:.2f} x real time")
    if found.left_s and found.state == "working":
        parts.append(f"{duration(found.left_s * 1000)} left")
    if found.in_flight:
        parts.append(f"in hand: {_counts(found.in_flight)}")
    if found.failed_by_status:
        parts.append(f"failed: {_counts(found.failed_by_status)}")
    return ", ".join(parts)


def _counts(amounts: dict[str, int]) -> str:
    return " ".join(f"{name} {number:,}" for name, number in sorted(amounts.items()))
