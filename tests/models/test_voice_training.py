"""The voice branch's training: who is in which fold, what an epoch draws, and that a few clips are learnt by heart."""

import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.train.checkpoint import load_checkpoint, save_checkpoint
from models.train.loop import LoopSettings
from models.train.manifest import Item
from models.train.voice import (
    Encoded,
    VoiceRecipe,
    VoiceTask,
    encode_part,
    held_out_logits,
    logits_of,
    mask_times,
    sampling_weights,
    speaker_folds,
    train_members,
    unweighted_recall,
)
from models.voice import VoiceConfig, VoiceEnsemble

TINY = VoiceConfig(encoder_layers=(1,), deviation=True, members=2, state_dim=16, dim=32, heads=2, dropout=0.0)
PLAIN = VoiceRecipe(batch_size=14, label_smoothing=0, time_mask_s=0, mixup=0, folds=2)


def encoded(speakers: int = 4, copies: int = 2) -> Encoded:
    """A clip for each speaker and emotion; the emotion is the place of the largest state."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(7).repeat(speakers)
    rows = []
    for label in labels.tolist():
        states = 0.3 * torch.randn(30 + label, 16, generator=generator)
        states[:, label] += 3
        rows.append(states.half())
    names = [f"speaker {i // 7}" for i in range(len(labels))]
    return Encoded([rows] * copies, labels, ["A"] * len(labels), names)


def test_a_few_clips_are_learnt_by_heart_by_all_members(tmp_path: Path) -> None:
    clips = encoded()
    loop = LoopSettings(epochs=40, learning_rate=3e-3, average_decay=0.9)
    branch = train_members(clips, clips, TINY, PLAIN, loop, tmp_path)
    assert isinstance(branch, VoiceEnsemble)
    logits = logits_of(branch, clips.copies[0])
    assert torch.nn.functional.cross_entropy(logits, clips.labels) < 0.05
    first, second = branch.members
    assert not torch.equal(first.head.weight, second.head.weight)
    again = train_members(clips, clips, TINY, PLAIN, loop, tmp_path)  # is there already: nothing is trained twice
    torch.testing.assert_close(logits_of(again, clips.copies[0]), logits)


def test_an_epoch_draws_crops_of_the_length_asked_for_and_mixes_both_labels() -> None:
    recipe = VoiceRecipe(batch_size=7, crop_s=0.8, mixup=0.4)
    task = VoiceTask(encoded(), encoded(), replace(TINY, members=1), recipe)
    batches = list(task.batches(0, torch.Generator().manual_seed(0)))
    assert len(batches) == task.steps(0) == 4
    assert all(batch.items.shape == (7, 20, 16) for batch in batches)  # 0.8 s of 25 states a second
    assert all(0.5 <= batch.share <= 1 for batch in batches)
    again = list(task.batches(0, torch.Generator().manual_seed(0)))
    assert all(torch.equal(a.items, b.items) for a, b in zip(batches, again, strict=True))


def test_calibration_leaves_out_what_a_corpus_has_of_one_speaker_alone(tmp_path: Path) -> None:
    clips = encoded(speakers=8)
    labels = clips.labels.clone()
    labels[(labels == 6) & (torch.arange(len(labels)) // 7 > 0)] = 0  # only the first is ever surprised
    clips, loop = replace(clips, labels=labels), LoopSettings(epochs=1, learning_rate=1e-3)
    logits, truth, corpora = held_out_logits(clips, clips, TINY, PLAIN, loop, tmp_path)
    assert 6 not in truth
    assert len(logits) == len(truth) == len(corpora) == 2 * (8 * 7 - 1)


@given(st.integers(2, 12), st.integers(2, 4))
def test_no_speaker_is_in_two_folds_and_every_fold_has_one(speakers: int, folds: int) -> None:
    part = encoded(speakers)
    of_speaker: dict[str, set[int]] = {}
    for speaker, fold in zip(part.speakers, speaker_folds(part, folds), strict=True):
        of_speaker.setdefault(speaker, set()).add(fold)
    assert all(len(found) == 1 for found in of_speaker.values())
    if speakers >= 2 * folds:
        assert set().union(*of_speaker.values()) == set(range(folds))


def test_rare_emotions_are_drawn_more_often_than_they_occur_but_less_than_common_ones() -> None:
    part = Encoded([], torch.tensor([0] * 16 + [1] * 4), ["A"] * 20, ["s"] * 20)
    weights = sampling_weights(part)
    assert weights[:16].sum() / weights[16:].sum() == pytest.approx(2)  # of 4


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_masking_hides_at_most_a_third_and_never_everything(lengths: list[int]) -> None:
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    masked = mask_times(mask, 0.6, 25.0, torch.Generator().manual_seed(0))
    hidden = mask.sum(1) - masked.sum(1)
    assert (hidden <= torch.tensor(lengths) / 3 + 1).all()
    assert masked.any(dim=1).all()
    assert not (masked & ~mask).any()


def test_recall_is_over_the_classes_that_occur() -> None:
    logits = torch.tensor([[1.0, 0.5, 9.0], [0.0, 1.0, 9.0], [1.0, 0.0, 9.0], [2.0, 1.0, 9.0]])
    assert unweighted_recall(logits, torch.tensor([0, 1, 1, 0])) == pytest.approx(0.75)


def test_a_cache_made_otherwise_is_made_anew(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(0).integers(-9000, 9000, 16_000, np.int16).tobytes())
    items = [Item(tmp_path / "a.wav", "A", "s", "train", 0)]
    calls = []

    def front_end(clips: list[np.ndarray]) -> list[torch.Tensor]:
        calls.append(len(clips))
        return [torch.ones(3, 4) for _ in clips]

    made_by = {"copies": 1, "seed": 0, "front_end": "test"}
    for expected, settings in ((3, made_by), (3, made_by), (7, made_by | {"copies": 2})):
        part = encode_part(items, front_end, settings, tmp_path / "cache")
        assert len(calls) == expected  # the clip, its trimmed form, and each copy
        assert len(part.copies) == settings["copies"] + 2
    save_checkpoint(tmp_path / "cache", {**(load_checkpoint(tmp_path / "cache") or {}), "made_by": {}})
    encode_part(items, front_end, made_by, tmp_path / "cache")
    assert len(calls) == 10
