"""`fv2es status`: how far the last run on an output has come."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from operators.commit import Store
from pipelines import progress
from pipelines.cli.console import ConfigOption, JsonOption, duration, load_config
from pipelines.cli.console import out as console
from pipelines.errors import SettingsError
from pipelines.storage import explained

EXAMPLES = """
[bold]Examples[/]

  fv2es status labels/

  fv2es status s3://bucket/labels --json
"""


def status(
    out: Annotated[str, typer.Argument(metavar="OUT", help="The output of a job.", show_default=False)],
    config: ConfigOption = None,
    json_output: JsonOption = False,
) -> None:
    """Say how far the last run has come: shards and media done, failed and left, speed, time left."""
    load_config(config).storage.apply()
    with explained(out):
        found = progress.of_last_run(Store(out))
    if found is None:
        raise SettingsError(f"{out}: no run of FV2ES has written here. Is the path right?")
    if json_output:
        typer.echo(json.dumps(asdict(found)))
        return
    table = Table(title=f"Run {found.run_id}: {found.state}", title_justify="left", show_header=False)
    table.add_column("what")
    table.add_column("amount", justify="right")
    table.add_row("started", found.started_at)
    table.add_row("finished", found.finished_at or "-")
    table.add_row("shards done", f"{found.shards_done:,} of {found.shards:,}")
    table.add_row("media done", f"{duration(found.media_done_ms)} of {duration(found.media_ms)}")
    table.add_row("media left", duration(found.media_ms - found.media_done_ms))
    table.add_row("failed segments", f"{found.segments_failed:,} ({duration(found.media_failed_ms)})")
    table.add_row("utterances", f"{found.utterances:,}")
    table.add_row("speed", f"{found.speed:.2f} x real time" if found.speed else "-")
    table.add_row("time left", duration(found.left_s * 1000) if found.left_s is not None else "-")
    table.add_row("last commit", found.last_commit_at or "-")
    console.print(table)
