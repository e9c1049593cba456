"""What a weights file of V2EM-S is: sizes, cost, calibration, fusion, and what it was measured to score."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from models.catalogue import sha256_of
from models.cost import cost_per_second
from models.emotions import EMOTIONS, MODALITIES
from models.evaluate.report import Report, SetReport
from models.face import FaceConfig
from models.voice import VoiceConfig
from models.weights_file import load_weights

EVALUATION_SUFFIX = ".evaluation.json"
"""A report of `fv2es evaluate` beside the weights: v2em-s.safetensors, v2em-s.evaluation.json."""
HEADLINES = ("accuracy", "uar_shared", "macro_f1", "weighted_f1", "ece")


class ModelFacts(BaseModel):
    """As `fv2es models info` shows it. Costs are billions of multiply-adds for a second of video."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_id: str
    sha256: str
    bytes: int
    labels: list[str]
    branches: list[str]
    parameters: dict[str, int]
    gmac_per_s: dict[str, float]
    calibration: dict[str, dict[str, Any]]
    fusion: dict[str, float]
    config: dict[str, Any]
    measured_on_these_weights: bool | None  # None: no evaluation lies beside them
    numbers: dict[str, dict[str, Any]]  # by set: items, part, and each headline measure


def model_facts(weights: Path) -> ModelFacts:
    """Read them off the file and the evaluation beside it. Raises WeightsError when it is no file of V2EM-S."""
    model_id, config, state = load_weights(weights)
    parameters = {
        modality: sum(
            v.numel() for name, v in state.items() if name.startswith(f"{modality}.") and v.is_floating_point()
        )
        for modality in MODALITIES
    }
    cost = cost_per_second(FaceConfig(**config["face"]), VoiceConfig(**config["audio"]))
    sha256 = sha256_of(weights)
    report = read_evaluation(weights.with_suffix(EVALUATION_SUFFIX))
    return ModelFacts(
        model_id=model_id,
        sha256=sha256,
        bytes=weights.stat().st_size,
        labels=list(EMOTIONS),
        branches=list(MODALITIES),
        parameters=parameters | {"all": sum(parameters.values())},
        gmac_per_s={
            "face": cost.face / 1e9,
            "whisper_encoder": cost.whisper_encoder / 1e9,
            "voice": cost.voice / 1e9,
            "face_and_voice": cost.total / 1e9,
        },
        calibration=config["calibration"],
        fusion=config["fusion"],
        config={modality: config[modality] for modality in MODALITIES},
        measured_on_these_weights=None if report is None else report.sha256 == sha256,
        numbers={} if report is None else {name: _headlines(found) for name, found in report.reports.items()},
    )


def read_evaluation(path: Path) -> Report | None:
    """The report at `path`; None where there is none, or one of another version."""
    try:
        return Report.model_validate_json(path.read_text("utf-8"))
    except (FileNotFoundError, ValidationError):
        return None


def _headlines(report: SetReport) -> dict[str, Any]:
    return report.model_dump(mode="json", include={"part", "items", *HEADLINES})
