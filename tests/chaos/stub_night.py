"""`fv2es` without media: the command line, listing, plan, ledger, lease and commits are real, a file is a line of JSON.

    python -m tests.chaos.stub_night nightly SRC --out OUT --engine local

A file says how long it is, what was said in it, and whether it can be read at all. In the folder NIGHT_MOODS lie names
of files that can't be read just now. NIGHT_KILL_AT kills the run after so many changes of its output; NIGHT_PACE_S
slows each shard; the requests to the store are counted into the file NIGHT_REQUESTS. After every change of the labels
they are read as anybody would, and a run that shows two versions of a file ends with exit code 99.
"""

import hashlib
import json
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from operators.commit import Store
from operators.schema import DECODED, FAILED
from pipelines import graph, planner
from pipelines.cli.app import main
from pipelines.config import Config
from pipelines.corpus import SourceFile
from pipelines.plan import Video, failed_video
from pipelines.recipe import Weights
from tests.chaos import light

TWO_VERSIONS = 99
REQUESTS = ("read", "put", "remove", "details", "exists", "clear")
BYTES_PER_S = 32_000


def probe_files(files: Iterable[SourceFile], config: Config) -> Iterator[Video]:
    """What a file says of itself."""
    moods = Path(os.environ["NIGHT_MOODS"])
    for file in files:
        told = json.loads(Path(file.uri).read_text("utf-8"))
        if told["broken"]:
            yield failed_video(file, "unreadable", "it is broken", retryable=False)
        elif (moods / Path(file.uri).name).exists():
            yield failed_video(file, "unreadable", "the disk has a bad day", retryable=True)
        else:
            yield Video(file.uri, file.size, file.etag_or_mtime, told["seconds"] * 1000, 64, 36, 25.0, "h264", "aac")


def build_decode(config: Config, weights: Weights, device: str) -> graph.Operator:
    """Sound that follows from what was said, second by second, wherever segments begin."""

    def run(table: pa.Table) -> pa.Table:
        time.sleep(float(os.environ.get("NIGHT_PACE_S", "0")))
        rows = [row | {"pcm": sound(row), "pcm_start_ms": row["start_ms"], "faces": []} for row in table.to_pylist()]
        return pa.Table.from_pylist(rows, schema=DECODED)

    return run


def sound(row: dict[str, Any]) -> bytes | None:
    if row["status"] in FAILED:
        return None
    said = json.loads(Path(row["uri"]).read_text("utf-8"))["said"]
    seconds = range(row["start_ms"] // 1000, row["end_ms"] // 1000)
    digests = (hashlib.sha256(f"{said} {second}".encode()).digest() for second in seconds)
    return b"".join(digest * (BYTES_PER_S // len(digest)) for digest in digests)


class Shown:
    """Which versions of files the labels show, as anybody would read them, kept up to date file by file."""

    def __init__(self, store: Store) -> None:
        self._pairs: dict[Path, set[tuple[str, str]]] = {}
        self._versions: dict[str, Counter[str]] = defaultdict(Counter)
        for path in Path(store.path("labels")).rglob("*.parquet"):
            self.look(path)

    def look(self, path: Path) -> None:
        """Take note of what a file of labels holds now; two versions of one file end the process."""
        rows = (
            pq.ParquetFile(path).read(["uri", "video_id"]) if path.exists() else pa.table({"uri": [], "video_id": []})
        )
        for uri, name in self._pairs.pop(path, ()):
            self._versions[uri] -= Counter([name])
        self._pairs[path] = set(zip(rows["uri"].to_pylist(), rows["video_id"].to_pylist(), strict=True))
        for uri, name in self._pairs[path]:
            self._versions[uri][name] += 1
            if len(self._versions[uri]) > 1:
                os._exit(TWO_VERSIONS)


def watch_store() -> None:
    """Count the requests, kill at one of them, and look at the labels after each."""
    requests: Counter[str] = Counter()
    shown: list[Shown] = []
    kill_at = int(os.environ.get("NIGHT_KILL_AT", "0"))

    def watched(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(store: Store, *arguments: Any, **named: Any) -> Any:
            requests[name] += 1
            done = method(store, *arguments, **named)
            if name in ("put", "remove"):
                if arguments[0].startswith("labels/"):
                    shown.append(Shown(store)) if not shown else shown[0].look(Path(store.path(arguments[0])))
                if requests["put"] + requests["remove"] == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                if counts := os.environ.get("NIGHT_REQUESTS"):
                    Path(counts).write_text(json.dumps(requests), "utf-8")
            return done

        return call

    for name in REQUESTS:
        setattr(Store, name, watched(name, getattr(Store, name)))


if __name__ == "__main__":
    graph._decode, graph._transcribe, graph._infer = build_decode, light.build_transcribe, light.build_infer
    planner.probe_files = probe_files
    watch_store()
    main()
