"""Bags of pictures that stand in for the faces of an utterance, as no corpus at hand has labelled faces in motion.

A bag of a label holds one picture of that label and, as an expression comes and goes, one of a neutral face, each as
often as may be, and changed a little from time to time. So what a network has against a face it has against all of the
bag, as in an utterance: pictures of many people would each be mistaken for something else, and agree on the truth.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.emotions import EMOTIONS

NEUTRAL = EMOTIONS.index("neutral")
FRAME_STEP_S = 0.5
MAX_FACES = 12
MAX_NEUTRAL_SHARE = 0.9


@dataclass(frozen=True)
class Bags:
    """rows [B, T] index views of pictures; mask [B, T] says which are real; times_s [B, T]; labels [B]."""

    rows: Tensor
    mask: Tensor
    times_s: Tensor
    labels: Tensor


def draw_bags(labels: Tensor, views: int, count: int, generator: torch.Generator) -> Bags:
    """`count` bags of 1 to 12 views, a label's share as in `labels` [N]; up to 90% of a bag may be neutral.

    Row v N + n is view v, of `views`, of picture n.
    """
    by_label = [torch.nonzero(labels == c)[:, 0] for c in range(len(EMOTIONS))]
    bag_labels = labels[torch.randint(len(labels), (count,), generator=generator)]
    lengths = torch.randint(1, MAX_FACES + 1, (count,), generator=generator)
    mask = torch.arange(MAX_FACES) < lengths[:, None]
    rows = len(labels) * torch.randint(views, (count, MAX_FACES), generator=generator)
    for i, (label, length) in enumerate(zip(bag_labels.tolist(), lengths.tolist(), strict=True)):
        neutral_share = MAX_NEUTRAL_SHARE * float(torch.rand(1, generator=generator))
        neutral = torch.rand(MAX_FACES, generator=generator) < neutral_share
        neutral[int(torch.randint(length, (1,), generator=generator))] = False  # one picture shows the label
        shown, calm = (_pick(by_label[kind], by_label[label], generator) for kind in (label, NEUTRAL))
        rows[i] += torch.where(neutral, calm, shown)
    start_s = FRAME_STEP_S * torch.rand(count, 1, generator=generator)
    times_s = start_s + FRAME_STEP_S * torch.arange(MAX_FACES)
    return Bags(rows, mask, times_s, bag_labels)


def _pick(pool: Tensor, otherwise: Tensor, generator: torch.Generator) -> int:
    pool = pool if len(pool) else otherwise
    return int(pool[int(torch.randint(len(pool), (1,), generator=generator))])
