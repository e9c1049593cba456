"""`fv2es sizing`: how long a machine would take, by calculation."""

import json
import os
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from pipelines.cli.console import ConfigOption, JsonOption, WorkersOption, duration, load_config
from pipelines.cli.console import out as console
from pipelines.sizing import CARDS, UTILISATION, Estimate, estimate

EXAMPLES = """
[bold]Examples[/]

  fv2es sizing --hours 1000 --cpu-cores 64

  fv2es sizing --hours 1000 --cpu-cores 64 --gpu a10g --gpus 4 --config large.yaml
"""


def sizing(
    hours: Annotated[float, typer.Option(min=0, help="Of video.")] = 1_000.0,
    cpu_cores: Annotated[int, typer.Option(min=1, help="Of the machine; by default this one's.")] = os.cpu_count() or 1,
    gpu: Annotated[str | None, typer.Option(help=f"The card: {', '.join(CARDS)}.", show_default=False)] = None,
    gpus: Annotated[
        float | None, typer.Option(min=0, help="How many; by default one with --gpu.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    workers: WorkersOption = None,
    json_output: JsonOption = False,
) -> None:
    """Calculate how fast a machine would label talking heads in 720p30. Nothing of it is measured on a GPU."""
    count = gpus if gpus is not None else (1.0 if gpu else None)
    settings = load_config(config, workers=workers, gpus=count)
    made = estimate(settings, hours, cpu_cores, gpu)
    if json_output:
        typer.echo(json.dumps(asdict(made)))
    else:
        _show(made, hours)


def _show(made: Estimate, hours: float) -> None:
    table = Table("stage", "on", box=None, header_style="bold")
    for name in ("workers", "CPU s", "GPU ms"):
        table.add_column(name, justify="right")
    for stage in made.stages:
        gpu_ms = 1000 * (stage.gpu_s + stage.decoder_s)
        place = "GPU" if stage.on_gpu else "CPU"
        shown = f"{gpu_ms:.2f}" if stage.on_gpu else "-"
        table.add_row(stage.stage, place, f"{stage.workers:,}", f"{stage.cpu_s:.3f}", shown)
    console.print("[bold]Calculated, not measured[/]: each stage's cost for a second of video")
    console.print(table)
    console.print("\nSeconds of video a second, if nothing counted but")
    for name, speed in sorted(made.limits.items(), key=lambda item: item[1]):
        console.print(f"  {name:<25} {speed:>8,.0f}")
    wall = duration(made.wall_hours * 3_600_000)
    console.print(
        f"\nSo about [bold]{made.speed:,.0f}[/] x real time, limited by {made.limited_by}: {hours:,g} hours in {wall}."
    )
    if made.gpu_share_gb is not None:
        console.print(
            f"Each process on a GPU has {made.gpu_share_gb:.1f} GB of it. GPUs are taken to reach {UTILISATION:.0%} of "
            "what their data sheets say."
        )
    console.print("Talking heads in 720p30. Try it on videos like yours before you buy.")
