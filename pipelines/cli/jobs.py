"""`fv2es jobs list | logs | stop`: runs that were submitted to a Ray cluster."""

import json
import re
import shlex
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from pipelines.cli.console import JsonOption, count, duration, harmless, print_unbroken
from pipelines.cli.console import errors as err
from pipelines.cli.console import out as console
from pipelines.errors import (
    EXIT_FAILED,
    EXIT_FAILED_SEGMENTS,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_TERMINATED,
    EXIT_WORK_LEFT,
    JobError,
    SettingsError,
)

if TYPE_CHECKING:
    from pipelines.job_server import JobServer, SubmittedJob

POLL_S = 0.5
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
"""Ray's own lines in a log are coloured, for a terminal that is somewhere else."""

app = typer.Typer(
    name="jobs",
    help="Runs that were submitted to a cluster: list, logs, stop.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

JobAddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        envvar=["FV2ES_ENGINE__ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"],
        help="The cluster's dashboard, as http://HOST:8265.",
        show_default=False,
    ),
]
JobArgument = Annotated[str, typer.Argument(metavar="ID", help="As `fv2es jobs list` shows it.", show_default=False)]


def connect(address: str | None) -> "JobServer":
    """The job server at an address; see `JobServer` for what it raises."""
    if not address:
        raise SettingsError("Where is the cluster? Give --address http://HOST:8265, the address of its dashboard.")
    from pipelines.job_server import JobServer  # it imports ray, which takes a second

    return JobServer(address)


@app.command("list")
def list_jobs(
    address: JobAddressOption = None,
    everything: Annotated[bool, typer.Option("--all", help="All jobs of the cluster, not only ours.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Show the runs that were submitted to a cluster: state, source, output, age."""
    jobs = connect(address).jobs()
    shown = [job for job in jobs if job.ours or everything]
    if json_output:
        typer.echo(json.dumps([_public(job) for job in shown], indent=2))
        return
    table = Table("id", "state", "command", "source", "out", "submitted", "took", box=None, header_style="bold")
    for job in shown:
        sources = ", ".join(job.sources) if job.ours else f"(not ours) {job.entrypoint}"
        texts = (job.id, state_of(job), job.command, sources, job.out, f"{_age(job)} ago", _took(job))
        table.add_row(*map(harmless, texts))
    if shown:
        print_unbroken(table)
    if others := len(jobs) - len(shown):
        err.print(f"{count(others, 'job')} of others: --all shows them too.")
    elif not shown:
        err.print("No job was submitted to this cluster.")


@app.command("logs")
def logs(
    job_id: JobArgument,
    address: JobAddressOption = None,
    following: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run has ended, and leave with its exit code.")
    ] = False,
) -> None:
    """Show what a run has said."""
    server = connect(address)
    _known(server, job_id)
    if following:
        follow(server, job_id, json_output=False)
    console.print(_plain(server.logs(job_id)), end="", soft_wrap=True)


@app.command("stop")
def stop(job_id: JobArgument, address: JobAddressOption = None, json_output: JsonOption = False) -> None:
    """End a run: nothing new is begun, what is in flight may end, what is committed stays. Waits for it."""
    server = connect(address)
    job = _known(server, job_id)
    if not job.has_ended:
        err.print(f"{harmless(job_id)}: told to stop; what is in flight has job.grace_s (20 s) to end.", soft_wrap=True)
        server.stop(job_id)
        try:
            while not (job := _known(server, job_id)).has_ended:
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            err.print("It was told to stop, and is still at it.")
            raise typer.Exit(EXIT_INTERRUPTED) from None
    if json_output:
        typer.echo(json.dumps(_public(job)))
    else:
        console.print(f"{harmless(job_id)}: {state_of(job)}.", soft_wrap=True)


def follow(server: "JobServer", job_id: str, json_output: bool, more: dict[str, Any] | None = None) -> None:
    """Show what a job says until it has ended; leaves the command with the job's own exit code.

    With `json_output` its log goes to standard error, and an object with `more` in it to standard output.
    """
    log = err if json_output else console
    try:
        job = server.follow(job_id, lambda text: log.print(_plain(text), end="", soft_wrap=True))
    except KeyboardInterrupt:
        err.print(f"\nNo longer followed; the run goes on. {ending(server.address, job_id)}", soft_wrap=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except JobError as error:
        raise JobError(f"{error}\nThe run may well go on. {ending(server.address, job_id)}") from error
    if json_output:
        typer.echo(json.dumps(_public(job) | (more or {})))
    else:
        err.print(f"{job_id}: {state_of(job)}.", soft_wrap=True)
        if job.state == "failed" and job.exit_code is None:
            err.print(f"The cluster could not start it: {harmless(job.message, kept=chr(10))}", soft_wrap=True)
    raise typer.Exit(exit_code(job))


def exit_code(job: "SubmittedJob") -> int:
    """What a job that has ended means to a script: the exit code of its driver."""
    if job.state == "stopped":
        return EXIT_TERMINATED
    if job.state == "succeeded":
        return EXIT_OK
    return job.exit_code if job.exit_code is not None else EXIT_FAILED


def state_of(job: "SubmittedJob") -> str:
    """The state for people. To Ray a run has failed where some files can't be labelled; to us it has not."""
    if job.state == "succeeded":
        return "done"
    if job.state == "failed" and job.exit_code == EXIT_FAILED_SEGMENTS:
        return "done, but for some files (exit code 3)"
    if job.state == "failed" and job.exit_code == EXIT_WORK_LEFT:
        return "done for tonight (exit code 6)"
    if job.state == "failed":
        return "could not be started" if job.exit_code is None else f"failed (exit code {job.exit_code})"
    return job.state


def ending(address: str, job_id: str) -> str:
    """How to follow a job, and how to end it."""
    rest = f"{shlex.quote(job_id)} --address {shlex.quote(address)}"
    return f"To follow it: fv2es jobs logs {rest} --follow\nTo end it: fv2es jobs stop {rest}"


def _plain(log: str) -> str:
    return harmless(COLOUR.sub("", log), kept="\n\t")


def _known(server: "JobServer", job_id: str) -> "SubmittedJob":
    job = server.find(job_id)
    if job is None:
        raise SettingsError(
            f"{job_id}: the cluster at {server.address} knows no such job. `fv2es jobs list` shows those that it knows."
        )
    return job


def _public(job: "SubmittedJob") -> dict[str, Any]:
    shown = asdict(job) | {"job_id": job.id}
    return {name: value for name, value in shown.items() if name not in ("id", "ours", "message", "entrypoint")} | (
        {} if job.ours else {"entrypoint": job.entrypoint}
    )


def _age(job: "SubmittedJob") -> str:
    return duration((time.time() - (job.started or time.time())) * 1000)


def _took(job: "SubmittedJob") -> str:
    if job.started is None or not job.has_ended:
        return "-"
    return duration(((job.ended or job.started) - job.started) * 1000)
