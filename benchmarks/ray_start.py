"""What Ray costs before any work: seconds to start on this machine, and the memory of its own processes.

    python -m benchmarks.ray_start [--rounds 5] [--bare]

--bare hides the packages of Ray's dashboard, job server and metrics (`ray[default]`), as if they were not installed.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import psutil
import typer

HIDE = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("aiohttp_cors", "opencensus", "colorful", "smart_open", "virtualenv"):
            raise ModuleNotFoundError(f"{name} is hidden", name=name)
sys.meta_path.insert(0, Hidden())
"""
SETTLE_S = 5.0
MIB = 1 << 20


def one_start() -> dict[str, float]:
    """Start Ray as a run does, let it settle, and look at its processes; memory is what is theirs alone, in MiB."""
    from pipelines.config import EngineSettings
    from pipelines.ray_cluster import cluster
    from pipelines.temporary import temporary_area

    found: dict[str, float] = {}
    with temporary_area() as temporary:
        began = time.monotonic()
        with cluster(EngineSettings(), 2, temporary):
            found["seconds"] = time.monotonic() - began
            time.sleep(SETTLE_S)
            for process in psutil.Process().children(recursive=True):
                name = next((Path(part).name for part in process.cmdline() if part.endswith((".py", "raylet"))), "")
                name = name or process.name()
                found[name] = found.get(name, 0.0) + process.memory_full_info().uss / MIB
    return found


def main(
    rounds: Annotated[int, typer.Option(help="How often Ray is started.")] = 5,
    bare: Annotated[bool, typer.Option("--bare", help="As if ray[default] were not installed.")] = False,
) -> None:
    """Print the median of the seconds, and of the memory of each kind of process."""
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ)
        if bare:
            Path(folder, "sitecustomize.py").write_text(HIDE, "utf-8")
            environment["PYTHONPATH"] = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
        code = "import json; from benchmarks.ray_start import one_start; print(json.dumps(one_start()))"
        starts = []
        for _ in range(rounds):
            done = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, check=True)
            starts.append(json.loads(done.stdout))
    seconds = [start.pop("seconds") for start in starts]
    print(f"{'without' if bare else 'with'} ray[default]: {statistics.median(seconds):.1f} s to start, MiB of memory:")
    for name in sorted(set().union(*starts)):
        print(f"  {name:40} {statistics.median(start.get(name, 0.0) for start in starts):8.0f}")
    print(f"  {'all':40} {statistics.median(sum(start.values()) for start in starts):8.0f}")


if __name__ == "__main__":
    typer.run(main)
