"""Bags of pictures that stand in for the faces of an utterance, as no corpus at hand has labelled faces in motion.

A bag of a label holds pictures of that label and, as an expression comes and goes, pictures of neutral faces; a neutral
bag holds neutral pictures only. The pictures of a bag show different people, which real utterances don't.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.emotions import EMOTIONS

NEUTRAL = EMOTIONS.index("neutral")
FRAME_STEP_S = 0.5
MAX_FACES = 12


@dataclass(frozen=True)
class Bags:
    """rows [B, T] index the pictures; mask [B, T] says which are real; times_s [B, T]; labels [B]."""

    rows: Tensor
    mask: Tensor
    times_s: Tensor
    labels: Tensor


def draw_bags(labels: Tensor, count: int, generator: torch.Generator) -> Bags:
    """`count` bags of 1 to 12 pictures, a label's share as in `labels`; up to 60% of a bag may be neutral."""
    by_label = [torch.nonzero(labels == c)[:, 0] for c in range(len(EMOTIONS))]
    bag_labels = labels[torch.randint(len(labels), (count,), generator=generator)]
    lengths = torch.randint(1, MAX_FACES + 1, (count,), generator=generator)
    mask = torch.arange(MAX_FACES) < lengths[:, None]
    rows = torch.zeros(count, MAX_FACES, dtype=torch.long)
    for i, (label, length) in enumerate(zip(bag_labels.tolist(), lengths.tolist(), strict=True)):
        neutral_share = 0.6 * float(torch.rand(1, generator=generator))
        neutral = torch.rand(length, generator=generator) < neutral_share
        neutral[int(torch.randint(length, (1,), generator=generator))] = False  # one picture shows the label
        for kind, where in ((label, ~neutral), (NEUTRAL, neutral)):
            pool = by_label[kind] if len(by_label[kind]) else by_label[label]
            picks = torch.randint(len(pool), (int(where.sum()),), generator=generator)
            rows[i, torch.nonzero(where)[:, 0]] = pool[picks]
    start_s = FRAME_STEP_S * torch.rand(count, 1, generator=generator)
    times_s = start_s + FRAME_STEP_S * torch.arange(MAX_FACES)
    return Bags(rows, mask, times_s, bag_labels)
