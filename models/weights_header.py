"""What a weights file says of itself, read without torch, which takes seconds to import: every command looks at it."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from models.emotions import EMOTIONS, MODALITIES

FORMAT = "v2em-s/1"


class WeightsError(ValueError):
    """A weights file that cannot be used, and why."""


def check_weights(path: Path) -> dict[str, str]:
    """The metadata of a weights file. WeightsError when it is no file of V2EM-S, or orders labels otherwise.

    Reads the header alone. Nothing in the file is ever run: safetensors hold numbers, and a pickle isn't one.
    """
    metadata = read_metadata(path, FORMAT)
    for name, ours in (("emotions", EMOTIONS), ("modalities", MODALITIES)):
        theirs = tuple(json.loads(metadata.get(name, "[]")))
        if theirs != ours:
            raise WeightsError(f"{path} has the {name} {list(theirs)}; this version has {list(ours)}, in that order")
    return metadata


def read_metadata(path: Path, file_format: str) -> dict[str, str]:
    """The metadata of a safetensors file. WeightsError when it is none, or says it is of another format."""
    if not path.is_file():
        raise WeightsError(f"no weights file at {path}")
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a safetensors file: {error}") from error
    if metadata.get("format") != file_format:
        raise WeightsError(f"{path} is of format {metadata.get('format')!r}; this version reads {file_format!r}")
    return metadata
