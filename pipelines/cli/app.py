"""`fv2es`: label large corpora of video with emotions."""

import sys
from typing import Annotated

import typer

from operators.commit import OutputError
from pipelines import logs
from pipelines.cli import (
    config,
    evaluate,
    export,
    jobs,
    label,
    nightly,
    plan,
    query,
    questions,
    report,
    retry,
    sizing,
    status,
    submit,
    train,
    validate,
    view,
)
from pipelines.cli.console import errors, harmless
from pipelines.cli.models import app as models_app
from pipelines.errors import EXIT_FAILED, EXIT_IN_USE, EXIT_USAGE, JobError, OutputInUseError, SettingsError
from pipelines.sparing import spare_pandas

QUICK = ("query", "stats", "top", "find", "video", "export", "view", "label", "plan", "retry", "nightly", "status")
"""Commands that make no data frames, and are worth a fast start."""

app = typer.Typer(
    name="fv2es",
    help="Label large corpora of video with emotions: a folder or bucket goes in, Parquet comes out.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command(name="label", epilog=label.EXAMPLES)(label.label)
app.command(name="nightly", epilog=nightly.EXAMPLES)(nightly.nightly)
app.command(name="submit", epilog=submit.EXAMPLES)(submit.submit)
app.add_typer(jobs.app, name="jobs", help="Runs that were submitted to a cluster: list, logs, stop.")
app.command(name="plan", epilog=plan.EXAMPLES)(plan.plan)
app.command(name="sizing", epilog=sizing.EXAMPLES)(sizing.sizing)
app.command(name="retry", epilog=retry.EXAMPLES)(retry.retry)
app.command(name="validate", epilog=validate.EXAMPLES)(validate.validate)
app.command(name="status", epilog=status.EXAMPLES)(status.status)
app.command(name="query", epilog=query.EXAMPLES)(query.query)
app.command(name="stats", epilog=questions.STATS_EXAMPLES)(questions.stats)
app.command(name="top", epilog=questions.TOP_EXAMPLES)(questions.top)
app.command(name="find", epilog=questions.FIND_EXAMPLES)(questions.find)
app.command(name="video", epilog=questions.VIDEO_EXAMPLES)(questions.video)
app.command(name="report", epilog=report.EXAMPLES)(report.report)
app.command(name="export", epilog=export.EXAMPLES)(export.export)
app.command(name="evaluate", epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command(name="train", epilog=train.EXAMPLES)(train.train)
app.command(name="view", epilog=view.EXAMPLES)(view.view)
app.add_typer(models_app, name="models", help="The weights that FV2ES runs on: list, info, pull, verify.")
app.add_typer(config.app, name="config", help="Settings: show those in force, validate a file.")


@app.callback(invoke_without_command=True)
def _version(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"fv2es {installed('fv2es')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line; errors that are the user's to mend are one message, not a traceback."""
    if sys.argv[1:2] and sys.argv[1] in QUICK:
        spare_pandas()
    try:
        app()
    except SettingsError as error:
        _say("Error:", error)
        sys.exit(EXIT_USAGE)
    except OutputInUseError as error:
        _say("In use:", error)
        sys.exit(EXIT_IN_USE)
    except (JobError, OutputError) as error:
        _say("The job stopped:", error)
        sys.exit(EXIT_FAILED)


def _say(what: str, error: Exception) -> None:
    if logs.begun():
        logs.event("error", "failed", error=str(error))
    else:
        errors.print(f"[bold red]{what}[/] {harmless(str(error), kept=chr(10))}", soft_wrap=True)
