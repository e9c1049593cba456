"""`fv2es validate`: check every commit of an output."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from pipelines import job
from pipelines import validate as validating
from pipelines.cli.console import ConfigOption, JsonOption, count, harmless, load_config
from pipelines.cli.console import errors as err
from pipelines.cli.console import out as console
from pipelines.errors import EXIT_FAILED_SEGMENTS, EXIT_OK
from pipelines.storage import explained

EXAMPLES = """
[bold]Examples[/]

  fv2es validate labels/

  fv2es validate s3://bucket/labels --json

  fv2es validate labels/ --repair && fv2es label videos/ --out labels/

Exit codes: 0 everything is as it was committed, or was taken out by --repair; 3 damage was found, or is left; 5 a run \
is writing to OUT (with --repair).
"""


def validate(
    out: Annotated[str, typer.Argument(metavar="OUT", help="The output of a job.", show_default=False)],
    repair: Annotated[
        bool, typer.Option("--repair", help="Take damaged shards out, so that the next `label` labels them again.")
    ] = False,
    config: ConfigOption = None,
    json_output: JsonOption = False,
) -> None:
    """Check every commit of OUT: files, schema, digests, keys, times, probabilities, labels, and all annotations."""
    settings = load_config(config)
    settings.storage.apply()
    with explained(out), err.status("Checking every shard..."):
        store = job.open_output(out)
        report = validating.repair(store, settings.job.lease_s) if repair else validating.validate(store)
    if json_output:
        typer.echo(json.dumps(asdict(report) | {"repaired": repair}))
    else:
        show(report, out, repair)
    damaged = bool(report.annotation_problems or (report.problems and not repair))
    raise typer.Exit(EXIT_FAILED_SEGMENTS if damaged else EXIT_OK)


def show(report: validating.Report, out: str, repaired: bool) -> None:
    """Print what was found."""
    found = [(problem.file, problem.what) for problem in report.problems]
    for file, what in found + [(problem.file, problem.what) for problem in report.annotation_problems]:
        console.print(f"[red]damaged[/] {harmless(file)}: {harmless(what)}", soft_wrap=True)
    console.print(
        f"{count(report.shards, 'shard')}, {count(report.segments, 'segment')}, "
        f"{count(report.utterances, 'utterance')} checked."
    )
    if report.annotations or report.annotation_problems:
        console.print(f"{count(report.annotations, 'annotation')} checked.")
    if report.annotation_problems:
        console.print(
            "Damaged annotations stay where they are, also with --repair: nothing can make them again. Move such a "
            "file out of OUT/annotations, or put it back from a copy.",
            soft_wrap=True,
        )
    if report.without_digest:
        console.print(
            f"{count(report.without_digest, 'shard')} of an older FV2ES without a digest: their content was looked at, "
            "but a changed value in it can't be seen.",
            soft_wrap=True,
        )
    damaged = len({(item.partition, item.shard_id) for item in report.problems})
    if not damaged:
        if not report.annotation_problems:
            console.print("No damage.")
    elif repaired:
        console.print(
            f"{count(damaged, 'shard')} taken out. Run `fv2es label SRC --out {escape(out)}` to label them again.",
            soft_wrap=True,
        )
    else:
        console.print(
            f"{count(damaged, 'shard')} damaged. `fv2es validate {escape(out)} --repair` takes them out, and `fv2es "
            "label` then labels them again; the others stay.",
            soft_wrap=True,
        )
