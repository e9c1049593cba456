"""Fusion weights and how much a branch knows."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.calibration import fit_calibration, log_odds
from models.emotions import MODALITIES
from models.train.assemble import FILES, assemble, evidence_of, fusion_weights, information_share
from models.train.checkpoint import save_checkpoint
from models.weights_file import load_weights


@given(st.tuples(*[st.floats(0.01, 1)] * 3))
def test_fusion_weights_sum_to_one_and_follow_the_shares(shares: tuple[float, ...]) -> None:
    weights = list(fusion_weights(dict(zip("abc", shares, strict=True))).values())
    assert sum(weights) == pytest.approx(1)
    for weight, share in zip(weights, shares, strict=True):
        assert weight == pytest.approx(share / sum(shares), abs=2e-4)


def test_a_branch_that_knows_more_weighs_more() -> None:
    torch.manual_seed(0)
    truth = torch.randint(0, 7, (2000,))
    hot = torch.nn.functional.one_hot(truth, 7).float()
    shares = []
    for knowledge in (0.0, 1.0, 3.0):
        logits = torch.randn(2000, 7) + knowledge * hot
        shares.append(information_share(logits, truth))
    assert shares[0] < 0.02 < shares[1] < shares[2] < 1


def test_evidence_does_not_repeat_what_is_common() -> None:
    """Logits that know nothing but that emotion 0 is common: alone they say so, as evidence they say nothing."""
    torch.manual_seed(0)
    truth = torch.multinomial(torch.tensor([0.7, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05]), 4000, replacement=True)
    logits = 0.01 * torch.randn(4000, 7)
    alone = log_odds(logits, fit_calibration(logits, truth)).sigmoid().mean(dim=0)
    evidence = log_odds(logits, evidence_of(logits, truth)).sigmoid().mean(dim=0)
    assert alone[0] > 0.55
    assert evidence == pytest.approx(torch.full((7,), 1 / 7), abs=0.03)


def trained(folder: Path, modality: str, knowledge: float) -> None:
    """What the training of a branch leaves, of a network of one number that says how much it knows."""
    generator = torch.Generator().manual_seed(len(modality))
    labels = torch.randint(0, 7, (700,), generator=generator)
    hot = torch.nn.functional.one_hot(labels, 7)
    logits = torch.randn(700, 7, generator=generator) + knowledge * hot
    said = {"tune_logits": logits, "tune_labels": labels, "tune_corpora": ["MELD"] * 700}
    said |= {"utterance_logits": logits, "utterance_labels": labels}
    save_checkpoint(folder / FILES[modality], {"state": {"w": torch.tensor([knowledge])}, "config": {}, **said})


def test_a_branch_that_was_not_trained_anew_is_kept_and_its_share_changes_with_the_others(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for modality in MODALITIES:
        trained(first, modality, 1.0)
    before = assemble(first, tmp_path / "before.safetensors", "before")
    trained(second, "face", 3.0)
    with pytest.raises(FileNotFoundError, match=r"text\.pt is missing: train the text branch first"):
        assemble(second, tmp_path / "none", "none")
    shipped = Path("models/weights/v2em-s.safetensors")
    with pytest.raises(FileNotFoundError, match=r"text branch first; .*v2em-s\.safetensors doesn't say how much"):
        assemble(second, tmp_path / "none", "none", keep=shipped)
    after = assemble(second, tmp_path / "after.safetensors", "after", keep=tmp_path / "before.safetensors")
    assert after["information"]["face"] > before["information"]["face"]
    assert after["fusion"]["face"] > before["fusion"]["face"]
    for part in ("calibration", "evidence", "information"):
        assert json.dumps(after[part]["audio"], sort_keys=True) == json.dumps(before[part]["audio"], sort_keys=True)
    ratio = before["fusion"]["text"] / before["fusion"]["audio"]
    assert after["fusion"]["text"] / after["fusion"]["audio"] == pytest.approx(ratio, rel=1e-2)
    model_id, _, state = load_weights(tmp_path / "after.safetensors")
    assert model_id == "after"
    assert {name: float(value) for name, value in state.items()} == {"text.w": 1, "audio.w": 1, "face.w": 3}
