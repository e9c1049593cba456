"""`fv2es report`: an output as one page to look at."""

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipelines import runs
from pipelines.cli.asking import OutArgument, RecipeOption, asked
from pipelines.cli.console import ConfigOption, JsonOption, harmless
from pipelines.cli.console import errors as err
from pipelines.cli.console import out as console
from pipelines.errors import JobError, SettingsError
from pipelines.tables import MEMORY_MB

EXAMPLES = """
[bold]Examples[/]

  fv2es report labels/                                  # writes labels-report.html here

  fv2es report s3://bucket/labels --output /srv/www/last-night.html --dated

  fv2es report labels/ --json > report.json

The page is one file that loads nothing: send it, print it, put it on any server. It names files and quotes what is \
said in some of them.

Exit codes: 0 written; 2 a setting is wrong; 1 the output can't be read, or the page can't be written.
"""


def report(
    out: OutArgument,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="The page; - is standard output.", show_default="OUT-report.html, here"),
    ] = None,
    dated: Annotated[
        bool, typer.Option("--dated", help="Say on the page when it was made; else the same rows give the same page.")
    ] = False,
    recipe: RecipeOption = None,
    memory_mb: Annotated[
        int, typer.Option("--memory-mb", min=128, help="Memory that DuckDB may take; it spills what is beyond.")
    ] = MEMORY_MB,
    config: ConfigOption = None,
    json_output: JsonOption = False,
) -> None:
    """Make a page of what was labelled, what failed, the emotions, whether modalities agree, doubts, drift, speed."""
    from pipelines.report.gather import gather  # matplotlib and the rest: the other subcommands start without them
    from pipelines.report.page import render_page

    to = None if json_output or output == "-" else _target(out, output)
    with err.status("Adding up the labels..."):
        found = asked(out, recipe, config, lambda tables: gather(tables, out), memory_mb)
        text = json.dumps(asdict(found), indent=2) if json_output else render_page(found, runs.now() if dated else None)
    if to is None:
        typer.echo(text)
        return
    try:
        _write(to, text)
    except OSError as error:
        raise JobError(f"{to} can't be written: {error.strerror}.") from error
    console.print(f"Report: {harmless(str(to))}", soft_wrap=True)


def _target(out: str, output: str | None) -> Path:
    """Where the page goes; said before any work. OUT holds tables alone: what else lay there would come to be read."""
    name = out.rstrip("/").rpartition("/")[2] or "fv2es"
    to = (
        Path(output)
        if output is not None
        else Path(f"{Path(name).resolve().name if name in '..' else name}-report.html")
    )
    if to.is_dir():
        raise SettingsError(f"--output {to}: that is a folder; a file is wanted.")
    if not to.parent.is_dir():
        raise SettingsError(f"--output {to}: there is no folder {to.parent}.")
    if "://" not in out and to.resolve().is_relative_to(Path(out).resolve()):
        raise SettingsError(f"{to} would lie in {out}, which holds tables alone. Say where else: --output FILE.")
    return to


def _write(to: Path, text: str) -> None:
    """At once: whoever opens it sees the old page or the new one."""
    handle, name = tempfile.mkstemp(dir=to.parent, prefix=f".{to.name}-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(to)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
