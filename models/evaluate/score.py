"""From the items of corpora to scored sets: each branch alone, and together, over the path that labels videos."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.corpora.item import Corpus, Item, Part
from models.emotions import EMOTIONS
from models.evaluate.inputs import read_input
from models.evaluate.scored import Scored
from models.v2em.crops import FaceDetector
from models.v2em_s import EmotionModel, Predictions, UtteranceInput

BRANCHES = ("text", "voice", "face")
"""As users call them, in the order of models.emotions.MODALITIES."""
ITEMS_AT_ONCE = 256  # bounds memory
OTHER_NAMES = {
    "neutral": "neu calm",
    "happy": "hap happiness joy",
    "sad": "sadness",
    "angry": "ang anger",
    "fear": "fea fearful",
    "disgust": "dis disgusted",
    "surprise": "sur surprised",
}
"""Other corpora's names of the seven. What is none of them (excited, frustrated, bored) cannot be named: left out."""
OURS = {other: EMOTIONS.index(name) for name, others in OTHER_NAMES.items() for other in (name, *others.split())}
"""From any of these names to its index in EMOTIONS."""

Combination = tuple[str, ...]
"""Branches that read an item together, in the order of BRANCHES."""
Told = Callable[[str, int, int], None]
"""Called with what is being read, items done, items in all."""


@dataclass(frozen=True)
class Group:
    """Items of one corpus and part; labels index EMOTIONS; available: branches that can read at least one of them."""

    corpus: str
    part: Part
    available: Combination
    items: tuple[Item, ...]
    left_out: int  # items of the corpus and part whose label is none of EMOTIONS


def offered(item: Item) -> Combination:
    """The branches that can read the item."""
    has = (
        item.text is not None and bool(item.text.strip()),
        item.sound is not None,
        bool(item.pictures) or item.image is not None,
    )
    return tuple(branch for branch, there in zip(BRANCHES, has, strict=True) if there)


def combinations(available: Combination) -> list[Combination]:
    """Each branch alone, voice and face together (words aside, as acted corpora repeat them), and all together."""
    chosen: list[Combination] = [(branch,) for branch in available]
    chosen += [pair] if set(pair := ("voice", "face")) < set(available) else []
    return chosen + ([available] if len(available) > 1 else [])


def group_items(corpus: Corpus) -> list[Group]:
    """Items by corpus and part, with labels renamed to EMOTIONS; those with none of them are counted and left out."""
    renamed = [OURS.get(name) for name in corpus.label_space]
    kept: dict[tuple[str, Part], list[Item]] = {}
    dropped: dict[tuple[str, Part], int] = {}
    for item in corpus.items:
        key = item.corpus, item.part
        labels = tuple(label for old in item.labels if (label := renamed[old]) is not None)
        if item.labels and not labels:
            dropped[key] = dropped.get(key, 0) + 1
        else:
            kept.setdefault(key, []).append(replace(item, labels=labels))
    groups = []
    for (name, part), held in sorted(kept.items()):
        somewhere = {branch for item in held for branch in offered(item)}
        available = tuple(branch for branch in BRANCHES if branch in somewhere)
        groups.append(Group(name, part, available, tuple(held), dropped.get((name, part), 0)))
    return groups


def score_group(
    model: EmotionModel,
    group: Group,
    detector: Callable[[], FaceDetector],
    asked: Sequence[Combination] | None = None,
    told: Told | None = None,
) -> list[Scored]:
    """The group read by each combination of branches that it offers, or by those asked for among them.

    detector: gives what finds the faces of corpora that show whole frames.

    Voice alone is scored twice: on whole clips as the corpus gives them, and trimmed, as utterances come from a speech
    detector; together with other branches it hears trimmed clips.
    """
    chosen = [c for c in combinations(group.available) if asked is None or c in asked]
    if asked is not None:
        chosen += [c for c in asked if c not in chosen and set(c) <= set(group.available)]
    scored = []
    if ("voice",) in chosen:
        whole = _predict(model, group, detector, ("voice",), False, told)
        scored.append(_scored(group, ("voice",), ", whole clips", whole))
    everything = _predict(model, group, detector, group.available, True, told) if chosen else None
    for combination in chosen:
        if everything is None or combination not in (group.available, *((b,) for b in BRANCHES)):
            predictions = _predict(model, group, detector, combination, True, told)
        else:
            predictions = everything
        scored.append(_scored(group, combination, ", trimmed clips" if combination == ("voice",) else "", predictions))
    return [items for items in scored if len(items)]


def _predict(
    model: EmotionModel,
    group: Group,
    detector: Callable[[], FaceDetector],
    combination: Combination,
    trim: bool,
    told: Told | None,
) -> Predictions:
    """For all items of the group; NaN, and nothing present, where there was nothing to read after all."""
    count, classes = len(group.items), len(EMOTIONS)
    fused, text_p, audio_p, face_p = (np.full((count, classes), np.nan, np.float32) for _ in range(4))
    present = np.zeros((count, len(BRANCHES)), bool)
    for first in range(0, count, ITEMS_AT_ONCE):
        chosen = group.items[first : first + ITEMS_AT_ONCE]
        inputs = [only(read_input(item, trim, detector), combination) for item in chosen]
        rows = [row for row, utterance in enumerate(inputs) if any(utterance.present())]
        predictions = model.predict([inputs[row] for row in rows])
        places = [first + row for row in rows]
        fused[places], present[places] = predictions.probabilities, predictions.present
        text_p[places], audio_p[places], face_p[places] = predictions.text_p, predictions.audio_p, predictions.face_p
        if told:
            told(f"{' + '.join(combination)}, {group.corpus}", first + len(chosen), count)
    return Predictions(fused, text_p, audio_p, face_p, present)


def _scored(group: Group, combination: Combination, form: str, predictions: Predictions) -> Scored:
    """What the combination says of the items for which all its branches had something to read."""
    columns = [BRANCHES.index(branch) for branch in combination]
    alone = (predictions.text_p, predictions.audio_p, predictions.face_p)
    probabilities = alone[columns[0]] if len(columns) == 1 else predictions.probabilities
    rows = np.flatnonzero(predictions.present[:, columns].all(axis=1))
    items = [group.items[row] for row in rows]
    return Scored(
        name=f"{' + '.join(combination)}, {group.corpus}{form}",
        corpus=group.corpus,
        part=group.part,
        emotions=EMOTIONS,
        ids=tuple(item.id for item in items),
        speakers=tuple(item.speaker for item in items),
        labels=tuple(item.labels for item in items),
        probabilities=probabilities[rows].astype(float),
        left_out=group.left_out + len(group.items) - len(rows),
    )


def only(utterance: UtteranceInput, combination: Combination) -> UtteranceInput:
    """The utterance with nothing but what these branches read."""
    return replace(
        utterance,
        text=utterance.text if "text" in combination else None,
        pcm=utterance.pcm if "voice" in combination else None,
        faces=utterance.faces if "face" in combination else None,
    )
