"""V2EM-S however it is run: padded to fixed shapes, recorded, in bfloat16, on a GPU where there is one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.precision import filmed
from models.device import Execution
from models.v2em_s import EmotionModel, Predictions, UtteranceInput
from models.whisper_states import WhisperStates
from tests.models.conftest import located
from tests.models.recorders import Repeats

MOST_OFF = 0.04
"""What bfloat16 may change of a probability: stated in the README."""
CLEAR = 2 * MOST_OFF
"""Between the two likeliest emotions: with more, bfloat16 may not change the label."""

TEXTS = ["That is wonderful, thank you so much!", "No.", "I can't believe he is gone, I miss him every day. " * 9, None]

Loader = Callable[..., EmotionModel]


def utterances(count: int = 13) -> list[UtteranceInput]:
    """Of all lengths that there are, 26 s of sound and 60 faces included, with all that may be missing."""
    rng = np.random.default_rng(3)
    made = []
    for k in range(count):
        pcm = rng.normal(0, 3000, 4_000 + 34_000 * k).astype(np.int16) if k % 3 else None
        faces = rng.integers(0, 256, (5 * k, 48, 48, 3), dtype=np.uint8) if k % 4 else None
        times_s = 0.5 * np.arange(5 * k if faces is not None else 0, dtype=np.float32)
        made.append(UtteranceInput(TEXTS[k % 4], pcm, faces, times_s))
    return [utterance for utterance in made if any(utterance.present())]


@pytest.fixture(scope="module")
def load(weights: Path, whisper_dir: Path, minilm_dir: Path) -> Loader:
    def loaded(execution: Execution, recorder: Repeats | None = None) -> EmotionModel:
        return EmotionModel.load(weights, whisper_dir, minilm_dir, execution, recorder)

    return loaded


@pytest.fixture(scope="module")
def plain(model: EmotionModel) -> Predictions:
    return model.predict(utterances())


def assert_same(found: Predictions, expected: Predictions, atol: float) -> None:
    for name in ("probabilities", "text_p", "audio_p", "face_p", "present"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=atol, rtol=0, err_msg=name)


def assert_labels_hold(found: Predictions, expected: Predictions) -> None:
    assert_same(found, expected, atol=MOST_OFF)
    ordered = np.sort(expected.probabilities, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > CLEAR
    assert clear.mean() > 0.5
    same = found.probabilities.argmax(axis=1) == expected.probabilities.argmax(axis=1)
    assert same[clear].all()


def test_batches_of_fixed_shapes_give_what_others_give(load: Loader, plain: Predictions) -> None:
    assert_same(load(Execution("cpu", fixed_shapes=True)).predict(utterances(), batch_size=4), plain, atol=1e-4)


def test_recorded_work_gives_what_it_gave(load: Loader, plain: Predictions) -> None:
    recorder = Repeats()
    model = load(Execution("cpu", fixed_shapes=True, graphs=True), recorder)
    assert_same(model.predict(utterances(), batch_size=4), plain, atol=1e-4)
    recorded, replayed = recorder.recorded, recorder.replayed
    assert_same(model.predict(utterances(), batch_size=4), plain, atol=1e-4)
    assert recorder.recorded == recorded  # the shapes are known by now
    assert recorder.replayed == 2 * replayed


def test_one_branch_alone_is_recorded_too(load: Loader, model: EmotionModel) -> None:
    loaded = load(Execution("cpu", fixed_shapes=True, graphs=True), Repeats())
    one = [UtteranceInput(text="Wow!"), UtteranceInput(pcm=np.ones(20_000, np.int16))]
    assert_same(loaded.predict(one), model.predict(one), atol=1e-4)


def test_the_encoder_fills_up_its_batches_alike(whisper_dir: Path) -> None:
    clips = [(0.1 * np.random.default_rng(n).standard_normal(9_000 * n)).astype(np.float32) for n in range(1, 6)]
    plain, padded = (
        WhisperStates(whisper_dir, Execution("cpu", fixed_shapes=fixed), (1, 3)).encode(clips, batch_size=3)
        for fixed in (False, True)
    )
    for first, second in zip(plain, padded, strict=True):
        torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-4)


def test_bfloat16_moves_probabilities_little_and_no_clear_label(load: Loader, plain: Predictions) -> None:
    assert_labels_hold(load(Execution("cpu", "bfloat16", fixed_shapes=True)).predict(utterances()), plain)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_gpu_gives_what_a_cpu_gives(load: Loader, plain: Predictions, precision: str) -> None:
    found = load(Execution.on("cuda", precision)).predict(utterances())  # type: ignore[arg-type]
    if precision == "float32":
        assert_same(found, plain, atol=5e-3)
    assert_labels_hold(found, plain)


@pytest.fixture(scope="module")
def clips(test_data: Path) -> list[UtteranceInput]:
    """The first 8 s of some real clips."""
    located("retinaface-mobilenet0.25")
    folders = [test_data / "clips" / name for name in ("ravdess", "talking_heads", "grid_s1")]
    return filmed([path for folder in folders for path in sorted(folder.rglob("*.mp4"))[:4]])


@pytest.mark.media
def test_on_real_clips_too(load: Loader, model: EmotionModel, clips: list[UtteranceInput]) -> None:
    assert sum(all(utterance.present()) for utterance in clips) >= 4
    expected = model.predict(clips)
    assert_same(load(Execution("cpu", fixed_shapes=True)).predict(clips), expected, atol=1e-4)
    assert_labels_hold(load(Execution("cpu", "bfloat16")).predict(clips), expected)
