"""An output as SQL tables: `labels`, `segments`, `videos`, `words`, and `annotations` where there are any.

DuckDB reads the committed files and nothing else: it opens no other path or address, loads no extension, keeps to its
memory, and its settings are locked.
"""

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from operators.commit import OutputError, Store
from operators.schema import FAILED, LABELS
from operators.write import file_names
from pipelines import committed as committing
from pipelines import job, label_sums, table_views
from pipelines.committed import Committed
from pipelines.label_sums import SUMS, SUMS_SCHEMA
from pipelines.read_only import checked
from pipelines.storage import explained

MEMORY_MB = 1024
SPILL_MB = 20_000
"""What a query may keep in memory, and beyond that in a temporary folder, which goes when the tables are closed."""

BATCH_ROWS = 10_000

ATTEMPTS = 8
"""A run at work on the output may take away a file between our listing and our reading: then all is read anew."""

ANNOTATIONS = "annotations"

_ALL_OFF = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
}
_GLOB = re.compile(r"[*?\[]")


class Tables:
    """The views of one recipe of an output, on a connection of DuckDB that can only read them.

    Attributes:
        connection: takes any SQL of ours, with parameters; `connection.cursor()` for another thread.
        partition: the recipe's partition.
        committed: what was committed when it was opened; the views show no more than that.
        unsummed: the labels files whose sums were not stored; they are added up when a question needs them.
    """

    def __init__(self, store: Store, committed: Committed, memory_mb: int = MEMORY_MB) -> None:
        self.store = store
        self.committed = committed
        self.partition = committed.partition
        self._labels_folder = f"labels/{committed.partition}"
        self._spill = tempfile.TemporaryDirectory(prefix="fv2es-query-", ignore_cleanup_errors=True)
        limits = {"memory_limit": f"{memory_mb}MB", "temp_directory": self._spill.name}
        self.connection = duckdb.connect(config={**limits, **_ALL_OFF, "max_temp_directory_size": f"{SPILL_MB}MB"})
        if not store.local:
            self.connection.register_filesystem(store.filesystem)
        try:
            self._add_views()
            self._lock()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Tables":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection, and remove what it has spilled."""
        self.connection.close()
        self._spill.cleanup()

    def query(self, sql: str) -> pa.RecordBatchReader:
        """Run a query that somebody else wrote; its rows come in batches, as they are read.

        Raises:
            NotReadOnlyError: it does more than read.
            duckdb.Error: it is wrong.
        """
        query = checked(self.connection.cursor(), sql)
        rows = self.connection.cursor().sql(query).to_arrow_reader(BATCH_ROWS)
        return pa.RecordBatchReader.from_batches(rows.schema, _batches(rows))

    def explain(self, sql: str) -> str:
        """How DuckDB would answer a query that somebody else wrote; raises as `query`."""
        query = checked(self.connection.cursor(), sql)
        rows = self.connection.cursor().execute(f"EXPLAIN {query}").fetchall()
        return "\n".join(str(row[1]) for row in rows)

    def columns(self) -> dict[str, list[str]]:
        """The columns of each view."""
        query = "SELECT table_name, list(column_name ORDER BY ordinal_position) FROM information_schema.columns "
        rows = self.connection.cursor().execute(f"{query} WHERE table_schema = 'main' GROUP BY 1").fetchall()
        return {str(name): list(names) for name, names in rows}

    def arrow(self, sql: str, parameters: Sequence[Any] | dict[str, Any] | None = None) -> pa.Table:
        """The result of a query of ours, as a whole."""
        return self.connection.cursor().sql(sql, params=parameters).to_arrow_table()

    def rows_in(self, names: Iterable[str]) -> str:
        """SQL for the label rows in some of the labels files of `committed`; replaced versions are among them."""
        stems = [name.rpartition("/")[2].removesuffix(".parquet") for name in names]
        if not stems:
            return "stored.no_labels"
        # Ten thousand files as one string: as a list of literals they take DuckDB's parser a third of a second.
        joined, folder = (_quoted(_literal(text)) for text in ("/".join(stems), self._address(self._labels_folder)))
        paths = f"list_transform(string_split({joined}, '/'), lambda stem: {folder} || '/' || stem || '.parquet')"
        return f"read_parquet({paths}, hive_partitioning = false)"

    def files_of(self, video_ids: Sequence[str]) -> list[str]:
        """The labels files of `committed` that hold the rows of some videos."""
        ledger = self.committed.ledger
        rows = ledger.filter(pc.is_in(ledger["video_id"], pa.array(video_ids, pa.string())))
        names = (file_names(self.partition, shard_id)[0] for shard_id in pc.unique(rows["shard_id"]).to_pylist())
        return [name for name in names if name in self.committed.labels]

    def _add_views(self) -> None:
        connection, found = self.connection, self.committed
        stored = label_sums.read(self.store, self.partition, found.labels, SUMS_SCHEMA.names)
        summed = set(pc.unique(stored["file"]).to_pylist())
        tables = {
            "segment_rows": found.ledger,
            "replaced": pa.table({"video_id": pa.array(found.replaced, pa.string())}),
            "failed_statuses": pa.table({"status": pa.array(FAILED)}),
            "stored_sums": stored,
            "no_labels": LABELS.empty_table(),
        }
        connection.execute("CREATE SCHEMA stored")
        for name, table in tables.items():
            connection.from_arrow(table).create(f"stored.{name}")
        self.unsummed = [name for name in found.labels if name not in summed]
        others = SUMS.format(keys="video_id", rows=self.rows_in(self.unsummed))
        connection.execute(f"CREATE VIEW stored.label_rows AS FROM {self.rows_in(found.labels)}")
        connection.execute(f"CREATE VIEW stored.other_sums AS {others}")
        annotations = [self._address(name) for name in self.store.names(ANNOTATIONS, ".parquet")]
        if annotations:
            paths = ", ".join(_quoted(_literal(path)) for path in annotations)
            read = f"read_parquet([{paths}], hive_partitioning = false, union_by_name = true)"
            connection.execute(f"CREATE VIEW stored.annotation_rows AS FROM {read}")
        for statement in table_views.statements(bool(found.replaced), bool(annotations)):
            connection.execute(statement)

    def _address(self, name: str) -> str:
        path = self.store.path(name)
        return path if self.store.local else str(self.store.filesystem.unstrip_protocol(path))

    def _lock(self) -> None:
        folders = [self._address(name) for name in (self._labels_folder, ANNOTATIONS)]
        allowed = ", ".join(_quoted(path) for folder in folders for path in {f"{folder}/", f"{_literal(folder)}/"})
        self.connection.execute(f"SET allowed_directories = [{allowed}]")
        self.connection.execute("SET enable_external_access = false")
        self.connection.execute("SET lock_configuration = true")


def _batches(rows: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """The batches; what DuckDB says to a file while it reads comes as its own error again, not as Arrow's."""
    try:
        yield from rows
    except (pa.ArrowException, OSError) as error:
        raise duckdb.IOException(str(error)) from error


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _literal(path: str) -> str:
    """A path in the notation of patterns, which is what DuckDB takes for one."""
    return _GLOB.sub(r"[\g<0>]", path)


def open_tables(out: str, recipe: str | None = None, memory_mb: int = MEMORY_MB) -> Tables:
    """Open an output for queries, in a `with` block.

    Args:
        out: a folder or an s3:// prefix that runs have written to.
        recipe: the id of a recipe, or how it begins; the latest one with labels when it is None.
        memory_mb: what a query may keep in memory.

    Raises:
        SettingsError: no run has written there, or none with this recipe.
        JobError: a newer FV2ES has.
        OutputError: a file is damaged.
    """
    store = job.open_output(out)
    with explained(out):
        return _opened(store, recipe, memory_mb)


def _opened(store: Store, recipe: str | None, memory_mb: int) -> Tables:
    for _ in range(ATTEMPTS):
        try:
            return Tables(store, committing.committed(store, recipe), memory_mb)
        except (FileNotFoundError, duckdb.Error) as error:
            why = str(error).splitlines()[0]
    raise OutputError(
        f"{store.root} can't be read: {why} `fv2es validate {store.root}` names all that is damaged; if a run is at "
        "work on it, ask again."
    )
