"""What a run has committed, by asking the ledger: for engines whose workers can't tell the job's own process."""

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from operators.commit import Store
from operators.write import file_names, summary
from pipelines import ledger


class Arrivals:
    """The shards of a run as they come into the ledger."""

    def __init__(self, store: Store, partition: str, run_id: str, planned: Iterable[str]) -> None:
        self._store = store
        self._partition = partition
        self._run_id = run_id
        self._missing = set(planned)

    def new(self) -> Iterator[pa.Table]:
        """The shards that were committed since the last call: for each a table (`operators.write.SUMMARY`)."""
        for shard_id in sorted(self._missing & ledger.committed_shards(self._store, self._partition)):
            rows = _rows(self._store, self._partition, self._run_id, shard_id)
            if rows.num_rows:
                self._missing.discard(shard_id)
                yield summary(rows)


def is_committed(root: str, partition: str, run_id: str, shard: pa.Table) -> bool:
    """Whether this run has committed a shard: for workers, to whom an engine may bring one again."""
    return bool(_rows(Store(root), partition, run_id, shard["shard_id"][0].as_py()).num_rows)


def _rows(store: Store, partition: str, run_id: str, shard_id: str) -> pa.Table:
    """The rows that a run has committed of a shard.

    A file alone proves nothing: one of an earlier run, whose rows have left it, may stand there under the same name.
    """
    try:
        rows = store.read_table(file_names(partition, shard_id)[1])
    except FileNotFoundError:
        return pa.table({})
    return rows.filter(pc.equal(rows["run_id"], run_id))
