"""Follow a run on the terminal, print its result, and turn it into an exit code."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import typer
from rich.markup import escape
from rich.table import Table

from pipelines import logs
from pipelines.cli.console import count, duration, harmless
from pipelines.cli.console import errors as err
from pipelines.cli.console import out as console
from pipelines.cli.progress import MediaProgress
from pipelines.errors import EXIT_FAILED_SEGMENTS, EXIT_INTERRUPTED, EXIT_OK, EXIT_TOO_MANY_FAILED
from pipelines.interrupt import Interrupted
from pipelines.planner import JobPlan
from pipelines.run import Result, Watcher

EXIT_CODES = (
    "Exit codes: 0 all labelled; 3 finished, but some files could not be: they are listed, and stand in the ledger "
    "with the reason; 4 the same, and more of them than job.max_failed_fraction allows; 2 a setting is wrong; 5 "
    "another run is writing to OUT; 130 or 143 stopped by Ctrl-C or SIGTERM; 1 the job could not go on. After any "
    "interruption, the same command goes on."
)
MAX_FAILURES_SHOWN = 20


class Follower:
    """Shows how a run goes on, on the terminal or as a log, for the time of a `with` block."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._progress: MediaProgress | None = None
        shown = Watcher(lambda run_id: None, self._planned, self._committed, self._stopping, self._warned)
        self.watcher = RunLog().watcher if logs.begun() else shown

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if self._progress:
            self._progress.stop()

    def _planned(self, plan: JobPlan) -> None:
        if not self._quiet:
            announce(plan)
        self._progress = MediaProgress(err, plan.media_ms)
        self._progress.start()

    def _committed(self, summary: pa.Table) -> None:
        if self._progress:
            self._progress.committed(summary)

    def _stopping(self, grace_s: float) -> None:
        err.print(
            f"Stopping: nothing new is begun; what is in flight has {grace_s:g} s to end. Ctrl-C again stops at once.",
            soft_wrap=True,
        )

    def _warned(self, message: str) -> None:
        err.print(f"[yellow]Warning:[/] {harmless(message)}", soft_wrap=True)


class RunLog:
    """Logs how a run goes on."""

    def __init__(self) -> None:
        self._run_id = ""
        self.watcher = Watcher(self._begun, self._planned, self._committed, self._stopping, self._warned)

    def _begun(self, run_id: str) -> None:
        self._run_id = run_id

    def _planned(self, plan: JobPlan) -> None:
        self._event(
            "planned",
            videos=plan.videos,
            done_videos=plan.done_videos,
            skipped=plan.skipped,
            shards=len(plan.shards),
            media_s=plan.media_ms / 1000,
        )

    def _committed(self, summary: pa.Table) -> None:
        for row in summary.to_pylist():
            media_s = row.pop("media_ms") / 1000
            self._event("shard committed", media_s=media_s, **row)

    def _stopping(self, grace_s: float) -> None:
        self._event("stopping", level="warning", grace_s=grace_s)

    def _warned(self, message: str) -> None:
        self._event("warning", level="warning", message=message)

    def _event(self, name: str, level: logs.Level = "info", **fields: Any) -> None:
        logs.event(level, name, run_id=self._run_id, **fields)


def follow(run: Callable[[Watcher], Result], out: str, json_output: bool) -> None:
    """Run a job with its progress on the terminal or as a log; ends the command with its exit code."""
    follower = Follower(json_output)
    try:
        with follower:
            result = run(follower.watcher)
    except KeyboardInterrupt as error:
        _say("Interrupted. What is committed stays; run the same command again to go on.")
        raise typer.Exit(error.exit_code if isinstance(error, Interrupted) else EXIT_INTERRUPTED) from None
    logs.event("info", "ended", run_id=result.run_id, exit_code=exit_code(result), wall_s=result.wall_s)
    if json_output:
        typer.echo(json.dumps(asdict(result)))
    else:
        show(result, f"{out.rstrip('/')}/labels/{result.partition}/*.parquet")
    raise typer.Exit(exit_code(result))


def _say(message: str) -> None:
    """On the terminal, or in the log where there is one."""
    if logs.begun():
        logs.event("warning", "interrupted", message=message)
    else:
        err.print(message, soft_wrap=True)


def exit_code(result: Result) -> int:
    """What the result means to a script."""
    if not result.complete:
        return EXIT_TOO_MANY_FAILED
    return EXIT_FAILED_SEGMENTS if result.failed else EXIT_OK


def announce(plan: JobPlan) -> None:
    """Say what there is to do."""
    err.print(
        f"{count(plan.videos, 'video')}, {plan.done_videos:,} done before; to do: "
        f"{count(len(plan.shards), 'shard')}, {duration(plan.media_ms)} of media"
        + (f"; {count(plan.skipped, 'file')} skipped, not media by name" if plan.skipped else "")
    )


def show(result: Result, files: str) -> None:
    """Print the result as a person would want it; `files` is the glob of the labels."""
    if not result.shards:
        console.print("Nothing to do: every video is labelled, or known to be broken.")
    table = Table()
    table.add_column("status of what is in the output")
    table.add_column("segments", justify="right")
    for status, segments in sorted(result.segments_by_status.items(), key=lambda item: -item[1]):
        table.add_row(status, f"{segments:,}")
    console.print(table)
    console.print(
        f"{count(result.videos, 'video')}, {duration(result.media_ms)} of media, "
        f"{count(result.utterances, 'utterance')}."
    )
    if result.shards:
        console.print(
            f"{count(result.shards, 'shard')} in {duration(result.wall_s * 1000)}; "
            f"{result.spilled_bytes:,} bytes spilled to disk."
        )
    for failure in result.failed[:MAX_FAILURES_SHOWN]:
        console.print(
            f"[red]{failure['status']}[/] {harmless(failure['uri'])}: {harmless(failure['reason'] or '')}",
            soft_wrap=True,
        )
    if len(result.failed) > MAX_FAILURES_SHOWN:
        console.print(f"... and {len(result.failed) - MAX_FAILURES_SHOWN:,} more: see the segments table.")
    if not result.complete:
        console.print(
            f"[bold red]Not complete:[/] {result.failed_fraction:.1%} of the files failed, more than "
            "job.max_failed_fraction allows.",
            soft_wrap=True,
        )
    console.print(f"Labels: {escape(files)}", soft_wrap=True)
