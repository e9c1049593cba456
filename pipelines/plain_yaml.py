"""Read a small YAML file that nobody vouches for: bounded in size, depth and what its parts may stand for."""

from pathlib import Path
from typing import Any

import yaml

from pipelines.errors import SettingsError

MAX_BYTES = 100_000
MAX_DEPTH = 20
TAG = "tag:yaml.org,2002:"
"""What `!!` in a YAML file stands for."""


def read_yaml(path: Path) -> Any:
    """What a YAML file holds; None for an empty one.

    Aliases (`*name`) are refused: ten lines of them can stand for a billion values. So are tags (`!!int`): each is a
    constructor that breaks in its own way. Settings need neither.

    Raises:
        SettingsError: it can't be read, is too large or too deep, or isn't YAML of plain values.
    """
    try:
        if not path.exists() or path.is_dir():
            path.read_bytes()  # raises the error that says so
        if not path.is_file():  # a pipe or a device would never end
            raise SettingsError(f"{path}: not a regular file.")
        if path.stat().st_size > MAX_BYTES:
            raise SettingsError(f"{path}: larger than {MAX_BYTES:,} bytes; this is no configuration.")
        text = path.read_text("utf-8")
    except OSError as error:
        raise SettingsError(f"{path}: can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not valid YAML: it is not UTF-8 text.") from error
    try:
        _check_events(path, text)
        return yaml.safe_load(text)
    # ValueError: of dates and numbers that YAML's own forms allow and Python's don't, such as 2026-13-45.
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(f"{path}: not valid YAML: {error}") from error


def _check_events(path: Path, text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise SettingsError(f"{path}: aliases (*{event.anchor}) are not taken; write the value out.")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            raise SettingsError(f"{path}: tags ({event.tag.replace(TAG, '!!')}) are not taken; write the value alone.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise SettingsError(f"{path}: nested deeper than {MAX_DEPTH}; this is no configuration.")
