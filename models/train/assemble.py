"""Calibrate the three trained branches, weigh them, and write the weights file.

python -m models.train.assemble --branches DIR --out models/weights/v2em-s.safetensors --model-id v2em-s-1

With --keep FILE, a branch that isn't in DIR stays as it is in that weights file; its share of the fusion changes with
that of the others.
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
from models.weights_file import load_weights, save_weights

FILES = {"text": "text.pt", "audio": "voice.whisper-states.pt", "face": "face.pt"}


SPOKEN = "MELD"
"""Of the corpora of words the one that was said: what a transcript knows is measured on it, not on what was written."""


def evidence_of(logits: Tensor, targets: Tensor) -> Calibration:
    """The calibration by which each emotion that occurs would be as likely as any other beforehand."""
    return fit_calibration(logits, targets, _balance(targets))


def information_share(logits: Tensor, targets: Tensor) -> float:
    """How much of the uncertainty about the label a branch removes on held-out items: 1 - cross-entropy / entropy.

    Each emotion that occurs weighs alike, so that it isn't a matter of how common neutral is in a corpus.
    """
    targets, weights = _one_row_an_item(targets), _balance(targets)
    log_p = torch.nn.functional.logsigmoid(log_odds(logits, evidence_of(logits, targets)))
    cross_entropy = -(weights[:, None] * targets * log_p).sum() / weights.sum()
    return max(0.0, 1 - float(cross_entropy) / math.log(int((targets.sum(dim=0) > 0).sum())))


def _one_row_an_item(targets: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(targets, len(EMOTIONS)).float() if targets.ndim == 1 else targets


def _balance(targets: Tensor) -> Tensor:
    hot = _one_row_an_item(targets)
    return (hot / hot.sum(dim=0).clamp_min(1e-9)).sum(dim=1)


def fusion_weights(shares: dict[str, float]) -> dict[str, float]:
    """Weights as the shares are to one another, which sum to 1, so that one branch alone keeps its log-odds."""
    total = sum(shares.values())
    weights = {name: round(share / total, 4) for name, share in shares.items()}
    *others, last = weights
    weights[last] = 1 - sum(weights[name] for name in others)
    return weights


def assemble(branches: Path, out: Path, model_id: str, keep: Path | None = None) -> dict[str, Any]:
    """Write the weights file; gives the configuration stored in it.

    Voice gets a temperature alone: how often an emotion occurs in acted speech was decided by those who recorded it.
    What faces are worth beside other branches is measured on bags, which stand in for the faces of an utterance; what
    they say by themselves is calibrated on single pictures.

    keep: a weights file whose branches stand where `branches` has none. Raises FileNotFoundError where neither has.
    """
    _, kept_config, kept_state = load_weights(keep) if keep else ("", {}, {})
    config: dict[str, Any] = {"calibration": {}, "evidence": {}, "information": {}, "fusion": {}}
    state: dict[str, Tensor] = {}
    for modality in MODALITIES:
        trained = load_checkpoint(branches / FILES[modality])
        if trained is None and modality in kept_config.get("information", {}):
            config[modality] = kept_config[modality]
            for part in ("calibration", "evidence", "information"):
                config[part][modality] = kept_config[part][modality]
            state |= {name: value for name, value in kept_state.items() if name.startswith(f"{modality}.")}
            continue
        if trained is None:
            said = f"{branches / FILES[modality]} is missing: train the {modality} branch first"
            if keep:
                said += f"; {keep} doesn't say how much its own knows, as files up to v2em-s-2 don't"
            raise FileNotFoundError(said)
        logits, labels = trained["tune_logits"], trained["tune_labels"]
        calibration = fit_calibration(logits, labels, with_bias=modality != "audio")
        config[modality] = trained["config"]
        config["calibration"][modality] = asdict(calibration)
        if modality == "face":
            logits, labels = trained["utterance_logits"], trained["utterance_labels"]
        config["evidence"][modality] = asdict(evidence_of(logits, labels))
        spoken = [modality != "text" or corpus == SPOKEN for corpus in trained.get("tune_corpora", [""] * len(labels))]
        config["information"][modality] = information_share(logits[spoken], labels[spoken])
        state |= {f"{modality}.{name}": value for name, value in trained["state"].items()}
    config["fusion"] = fusion_weights(config["information"])
    save_weights(out, model_id, config, state)
    return config


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--branches", type=Path, required=True, help="folder of the trained branches")
    parser.add_argument("--out", type=Path, required=True, help="the weights file to write")
    parser.add_argument("--model-id", required=True)
    parser.add_argument("--keep", type=Path, help="a weights file; branches that aren't in the folder stay as there")
    arguments = parser.parse_args()
    print(json.dumps(assemble(arguments.branches, arguments.out, arguments.model_id, arguments.keep), indent=2))


if __name__ == "__main__":
    main()
