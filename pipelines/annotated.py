"""Score the labels that an output holds by what people said of them: `fv2es evaluate --annotations OUT`.

An utterance counts with the emotion that most of its annotators name (`annotations.agreed`); where they don't agree, it
is left out, and so are verdicts whose utterance no label of the recipe fits (`annotations.on_utterances`).
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.emotions import EMOTIONS
from models.evaluate.report import Report
from models.evaluate.run import report_sets
from models.evaluate.scored import Scored
from operators.commit import Store
from pipelines import annotations
from pipelines.annotations import Annotation
from pipelines.errors import SettingsError
from pipelines.storage import explained
from pipelines.tables import Tables, open_tables

CORPUS = "annotations"
SOURCES = {"together": "", "text": "text_p", "voice": "audio_p", "face": "face_p"}
"""What is scored, and the column that holds its probabilities; together they are `p_<emotion>`."""

_COLUMNS = ["video_id", "segment_index", "utterance_index", "start_ms", "end_ms", "model_id"]
_COLUMNS += [*(f"p_{name}" for name in EMOTIONS), *filter(None, SOURCES.values())]


@dataclass(frozen=True)
class Judged:
    """A label, as a row of `labels`, and the place of the emotion that is right in EMOTIONS."""

    label: dict[str, Any]
    right: int


def evaluate_annotations(out: str, recipe: str | None = None) -> Report:
    """Measure the labels of one recipe of an output, by all annotations that are kept in it.

    Raises:
        SettingsError: there are none, or none that a label fits.
        JobError, OutputError: the output can't be read.
    """
    with open_tables(out, recipe) as tables, explained(out):
        verdicts = annotations.standing(annotations.read(tables.store))
        if not verdicts:
            raise SettingsError(f"{out}: nobody has said anything of these labels yet. `fv2es view {out}` is for that.")
        judged, left_out = judge(_labels(tables, {verdict.video_id for verdict in verdicts}), verdicts)
        if not judged:
            raise SettingsError(
                f"{out}: none of the {len(verdicts)} annotations fits a label of {tables.partition}, or the annotators "
                "don't agree on any."
            )
        sets = [scored for name in SOURCES if len(scored := _scored(name, judged, left_out))]
        model_id = str(judged[0].label["model_id"])
        return Report(
            model_id=model_id,
            sha256=_weights_digest(tables.store, tables),
            labels=list(EMOTIONS),
            reports=report_sets(sets),
        )


def judge(labels: Iterable[dict[str, Any]], verdicts: Iterable[Annotation]) -> tuple[list[Judged], int]:
    """Labels with what is right instead, in order of video and time; and how many utterances and verdicts fell out.

    Args:
        labels: rows of `labels`, in order of time within each video.
        verdicts: as `annotations.standing` gives them.
    """
    of_video: dict[str, list[Annotation]] = defaultdict(list)
    for verdict in verdicts:
        of_video[verdict.video_id].append(verdict)
    rows_of: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in labels:
        rows_of[row["video_id"]].append(row)
    judged, left_out = [], 0
    for video_id, said in sorted(of_video.items()):
        rows = rows_of[video_id]
        found = annotations.on_utterances(said, [(row["start_ms"], row["end_ms"]) for row in rows])
        left_out += len(said) - sum(map(len, found.values()))
        for place, here in sorted(found.items()):
            right = annotations.agreed(here)
            if right is None:
                left_out += 1
            else:
                judged.append(Judged(rows[place], EMOTIONS.index(right)))
    return judged, left_out


def _labels(tables: Tables, video_ids: set[str]) -> list[dict[str, Any]]:
    """The labels of these videos, read from the files that hold them alone."""
    wanted = sorted(video_ids)
    rows = tables.rows_in(tables.files_of(wanted))
    query = (
        f"SELECT {', '.join(_COLUMNS)} FROM {rows} WHERE video_id IN (SELECT unnest($1)) ORDER BY video_id, start_ms"  # noqa: S608
    )
    return tables.arrow(query, [wanted]).to_pylist()


def _scored(name: str, judged: list[Judged], left_out: int) -> Scored:
    """What one modality, or all together, says of the labels for which it says something."""
    column = SOURCES[name]
    given = [item for item in judged if not column or item.label[column] is not None]
    rows = [item.label[column] if column else [item.label[f"p_{one}"] for one in EMOTIONS] for item in given]
    return Scored(
        name=f"{name}, {CORPUS}",
        corpus=CORPUS,
        part="report",
        emotions=EMOTIONS,
        ids=tuple(f"{item.label['video_id']}/{item.label['start_ms']}" for item in given),
        speakers=("",) * len(given),
        labels=tuple((item.right,) for item in given),
        probabilities=np.clip(np.array(rows, float).reshape(len(given), len(EMOTIONS)), 0, 1),
        left_out=left_out + len(judged) - len(given),
    )


def _weights_digest(store: Store, tables: Tables) -> str:
    """The sha256 of the weights that made the labels, from the recipe that stands in their files."""
    name = next(iter(tables.committed.labels))
    recipe = json.loads((store.read_table(name, ["video_id"]).schema.metadata or {}).get(b"fv2es.recipe", b"{}"))
    return str(recipe.get("weights", {}).get("emotion", ""))
