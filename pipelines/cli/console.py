"""What the subcommands share: consoles, options and the words for amounts."""

import unicodedata
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines import logs
from pipelines.config import Config, load
from pipelines.errors import SettingsError

WIDEST_TABLE = 240  # characters

out = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="A YAML file of settings; see `fv2es config show`.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables, for scripts.")]
SourcesArgument = Annotated[
    list[str], typer.Argument(metavar="SRC", help="Files, folders, globs or s3:// prefixes.", show_default=False)
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", "-w", min=1, help="Shards at work at the same time; by default one a CPU.")
]


def load_config(path: Path | None, **engine: object) -> Config:
    """The configuration in force, with flags of the engine laid over it.

    Raises:
        SettingsError: something that was set is wrong, or a flag is for another engine.
    """
    config = load(path, {"engine": engine})
    if engine.get("beam_args") is not None and config.engine.chosen != "beam":
        raise SettingsError(f"--beam-args is for --engine beam; the engine is {config.engine.chosen}.")
    if engine.get("address") is not None and config.engine.chosen == "beam":
        raise SettingsError("--address is of a Ray cluster; where Beam runs is said by a runner in --beam-args.")
    return with_logs(config)


def with_logs(config: Config) -> Config:
    """The same configuration. Where logs are for machines they begin, and nothing else is said on stderr after."""
    if config.job.log_format == "json":
        logs.begin(config.job.log_format, config.job.log_level)
    return config


def harmless(text: str, kept: str = "") -> str:
    """What a file has a say in, as a terminal may show it: its control characters could fake or hide other output.

    `kept` are control characters of our own messages.
    """
    return escape(printable(text, kept))


def printable(text: str, kept: str = "") -> str:
    """The same where no markup is read."""
    return "".join(char if char in kept or unicodedata.category(char)[0] != "C" else _named(char) for char in text)


def _named(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()


def duration(milliseconds: float) -> str:
    """A length of media or time for people: 42 s, 3 min 20 s, 12 h 5 min."""
    seconds = round(milliseconds / 1000)
    if seconds < 60:
        return f"{milliseconds / 1000:.1f} s" if seconds < 10 else f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"


def count(number: int, noun: str) -> str:
    """1 video, 2 videos."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def print_unbroken(table: Table) -> None:
    """A table as wide as its figures are, also in a pipe of 80 columns: a figure cut in two is none."""
    widest = out.measure(table, options=out.options.update(max_width=WIDEST_TABLE)).maximum
    Console(width=max(out.width, widest), highlight=False).print(table)
