"""`fv2es plan`: what `label` would do, without doing it."""

import json
from typing import Annotated

import typer

from pipelines import job
from pipelines.cli.console import (
    ConfigOption,
    JsonOption,
    SourcesArgument,
    WorkersOption,
    count,
    duration,
    harmless,
    load_config,
)
from pipelines.cli.console import errors as err
from pipelines.cli.console import out as console
from pipelines.errors import EXIT_FAILED_SEGMENTS, EXIT_OK

EXAMPLES = """
[bold]Examples[/]

  fv2es plan videos/

  fv2es plan videos/ --out labels/ --json
"""


def plan(
    sources: SourcesArgument,
    out: Annotated[
        str | None, typer.Option("--out", "-o", help="An output to compare with: what is done there?")
    ] = None,
    config: ConfigOption = None,
    workers: WorkersOption = None,
    json_output: JsonOption = False,
) -> None:
    """Say what there is to label: videos, hours, shards, what is done already, what can't be read."""
    settings = load_config(config, workers=workers)
    with err.status("Looking at the corpus..."):
        made = job.preview(sources, out, settings)
    unreadable = [
        {"uri": video.uri, "status": video.status, "reason": video.reason} for video in made.unreadable
    ] + list(made.failed)
    if json_output:
        values = {
            "videos": made.videos,
            "skipped_files": made.skipped,
            "done_videos": made.done_videos,
            "done_ms": made.done_ms,
            "to_do_ms": made.media_ms,
            "shards": [{"shard_id": item.shard_id, "media_ms": item.media_ms} for item in made.shards],
            "kept_shards": made.kept,
            "unreadable": unreadable,
        }
        typer.echo(json.dumps(values))
    else:
        console.print(f"{count(made.videos, 'video')}; {count(made.skipped, 'file')} skipped, not media by name.")
        console.print(f"Done before: {count(made.done_videos, 'video')}, {duration(made.done_ms)}.")
        kept = f" ({made.kept} from an unfinished run)" if made.kept else ""
        console.print(f"To do: {count(len(made.shards), 'shard')}{kept}, {duration(made.media_ms)} of media.")
        for item in unreadable:
            console.print(
                f"[red]{item['status']}[/] {harmless(item['uri'])}: {harmless(item['reason'] or '')}", soft_wrap=True
            )
    raise typer.Exit(EXIT_FAILED_SEGMENTS if unreadable else EXIT_OK)
