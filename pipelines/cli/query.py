"""`fv2es query`: ask an output anything, in SQL."""

import itertools
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import duckdb
import pyarrow as pa
import typer
from rich.table import Table

from pipelines import results
from pipelines.cli.asking import OutArgument, RecipeOption, asked
from pipelines.cli.console import ConfigOption, JsonOption, count, harmless, print_unbroken
from pipelines.cli.console import errors as err
from pipelines.errors import JobError, SettingsError
from pipelines.tables import MEMORY_MB, Tables

ROWS_SHOWN = 200
WIDEST_CELL = 60  # characters

EXAMPLES = """
[bold]Examples[/]

  fv2es query labels/ "SELECT uri, start_s, text FROM labels WHERE emotion = 'angry' ORDER BY confidence DESC LIMIT 20"

  fv2es query labels/ "SELECT dominant, count(*), sum(duration_s) / 3600 AS hours FROM videos GROUP BY dominant"

  fv2es query s3://bucket/labels --format parquet --output fear.parquet "FROM labels WHERE p_fear > .5"

  fv2es query labels/ - < question.sql

Views: [bold]labels[/] (a row an utterance), [bold]segments[/] (the ledger, with reasons of failures), [bold]videos[/] \
(minutes by emotion, dominant, shares), [bold]words[/], and [bold]annotations[/] where there are any. \
"DESCRIBE labels" names the columns.

Exit codes: 0 answered; 2 the SQL or a setting is wrong; 1 the output can't be read.
"""


class Format(str, Enum):
    """How rows are written."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def query(
    out: OutArgument,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT; - reads it from standard input.")],
    form: Annotated[Format, typer.Option("--format", "-f", help="json is one object a line.")] = Format.table,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the rows to this file.", show_default=False)
    ] = None,
    recipe: RecipeOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show how DuckDB would answer, and don't.")] = False,
    memory_mb: Annotated[
        int, typer.Option("--memory-mb", min=100, help="What DuckDB may hold in memory; beyond that it uses the disk.")
    ] = MEMORY_MB,
    config: ConfigOption = None,
    json_output: JsonOption = False,
) -> None:
    """Ask OUT anything in SQL, read-only, on DuckDB."""
    form = Format.json if json_output else form
    if form is Format.table and output is not None:
        raise SettingsError("--output wants --format csv, json or parquet.")
    if form is Format.parquet and output is None and sys.stdout.isatty():
        raise SettingsError("--format parquet is not for a terminal; name a file by --output.")
    text = sys.stdin.read() if sql == "-" else sql

    def ask(tables: Tables) -> None:
        if explain:
            typer.echo(tables.explain(text))
        elif form is Format.table:
            show(tables.query(text))
        else:
            _write(tables.query(text), form, output)

    asked(out, recipe, config, ask, memory_mb)


def _write(rows: pa.RecordBatchReader, form: Format, output: Path | None) -> None:
    write = results.WRITERS[form.value]
    if output is None:
        # Whatever is wrong with the question shows at its first batch, and before anything is printed.
        first = next(iter(rows), None)
        batches = itertools.chain([] if first is None else [first], rows)
        try:
            write(pa.RecordBatchReader.from_batches(rows.schema, batches), sys.stdout.buffer)
        except duckdb.Error as error:
            raise JobError(f"The rows printed are not all: {str(error).splitlines()[0]} Ask again.") from error
        sys.stdout.buffer.flush()
        return
    try:
        written = results.to_file(rows, output, write)
    except OSError as error:
        raise JobError(f"Can't write {output}: {error.strerror or error}.") from error
    err.print(f"{count(written, 'row')} written to {harmless(str(output))}.", soft_wrap=True)


def show(rows: pa.RecordBatchReader) -> None:
    """Print the first rows as a table."""
    found: list[tuple[Any, ...]] = []
    for batch in rows:
        found += zip(*(column.to_pylist() for column in batch.columns), strict=True)
        if len(found) > ROWS_SHOWN:
            break
    table = Table(box=None, header_style="bold")
    for field in rows.schema:
        table.add_column(harmless(field.name), justify="right" if _is_number(field.type) else "left", no_wrap=True)
    for row in found[:ROWS_SHOWN]:
        table.add_row(*(cell(value) for value in row))
    print_unbroken(table)
    if len(found) > ROWS_SHOWN:
        err.print(f"There are more than these {ROWS_SHOWN} rows; --format csv, json or parquet writes all.")


def cell(value: Any) -> str:
    """A value as a cell of a table shows it."""
    if value is None:
        return "[dim]-[/]"
    text = f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return harmless(text if len(text) <= WIDEST_CELL else f"{text[: WIDEST_CELL - 1]}…")


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
