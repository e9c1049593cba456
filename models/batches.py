"""Items of many lengths through a network, those of like length together, so that little is padded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from models.emotions import EMOTIONS


@dataclass(frozen=True)
class Shapes:
    """The few shapes that batches are padded to, so that each can be recorded: numbers of rows, and lengths of rows.

    Both rise. A row longer than all lengths keeps its own, and is not recorded.
    """

    rows: tuple[int, ...]
    lengths: tuple[int, ...]

    def length(self, length: int) -> int:
        """What rows of that length are padded to."""
        return _at_least(length, self.lengths)

    def count(self, count: int) -> int:
        """How many rows a batch of so many gets."""
        return _at_least(count, self.rows)


def rows_of(batch_size: int) -> tuple[int, ...]:
    """Numbers of rows for batches of at most `batch_size`: that, a quarter of it, and so on down to 1."""
    return tuple(sorted({max(1, batch_size // 4**power) for power in range(batch_size.bit_length() // 2 + 1)} | {1}))


def _at_least(wanted: int, steps: Sequence[int]) -> int:
    return next((step for step in steps if step >= wanted), wanted)


def batches(lengths: Sequence[int], batch_size: int, shapes: Shapes | None = None) -> list[list[int]]:
    """Rows by batch, each row once, those of like length together; with shapes all rows of a batch share a length."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    groups = [order]
    if shapes is not None:
        groups = [list(group) for _, group in groupby(order, lambda row: shapes.length(lengths[row]))]
    return [group[first : first + batch_size] for group in groups for first in range(0, len(group), batch_size)]


def in_batches(
    lengths: Sequence[int],
    batch_size: int,
    classify: Callable[[list[int]], Tensor],
    shapes: Shapes | None = None,
) -> Tensor:
    """Run `classify` over all rows, those of like length together, and give its logits in the rows' own order.

    `classify` may answer with more rows than it was asked for: what is behind them is padding. Logits stay on the
    device until all are there, so that a GPU is waited for once.
    """
    made = batches(lengths, batch_size, shapes)
    if not made:
        return torch.empty(0, len(EMOTIONS))
    answers = torch.cat([classify(chosen)[: len(chosen)] for chosen in made]).float().cpu()
    logits = torch.empty_like(answers)
    logits[[row for chosen in made for row in chosen]] = answers
    return logits
