"""`fv2es export`: labels as subtitles, for ELAN, for Praat, as a folder of Hugging Face's datasets."""

import json
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.asking import OutArgument, RecipeOption, asked
from pipelines.cli.console import ConfigOption, JsonOption, count, harmless
from pipelines.cli.console import errors as err
from pipelines.cli.console import out as console
from pipelines.export.export import export as exporting

EXAMPLES = """
[bold]Examples[/]

  fv2es export labels/ --format vtt --to subtitles/

  fv2es export labels/ --format eaf --video talk.mp4 --to elan/

  fv2es export s3://bucket/labels --format hf --to dataset/

A file is called after its video; two videos of one name get numbers, and --json says which is which.
"""


class Format(str, Enum):
    """What is written."""

    srt = "srt"
    vtt = "vtt"
    eaf = "eaf"
    textgrid = "textgrid"
    hf = "hf"


def export(
    out: OutArgument,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            "-f",
            help="SubRip, WebVTT (with emotions), ELAN, Praat, or a dataset folder.",
            show_default=False,
        ),
    ],
    to: Annotated[Path, typer.Option("--to", help="The folder to write to; it is made.", show_default=False)],
    video: Annotated[
        str | None,
        typer.Option(
            "--video", help="One video alone: its address, how that ends, or its video_id.", show_default=False
        ),
    ] = None,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    json_output: JsonOption = False,
) -> None:
    """Write the labels of OUT in the formats of other tools."""
    with err.status("Exporting..."):
        done = asked(out, recipe, config, lambda tables: exporting(tables, form.value, to, video))
    if json_output:
        typer.echo(json.dumps(asdict(done)))
        return
    what = (
        f"{count(len(done.files), 'file')}, {count(done.rows, 'utterance')}" if done.files else count(done.rows, "row")
    )
    console.print(f"{what} written to {harmless(str(to))}.", soft_wrap=True)
