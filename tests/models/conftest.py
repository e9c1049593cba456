"""The committed V2EM-S with its encoders, where they were pulled."""

from pathlib import Path

import pytest

from models import catalogue
from models.v2em_s import EmotionModel


def located(name: str) -> Path:
    try:
        return catalogue.locate(name)
    except catalogue.CatalogueError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def weights() -> Path:
    return located("v2em-s")


@pytest.fixture(scope="session")
def whisper_dir() -> Path:
    return located("whisper-tiny.en")


@pytest.fixture(scope="session")
def minilm_dir() -> Path:
    return located("minilm-l6")


@pytest.fixture(scope="session")
def model(weights: Path, whisper_dir: Path, minilm_dir: Path) -> EmotionModel:
    return EmotionModel.load(weights, whisper_dir, minilm_dir)
