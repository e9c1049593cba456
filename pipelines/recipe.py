"""The recipe: everything that changes a label. Its digest names the partition, so tables of two recipes never mix."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import catalogue
from models.weights_header import WeightsError, check_weights
from operators.schema import SCHEMA_VERSION
from operators.settings import resolve_path
from operators.write import canonical_json
from pipelines.config import Config
from pipelines.errors import SettingsError
from pipelines.gpus import decoders_on_gpu

LABELLING_VERSION = 2
"""Raised whenever our own code changes a label for the same settings and weights."""

VOICE_ENCODER = "whisper-tiny.en"
TEXT_ENCODER = "minilm-l6"
DETECTORS = {"mobilenet0.25": "retinaface-mobilenet0.25-onnx", "resnet50": "retinaface-resnet50"}

PUBLISHED_DETECTORS = {"mobilenet0.25": "retinaface-mobilenet0.25"}
"""Those that were converted for the CPU."""

GROUPS = ("decode", "faces", "speech", "windows", "infer")
NOT_IN_RECIPE = {
    "decode": {"time_limit_factor", "time_limit_base_s", "hardware"},
    "speech": {"batch_size"},
    "infer": {"batch_size", "graphs"},
}
"""What decodes gives the same pixels (operators.nvdec), and how kernels are launched the same sums (models.runner)."""

AS_EVER = {"infer": {"precision": "float32"}}
"""Settings that came later, at what was always done: left out, so that outputs of before are gone on with."""


@dataclass(frozen=True)
class Weights:
    """Where the weights of a configuration are.

    `asr` is a folder, or the hub name that whisperx is to load. `gpu_detector`: the same detector as a GPU reads it, if
    one is to and that is another file; what is found with it is the same, so it is not of the recipe.
    """

    asr: Path | str
    detector: Path
    emotion: Path
    voice_encoder: Path
    text_encoder: Path
    gpu_detector: Path | None = None


def find_weights(config: Config) -> Weights:
    """Locate every file that the configuration needs.

    Raises:
        SettingsError: something isn't there, and what to run; or the speech model doesn't know the language.
    """
    check_language(config)
    try:
        emotion = resolve_path(config.infer.model) or catalogue.locate(config.infer.model)
        check_weights(emotion)
        return Weights(
            asr=_asr(config),
            detector=catalogue.locate(DETECTORS[config.faces.detector]),
            emotion=emotion,
            voice_encoder=catalogue.locate(VOICE_ENCODER),
            text_encoder=catalogue.locate(TEXT_ENCODER),
            gpu_detector=_gpu_detector(config),
        )
    except (catalogue.CatalogueError, WeightsError) as error:
        raise SettingsError(str(error)) from error


def check_language(config: Config) -> None:
    """Raises SettingsError when the speech model doesn't know the language."""
    if config.speech.asr.endswith(".en") and config.speech.language not in ("en", None):
        raise SettingsError(
            f"speech.language is {config.speech.language!r}, but the speech model {config.speech.asr!r} knows English "
            "only. Set speech.asr to base, after `fv2es models pull whisper-base`, or to a model of the hub."
        )


def _gpu_detector(config: Config) -> Path | None:
    published = PUBLISHED_DETECTORS.get(config.faces.detector)
    may_be = decoders_on_gpu(config) != "never" and config.engine.faces_on != "cpu"
    return catalogue.locate(published) if published and may_be else None


def _asr(config: Config) -> Path | str:
    path = resolve_path(config.speech.asr)
    if path:
        return path
    name = f"whisper-{config.speech.asr}"
    return catalogue.locate(name) if name in catalogue.entries() else config.speech.asr


def recipe(config: Config, weights: Weights) -> dict[str, Any]:
    """What changes a label, by name: settings, settled by `pipelines.gpus.settled`, and digests of the weights."""
    settings = {
        group: getattr(config, group).model_dump(mode="json", exclude=NOT_IN_RECIPE.get(group, set()))
        for group in GROUPS
    }
    digests = {
        "asr": file_digest(weights.asr) if isinstance(weights.asr, Path) else weights.asr,
        "detector": file_digest(weights.detector),
        "emotion": file_digest(weights.emotion),
        "voice_encoder": file_digest(weights.voice_encoder),
        "text_encoder": file_digest(weights.text_encoder),
    }
    for group, values in AS_EVER.items():
        for name, value in values.items():
            if settings[group][name] == value:
                del settings[group][name]
    settings["decode"]["loop_filter"] = config.decode.filters_loops
    # Paths differ between machines and say nothing that the digest doesn't.
    settings["speech"]["asr"] = digests["asr"] if isinstance(weights.asr, Path) else weights.asr
    settings["infer"].pop("model")
    versions = {"schema": SCHEMA_VERSION, "labelling": LABELLING_VERSION}
    return {"versions": versions, "settings": settings, "weights": digests}


def recipe_id(recipe: dict[str, Any]) -> str:
    """12 hex digits that name a recipe."""
    return hashlib.sha256(canonical_json(recipe).encode()).hexdigest()[:12]


def partition(recipe_id: str) -> str:
    """The hive partition of a recipe."""
    return f"recipe={recipe_id}"


def file_digest(path: Path) -> str:
    """sha256 of a file, or one over the names and digests of a folder's files."""
    if path.is_file():
        return catalogue.sha256_of(path)
    files = sorted(item for item in path.iterdir() if item.is_file())
    return hashlib.sha256(
        canonical_json([[item.name, catalogue.sha256_of(item)] for item in files]).encode()
    ).hexdigest()
