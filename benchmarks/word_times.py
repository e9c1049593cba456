"""How far are word starts from the truth? GRID clips, labelled from end to end, against their .align files.

    python -m benchmarks.word_times --grid FOLDER

FOLDER holds GRID's clips, each with an .align file beside it (25,000 units a second). Only words that speech
recognition got right count. Prints one JSON object on stdout; exits with 1 when the median error is above --limit-ms.
"""

import difflib
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import FV2ES
from operators.pronounce import spoken
from tests.labelling import labels

UNITS_PER_MS = 25


def main(
    grid: Annotated[Path, typer.Option(help="Folder of GRID clips and their .align files.")],
    limit_ms: Annotated[float, typer.Option(help="The largest median error allowed.")] = 60.0,
) -> None:
    """Measure the error of word starts."""
    with tempfile.TemporaryDirectory(prefix="fv2es-word-times-") as out:
        command = [FV2ES, "label", str(grid), "--out", out, "--engine", "local", "--json"]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)  # .align files are no media: exit code 3
        rows = labels(Path(out)).select(["uri", "words"]).to_pylist()
    errors, right, words = [], 0, 0
    for truth in sorted(grid.glob("*.align")):
        said = read_align(truth)
        words_of_clip = [word for row in rows if Path(row["uri"]).stem == truth.stem for word in row["words"]]
        heard = [(word["word"], word["start_ms"]) for word in words_of_clip]
        matched = match(said, heard)
        words, right = words + len(said), right + len(matched)
        errors += [found - true for true, found in matched if found is not None]
    absolute = sorted(map(abs, errors))
    result = {
        "words": words,
        "right": right,
        "timed": len(errors),
        "median_ms": statistics.median(absolute),
        "p90_ms": absolute[len(absolute) * 9 // 10],
        "median_signed_ms": statistics.median(errors),
    }
    Console(stderr=True).print(
        f"{right} of {words} words right; starts off by {result['median_ms']:.0f} ms (median), "
        f"{result['p90_ms']:.0f} ms (9 of 10)"
    )
    json.dump(result, sys.stdout, indent=2)
    sys.stdout.write("\n")
    raise typer.Exit(result["median_ms"] > limit_ms)


def read_align(path: Path) -> list[tuple[str, float]]:
    """The words of an .align file with their starts in ms, silences left out."""
    lines = [line.split() for line in path.read_text("ascii").splitlines() if line.strip()]
    return [(word, int(start) / UNITS_PER_MS) for start, _, word in lines if word not in ("sil", "sp")]


def match(said: list[tuple[str, float]], heard: list[tuple[str, int | None]]) -> list[tuple[float, int | None]]:
    """True and found start of every word that was recognised; None where "G2" is two words and this is the second."""
    tokens: list[str] = []
    starts: list[int | None] = []
    for word, start in heard:
        parts = [part.rstrip(".") for part in spoken(word)]
        tokens += parts
        starts += [start, *[None] * (len(parts) - 1)][: len(parts)]
    matcher = difflib.SequenceMatcher(None, [word for word, _ in said], tokens, autojunk=False)
    return [
        (said[block.a + i][1], starts[block.b + i])
        for block in matcher.get_matching_blocks()
        for i in range(block.size)
    ]


if __name__ == "__main__":
    typer.run(main)
