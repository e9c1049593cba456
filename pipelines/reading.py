"""Labels in Python: any question in SQL, the answer as Arrow, pandas or Polars."""

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines import questions
from pipelines.tables import open_tables

if TYPE_CHECKING:
    import pandas
    import polars

MAX_FOUND = 100_000


class Answer:
    """The rows of a query. They can be taken once, in one of these forms."""

    def __init__(self, rows: pa.RecordBatchReader) -> None:
        self._rows = rows

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Piece by piece, for more rows than memory holds."""
        yield from self._rows

    def arrow(self) -> pa.Table:
        """As an Arrow table."""
        return self._rows.read_all()

    def pandas(self) -> "pandas.DataFrame":
        """As a data frame of pandas."""
        return self.arrow().to_pandas()

    def polars(self) -> "polars.DataFrame":
        """As a data frame of Polars, which has to be installed."""
        import polars

        frame = polars.from_arrow(self.arrow())
        assert isinstance(frame, polars.DataFrame)  # noqa: S101 - of a table it is one
        return frame


class Labels:
    """An output, opened for reading: `labels`, `segments`, `videos` and `words` of one recipe, as they were then.

    Args:
        out: a folder or an s3:// prefix.
        recipe: the id of a recipe, or how it begins; the latest one with labels when it is None.
    """

    def __init__(self, out: str, recipe: str | None = None) -> None:
        self._tables = open_tables(out, recipe)

    @property
    def recipe(self) -> str:
        """The id of the recipe."""
        return self._tables.partition.removeprefix("recipe=")

    def __enter__(self) -> "Labels":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the output."""
        self._tables.close()

    def sql(self, query: str) -> Answer:
        """Ask anything, in DuckDB's SQL, over the views.

        Raises:
            pipelines.read_only.NotReadOnlyError: it does more than read.
            duckdb.Error: it is wrong.
        """
        return Answer(self._tables.query(query))

    def labels(self) -> Answer:
        """All labels, one row an utterance."""
        return self.sql("FROM labels")

    def videos(self) -> Answer:
        """All videos: minutes by emotion, the dominant one, shares of speech and faces."""
        return self.sql("FROM videos ORDER BY uri")

    def segments(self) -> Answer:
        """The ledger: what became of each segment, and why."""
        return self.sql("FROM segments ORDER BY uri, start_ms")

    def top(self, emotion: str, min_confidence: float = 0.0, limit: int = 20) -> pa.Table:
        """The utterances that are this emotion with the greatest confidence."""
        return pa.Table.from_pylist(questions.top(self._tables, emotion, min_confidence, limit))

    def find(self, phrase: str, limit: int = MAX_FOUND) -> Iterator[questions.Found]:
        """Where a phrase is said; case, accents and punctuation don't count."""
        return questions.find(self._tables, phrase, limit)
