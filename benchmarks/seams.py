"""Do the seams of a long video show? The same video labelled in segments of several lengths must give the same table.

    python -m benchmarks.seams --clips FOLDER [--minutes 10] [--segment-minutes 1 --segment-minutes 2 ...]

Joins the clips into one long video (or takes one: --video FILE), labels it once for each length, and compares each
table with that of the longest segments. Prints one JSON object on stdout; exits with 1 when an utterance is lost,
doubled or moved by more than 50 ms, or when fewer than 99% of the words are the same.
"""

import difflib
import itertools
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.footage import prepare_clips, write_loop
from tests.labelling import label_json, labels

MOVED_MS = 50
SAME_WORDS = 0.99


def main(
    clips: Annotated[Path | None, typer.Option(help="Folder of videos with sound to join.")] = None,
    video: Annotated[Path | None, typer.Option(help="A long video, instead of --clips.")] = None,
    minutes: Annotated[int, typer.Option(help="Length of the video made of the clips.")] = 10,
    segment_minutes: Annotated[list[float] | None, typer.Option(help="Repeat it; by default 1, 2 and 5.")] = None,
    engine: Annotated[str, typer.Option(help="ray or local.")] = "local",
) -> None:
    """Label one video in segments of several lengths and compare."""
    lengths = sorted(segment_minutes or [1.0, 2.0, 5.0])
    tables = {}
    with tempfile.TemporaryDirectory(prefix="fv2es-seams-") as temporary:
        if video is None:
            if clips is None:
                raise typer.BadParameter("say --clips or --video")
            video = Path(temporary, "long.mp4")
            write_loop(prepare_clips(clips, Path(temporary, "clips")), video, minutes * 60)
        for length in lengths:
            env = os.environ | {"FV2ES_PLAN__SEGMENT_MINUTES": str(length)}
            label_json(video, "--out", f"{temporary}/{length}", "--engine", engine, env=env)
            tables[length] = labels(Path(temporary, str(length))).to_pylist()
    longest = tables[lengths[-1]]
    results = {f"{length:g} min": compare(tables[length], longest) for length in lengths[:-1]}
    for length, result in results.items():
        Console(stderr=True).print(f"segments of {length} against {lengths[-1]:g} min: {result}")
    json.dump({"utterances": len(longest), "against_longest": results}, sys.stdout, indent=2)
    sys.stdout.write("\n")
    raise typer.Exit(not all(result["passed"] for result in results.values()))


def compare(rows: list[dict[str, Any]], truth: list[dict[str, Any]]) -> dict[str, Any]:
    """What differs between two tables of one video's labels."""
    lost = [row for row in truth if not any(is_same(row, other) for other in rows)]
    new = [row for row in rows if not any(is_same(row, other) for other in truth)]
    overlaps = sum(a["end_ms"] > b["start_ms"] for a, b in itertools.pairwise(rows))
    words, true_words = ([word["word"] for row in table for word in row["words"]] for table in (rows, truth))
    blocks = difflib.SequenceMatcher(None, words, true_words, autojunk=False).get_matching_blocks()
    same = sum(block.size for block in blocks) / max(1, len(words), len(true_words))
    return {
        "utterances": len(rows),
        "lost_or_moved": len(lost),
        "new_or_moved": len(new),
        "overlaps": overlaps,
        "same_words": round(same, 4),
        "same_emotion": sum(a["emotion"] == b["emotion"] for a, b in zip(rows, truth, strict=False)),
        "passed": not lost and not new and not overlaps and same >= SAME_WORDS,
    }


def is_same(row: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two rows are the same utterance."""
    return all(abs(row[name] - other[name]) <= MOVED_MS for name in ("start_ms", "end_ms"))


if __name__ == "__main__":
    typer.run(main)
