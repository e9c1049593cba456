"""What a figure was measured on."""

import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.machine import cpus, memory_bytes

VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2"}
"""What decides how fast networks are, of processors that may go by one name; the widest first."""
BUSY = 0.5
"""Processes that want a core, on average of a minute: with more before a measurement its figures are not to be used."""


@dataclass(frozen=True)
class Machine:
    """Where, and of what, figures are. `load_before` is that of the minute before."""

    cpu: str
    cores: int
    memory_bytes: int
    python: str
    commit: str
    load_before: float

    def as_json(self) -> dict[str, Any]:
        """All of it, and whether it had other work."""
        return asdict(self) | {"busy": self.load_before > BUSY}


def this_machine() -> Machine:
    """This one, as it is now."""
    return Machine(
        cpu=cpu_model(),
        cores=cpus(),
        memory_bytes=memory_bytes(),
        python=platform.python_version(),
        commit=commit(),
        load_before=os.getloadavg()[0],
    )


def cpu_model() -> str:
    """The processor's name and its widest vectors, as Linux tells them."""
    told = dict[str, str]()
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        name, _, value = line.partition(":")
        told.setdefault(name.strip(), value.strip())
    flags = told.get("flags", "").split()
    vectors = next((name for flag, name in VECTORS.items() if flag in flags), "")
    return ", ".join(part for part in (told.get("model name", "unknown"), vectors) if part)


def commit() -> str:
    """The commit that is checked out, with a + where files differ from it; empty outside of a checkout."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
