"""Does memory grow with a video's length? The peak of all processes together, for one long 720p video and one longer.

    python -m benchmarks.memory --clips FOLDER [--minutes 20 --minutes 60] [--workers 2]

A process's memory is its proportional set size; Ray's object store, which is shared memory of a fixed size, is given
apart. Prints one JSON object on stdout.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import FV2ES
from benchmarks.footage import prepare_clips, write_loop
from benchmarks.watch import run_watched

PERIOD_S = 1.0


def main(
    clips: Annotated[Path, typer.Option(help="Folder of videos with sound to loop.")],
    minutes: Annotated[list[int] | None, typer.Option(help="Length of a video to label; repeat it for more.")] = None,
    workers: Annotated[int, typer.Option(min=1)] = os.cpu_count() or 1,
    work: Annotated[Path | None, typer.Option(help="Keep the encoded clips here, for the next time.")] = None,
) -> None:
    """Measure the peak memory of `fv2es label` on one long video."""
    measured = []
    for length in minutes or [20, 60]:
        with tempfile.TemporaryDirectory(prefix="fv2es-memory-") as temporary:
            video = Path(temporary, "long.mp4")
            write_loop(prepare_clips(clips, work or Path(temporary, "clips")), video, length * 60)
            command = [FV2ES, "label", str(video), "--out", f"{temporary}/out", "--workers", str(workers), "--json"]
            done = run_watched(command, PERIOD_S).check()
        result = json.loads(done.stdout)
        measured.append(
            {
                "minutes": length,
                "peak_bytes": done.peak_bytes,
                "peak_object_store_bytes": done.peak_shared_bytes,
                "spilled_bytes": result["spilled_bytes"],
                "utterances": result["utterances"],
                "wall_s": done.wall_s,
            }
        )
        Console(stderr=True).print(
            f"{length} min of 720p: peak {done.peak_bytes / 2**30:.2f} GiB, object store "
            f"{done.peak_shared_bytes / 2**30:.2f} GiB, {done.wall_s:.0f} s"
        )
    json.dump({"workers": workers, "runs": measured}, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    typer.run(main)
