"""A stand-in for what records CUDA graphs, where there is no GPU: work is done again on the memory it was recorded on.

It keeps the promise of the real one to the letter, inputs and results at fixed places included, so that whoever reads
a stale place reads stale numbers here too.
"""

from collections.abc import Callable

import torch


class Repeats:
    """Notes what was recorded and how often it was replayed."""

    def __init__(self) -> None:
        self.recorded = 0
        self.replayed = 0

    def record(self, work: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        """See models.runner.Recorder. Until it is replayed, the result holds nothing of use."""
        self.recorded += 1
        result = torch.full_like(work(), float("nan"))

        def replay() -> None:
            self.replayed += 1
            result.copy_(work())

        return replay, result
