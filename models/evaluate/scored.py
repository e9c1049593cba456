"""Labelled items with the probabilities that a model gave them: all that measuring needs to know."""

from dataclasses import dataclass, replace

import numpy as np

from models.corpora.item import Part


@dataclass(frozen=True)
class Scored:
    """A set of N items of one corpus and part.

    labels index `emotions`; an item may have several, or none (in corpora where "no emotion" is an answer). speakers
    are "" where unknown. probabilities float [N, C], columns as `emotions`. left_out counts items of the part that are
    not among the N: their labels are none of these emotions, or what the branches read is missing.
    """

    name: str
    corpus: str
    part: Part
    emotions: tuple[str, ...]
    ids: tuple[str, ...]
    speakers: tuple[str, ...]
    labels: tuple[tuple[int, ...], ...]
    probabilities: np.ndarray
    left_out: int = 0

    def __post_init__(self) -> None:
        """ValueError when the columns are not of one length, or the probabilities are none."""
        shape = (len(self.ids), len(self.emotions))
        if not len(self.ids) == len(self.speakers) == len(self.labels) or self.probabilities.shape != shape:
            raise ValueError(f"{self.name}: ids, speakers, labels and probabilities must be of the same items")
        if not ((self.probabilities >= 0) & (self.probabilities <= 1)).all():
            raise ValueError(f"{self.name}: probabilities must lie in 0..1, without NaN")

    def __len__(self) -> int:
        return len(self.ids)

    def hot(self) -> np.ndarray:
        """bool [N, C]: which emotions each item has."""
        return np.array([[c in held for c in range(len(self.emotions))] for held in self.labels], bool)

    def truth_beside(self, predicted: np.ndarray) -> np.ndarray:
        """int [N]: the one label of each item to compare `predicted` [N] with.

        An item of several labels counts as right when one of them is named; else its first label stands. Items without
        a label give -1.
        """
        pairs = zip(self.labels, predicted.tolist(), strict=True)
        return np.array([named if named in held else (held[0] if held else -1) for held, named in pairs], int)

    def known_speakers(self) -> tuple[str, ...]:
        """Names of the speakers, sorted; empty unless every item's speaker is known."""
        return tuple(sorted(set(self.speakers))) if all(self.speakers) else ()

    def chosen(self, rows: np.ndarray, name: str) -> "Scored":
        """The items of these rows, as a set of its own."""
        picked = rows.tolist()
        return replace(
            self,
            name=name,
            ids=tuple(self.ids[row] for row in picked),
            speakers=tuple(self.speakers[row] for row in picked),
            labels=tuple(self.labels[row] for row in picked),
            probabilities=self.probabilities[rows],
        )
