"""Trivial labellers, on the same items: a model that is not above them has learnt nothing.

majority names the commonest emotion of these very items, always. prior guesses at random, each emotion as often as it
occurs; its scores are those expected. all_negative says no to every emotion, all_positive yes.
"""

import numpy as np

from models import metrics
from models.evaluate.scored import Scored

Baselines = dict[str, dict[str, float]]
"""By measure, then by labeller."""

CHANCE_AUC = CHANCE_WEIGHTED_ACCURACY = 0.5


def majority_emotion(items: Scored) -> int:
    """Index of the commonest emotion."""
    return int(items.hot().sum(axis=0).argmax())


def naming_baselines(items: Scored) -> Baselines:
    """Beside the measures of the most probable emotion: accuracy, uar, uar_shared, macro_f1, weighted_f1."""
    always = np.full(len(items), majority_emotion(items))
    truth = items.truth_beside(always)
    labelled = truth >= 0
    matrix = metrics.confusion_matrix(truth[labelled], always[labelled], len(items.emotions))
    hot = items.hot()[labelled]
    share = hot.mean(axis=0)  # of the items that have an emotion; more than 1 together where some have several
    guesses = share / share.sum()
    right = float((hot @ guesses).mean())
    chance = float(1 / (share > 0).sum())
    return {
        "accuracy": {"majority": float(metrics.accuracy_of(matrix)), "prior": right},
        "uar": {"majority": float(metrics.unweighted_recall_of(matrix)), "prior": chance},
        "uar_shared": {"majority": float(metrics.unweighted_recall_of(matrix)), "prior": chance},
        "macro_f1": {"majority": float(metrics.macro_f1_of(matrix)), "prior": chance},
        "weighted_f1": {"majority": float(metrics.weighted_f1_of(matrix)), "prior": float((guesses**2).sum())},
    }


def decision_baselines(share: float, is_majority: bool) -> Baselines:
    """Beside the yes-or-no measures of one emotion that a share of the items have, 0 < share < 1.

    Saying yes at random to that share of the items is right with share**2 + (1 - share)**2, and its F1 is the share.
    """
    always = {"binary_accuracy": share, "f1": 2 * share / (1 + share)}
    never = {"binary_accuracy": 1 - share, "f1": 0.0}
    labellers = {
        "all_negative": never,
        "all_positive": always,
        "majority": always if is_majority else never,
        "prior": {"binary_accuracy": share**2 + (1 - share) ** 2, "f1": share},
    }
    chance = {"weighted_accuracy": CHANCE_WEIGHTED_ACCURACY, "auc": CHANCE_AUC}
    return {
        measure: {name: (scores | chance)[measure] for name, scores in labellers.items()}
        for measure in ("weighted_accuracy", "binary_accuracy", "f1", "auc")
    }
