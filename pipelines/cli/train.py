"""`fv2es train`: train a branch, or V2EM whole, from corpora on disk."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.markup import escape

from models.catalogue import CatalogueError
from pipelines.cli.console import JsonOption
from pipelines.cli.console import errors as err
from pipelines.cli.console import out as console
from pipelines.errors import EXIT_INTERRUPTED, SettingsError

EXAMPLES = """
[bold]Examples[/]

  fv2es train --config models/experiments/face.yaml --data corpora/ --out trained/face

  fv2es train --config models/experiments/text.yaml --data corpora/ --out trained/text --set loop.seed=1

  fv2es train --config models/experiments/v2em-iemocap.yaml --data IEMOCAP/ --out trained/v2em --workers 2

A training that was cut off goes on when the same command is given again. Several workers share out every batch, and
average their gradients; on a cluster, --data and --out are folders that all machines see.
"""


def train(
    config: Annotated[Path, typer.Option("--config", "-c", help="The experiment: a YAML file.", show_default=False)],
    data: Annotated[
        Path,
        typer.Option("--data", help="Folder of the corpora, in the layout of each.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for checkpoints, measures and weights.", show_default=False)
    ],
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a setting, as loop.epochs=3.")
    ] = None,
    resume: Annotated[
        bool, typer.Option(help="Go on where an earlier run in --out was cut off, or begin again.")
    ] = True,
    workers: Annotated[
        int, typer.Option("--workers", "-w", min=1, help="Train on so many CPUs, or GPUs where there are as many.")
    ] = 1,
    address: Annotated[str | None, typer.Option(help="A Ray cluster to train on, instead of this machine.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Train a branch of V2EM-S, or V2EM: every number that decides the weights is in the experiment's file."""
    # Imported here: `fv2es label -h` has no use for training's libraries.
    from models.corpora.item import CorpusError
    from models.evaluate.inputs import UnreadableError
    from models.train.curves import plot_curves
    from models.train.experiment import read_experiment, run_experiment, shared_out
    from models.train.loop import TrainingError, read_metrics, start_afresh

    if not data.is_dir():
        raise SettingsError(f"no folder at {data}: give the one that holds the corpora")
    if out.exists() and not out.is_dir():
        raise SettingsError(f"{out} is a file; --out wants a folder.")

    def report(row: dict[str, Any]) -> None:
        plot_curves(read_metrics(out), out / "curves.svg")
        measures = "  ".join(f"{name} {value:.4g}" for name, value in row.items() if name != "epoch")
        err.print(f"epoch {row['epoch']}/{experiment.loop.epochs}  {escape(measures)}", soft_wrap=True)

    try:
        experiment = read_experiment(config, dict(_changed(change) for change in changes or []))
        run = partial(run_experiment, shared_out(experiment, workers), data.absolute())
        if not resume:
            start_afresh(out)
        if workers == 1 and not address:
            measures = run(out, report)
        else:
            from pipelines.ray_train import train_on_ray

            measures = train_on_ray(run, out, workers, address, experiment.loop.device, report)
    except (TrainingError, CatalogueError, CorpusError, UnreadableError, FileNotFoundError) as error:
        raise SettingsError(str(error)) from error
    except KeyboardInterrupt:
        err.print(f"Stopped; the same command goes on after the last whole epoch, kept in {escape(str(out))}.")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if json_output:
        typer.echo(json.dumps({"out": str(out), "measures": measures}))
        return
    for name, value in measures.items():
        console.print(f"{name}  {value:.4f}")
    console.print(f"Weights, measures and curves are in {escape(str(out))}.", soft_wrap=True)


def _changed(change: str) -> tuple[str, Any]:
    name, equals, value = change.partition("=")
    if not equals or not name:
        raise SettingsError(f"--set {change}: say NAME=VALUE, as loop.epochs=3")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise SettingsError(f"--set {change}: the value is not YAML: {error}") from error
