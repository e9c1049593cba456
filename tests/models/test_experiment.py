"""Experiments: what their files may say, and that those that come with the project can be read."""

from pathlib import Path

import pytest

from models.train.experiment import EXPERIMENTS, read_experiment, sizes_of
from models.train.loop import TrainingError

FACE = """
recipe: {kind: face, batch_size: 16, pool_steps: 2}
model: {widths: [4, 8], depths: [1]}
loop: {epochs: 2, learning_rate: 0.01}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_those_that_come_with_the_project_can_be_read(path: Path) -> None:
    experiment = read_experiment(path)
    assert experiment.loop.epochs > 0
    assert sizes_of(experiment)


def test_a_setting_can_be_changed_by_its_name(tmp_path: Path) -> None:
    path = written(tmp_path, FACE)
    experiment = read_experiment(path, {"loop.epochs": 5, "model.dropout": 0.1})
    assert experiment.loop.epochs == 5
    assert sizes_of(experiment).dropout == 0.1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FACE.replace("pool_steps", "pol_steps"), "recipe.face.pol_steps: Extra inputs"),
        (FACE.replace("epochs: 2", "epochs: 0"), "loop.epochs: Input should be greater than or equal to 1"),
        (FACE.replace("widths", "width"), "model.width is no size of a face branch: widths, depths"),
        (FACE.replace("[4, 8]", "wide"), "model.widths: Input should be a valid tuple"),
        (FACE.replace("face", "smell"), "recipe: Input tag 'smell'"),
        ("- 1\n- 2", "should name recipe, model and loop; it holds list"),
        ("a: [", "is not YAML"),
        ("a: !!python/object/apply:os.system ['true']", "is not YAML"),
        ("#" * 200_000, "that is no experiment"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TrainingError, match="^[^\n]*" + message.replace("(", r"\(").replace("[", r"\[")):
        read_experiment(written(tmp_path, text))


def test_a_file_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no experiment at .*face.yaml"):
        read_experiment(tmp_path / "none.yaml")
    with pytest.raises(TrainingError, match=r"recipe\.kind\.x can't be set: kind is no group"):
        read_experiment(written(tmp_path, FACE), {"recipe.kind.x": 1})
