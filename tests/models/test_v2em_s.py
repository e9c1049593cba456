"""The model that ships: its weights as committed, and what a caller sees of it."""

import copy
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from models import v2em_s
from models.cost import cost_per_second
from models.emotions import EMOTIONS
from models.face import FaceBranch, FaceConfig, to_channels_last
from models.v2em_s import MAX_PCM_SAMPLES, EmotionModel, UtteranceInput, within_memory
from models.voice import VoiceConfig
from models.weights_file import WeightsError, load_strictly, load_weights

MAX_BYTES = 40 * 2**20
MAX_MACS_PER_S = 3_000_000_000


def utterances() -> list[UtteranceInput]:
    """Of all lengths, with all combinations of what may be missing."""
    rng = np.random.default_rng(0)
    texts = ["That is wonderful, thank you so much!", "No.", "I can't believe he is gone, I miss him every day.", None]
    made = []
    for k in range(14):
        text = texts[k % 4]
        pcm = rng.normal(0, 2000, 16_000 + 9_000 * k).astype(np.int16) if k % 3 else None
        count = k if k % 5 else 0
        faces = rng.integers(0, 256, (count, 48, 48, 3), dtype=np.uint8) if count else None
        utterance = UtteranceInput(text, pcm, faces, 0.5 * np.arange(count, dtype=np.float32))
        if any(utterance.present()):
            made.append(utterance)
    return [*made, UtteranceInput(pcm=np.zeros(200_000, np.float32)), UtteranceInput(text="x" * 5000)]


def test_a_batch_of_one_is_a_batch_of_many(model: EmotionModel) -> None:
    many = model.predict(utterances(), batch_size=5)
    for row, utterance in enumerate(utterances()):
        one = model.predict([utterance])
        np.testing.assert_allclose(one.probabilities[0], many.probabilities[row], atol=1e-4)
        np.testing.assert_allclose(one.audio_p[0], many.audio_p[row], atol=1e-4)


def test_labels_are_the_same_however_few_utterances_memory_has_room_for(
    model: EmotionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = model.predict(utterances())
    monkeypatch.setattr(v2em_s, "MAX_PCM_SAMPLES", 60_000)
    assert len(list(within_memory(utterances()))) > 3
    apart = model.predict(utterances())
    for name in ("probabilities", "text_p", "audio_p", "face_p", "present"):
        np.testing.assert_allclose(getattr(apart, name), getattr(together, name), atol=1e-4)


@given(st.lists(st.none() | st.integers(0, 3 * MAX_PCM_SAMPLES // 2), max_size=30))
def test_parts_follow_one_another_and_fit_into_memory(lengths: list[int | None]) -> None:
    sounds = [None if n is None else np.broadcast_to(np.int16(0), n) for n in lengths]
    parts = list(within_memory([UtteranceInput(pcm=sound) for sound in sounds]))
    assert [index for part in parts for index in range(part.start, part.stop)] == list(range(len(lengths)))
    for part in parts:
        samples = sum(n or 0 for n in lengths[part])
        assert samples <= MAX_PCM_SAMPLES or part.stop - part.start == 1
    for one, other in pairwise(parts):
        assert sum(n or 0 for n in lengths[one]) + (lengths[other.start] or 0) > MAX_PCM_SAMPLES


def test_whatever_is_missing_the_output_is_finite_and_says_what_was_there(model: EmotionModel) -> None:
    asked = utterances()
    predictions = model.predict(asked)
    assert predictions.probabilities.shape == (len(asked), len(EMOTIONS))
    assert np.isfinite(predictions.probabilities).all()
    assert ((predictions.probabilities > 0) & (predictions.probabilities < 1)).all()
    assert predictions.present.tolist() == [list(utterance.present()) for utterance in asked]
    for m, branch_p in enumerate((predictions.text_p, predictions.audio_p, predictions.face_p)):
        assert (np.isfinite(branch_p).all(axis=1) == predictions.present[:, m]).all()


def test_one_branch_alone_is_the_fused_result(model: EmotionModel) -> None:
    alone = model.predict([UtteranceInput(text="I am so angry with you!")])
    np.testing.assert_allclose(alone.probabilities, alone.text_p, atol=1e-5)
    assert alone.text_p.sum() == pytest.approx(1, abs=1e-3)


def test_plain_sentences_are_understood(model: EmotionModel) -> None:
    said = {
        "happy": "I love this so much, thank you!",
        "angry": "I hate you, you stupid idiot!",
        "sad": "I miss her so much, I have been crying all night.",
        "fear": "I'm terrified, I am so scared of him.",
        "surprise": "Wow, I did not expect that at all!",
        "neutral": "The meeting is at three in room seven.",
    }
    named = model.predict([UtteranceInput(text=text) for text in said.values()]).probabilities.argmax(axis=1)
    assert [EMOTIONS[c] for c in named] == list(said)


def test_nothing_and_wrong_shapes_are_errors_that_name_the_utterance(model: EmotionModel) -> None:
    good = UtteranceInput(text="hello")
    with pytest.raises(ValueError, match="utterance 1 has neither text, nor sound, nor a face"):
        model.predict([good, UtteranceInput(text="  ", pcm=np.zeros(0, np.int16))])
    with pytest.raises(ValueError, match="utterance 0: pcm must be mono"):
        model.predict([UtteranceInput(pcm=np.zeros((16_000, 2), np.float32))])
    with pytest.raises(ValueError, match="utterance 0: faces must be uint8"):
        model.predict([UtteranceInput(faces=np.zeros((1, 48, 48, 3), np.float32), face_times_s=np.zeros(1))])
    with pytest.raises(ValueError, match="has 2 faces but 1 times"):
        model.predict([UtteranceInput(faces=np.zeros((2, 48, 48, 3), np.uint8), face_times_s=np.zeros(1))])
    assert model.predict([]).probabilities.shape == (0, len(EMOTIONS))


def test_the_committed_face_network_fused_is_the_one_that_was_trained(model: EmotionModel, weights: Path) -> None:
    _, config, state = load_weights(weights)
    trained = to_channels_last(FaceBranch(FaceConfig(**config["face"])).eval())
    load_strictly(trained, state, "face", weights)
    crops = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (16, 48, 48, 3), dtype=np.uint8))
    with torch.no_grad():
        unfused, fused = trained.embed(crops), model.face.embed(crops)
        torch.testing.assert_close(model.face.head(fused), trained.head(unfused), atol=1e-4, rtol=0)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in model.face.modules())


def test_weights_and_cost_stay_within_bounds(weights: Path) -> None:
    assert weights.stat().st_size <= MAX_BYTES
    with safe_open(str(weights), framework="pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} <= {torch.float16, torch.int64}  # noqa: SIM118
        assert json.loads(file.metadata()["emotions"]) == list(EMOTIONS)
    _, config, _ = load_weights(weights)
    cost = cost_per_second(FaceConfig(**config["face"]), VoiceConfig(**config["audio"]))
    assert 0 < cost.total <= MAX_MACS_PER_S


def test_weights_for_another_whisper_or_with_a_stray_tensor_are_refused(
    weights: Path, whisper_dir: Path, minilm_dir: Path, tmp_path: Path
) -> None:
    with safe_open(str(weights), framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    changed = tmp_path / "changed.safetensors"
    save_file({**tensors, "smell.x": torch.zeros(1)}, str(changed), metadata)
    with pytest.raises(WeightsError, match=r"tensors of no branch: smell\.x"):
        EmotionModel.load(changed, whisper_dir, minilm_dir)
    config = copy.deepcopy(json.loads(metadata["config"]))
    config["audio"]["state_dim"] = 512
    save_file(tensors, str(changed), {**metadata, "config": json.dumps(config)})
    with pytest.raises(WeightsError, match=r"states of 512 numbers .* gives 384"):
        EmotionModel.load(changed, whisper_dir, minilm_dir)
