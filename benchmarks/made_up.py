"""A corpus that isn't there: a bucket whose listing is made up, headers and labels that follow from the names.

Everything around is real: the plan, the ledger, the lease, the commits.
"""

import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import fsspec
import numpy as np
import pyarrow as pa
from fsspec import AbstractFileSystem

from models.emotions import EMOTIONS
from operators.schema import INFERRED, LABEL_FIELDS, WORD
from operators.write import Target
from pipelines import graph, job, planner
from pipelines.config import Config
from pipelines.corpus import SourceFile
from pipelines.plan import Video, video_of
from pipelines.pools import Pools
from pipelines.recipe import Weights

SOURCE = "s3://bucket/corpus"
PAGE = 1_000
FOLDERS = 1_000
MEAN_S = 180
UTTERANCES = 2
"""Labels a segment."""


class Bucket(AbstractFileSystem):
    """A bucket of objects that are made up as they are listed, a page at a time.

    `objects` there are; `changed` of them, spread evenly, are of another version than they were with 0.
    """

    protocol = "s3"
    req_kw: dict[str, str] = {}  # noqa: RUF012
    objects = 0
    changed = 0

    def split_path(self, path: str) -> tuple[str, str, None]:
        """Bucket, key, version."""
        bucket, _, key = path.partition("/")
        return bucket, key, None

    def isfile(self, path: str) -> bool:
        """Folders alone are named here."""
        return False

    def exists(self, path: str, **_: Any) -> bool:
        """Everything that is asked for is there."""
        return True

    def call_s3(self, method: str, Bucket: str, Prefix: str, **options: str) -> dict[str, Any]:  # noqa: N803
        """One page of the listing."""
        each = -(-self.objects // FOLDERS)
        folder = int(Prefix.rstrip("/").rpartition("/")[2]) if "Delimiter" in options else None
        begin, end = (0, self.objects) if folder is None else (folder * each, min((folder + 1) * each, self.objects))
        first = int(options.get("ContinuationToken", begin))
        last = min(first + PAGE, end)
        contents = [
            {
                "Key": f"corpus/{number // each:05}/video-{number:09}.mp4",
                "Size": 100_000_000 + number,
                "ETag": f'"{number:031x}{self._version(number)}"',
            }
            for number in range(first, last)
        ]
        return {"Contents": contents, "IsTruncated": last < end, "NextContinuationToken": str(last)}

    def _version(self, number: int) -> int:
        return int(self.changed > 0 and number % (self.objects // self.changed) == 0)


def probe_files(files: Iterable[SourceFile], config: Config) -> Iterator[Video]:
    """Headers: a file lasts one to five minutes, as its name says."""
    for file in files:
        seconds = MEAN_S - 120 + zlib.crc32(file.uri.encode()) % 241
        made = video_of(file)
        described = {"width": 1280, "height": 720, "fps": 30.0, "video_codec": "h264", "audio_codec": "aac"}
        yield Video(made.uri, made.size, made.etag_or_mtime, seconds * 1000, **described)


def made_up_graph(config: Config, weights: Weights, target: Target, pools: Pools) -> list[graph.Stage]:
    """Labels that are made up, and real commits; without the guards' notes, which are the same for each shard."""
    *_, infer, write = graph.labelling_graph(config, weights, target, pools)
    return [replace(infer, build=build_infer), write]


def build_infer() -> graph.Operator:
    """Labels without media: each segment is cut into equal utterances."""
    return labelled


def labelled(shard: pa.Table) -> pa.Table:
    """A planned shard as inference would give it."""
    rows = shard.num_rows
    made: dict[str, pa.Array] = {
        "speech_ms": pa.array(np.zeros(rows, np.int64)),
        "face_count": pa.array(np.zeros(rows, np.int64)),
        "labels": _labels(shard),
    }
    for field in INFERRED:
        if field.name not in made:
            known = field.name in shard.column_names
            made[field.name] = shard[field.name].combine_chunks() if known else pa.nulls(rows, field.type)
    return pa.table([made[field.name] for field in INFERRED], schema=INFERRED)


def _labels(shard: pa.Table) -> pa.Array:
    count = shard.num_rows * UTTERANCES
    of_segment = np.repeat(np.arange(shard.num_rows), UTTERANCES)
    index = np.tile(np.arange(UTTERANCES), shard.num_rows)
    start, end = (shard[name].to_numpy()[of_segment] for name in ("start_ms", "end_ms"))
    length = (end - start) // UTTERANCES
    best, rest = np.full(count, 0.7, np.float32), np.full(count, 0.05, np.float32)
    values: dict[str, Any] = {
        "start_ms": start + index * length,
        "end_ms": start + (index + 1) * length,
        "utterance_index": index,
        "text": ["it was the best of times"] * count,
        "language": ["en"] * count,
        "emotion": [EMOTIONS[0]] * count,
        "confidence": best,
        "face_coverage": np.zeros(count, np.float32),
        "words": pa.nulls(count, pa.list_(WORD)).fill_null(pa.scalar([], pa.list_(WORD))),
        "model_id": ["made up"] * count,
        **{f"has_{name}": np.ones(count, bool) for name in ("text", "audio", "face")},
        **{f"p_{name}": rest if number else best for number, name in enumerate(EMOTIONS)},
    }
    taken = pa.array(of_segment)
    for name in ("video_id", "uri", "segment_index"):
        values[name] = shard[name].combine_chunks().take(taken)
    columns = [
        pa.array(values[field.name], field.type) if field.name in values else pa.nulls(count, field.type)
        for field in LABEL_FIELDS
    ]
    flat = pa.StructArray.from_arrays(columns, fields=LABEL_FIELDS)
    return pa.ListArray.from_arrays(pa.array(np.arange(0, count + 1, UTTERANCES), pa.int32()), flat)


@contextmanager
def made_up(objects: int, changed: int = 0) -> Iterator[None]:
    """Within the block s3:// is such a bucket, and headers and labels are made up."""
    before = fsspec.get_filesystem_class("s3")
    with ExitStack() as stack:
        for where, name, value in (
            (Bucket, "objects", objects),
            (Bucket, "changed", changed),
            (planner, "probe_files", probe_files),
            (job, "labelling_graph", made_up_graph),
        ):
            stack.enter_context(patch.object(where, name, value))
        fsspec.register_implementation("s3", Bucket, clobber=True)
        stack.callback(fsspec.register_implementation, "s3", before, clobber=True)
        yield
