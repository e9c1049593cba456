"""What of an output a reader may see: committed shards of one recipe, and of each file its current version alone."""

from collections import defaultdict
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from operators.commit import OutputError, Store
from operators.schema import SEGMENTS
from operators.write import file_names
from pipelines import ledger, runs
from pipelines.errors import SettingsError
from pipelines.snapshot import Listing, version


@dataclass(frozen=True)
class Committed:
    """What is committed in one recipe, as it was at one moment.

    Args:
        partition: the recipe's partition.
        ledger: rows of `operators.schema.SEGMENTS`: current versions, without what a later attempt has superseded.
        labels: names of the labels files below OUT, in order of what their shards hold; with the mark of their
            content (`pipelines.snapshot.version`), which is empty where the listing shows none.
        replaced: ids of versions of files that another version has replaced, whose rows may still be in the files.
    """

    partition: str
    ledger: pa.Table
    labels: dict[str, str]
    replaced: tuple[str, ...]


def committed(store: Store, recipe: str | None = None) -> Committed:
    """What an output holds of one recipe; of the latest one that has rows when none is named.

    Raises:
        SettingsError: no run has written there, or none with this recipe.
        JobError: a newer FV2ES has.
        OutputError: a file of the ledger is damaged.
    """
    # One listing says what there is: of a shard that is committed after it, nothing is seen.
    by_partition: dict[str, Listing] = defaultdict(dict)
    for name, info in store.details("segments", ".parquet").items():
        by_partition[name.split("/")[-2]][name] = info
    partition = _partition(store, set(by_partition), recipe)
    files = by_partition[partition]
    rows = ledger.read(store, partition, files) if files else SEGMENTS.empty_table()
    shards = pa.array([_stem(name) for name in files], pa.string())
    rows = _where(rows, pc.is_in(rows["shard_id"], shards))
    replaced = _replaced(rows)
    current = _where(rows, pc.invert(pc.is_in(rows["video_id"], pa.array(replaced, pa.string()))))
    details = store.details(f"labels/{partition}", ".parquet")
    in_order = rows.group_by("shard_id").aggregate([("uri", "min"), ("start_ms", "min")])
    in_order = in_order.sort_by([("uri_min", "ascending"), ("start_ms_min", "ascending"), ("shard_id", "ascending")])
    labels = [file_names(partition, shard_id)[0] for shard_id in in_order["shard_id"].to_pylist()]
    return Committed(partition, current, {name: version(details.get(name, {})) for name in labels}, replaced)


def _stem(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".parquet")


def _where(rows: pa.Table, mask: pa.ChunkedArray) -> pa.Table:
    """The rows for which it holds; mostly that is all of them, and nothing is copied."""
    return rows if pc.all(mask).as_py() else rows.filter(mask)


def _partition(store: Store, there: set[str], recipe: str | None) -> str:
    try:
        states = runs.states(store)
    except OutputError:
        states = []  # the labels don't depend on what is told of a run
    if not there and not states:
        raise SettingsError(f"{store.root}: no run of FV2ES has written here. Is the path right?")
    if recipe is not None:
        wanted = recipe.removeprefix("recipe=")
        found = sorted(name for name in there if name.removeprefix("recipe=").startswith(wanted))
        if len(found) != 1:
            known = ", ".join(sorted(name.removeprefix("recipe=") for name in there)) or "none yet"
            what = "several recipes begin so" if found else "no such recipe"
            raise SettingsError(f"{store.root}: --recipe {recipe}: {what}. There are: {known}.")
        return found[0]
    by_time = [state.partition for state in states]
    with_rows = [name for name in by_time if name in there] or sorted(there) or by_time
    return with_rows[-1]


def _replaced(rows: pa.Table) -> tuple[str, ...]:
    """Ids of versions that are not the last one of their file.

    Old versions leave before new ones come; but a listing is not made in one moment, and may show both.
    """
    versions = rows.group_by(["uri", "video_id"]).aggregate([("finished_at", "max")])
    if len(pc.unique(versions["uri"])) == versions.num_rows:
        return ()
    current: dict[str, str] = {}
    in_time = versions.sort_by([("finished_at_max", "ascending"), ("video_id", "ascending")])
    for uri, video_id in zip(in_time["uri"].to_pylist(), in_time["video_id"].to_pylist(), strict=True):
        current[uri] = video_id
    kept = set(current.values())
    return tuple(sorted(set(versions["video_id"].to_pylist()) - kept))
