"""Calibrate the three trained branches, weigh them, and write the weights file.

python -m models.train.assemble --branches DIR --out models/weights/v2em-s.safetensors --model-id v2em-s-1
"""

import argparse
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.calibration import Calibration, fit_calibration, log_odds
from models.emotions import EMOTIONS, MODALITIES
from models.train.checkpoint import load_checkpoint
from models.weights_file import save_weights

FILES = {"text": "text.pt", "audio": "voice.whisper-states.pt", "face": "face.pt"}


def information_share(logits: Tensor, targets: Tensor, calibration: Calibration) -> float:
    """How much of the uncertainty about the label a branch removes on held-out items: 1 - cross-entropy / entropy.

    Each emotion that occurs weighs alike, so that it isn't a matter of how common neutral is in a corpus.
    """
    if targets.ndim == 1:
        targets = torch.nn.functional.one_hot(targets, len(EMOTIONS)).float()
    mass = targets.sum(dim=0)
    occurring = mass > 0
    weights = (targets / mass.clamp_min(1e-9)).sum(dim=1)
    balanced = fit_calibration(logits, targets, weights)
    scores = log_odds(logits, Calibration(calibration.temperature, balanced.bias))
    log_p = torch.nn.functional.logsigmoid(scores)
    cross_entropy = -(weights[:, None] * targets * log_p).sum() / weights.sum()
    return max(0.0, 1 - float(cross_entropy) / math.log(int(occurring.sum())))


def fusion_weights(shares: dict[str, float]) -> dict[str, float]:
    """Weights that sum to 1, so that one branch alone keeps its log-odds: halfway between `shares` and equal ones.

    Halfway, as the shares come from different corpora, some easier than others, and none is of fused labels.
    """
    total = sum(shares.values())
    weights = {name: round(0.5 * share / total + 0.5 / len(shares), 4) for name, share in shares.items()}
    *others, last = weights
    weights[last] = 1 - sum(weights[name] for name in others)
    return weights


def assemble(branches: Path, out: Path, model_id: str) -> dict[str, Any]:
    """Write the weights file; gives the configuration stored in it.

    Voice gets a temperature alone: how often an emotion occurs in acted speech was decided by those who recorded it.
    """
    config: dict[str, Any] = {"calibration": {}, "fusion": {}}
    state: dict[str, Tensor] = {}
    for modality in MODALITIES:
        trained = load_checkpoint(branches / FILES[modality])
        if trained is None:
            raise FileNotFoundError(f"{branches / FILES[modality]} is missing: train the {modality} branch first")
        calibration = fit_calibration(trained["tune_logits"], trained["tune_labels"], with_bias=modality != "audio")
        config[modality] = trained["config"]
        config["calibration"][modality] = asdict(calibration)
        config["fusion"][modality] = information_share(trained["tune_logits"], trained["tune_labels"], calibration)
        state |= {f"{modality}.{name}": value for name, value in trained["state"].items()}
    config["fusion"] = fusion_weights(config["fusion"])
    temporary = out.with_suffix(".tmp")
    save_weights(temporary, model_id, config, state)
    temporary.chmod(0o644)  # safetensors makes it private
    temporary.replace(out)
    return config


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--branches", type=Path, required=True, help="folder of the trained branches")
    parser.add_argument("--out", type=Path, required=True, help="the weights file to write")
    parser.add_argument("--model-id", required=True)
    arguments = parser.parse_args()
    print(json.dumps(assemble(arguments.branches, arguments.out, arguments.model_id), indent=2))


if __name__ == "__main__":
    main()
