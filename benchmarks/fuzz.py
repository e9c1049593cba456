"""Feed the parsers that are ours with hostile input for minutes: transcripts, configuration files, stored plans.

    python -m benchmarks.fuzz --minutes 3

The same strategies as the tests', with as many examples as fit. It stops at the first input that gets more than a
plain answer or the one error that is allowed, and prints it; that input becomes a test.
"""

import functools
import itertools
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from operators.cues import Cue, Script, TranscriptError
from operators.schema import PLANNED
from operators.script_fit import check
from operators.transcripts import parse
from pipelines.config import load
from pipelines.errors import SettingsError
from pipelines.plan import Lengths, PlanError, Video, from_table, pack, segments_of, to_table
from tests.fuzzing import CUES, PLAN_CELLS, SUFFIXES, TRANSCRIPTS, YAML_TEXTS

EXAMPLES_AT_ONCE = 1_000
ANCHOR_MS = 20_000


def transcripts(suffix: str, content: bytes) -> None:
    """Bytes of a transcript give cues or a TranscriptError."""
    with suppress(TranscriptError):
        for cue in parse(suffix, content).cues:
            assert 0 <= cue.start_ms < cue.end_ms
            assert cue.text.encode()


def fitting(cues: list[tuple[int, int, str]]) -> None:
    """Cues of a script that is too long for the video are refused, the others kept in order."""
    script = Script(tuple(sorted(Cue(start, start + length, text) for start, length, text in cues)))
    with suppress(TranscriptError):
        assert list(check(script, 30_000, "en")) == [cue for cue in script.cues if cue.start_ms < 30_000]


def configurations(text: str) -> None:
    """A text gives settings or a SettingsError."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fv2es.yaml")
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        with suppress(SettingsError):
            load(path)


def plans(change: tuple[int, str, Any]) -> None:
    """A plan in which one value is another gives the same shards or a PlanError."""
    row, name, value = change
    videos = [Video(f"/{n}.mp4", n, "1", 50_000, 64, 48, 25.0, "h264", "aac") for n in range(3)]
    lengths = Lengths(1, ANCHOR_MS, set_segment_ms=ANCHOR_MS, set_shard_ms=60_000)
    shards = pack(segments_of(videos, {}, lengths), lengths, "r")
    rows = to_table(shards).to_pylist()
    rows[row % len(rows)][name] = value
    with suppress(PlanError, pa.ArrowException, OverflowError, TypeError, ValueError):
        table = pa.Table.from_pylist(rows, schema=PLANNED)
        found = from_table(table, "r")
        assert [shard.shard_id for shard in found] == [shard.shard_id for shard in shards]


TARGETS: dict[Callable[..., None], tuple[st.SearchStrategy[Any], ...]] = {
    transcripts: (SUFFIXES, TRANSCRIPTS),
    fitting: (CUES,),
    configurations: (YAML_TEXTS,),
    plans: (PLAN_CELLS,),
}


def fuzzer(target: Callable[..., None], tried: Counter[str]) -> Callable[[], None]:
    """Something that feeds `target` with another thousand examples each time it is called, and counts them."""

    @functools.wraps(target)
    def counted(**example: Any) -> None:
        tried[target.__name__] += 1
        target(**example)

    many = settings(
        max_examples=EXAMPLES_AT_ONCE, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    return many(given(*TARGETS[target])(counted))


def main(minutes: Annotated[float, typer.Option(min=0.001, help="How long to go on.")] = 3.0) -> None:
    """Fuzz all parsers in turn."""
    deadline = time.monotonic() + minutes * 60
    tried: Counter[str] = Counter()
    for run in itertools.cycle([fuzzer(target, tried) for target in TARGETS]):
        if time.monotonic() > deadline:
            break
        run()
    for name, count in tried.items():
        typer.echo(f"{name}: {count:,} examples, no finding")


if __name__ == "__main__":
    typer.run(main)
