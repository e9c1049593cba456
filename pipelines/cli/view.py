"""`fv2es view`: look at an output and its videos in a browser, and say where a label is wrong."""

import asyncio
import getpass
import webbrowser
from typing import Annotated

import typer
from rich.markup import escape

from pipelines.cli.console import ConfigOption, load_config
from pipelines.cli.console import errors as err
from pipelines.cli.console import out as console
from pipelines.errors import SettingsError

EXAMPLES = """
[bold]Examples[/]

  fv2es view labels/

  fv2es view s3://bucket/labels --port 8765 --annotator maria

The page is for this machine: from another one, `ssh -L 8765:127.0.0.1:8765 there` brings it to you. The address that \
is printed carries a token; whoever has it can see what you see, and write verdicts. They are kept in OUT/annotations/.
"""

LONGEST_NAME = 100


def view(
    out: Annotated[str, typer.Argument(metavar="OUT", help="The output of a job.", show_default=False)],
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0: one that is free.")] = 0,
    recipe: Annotated[
        str | None, typer.Option(help="The id of a recipe, or how it begins; by default the latest one.")
    ] = None,
    annotator: Annotated[
        str | None, typer.Option(help="The name that verdicts are kept under; by default that of your account.")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in your browser.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show a page with all videos, each with its player and its labels on a time line, on this machine alone."""
    from pipelines.view.access import Access  # what serves pages is of no use to the other subcommands
    from pipelines.view.outputs import Output
    from pipelines.view.server import LOOPBACK, View, serve

    load_config(config).storage.apply()
    access = Access()
    output = Output(out, recipe)

    def ready(at: int) -> None:
        address = f"http://{LOOPBACK}:{at}/#token={access.token}"
        console.print(f"[bold]{escape(address)}[/]", soft_wrap=True)
        err.print("Open this address in a browser on this machine. Ctrl-C ends the page.")
        if open_page:
            webbrowser.open(address)

    try:
        asyncio.run(serve(View(output, _named(annotator), access), port, ready))
    finally:
        output.close()


def _named(annotator: str | None) -> str:
    name = (annotator if annotator is not None else _account()).strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise SettingsError(f"--annotator: a name of 1 to {LONGEST_NAME} printable characters is wanted.")
    return name


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in some containers
        return "unnamed"
