"""`fv2es config`: show the settings in force, validate a file, print the schema."""

import json
from pathlib import Path
from typing import Annotated

import typer
import yaml

from pipelines.cli.console import ConfigOption, JsonOption
from pipelines.cli.console import out as console
from pipelines.config import Config, load

app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})


@app.command(epilog="[bold]Example[/]\n\n  fv2es config show > fv2es.yaml")
def show(
    config: ConfigOption = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema with descriptions instead.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Print the settings in force, from defaults, file and environment, as YAML."""
    if schema:
        typer.echo(json.dumps(Config.model_json_schema(), indent=2))
        return
    values = load(config).shown()
    typer.echo(json.dumps(values) if json_output else yaml.safe_dump(values, sort_keys=False).rstrip())


@app.command(epilog="[bold]Example[/]\n\n  fv2es config validate fv2es.yaml")
def validate(file: Annotated[Path, typer.Argument(help="A YAML file of settings.")]) -> None:
    """Check a file of settings without running anything."""
    load(file)
    console.print(f"{file}: valid.", soft_wrap=True, markup=False)
