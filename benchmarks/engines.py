"""Do the engines give the same table? A folder of clips, labelled by each, compared row for row.

    python -m benchmarks.engines --clips FOLDER [--engine processes --engine ray ...] [--beam-args "..."]

All columns are compared but those that tell of the run (`operators.schema.RUN_COLUMNS`). Prints one JSON object on
stdout; exits with 1 when two tables differ, and says on stderr in which rows and columns.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer
from rich.console import Console

from tests.labelling import label_json, labels, segments

KEYS = {"labels": ["uri", "segment_index", "utterance_index"], "segments": ["uri", "start_ms"]}
SHOWN = 10


def main(
    clips: Annotated[Path, typer.Option(help="Folder of videos.")],
    engine: Annotated[list[str] | None, typer.Option(help="Repeat it; by default processes, ray and beam.")] = None,
    beam_args: Annotated[str, typer.Option(help="For the engine beam.")] = "",
    shard_minutes: Annotated[float, typer.Option(help="Media a shard: several shards even of few clips.")] = 0.5,
) -> None:
    """Label the clips by each engine and compare each table with the first engine's."""
    engines = engine or ["processes", "ray", "beam"]
    env = os.environ | {"FV2ES_PLAN__SHARD_MINUTES": str(shard_minutes)}
    tables: dict[str, dict[str, pa.Table]] = {}
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="fv2es-engines-") as temporary:
        for name in engines:
            out = Path(temporary, name)
            more = ["--beam-args", beam_args] if name == "beam" and beam_args else []
            code, result = label_json(clips, "--out", out, "--engine", name, *more, env=env)
            tables[name] = {"labels": labels(out), "segments": segments(out)}
            kept = ("videos", "shards", "media_ms", "utterances", "segments_by_status", "wall_s")
            results[name] = {"exit_code": code} | {key: result[key] for key in kept}
    console, same = Console(stderr=True, highlight=False), True
    for name in engines[1:]:
        for kind, key in KEYS.items():
            found = differences(tables[engines[0]][kind], tables[name][kind], key)
            same &= not found
            console.print(
                f"{kind} of {engines[0]} and {name}: " + ("the same" if not found else f"{len(found)} differ")
            )
            for line in found[:SHOWN]:
                console.print(f"  {line}", markup=False, soft_wrap=True)
    rows = {kind: table.num_rows for kind, table in tables[engines[0]].items()}
    json.dump({"same": same, "rows": rows, "engines": results}, sys.stdout, indent=2)
    sys.stdout.write("\n")
    raise typer.Exit(not same)


def differences(one: pa.Table, other: pa.Table, key: list[str]) -> list[str]:
    """The rows that only one of two tables has, or that differ, and in which columns; none for equal tables."""
    if one.equals(other):
        return []
    if one.schema != other.schema:
        return [f"columns: {one.schema.names} and {other.schema.names}"]
    sides = [{tuple(row[name] for name in key): row for row in table.to_pylist()} for table in (one, other)]
    found = []
    for name in sorted(sides[0].keys() | sides[1].keys()):
        row, twin = (side.get(name) for side in sides)
        if row is None or twin is None:
            found.append(f"{name}: only in the {'second' if row is None else 'first'}")
        elif row != twin:
            found.append(f"{name}: {', '.join(column for column in row if row[column] != twin[column])}")
    return found or ["rows stand there more than once, or in another order"]


if __name__ == "__main__":
    typer.run(main)
