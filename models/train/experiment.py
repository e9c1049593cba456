"""An experiment: one YAML file with everything that decides the trained weights, beside the data."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from models.catalogue import locate
from models.face import FaceConfig
from models.retinaface import load_mobilenet
from models.text import MiniLM, TextConfig
from models.train.face import FaceRecipe, train_face
from models.train.face_teacher import TeacherConfig, TeacherRecipe, train_teacher
from models.train.loop import LoopSettings, Recipe, TrainingError, choose_device
from models.train.text import TextRecipe, train_text
from models.train.v2em import V2emRecipe, train_v2em
from models.train.voice import VoiceRecipe, train_voice
from models.v2em.config import V2emConfig
from models.v2em.crops import FaceDetector, detect_with
from models.voice import VoiceConfig

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
MAX_BYTES = 100_000

OnEpoch = Callable[[dict[str, Any]], None]
Sizes = FaceConfig | TeacherConfig | TextConfig | VoiceConfig | V2emConfig
SIZES: dict[str, type[Sizes]] = {
    "face": FaceConfig,
    "face-teacher": TeacherConfig,
    "text": TextConfig,
    "voice": VoiceConfig,
    "v2em": V2emConfig,
}


class Experiment(Recipe):
    """What is trained and how (recipe), of what sizes (model), how long and how fast (loop)."""

    recipe: Annotated[FaceRecipe | TeacherRecipe | TextRecipe | VoiceRecipe | V2emRecipe, Field(discriminator="kind")]
    model: dict[str, Any] = Field(default_factory=dict)
    loop: LoopSettings


def read_experiment(path: Path, changes: Mapping[str, Any] | None = None) -> Experiment:
    """The experiment of a file, with `changes` (names with dots, as loop.epochs) laid over it.

    Raises TrainingError, which says what is wrong and where, when it can't be read or names what nobody knows.
    """
    if not path.is_file():
        known = ", ".join(sorted(file.name for file in EXPERIMENTS.glob("*.yaml")))
        raise TrainingError(f"no experiment at {path}; those that come with FV2ES are in {EXPERIMENTS}: {known}")
    if path.stat().st_size > MAX_BYTES:
        raise TrainingError(f"{path} has more than {MAX_BYTES:,} bytes: that is no experiment")
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise TrainingError(f"{path} should name recipe, model and loop; it holds {type(values).__name__}")
    for name, value in (changes or {}).items():
        _lay_over(values, name, value)
    try:
        experiment = Experiment.model_validate(values)
    except ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()[:5]]
        raise TrainingError(f"{path}: {'; '.join(lines)}") from error
    sizes_of(experiment)
    return experiment


def _lay_over(values: dict[str, Any], name: str, value: Any) -> None:
    *groups, last = name.split(".")
    for group in groups:
        inner = values.setdefault(group, {})
        if not isinstance(inner, dict):
            raise TrainingError(f"{name} can't be set: {group} is no group of settings")
        values = inner
    values[last] = value


def sizes_of(experiment: Experiment) -> Sizes:
    """The sizes of what is trained. Raises TrainingError when `model` names one that it doesn't have."""
    kind = SIZES[experiment.recipe.kind]
    _check_sizes(kind, experiment.model, "model", experiment.recipe.kind)
    try:
        sizes: Sizes = TypeAdapter(kind).validate_python(experiment.model)
        return sizes
    except ValidationError as error:
        first = error.errors()[0]
        raise TrainingError(f"model.{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error


def _check_sizes(config: type, values: Mapping[str, Any], place: str, kind: str) -> None:
    """Names, in groups too: dataclasses would take no notice of those that they don't have."""
    known = {field.name: field.type for field in fields(config)}
    for name, value in values.items():
        if name not in known:
            raise TrainingError(f"{place}.{name} is no size of a {kind} branch: {', '.join(known)}")
        group = known[name]
        if isinstance(group, type) and is_dataclass(group) and isinstance(value, Mapping):
            _check_sizes(group, value, f"{place}.{name}", kind)


def shared_out(experiment: Experiment, workers: int) -> Experiment:
    """The experiment as each of so many workers does it: with its share of every batch, so that it stays the same.

    Raises TrainingError when the batches can't be shared out equally.
    """
    size = experiment.recipe.batch_size
    values = experiment.model_dump()
    values["recipe"]["batch_size"] = size // workers
    try:
        if size % workers == 0:
            return Experiment.model_validate(values)
    except ValidationError:
        pass  # a share that is too small for the recipe
    raise TrainingError(
        f"batches of {size} can't be shared out among {workers} workers: set recipe.batch_size to a larger multiple of "
        f"{workers}, as --set recipe.batch_size={workers * max(2, -(-size // workers))}"
    )


def run_experiment(
    experiment: Experiment, data: Path, out: Path, on_epoch: OnEpoch = lambda row: None
) -> dict[str, float]:
    """Train in `out`, from the corpora in `data`, going on where an earlier run was cut off; give the measures.

    Raises TrainingError when it can't start or go on, CatalogueError when weights that it stands on weren't pulled.
    """
    recipe, sizes, loop = experiment.recipe, sizes_of(experiment), experiment.loop
    if isinstance(recipe, FaceRecipe) and isinstance(sizes, FaceConfig):
        return train_face(data, out, sizes, recipe, loop, on_epoch)
    if isinstance(recipe, TeacherRecipe) and isinstance(sizes, TeacherConfig):
        return train_teacher(data, out, sizes, recipe, loop, on_epoch)
    if isinstance(recipe, TextRecipe) and isinstance(sizes, TextConfig):
        minilm = MiniLM(locate("minilm-l6"), sizes.tuned_layers, str(choose_device(loop.device)))
        return train_text(data, out, minilm, sizes, recipe, loop, on_epoch)
    if isinstance(recipe, VoiceRecipe) and isinstance(sizes, VoiceConfig):
        whisper = None if sizes.front_end == "log-mel" else locate("whisper-tiny.en")
        return train_voice(data, out, whisper, sizes, recipe, loop, on_epoch)
    if isinstance(recipe, V2emRecipe) and isinstance(sizes, V2emConfig):

        def detector() -> FaceDetector:
            weights = locate("retinaface-mobilenet0.25")
            return detect_with(load_mobilenet(weights, choose_device(loop.device).type))

        return train_v2em(data, out, sizes, recipe, loop, detector, on_epoch)
    raise TrainingError(f"{recipe.kind} has sizes of another kind")
