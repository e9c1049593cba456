"""`fv2es label`: label every video of a corpus that isn't labelled yet."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipelines import job
from pipelines.cli.console import ConfigOption, JsonOption, SourcesArgument, WorkersOption, count, duration, load_config
from pipelines.cli.console import errors as err
from pipelines.cli.console import out as console
from pipelines.cli.progress import MediaProgress
from pipelines.errors import EXIT_FAILED_SEGMENTS, EXIT_INTERRUPTED, EXIT_OK

EXAMPLES = """
[bold]Examples[/]

  fv2es label videos/ --out labels/

  fv2es label 'talks/*.mp4' extra.mkv --out labels/ --workers 8

  fv2es label s3://bucket/corpus --out s3://bucket/labels --address ray://head:6379 --gpus 2

Exit codes: 0 all labelled; 3 finished, but some files could not be: they are listed, and stand in the ledger with \
the reason; 2 a setting is wrong; 1 the job could not go on. After any interruption, the same command goes on.
"""

OutOption = Annotated[
    str, typer.Option("--out", "-o", help="Folder or s3:// prefix of the Parquet.", show_default=False)
]
MAX_FAILURES_SHOWN = 20


def label(
    sources: SourcesArgument,
    out: OutOption,
    config: ConfigOption = None,
    workers: WorkersOption = None,
    gpus: Annotated[
        float | None, typer.Option(min=0, help="GPUs to share between transcription and inference.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="A Ray cluster; by default Ray runs here for this job.")] = None,
    engine: Annotated[str | None, typer.Option(help="ray, or local: a plain loop in one process.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Label every video of SRC that isn't labelled yet; Parquet goes to OUT."""
    settings = load_config(config, workers=workers, gpus=gpus, address=address, engine=engine)
    with err.status("Looking at the corpus..."):
        prepared = job.prepare(sources, out, settings)
    plan = prepared.plan
    if not json_output:
        err.print(
            f"{count(plan.videos, 'video')}, {plan.done_videos:,} done before; to do: "
            f"{count(len(plan.shards), 'shard')}, {duration(plan.media_ms)} of media"
            + (f"; {count(plan.skipped, 'file')} skipped, not media by name" if plan.skipped else "")
        )
    try:
        with MediaProgress(err, plan.media_ms) as progress:
            result = job.run(prepared, progress.committed)
    except KeyboardInterrupt:
        err.print("Interrupted. What is committed stays; run the same command again to go on.", soft_wrap=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if json_output:
        typer.echo(json.dumps(asdict(result) | {"partition": prepared.partition}))
    else:
        show(result, f"{out.rstrip('/')}/labels/{prepared.partition}/*.parquet")
    raise typer.Exit(EXIT_FAILED_SEGMENTS if result.failed else EXIT_OK)


def show(result: job.Result, files: str) -> None:
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
            f"[red]{failure['status']}[/] {escape(failure['uri'])}: {escape(failure['reason'] or '')}", soft_wrap=True
        )
    if len(result.failed) > MAX_FAILURES_SHOWN:
        console.print(f"... and {len(result.failed) - MAX_FAILURES_SHOWN:,} more: see the segments table.")
    console.print(f"Labels: {escape(files)}", soft_wrap=True)
