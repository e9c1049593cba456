"""Check one committed shard: its two files, each by itself and against the other. Reads nothing but the bytes given."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from models.emotions import EMOTIONS
from operators.schema import FAILED, LABELS, SCHEMA_VERSION, SEGMENTS, STATUSES
from operators.write import LABELS_DIGEST
from pipelines.recipe import partition, recipe_id

TOLERANCE = 1e-6
KEY = ["video_id", "segment_index"]


class SegmentSpan(NamedTuple):
    """A row of the ledger and where its labels lie, in ms; no labels: None."""

    video_id: str
    uri: str
    start_ms: int
    end_ms: int
    first_label_ms: int | None
    last_label_ms: int | None


@dataclass
class ShardReport:
    """What is in a shard and what is wrong with it, in words for people, by the file that is wrong."""

    shard_id: str
    problems: list[tuple[str, str]] = field(default_factory=list)
    segments: list[SegmentSpan] = field(default_factory=list)
    utterances: int = 0
    has_digest: bool = True


class _Damaged(Exception):  # noqa: N818 - a finding, not a failure of ours
    pass


def check_shard(names: tuple[str, str], shard_id: str, part: str, labels: bytes, segments: bytes) -> ShardReport:
    """Check a shard.

    Args:
        names: of its labels file and its ledger file, as they are to be reported.
        shard_id: which the file names say.
        part: the partition it is in.
        labels: content of the labels file.
        segments: content of the ledger file.
    """
    report = ShardReport(shard_id)
    labels_name, segments_name = names
    try:
        ledger = _read(segments, SEGMENTS, part)
        _check_ledger(ledger, shard_id)
    except _Damaged as damage:
        report.problems.append((segments_name, str(damage)))
        return report
    digest = ledger.schema.metadata.get(LABELS_DIGEST)
    report.has_digest = digest is not None
    try:
        if digest is not None and hashlib.sha256(labels).hexdigest() != digest.decode("ascii", "replace"):
            raise _Damaged("its content is not what was committed: the digest in the ledger is another")
        table = _read(labels, LABELS, part)
        _check_labels(table)
        _check_agreement(table, ledger)
    except _Damaged as damage:
        report.problems.append((labels_name, str(damage)))
        return report
    report.utterances = table.num_rows
    report.segments = spans(table, ledger)
    return report


def _read(content: bytes, schema: pa.Schema, part: str) -> pa.Table:
    try:
        table = pq.ParquetFile(pa.BufferReader(content)).read()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _Damaged(f"can't be read as Parquet: {str(error).splitlines()[0]}") from error
    metadata = table.schema.metadata or {}
    version = metadata.get(b"fv2es.schema_version", b"").decode("ascii", "replace")
    if version != str(SCHEMA_VERSION):
        raise _Damaged(f"its schema version is {version or 'not said'}, and this FV2ES knows {SCHEMA_VERSION}")
    if not table.schema.remove_metadata().equals(schema):
        odd = sorted({str(item) for item in table.schema} ^ {str(item) for item in schema})
        raise _Damaged(f"its columns are not those of the schema: {', '.join(odd) or 'another order'}")
    try:
        written = partition(recipe_id(json.loads(metadata[b"fv2es.recipe"])))
    except (KeyError, ValueError) as error:
        raise _Damaged("it does not say which recipe made it") from error
    if written != part:
        raise _Damaged(f"it belongs to {written}, and lies in {part}")
    for column in table.schema:
        if not column.nullable and table[column.name].null_count:
            raise _Damaged(f"{column.name} has missing values")
    return table


def _check_ledger(ledger: pa.Table, shard_id: str) -> None:
    if set(ledger["shard_id"].to_pylist()) - {shard_id}:
        raise _Damaged("its rows are of another shard")
    keys = list(zip(*(ledger[name].to_pylist() for name in KEY), strict=True))
    if len(set(keys)) != len(keys):
        raise _Damaged("a segment is in it twice")
    if unknown := set(ledger["status"].to_pylist()) - set(STATUSES):
        raise _Damaged(f"unknown status: {', '.join(sorted(unknown))}")
    starts, ends = ledger["start_ms"].to_numpy(), ledger["end_ms"].to_numpy()
    failed = pc.is_in(ledger["status"], pa.array(FAILED)).to_numpy()
    if (starts < 0).any() or (ends < starts).any() or ((ends == starts) & ~failed).any():
        raise _Damaged("a segment ends before it starts")
    if (ledger["utterances"].to_numpy()[failed] != 0).any():
        raise _Damaged("a segment that failed has utterances")


def _check_labels(table: pa.Table) -> None:
    keys = table.select([*KEY, "utterance_index"])
    if keys.group_by(keys.column_names).aggregate([]).num_rows != table.num_rows:
        raise _Damaged("an utterance is in it twice")
    videos = np.array(table["video_id"].to_pylist(), object)
    starts, ends = table["start_ms"].to_numpy(), table["end_ms"].to_numpy()
    if (starts < 0).any() or (ends <= starts).any():
        raise _Damaged("an utterance ends before it starts")
    same = videos[1:] == videos[:-1]
    if (videos[1:] < videos[:-1]).any() or (starts[1:] < starts[:-1])[same].any():
        raise _Damaged("its rows are not in order of video and time")
    if (starts[1:] < ends[:-1])[same].any():
        raise _Damaged("utterances of a video overlap")
    scores = np.stack([table[f"p_{name}"].to_numpy() for name in EMOTIONS], axis=1)
    # Written so that NaN is wrong too.
    if not ((scores >= 0) & (scores <= 1 + TOLERANCE)).all():
        raise _Damaged("a probability is not in 0 to 1")
    named = pc.index_in(table["emotion"], pa.array(EMOTIONS))
    if named.null_count:
        raise _Damaged("an emotion is none of ours")
    of_named = np.take_along_axis(scores, named.to_numpy().astype(int)[:, None], axis=1)[:, 0]
    if (of_named < scores.max(axis=1, initial=0)).any():
        raise _Damaged("an emotion is not the most probable one")
    if not (np.abs(table["confidence"].to_numpy() - of_named) <= TOLERANCE).all():
        raise _Damaged("a confidence is not its emotion's probability")


def _check_agreement(table: pa.Table, ledger: pa.Table) -> None:
    counted = table.group_by(KEY).aggregate([("start_ms", "count")]).to_pylist()
    found = {(row["video_id"], row["segment_index"]): row["start_ms_count"] for row in counted}
    said = {
        (row["video_id"], row["segment_index"]): row
        for row in ledger.select([*KEY, "uri", "utterances", "duration_ms"]).to_pylist()
    }
    if found.keys() - said.keys():
        raise _Damaged("it has utterances of a segment that its ledger doesn't know")
    for key, row in said.items():
        if found.get(key, 0) != row["utterances"]:
            raise _Damaged(
                f"{row['uri']}, {key[1]}: {found.get(key, 0)} utterances, but its ledger says {row['utterances']}"
            )
    durations = {key[0]: row["duration_ms"] for key, row in said.items()}
    uris = {key[0]: row["uri"] for key, row in said.items()}
    for video, uri, end_ms in zip(*(table[name].to_pylist() for name in ("video_id", "uri", "end_ms")), strict=True):
        if uris[video] != uri:
            raise _Damaged(f"{uri}: its ledger knows this video as {uris[video]}")
        if end_ms > durations[video]:
            raise _Damaged(f"{uri}: an utterance ends at {end_ms} ms, beyond the video's end at {durations[video]} ms")


def spans(table: pa.Table, ledger: pa.Table) -> list[SegmentSpan]:
    """Where the segments and their labels lie, for comparison with other shards."""
    lies = table.group_by(KEY).aggregate([("start_ms", "min"), ("end_ms", "max")]).to_pylist()
    at = {(row["video_id"], row["segment_index"]): (row["start_ms_min"], row["end_ms_max"]) for row in lies}
    rows = ledger.select([*KEY, "uri", "start_ms", "end_ms"]).to_pylist()
    return [
        SegmentSpan(
            row["video_id"],
            row["uri"],
            row["start_ms"],
            row["end_ms"],
            *at.get((row["video_id"], row["segment_index"]), (None, None)),
        )
        for row in rows
    ]
