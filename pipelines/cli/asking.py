"""What the commands that ask an output share: options, the opened tables, and words for what goes wrong."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import duckdb
import typer

from pipelines.cli.console import load_config
from pipelines.errors import JobError, SettingsError
from pipelines.read_only import NotReadOnlyError
from pipelines.storage import explained
from pipelines.tables import ATTEMPTS, MEMORY_MB, Tables, open_tables

OutArgument = Annotated[str, typer.Argument(metavar="OUT", help="The output of a job.", show_default=False)]
RecipeOption = Annotated[
    str | None,
    typer.Option("--recipe", help="Of this recipe, by its id or how that begins; else the latest.", show_default=False),
]

Answer = TypeVar("Answer")


def asked(
    out: str, recipe: str | None, config: Path | None, ask: Callable[[Tables], Answer], memory_mb: int = MEMORY_MB
) -> Answer:
    """Open an output, ask it, and ask again where it can't be read but has changed since.

    Raises:
        SettingsError: the question, or a setting, is wrong.
        JobError: the output can't be read.
    """
    load_config(config).storage.apply()
    seen: dict[str, str] = {}
    for _ in range(ATTEMPTS):
        with explained(out), open_tables(out, recipe, memory_mb) as tables:
            try:
                with explaining_sql(tables):
                    return ask(tables)
            except duckdb.Error as error:
                if tables.committed.labels == seen:
                    raise unreadable(out, error) from error
                seen, why = tables.committed.labels, error
    raise unreadable(out, why) from why


def unreadable(out: str, error: Exception) -> JobError:
    """In words, what DuckDB says of the files."""
    return JobError(
        f"{out} can't be read: {str(error).splitlines()[0]} `fv2es validate {out}` names all that is damaged; if a run "
        "is at work on it, ask again."
    )


@contextmanager
def explaining_sql(tables: Tables) -> Iterator[None]:
    """Turn what DuckDB says to somebody's SQL into words for them, with the views and their columns.

    Raises:
        SettingsError: the SQL is wrong, or asks for more memory than there is.
    """
    try:
        yield
    except NotReadOnlyError as error:
        raise SettingsError(f"The SQL was not run: {error}.") from error
    except duckdb.OutOfMemoryException as error:
        raise SettingsError(
            f"The query needs more memory than it may have: {str(error).splitlines()[0]} Allow it more by --memory-mb."
        ) from error
    except (duckdb.IOException, duckdb.InvalidInputException):
        raise  # of the files
    except duckdb.Error as error:
        views = "\n".join(f"  {name}: {', '.join(columns)}" for name, columns in sorted(tables.columns().items()))
        raise SettingsError(f"The SQL is wrong. {error}\n\nThere are these views:\n{views}") from error
