"""Import and load speech libraries without their noise, and without what is not used of them."""

import contextlib
import importlib
import io
import logging
import os
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def quiet_speech_libraries(offline: bool) -> Iterator[None]:
    """whisperx, pyannote and what they bring: no messages, no telemetry and, where `offline`, no network."""
    os.environ["PYANNOTE_METRICS_ENABLED"] = "false"
    if offline:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    for name in ("whisperx", "lightning", "lightning_fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


_NOT_USED_BY_ASR: tuple[dict[str, tuple[str, ...]], ...] = (
    {
        "transformers": ("Pipeline",),
        "transformers.pipelines": (),
        "transformers.pipelines.pt_utils": ("PipelineIterator",),
    },
    {"whisperx.vads": ("Vad", "Silero", "Pyannote")},
)
"""What whisperx.asr imports for its own reading of whole files, which is not called: packages, with their names."""


def import_whisperx_asr() -> Any:
    """The module whisperx.asr, without transformers, pyannote and lightning: six of the eight seconds that it takes.

    Empty classes stand in for theirs while it is imported. Who imports those packages afterwards gets the real ones.
    """
    absent: dict[str, tuple[str, ...]] = {}
    for package in _NOT_USED_BY_ASR:
        if "whisperx.asr" not in sys.modules and not package.keys() & sys.modules.keys():
            absent |= package
    for name, names in absent.items():
        stand_in = types.ModuleType(name)
        for of in names:
            setattr(stand_in, of, type(of, (), {}))
        sys.modules[name] = stand_in
    try:
        return importlib.import_module("whisperx.asr")
    finally:
        for name in absent:
            del sys.modules[name]
