"""Kill a job again and again at random moments, resume it, and compare the table with an undisturbed run's.

    python -m benchmarks.resume --clips DIR --kills 5 --seed 1

Prints when each kill fell and how many shards were committed then; exits with 1 when the tables differ.
"""

import random
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tests.labelling import label_and_kill, label_json, labels, segments

ENVIRONMENT = {"FV2ES_PLAN__SEGMENT_MINUTES": "1", "FV2ES_PLAN__SHARD_MINUTES": "1"}


def main(
    clips: Annotated[Path, typer.Option(help="A folder of videos.")],
    kills: int = 5,
    seed: int = 1,
    earliest_s: float = 5.0,
    latest_s: float = 60.0,
) -> None:
    """Label `clips` undisturbed, then with kills, and compare."""
    import os

    rng = random.Random(seed)
    env = os.environ | ENVIRONMENT
    work = Path(tempfile.mkdtemp(prefix="fv2es-resume-"))
    try:
        _, whole = label_json(clips, "--out", work / "whole", env=env)
        typer.echo(f"undisturbed: {whole['shards']} shards, {whole['utterances']} utterances, {whole['wall_s']} s")
        disturbed = work / "disturbed"
        for number in range(1, kills + 1):
            after_s = rng.uniform(earliest_s, latest_s)
            killed = label_and_kill([clips, "--out", disturbed], after_s, env=env)
            committed = len(list((disturbed / "segments").rglob("*.parquet")))
            typer.echo(
                f"kill {number} after {after_s:.1f} s: {'killed' if killed else 'had ended'}, {committed} committed"
            )
        _, rest = label_json(clips, "--out", disturbed, env=env)
        typer.echo(f"last run: {rest['shards']} shards, {rest['wall_s']} s")
        same = labels(disturbed).equals(labels(work / "whole")) and segments(disturbed).equals(segments(work / "whole"))
        typer.echo("the tables are the same" if same else "THE TABLES DIFFER")
        raise typer.Exit(0 if same else 1)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    typer.run(main)
