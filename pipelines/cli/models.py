"""`fv2es models list | info | pull | verify`: the weights on this machine."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from models.catalogue import (
    CACHE_VARIABLE,
    CatalogueError,
    Entry,
    cache_folder,
    digest,
    entries,
    find,
    folder,
    locate,
    verify,
)
from models.fetch import pull
from pipelines.cli import models_info
from pipelines.cli.console import JsonOption, errors, out

app = typer.Typer(
    name="models",
    help="List, fetch and check the weights that labelling runs on.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("info", epilog=models_info.EXAMPLES)(models_info.info)

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Names as `fv2es models list` shows them.")
]


@app.command("list")
def list_models(json_output: JsonOption = False) -> None:
    """Show all weights: what each is for, its licence, whether it is on this machine and where."""
    states = [_state(entry) for entry in entries().values()]
    if json_output:
        typer.echo(json.dumps(states, indent=2))
        return
    table = Table("name", "role", "size", "licence", "here", box=None, header_style="bold")
    table.columns[0].no_wrap = True
    for state in states:
        size = f"{state['bytes'] / 1e6:.1f} MB" if state["bytes"] is not None else "?"
        here = "[green]yes[/]" if state["here"] else "[red]no[/]" if state["default"] else "no"
        table.add_row(state["name"], state["role"], size, state["licence"], here)
    out.print(table, soft_wrap=True)
    out.print(
        f"\nIn {escape(str(cache_folder()))}; {CACHE_VARIABLE} chooses another folder, --json shows every path.",
        soft_wrap=True,
    )


@app.command("pull", epilog="Example: fv2es models pull whisper-base")
def pull_models(
    names: Names = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="DIR", envvar="FV2ES_WEIGHTS", help="Take them from this folder (DIR/NAME/FILE)."
        ),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Fetch weights into the cache, once; without names, those that labelling needs by default."""
    chosen = _chosen(names)
    brought = []
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeElapsedColumn(),
        console=errors,
        transient=True,
    ) as bars:
        for entry in chosen:
            try:
                if pull(entry.name, from_folder=source, progress=_bar(bars, entry.name)):
                    brought.append(entry.name)
            except CatalogueError as error:
                bars.stop()
                raise _fail(error) from error
    if json_output:
        typer.echo(json.dumps({"pulled": brought, "already_here": [e.name for e in chosen if e.name not in brought]}))
        return
    for entry in chosen:
        state = "pulled" if entry.name in brought else "in the repository" if entry.package_folder else "already here"
        typer.echo(f"{entry.name}: {state}, {folder(entry)}")


@app.command("verify")
def verify_models(names: Names = None, json_output: JsonOption = False) -> None:
    """Read weights and compare them with their recorded sha256; without names, the default ones."""
    outcomes = []
    for entry in _chosen(names):
        try:
            verify(entry.name)
            outcomes.append({"name": entry.name, "ok": True, "sha256": digest(entry.name), "problem": None})
        except CatalogueError as error:
            outcomes.append({"name": entry.name, "ok": False, "sha256": None, "problem": str(error)})
    if json_output:
        typer.echo(json.dumps(outcomes, indent=2))
    else:
        for outcome in outcomes:
            typer.echo(f"{outcome['name']}: {'ok' if outcome['ok'] else outcome['problem']}", err=not outcome["ok"])
    if not all(outcome["ok"] for outcome in outcomes):
        raise typer.Exit(1)


def _chosen(names: list[str] | None) -> list[Entry]:
    try:
        return [find(name) for name in names] if names else [entry for entry in entries().values() if entry.default]
    except CatalogueError as error:
        raise _fail(error) from error


def _bar(bars: Progress, name: str) -> Callable[[int, int], None]:
    bar = bars.add_task(name, total=None)
    return lambda done, total: bars.update(bar, completed=done, total=total or None)


def _state(entry: Entry) -> dict[str, Any]:
    try:
        where, here = locate(entry.name), True
    except CatalogueError:
        where, here = folder(entry), False
    return {
        "name": entry.name,
        "role": entry.role,
        "licence": entry.licence,
        "bytes": entry.size or (where.stat().st_size if here and where.is_file() else None),
        "default": entry.default,
        "here": here,
        "where": str(where),
    }


def _fail(error: CatalogueError) -> typer.Exit:
    typer.echo(f"Error: {error}", err=True)
    return typer.Exit(1)
