"""`fv2es submit`: have a Ray cluster do a run, and follow it from here."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from pipelines import submit as submitting
from pipelines.cli.console import ConfigOption, JsonOption, SourcesArgument, WorkersOption, harmless
from pipelines.cli.console import errors as err
from pipelines.cli.jobs import JobAddressOption, connect, ending, follow
from pipelines.cli.label import GpusOption, OutOption
from pipelines.cli.nightly import MassRemovalOption, UntilOption
from pipelines.config import load
from pipelines.errors import SettingsError

EXAMPLES = """
[bold]Examples[/]

  fv2es submit s3://bucket/corpus --out s3://bucket/labels --address http://head:8265

  fv2es submit /shared/videos --out /shared/labels --address http://head:8265 --workers 64 --detach

  fv2es submit s3://bucket/corpus --out s3://bucket/labels --address http://head:8265 --nightly --until 06:00

The same command again follows the run that it began, or begins it anew once it has ended; what is labelled stays so. \
Ctrl-C leaves the run at work: `fv2es jobs logs` follows it again, `fv2es jobs stop` ends it.

What is set here is sent, but for secrets: nodes use credentials of their own (AWS_ACCESS_KEY_ID ... where Ray is \
started). What isn't set here is as on the cluster's head.

Exit codes are those of `fv2es label`, or with --nightly of `fv2es nightly`. With --detach: 0 once it is submitted.
"""

NightlyOption = Annotated[bool, typer.Option("--nightly", help="Do what `fv2es nightly` does, not `fv2es label`.")]
DetachOption = Annotated[bool, typer.Option("--detach", help="Leave as soon as the run is submitted.")]


def submit(
    sources: SourcesArgument,
    out: OutOption,
    address: JobAddressOption = None,
    config: ConfigOption = None,
    workers: WorkersOption = None,
    gpus: GpusOption = None,
    nightly: NightlyOption = False,
    until: UntilOption = None,
    allow_mass_removal: MassRemovalOption = False,
    detach: DetachOption = False,
    json_output: JsonOption = False,
) -> None:
    """Label SRC on a Ray cluster, by its job server; Parquet goes to OUT."""
    if not nightly and (until or allow_mass_removal):
        raise SettingsError("--until and --allow-mass-removal are for --nightly.")
    settings = load(config, {"engine": {"workers": workers, "gpus": gpus}, "nightly": {"until": until}})
    flags = ["--allow-mass-removal"] if allow_mass_removal else []
    submission = submitting.prepare(sources, out, settings, nightly, flags)
    server = connect(address or settings.engine.address)
    server.check_version()
    for note in submission.notes:
        err.print(f"[yellow]Note:[/] {harmless(note)}", soft_wrap=True)
    with TemporaryDirectory(prefix="fv2es-submit-") as folder, err.status("Sending the code and the settings..."):
        sent = submitting.send(server, submission, Path(folder))
    what = "submitted" if sent.new else "at work there already, and not begun a second time"
    err.print(f"{sent.job_id}: {what}.", soft_wrap=True)
    if not detach:
        follow(server, sent.job_id, json_output, {"new": sent.new})
    if json_output:
        typer.echo(json.dumps({"job_id": sent.job_id, "new": sent.new}))
    else:
        err.print(ending(server.address, sent.job_id), soft_wrap=True)
