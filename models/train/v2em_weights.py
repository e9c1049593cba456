"""Weights of a trained V2EM: one safetensors file that says of itself what it is.

Metadata: format, model_id, emotions (their order), thresholds (by emotion) and what they were fitted on, deploy
(whether RepVGG's blocks are fused to single convolutions), config (sizes, legacy or not; JSON).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from models.v2em.config import V2emConfig
from models.v2em.model import V2EM
from models.weights_file import load_strictly, read_tensors, write_tensors

FORMAT = "v2em/1"
PREFIX = "v2em"


@dataclass(frozen=True)
class TrainedV2em:
    """A model in eval mode, the names that its columns stand for, and from which probability on each is a yes."""

    model: V2EM
    model_id: str
    emotions: tuple[str, ...]
    thresholds: tuple[float, ...]
    fitted_on: str
    deploy: bool


def save_v2em(path: Path, trained: TrainedV2em) -> None:
    """Write the weights in float32, under a temporary name first."""
    state = {f"{PREFIX}.{name}": value.contiguous().cpu() for name, value in trained.model.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "model_id": trained.model_id,
        "emotions": json.dumps(trained.emotions),
        "thresholds": json.dumps(dict(zip(trained.emotions, trained.thresholds, strict=True))),
        "fitted_on": trained.fitted_on,
        "deploy": json.dumps(trained.deploy),
        "config": json.dumps(asdict(trained.model.config), sort_keys=True),
    }
    write_tensors(path, state, metadata)


def load_v2em(path: Path) -> TrainedV2em:
    """The model of a file, in the form that the file says it has.

    Raises WeightsError when it is no such file, or when a tensor is missing, unknown or of another shape.
    """
    metadata, state = read_tensors(path, FORMAT)
    deploy, emotions = json.loads(metadata["deploy"]), tuple(json.loads(metadata["emotions"]))
    model = V2EM(TypeAdapter(V2emConfig).validate_python(json.loads(metadata["config"]))).eval()
    if deploy:
        model = model.fused()
    load_strictly(model, state, PREFIX, path)
    thresholds = json.loads(metadata["thresholds"])
    return TrainedV2em(
        model=model,
        model_id=metadata["model_id"],
        emotions=emotions,
        thresholds=tuple(thresholds[name] for name in emotions),
        fitted_on=metadata["fitted_on"],
        deploy=deploy,
    )
