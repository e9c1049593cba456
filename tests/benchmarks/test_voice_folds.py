"""The comparison of Whisper's layers: each choice reads its own states, and who never heard a clip judges it."""

import torch

from benchmarks.voice_folds import of_layers, recall_of_unheard
from models.train.experiment import EXPERIMENTS, read_experiment
from models.train.voice import Encoded, folded
from models.voice import VoiceConfig

SPEAKERS, EMOTIONS, DIM = 6, 7, 8


def clips(telling: int) -> Encoded:
    """Three layers side by side of which one, `telling`, says the emotion, and the others say nothing."""
    generator = torch.Generator().manual_seed(0)
    rows, labels = [], torch.arange(EMOTIONS).repeat(SPEAKERS)
    for label in labels.tolist():
        states = 0.3 * torch.randn(40, 3 * DIM, generator=generator)
        states[:, telling * DIM + label] += 3
        rows.append(states.half())
    return Encoded([rows, rows], labels, ["A"] * len(labels), [f"speaker {i // EMOTIONS}" for i in range(len(labels))])


def test_layers_are_picked_by_their_numbers_in_the_order_asked_for() -> None:
    part = clips(telling=1)
    picked = of_layers(part, (1, 2, 5), (5, 1))
    for whole, copy in zip(part.copies, picked.copies, strict=True):
        for before, after in zip(whole, copy, strict=True):
            assert torch.equal(after, torch.cat([before[:, 2 * DIM :], before[:, :DIM]], dim=1))


def test_every_clip_is_asked_of_a_branch_that_never_heard_its_speaker() -> None:
    part = clips(telling=0)
    asked: list[int] = []
    for heard, unheard in folded(part, 3):
        assert not {part.speakers[row] for row in heard} & {part.speakers[row] for row in unheard}
        asked += unheard
    assert sorted(asked) == list(range(SPEAKERS * EMOTIONS))


def test_the_layer_that_tells_emotions_is_found() -> None:
    changes = {"recipe.batch_size": 14, "loop.epochs": 12, "loop.learning_rate": 0.003}
    experiment = read_experiment(EXPERIMENTS / "voice.yaml", changes)
    sizes = VoiceConfig(encoder_layers=(2,), state_dim=DIM, dim=32, heads=2, dropout=0.0)
    part = clips(telling=1)
    told = {
        layer: recall_of_unheard(*[of_layers(part, (1, 2, 3), (layer,))] * 2, experiment, sizes, seed=0)["A"]
        for layer in (2, 3)
    }
    assert told[2] > 0.9
    assert told[3] < 0.5
