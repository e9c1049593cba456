"""Import and load speech libraries without their noise."""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator


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
