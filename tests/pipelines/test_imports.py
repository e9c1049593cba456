"""What each stage's process imports: seconds of start-up and hundreds of megabytes, in every worker."""

import json
import subprocess
import sys

import pytest

from pipelines import config, recipe
from pipelines.errors import SettingsError

BUILD = """
import json, sys
from pipelines import config, graph, recipe
settings = config.load()
getattr(graph, sys.argv[1])(settings, recipe.find_weights(settings), device="cpu")
print(json.dumps([name for name in sys.argv[2:] if name in sys.modules]))
"""
HEAVY = ("transformers", "torchvision", "lightning", "pyannote.audio", "sklearn", "pandas", "torchmetrics")


@pytest.mark.parametrize(
    ("stage", "unwanted"),
    [("_decode", ("torch", *HEAVY)), ("_transcribe", HEAVY), ("_infer", HEAVY)],
)
def test_a_stage_imports_no_more_than_it_uses(stage: str, unwanted: tuple[str, ...]) -> None:
    try:
        recipe.find_weights(config.load())
    except SettingsError as error:
        pytest.skip(str(error))
    run = [sys.executable, "-c", BUILD, stage, *unwanted]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_the_real_packages_are_there_for_who_wants_them_later() -> None:
    """In a process of its own: what others have imported would hide what is asked here."""
    code = """
from operators.quiet import import_whisperx_asr, quiet_speech_libraries
with quiet_speech_libraries(offline=True):
    asr = import_whisperx_asr()
    assert import_whisperx_asr() is asr
    from transformers import AutoModel, Pipeline
    from whisperx.vads import Pyannote
assert Pyannote.__module__ == "whisperx.vads.pyannote" and Pipeline.__module__ == "transformers.pipelines.base"
"""
    subprocess.run([sys.executable, "-c", code], check=True)
