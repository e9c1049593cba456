"""`fv2es nightly`: keep an output in step with a corpus that changes, night by night."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines import alarm, logs
from pipelines.cli.console import (
    ConfigOption,
    JsonOption,
    SourcesArgument,
    WorkersOption,
    count,
    duration,
    harmless,
    with_logs,
)
from pipelines.cli.console import errors as err
from pipelines.cli.console import out as console
from pipelines.cli.label import AddressOption, EngineOption, GpusOption, OutOption
from pipelines.cli.running import MAX_FAILURES_SHOWN, Follower
from pipelines.config import Config, load
from pipelines.night_report import NightReport
from pipelines.nightly import Night, Outlook, is_trouble

EXAMPLES = """
[bold]Examples[/]

  fv2es nightly videos/ --out labels/

  fv2es nightly s3://bucket/corpus --out s3://bucket/labels --until 06:00 --config nightly.yaml

  fv2es nightly videos/ --out labels/ --until 7h30m --json

Alarms are settings: alarm.command, a list of a program and its arguments, gets the report on its input; alarm.url \
(better in FV2ES_ALARM__URL) gets it by POST.

Exit codes: 0 all labelled; 3 the same, but some files could not be: they stand in the ledger with reasons; 6 work is \
left for tomorrow; 7 rows were held back: more files are gone than may go at once, or a folder can't be looked into; 4 \
more files have failed than job.max_failed_fraction allows; 5 another run is writing to OUT; 2 a setting is wrong; 130 \
or 143 stopped by Ctrl-C or SIGTERM; 1 the job could not go on.
"""

UntilOption = Annotated[
    str | None,
    typer.Option(help="Local time (06:00) or length (7h30m) after which nothing new is begun.", show_default=False),
]
MassRemovalOption = Annotated[
    bool, typer.Option("--allow-mass-removal", help="Drop rows of what is gone, however much of a source that is.")
]


def nightly(
    sources: SourcesArgument,
    out: OutOption,
    until: UntilOption = None,
    allow_mass_removal: MassRemovalOption = False,
    config: ConfigOption = None,
    workers: WorkersOption = None,
    gpus: GpusOption = None,
    address: AddressOption = None,
    engine: EngineOption = None,
    json_output: JsonOption = False,
) -> None:
    """Label what is new or changed in SRC, retry what may work now, drop the rows of what is gone from OUT."""
    settings = _load(config, until, {"workers": workers, "gpus": gpus, "address": address, "engine": engine})
    follower = Follower(json_output)

    def listed(outlook: Outlook) -> None:
        if not json_output and not logs.begun():
            announce(outlook)

    with follower:
        report, ended_by = Night(sources, out, settings, allow_mass_removal, follower.watcher, listed).run()
    if json_output:
        typer.echo(report.to_json().decode())
    else:
        show(report)
    logs.event("info", "ended", run_id=report.run_id, outcome=report.outcome, exit_code=report.exit_code)
    tell(settings.alarm, report)
    if ended_by is not None and not isinstance(ended_by, KeyboardInterrupt):
        raise ended_by
    raise typer.Exit(report.exit_code)


def _load(path: Path | None, until: str | None, engine: dict[str, object]) -> Config:
    return with_logs(load(path, {"engine": engine, "nightly": {"until": until}}))


def tell(settings: alarm.AlarmSettings, report: NightReport) -> None:
    """Send the report to whom it is for; what doesn't get through is said, and changes nothing else."""
    if settings.when == "always" or is_trouble(report):
        for problem in alarm.send(settings, report.to_json()):
            if logs.begun():
                logs.event("warning", "warning", message=problem)
            else:
                err.print(f"[yellow]Warning:[/] {harmless(problem)}", soft_wrap=True)


def announce(outlook: Outlook) -> None:
    """Say what the night will be about."""
    err.print(
        f"{count(outlook.files, 'file')}: {outlook.new:,} new, {outlook.changed:,} changed, "
        f"{len(outlook.gone):,} gone, {outlook.retried:,} tried again"
        + (f", {outlook.left_over:,} left over from an earlier run" if outlook.left_over else "")
        + (f"; {outlook.waiting:,} wait for another night (nightly.max_new_files)" if outlook.waiting else "")
        + (f"; {outlook.elsewhere:,} labelled files of other sources are left alone" if outlook.elsewhere else ""),
        soft_wrap=True,
    )


def show(report: NightReport) -> None:
    """Print the account of the night."""
    words = {
        "complete": "done",
        "too_many_failed": "not complete: more files have failed than job.max_failed_fraction allows",
        "time_is_up": "the time was up",
        "interrupted": "interrupted",
        "in_use": "another run is at work",
        "failed": "could not go on",
    }
    console.print(f"Night {report.run_id}: {words[report.outcome]}.", soft_wrap=True)
    console.print(
        f"{count(report.files, 'file')}: {report.new:,} new, {report.changed:,} changed, {len(report.gone):,} gone, "
        f"{report.retried:,} tried again, {report.left_over:,} left over from before.",
        soft_wrap=True,
    )
    console.print(
        f"Labelled: {duration(report.media_s * 1000)} of media in {duration(report.wall_s * 1000)}, "
        f"{report.speed:.2f} x real time. Left: {count(report.left.files, 'file')}, "
        f"{duration(report.left.media_s * 1000)} of media.",
        soft_wrap=True,
    )
    for held in report.held_back:
        console.print(
            f"[bold red]Held back:[/] {harmless(held.where)}: {harmless(held.why)}. Their rows stay.", soft_wrap=True
        )
    if report.failed_in_all:
        console.print(f"Failed: {count(len(report.failed), 'segment')} tonight; {report.failed_in_all:,} files in all.")
    for failure in report.failed[:MAX_FAILURES_SHOWN]:
        again = ", not for the first time" if failure.before else ""
        console.print(
            f"[red]{failure.status}[/] {harmless(failure.uri)}: {harmless(failure.reason or '')}{again}", soft_wrap=True
        )
    if len(report.failed) > MAX_FAILURES_SHOWN:
        console.print(f"... and {len(report.failed) - MAX_FAILURES_SHOWN:,} more: see the segments table.")
