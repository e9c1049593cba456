"""The code of FV2ES as a cluster is given it: three packages with their data files, whatever else lies beside them."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipelines.errors import SettingsError

PACKAGES = ("pipelines", "operators", "models")
SUFFIXES = frozenset({".py", ".json", ".safetensors", ".onnx", ".md", ".yaml", ".j2", ".css", ".html", ".js", ".svg"})
"""Code and the data files that belong to it, as pyproject.toml lists them."""

MAX_BYTES = 64 << 20
"""Ray keeps packages in the memory of the head, and its job server takes no more than 100 MiB at once."""

RAY_JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set in the driver of a submitted job, whose nodes have the driver's code already."""


def copy_code(into: Path) -> list[Path]:
    """Copy the packages, as they run here, into a folder; the folders of the packages.

    Raises:
        SettingsError: together they are too large to be sent.
    """
    sizes: dict[Path, int] = {}
    for package in PACKAGES:
        root = _folder_of(package)
        for file in _files_below(root):
            target = into / package / file.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            sizes[file] = target.stat().st_size
    if (total := sum(sizes.values())) > MAX_BYTES:
        largest = max(sizes, key=lambda file: sizes[file])
        raise SettingsError(
            f"The code has {total >> 20} MiB, and a cluster is sent {MAX_BYTES >> 20} MiB at most. The largest file is "
            f"{largest} ({sizes[largest] >> 20} MiB): does it belong there?"
        )
    return [into / package for package in PACKAGES]


def code_for_workers(folder: Path) -> dict[str, Any] | None:
    """Ray's `runtime_env` for a run that a driver outside the cluster's jobs starts; copies the code to `folder`.

    None for a driver that was submitted: it runs on code that its nodes have too.
    """
    if RAY_JOB_VARIABLE in os.environ:
        return None
    return {"py_modules": [str(path) for path in copy_code(folder)]}


def _folder_of(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SettingsError(f"The package {package} is not installed as files, so it can't be sent to a cluster.")
    return Path(spec.origin).parent


def _files_below(root: Path) -> list[Path]:
    found = []
    for parent, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__pycache__")))
        files = [Path(parent, name) for name in sorted(names) if not name.startswith(".")]
        found += [file for file in files if file.suffix in SUFFIXES and not file.is_symlink()]
    return found
