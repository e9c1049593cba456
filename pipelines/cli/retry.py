"""`fv2es retry`: try again what could not be labelled."""

from typing import Annotated

import typer

from pipelines import logs
from pipelines import retry as retrying
from pipelines.cli.console import ConfigOption, JsonOption, WorkersOption, count, load_config
from pipelines.cli.console import errors as err
from pipelines.cli.label import AddressOption, BeamArgsOption, EngineOption, GpusOption
from pipelines.cli.running import EXIT_CODES, follow

EXAMPLES = f"""
[bold]Examples[/]

  fv2es retry labels/

  fv2es retry s3://bucket/labels --all --workers 8

What changes a label is taken from the last run on OUT, so that tables don't mix. All else comes from here: engine, \
workers, storage, and the limits of time and size, so that what was too slow or too large can be let in.

{EXIT_CODES}
"""


def retry(
    out: Annotated[str, typer.Argument(metavar="OUT", help="The output of a job.", show_default=False)],
    everything: Annotated[
        bool, typer.Option("--all", help="Every failed segment, not only those that another attempt may mend.")
    ] = False,
    config: ConfigOption = None,
    workers: WorkersOption = None,
    gpus: GpusOption = None,
    address: AddressOption = None,
    engine: EngineOption = None,
    beam_args: BeamArgsOption = None,
    json_output: JsonOption = False,
) -> None:
    """Label again the segments of OUT that failed for reasons that may pass: storage, changed or missing files."""
    settings = load_config(config, workers=workers, gpus=gpus, address=address, engine=engine, beam_args=beam_args)
    with err.status("Looking at what has failed..."):
        prepared, outlook = retrying.prepare(out, settings, everything)
    if not json_output and not logs.begun():
        announce(outlook)
    follow(lambda watcher: retrying.run(prepared, everything, watcher), out, json_output)


def announce(outlook: retrying.Outlook) -> None:
    """Say which of the failed segments are tried again, and why others are not."""
    left = outlook.failed - outlook.tried - outlook.gone
    err.print(
        f"{count(outlook.failed, 'segment')} failed before; tried again: {outlook.tried:,}"
        + (f"; {left:,} for a reason that another attempt hardly changes (--all tries them too)" if left else "")
        + (f"; {outlook.gone:,} whose files are gone" if outlook.gone else ""),
        soft_wrap=True,
    )
