"""`fv2es label`: label every video of a corpus that isn't labelled yet."""

from typing import Annotated

import typer

from pipelines import job, run
from pipelines.cli.console import ConfigOption, JsonOption, SourcesArgument, WorkersOption, load_config
from pipelines.cli.console import errors as err
from pipelines.cli.running import EXIT_CODES, follow

EXAMPLES = f"""
[bold]Examples[/]

  fv2es label videos/ --out labels/

  fv2es label 'talks/*.mp4' extra.mkv --out labels/ --workers 8

  fv2es label s3://bucket/corpus --out s3://bucket/labels --address auto --gpus 2

  fv2es label videos/ --out labels/ --engine beam --beam-args '--runner=FlinkRunner --flink_master=flink:8081'

{EXIT_CODES}
"""

OutOption = Annotated[
    str, typer.Option("--out", "-o", help="Folder or s3:// prefix of the Parquet.", show_default=False)
]
GpusOption = Annotated[
    float | None, typer.Option(min=0, help="GPUs to share between transcription and inference, by Ray.")
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        help="A Ray cluster that this machine belongs to: auto, or HOST:PORT of its GCS; by default the work is done "
        "here. From elsewhere: fv2es submit."
    ),
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        help="processes, ray, beam, or local: a plain loop in one process. By default ray with --address or GPUs, else "
        "processes."
    ),
]
BeamArgsOption = Annotated[
    str | None,
    typer.Option(
        help="Options of Beam and its runner, in one string; by default '--runner=FnApiRunner', which runs here."
    ),
]


def label(
    sources: SourcesArgument,
    out: OutOption,
    config: ConfigOption = None,
    workers: WorkersOption = None,
    gpus: GpusOption = None,
    address: AddressOption = None,
    engine: EngineOption = None,
    beam_args: BeamArgsOption = None,
    json_output: JsonOption = False,
) -> None:
    """Label every video of SRC that isn't labelled yet; Parquet goes to OUT."""
    settings = load_config(config, workers=workers, gpus=gpus, address=address, engine=engine, beam_args=beam_args)
    with err.status("Looking at the corpus..."):
        prepared = job.prepare(sources, out, settings)
    follow(lambda watcher: run.label(prepared, watcher), out, json_output)
