"""The whole evaluation: corpora in, a report out. Thresholds come from the tune part of each corpus."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from models import corpora as readers
from models.catalogue import locate, sha256_of
from models.corpora.item import CorpusError, Part
from models.emotions import EMOTIONS
from models.evaluate import takes
from models.evaluate.measure import measure_set
from models.evaluate.report import Report, SetReport
from models.evaluate.score import Combination, Told, group_items, score_group
from models.evaluate.scored import Scored
from models.evaluate.thresholds import VALIDATION, Thresholds
from models.retinaface import load_mobilenet
from models.v2em.crops import FaceDetector, detect_with
from models.v2em_s import EmotionModel


class NothingToEvaluateError(ValueError):
    """No item of the corpora can be measured; the message says why."""


@lru_cache(maxsize=1)
def _detector() -> FaceDetector:
    return detect_with(load_mobilenet(locate("retinaface-mobilenet0.25")))


@dataclass(frozen=True)
class Subject:
    """The model that is evaluated, the digest of its weights, and what finds faces for it in whole frames."""

    model: EmotionModel
    sha256: str
    detector: Callable[[], FaceDetector] = _detector


def load_subject(weights: Path | None = None) -> Subject:
    """The model of that weights file, or the one that ships, on the encoders of the catalogue.

    Raises CatalogueError when weights of the catalogue are not here, WeightsError when the file is none of V2EM-S.
    """
    path = weights or locate("v2em-s")
    model = EmotionModel.load(path, locate("whisper-tiny.en"), locate("minilm-l6"))
    return Subject(model, sha256_of(path))


def check_names(names: Iterable[str]) -> None:
    """CorpusError, which lists the known ones, when a name is neither that of a reader nor `takes`."""
    readers.check_names(names, besides=[takes.NAME])


def evaluate(
    subject: Subject,
    corpora: Sequence[tuple[str, Path]],
    part: Part,
    asked: Sequence[Combination] | None = None,
    told: Told | None = None,
) -> Report:
    """Measure a part of corpora, given by the name of their reader, or `takes`, and their folder.

    asked: combinations of branches, None for all that make sense. Raises CorpusError when a corpus is not there, or two
    hold the same one, and NothingToEvaluateError when no item is left to measure.
    """
    check_names(name for name, _ in corpora)
    measured: list[Scored] = []
    validation: list[Scored] = []
    for name, folder in corpora:
        if name == takes.NAME:
            measured += takes.score_takes(subject.model, folder, asked) if part in takes.READ_FOR else []
            continue
        groups = group_items(readers.read_corpus(name, folder, part))
        again = sorted({group.corpus for group in groups} & {items.corpus for items in measured})
        if again:
            raise CorpusError(f"{name} in {folder} holds {', '.join(again)}, as another does: measure them in two runs")
        for group in groups:
            measured += score_group(subject.model, group, subject.detector, asked, told)
        if groups and part != VALIDATION:
            names = {items.name for items in measured}
            for group in group_items(readers.read_corpus(name, folder, VALIDATION)):
                scored = score_group(subject.model, group, subject.detector, asked, told)
                validation += [items for items in scored if items.name in names]
    reports = report_sets(measured, validation)
    if not reports:
        combined = " or ".join(" + ".join(branches) for branches in asked) if asked else "any branch"
        raise NothingToEvaluateError(
            f"the {part} part of {', '.join(name for name, _ in corpora)} has no item with one of the model's labels "
            f"({', '.join(EMOTIONS)}) that {combined} can read"
        )
    return Report(model_id=subject.model.model_id, sha256=subject.sha256, labels=list(EMOTIONS), reports=reports)


def report_sets(measured: Sequence[Scored], validation: Sequence[Scored] = ()) -> dict[str, SetReport]:
    """A report for each set, by name; thresholds from the validation set of the same name, where there is one."""
    fitted: Mapping[str, Thresholds] = {items.name: Thresholds.fit(items) for items in validation}
    return {
        items.name: measure_set(items, fitted.get(items.name, Thresholds.unfitted(len(items.emotions))))
        for items in measured
        if items.hot().any()
    }
