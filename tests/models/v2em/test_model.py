"""What V2EM gives: alone or in a batch, fused or not, whatever is missing."""

import copy

import pytest
import torch

from models.v2em.batch import V2emBatch
from models.v2em.config import EncoderSizes, VisionSizes
from models.v2em.model import V2EM
from models.v2em.vision import VisionNetwork
from tests.models.test_repvgg import with_lived_in_norms
from tests.models.v2em.conftest import lived_in, packed, small_config, utterance

UTTERANCES = [
    utterance(0, faces=3, slices=5, text="i am so happy for you"),
    utterance(1, faces=1, slices=1, text="no"),
    utterance(2, faces=7, slices=2, text="well that is new", found=[1, 2, 6]),
]


def run(model: V2EM, batch: V2emBatch) -> torch.Tensor:
    with torch.inference_mode():
        return model(batch).fused


def without(batch: V2emBatch, *columns: int) -> V2emBatch:
    modality = batch.modality.clone()
    modality[:, list(columns)] = False
    return V2emBatch(**{**vars(batch), "modality": modality})


@pytest.mark.parametrize("legacy", [False, True])
def test_an_utterance_gets_the_same_alone_and_among_others(legacy: bool) -> None:
    model = lived_in(V2EM(small_config(legacy)))
    together = run(model, packed(UTTERANCES))
    alone = torch.cat([run(model, packed([u])) for u in UTTERANCES])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)


def test_a_fused_model_gives_the_same(small_model: V2EM) -> None:
    batch = packed(UTTERANCES)
    torch.testing.assert_close(run(small_model.fused(), batch), run(small_model, batch), atol=1e-4, rtol=0)


def test_at_full_size_the_fused_vision_network_gives_the_same() -> None:
    vision = with_lived_in_norms(VisionNetwork(VisionSizes(), EncoderSizes().dim))
    crops = torch.randint(0, 256, (4, 3, 48, 48), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(vision.fused()(crops), vision(crops), atol=1e-4, rtol=0)


def test_fusing_leaves_a_training_as_it_was() -> None:
    model = V2EM(small_config()).train()
    before, names = copy.deepcopy(model.state_dict()), {id(p): name for name, p in model.named_parameters()}
    model.fused()
    assert {id(p): name for name, p in model.named_parameters()} == names
    assert all(p.requires_grad for p in model.parameters())
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model(packed(UTTERANCES)).fused.sum().backward()
    branch = model.branches["vision"]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in branch.network.blocks.parameters())


def test_with_everything_present_the_fusion_is_one_linear_layer(small_model: V2EM) -> None:
    with torch.inference_mode():
        out = small_model(packed(UTTERANCES))
        torch.testing.assert_close(out.fused, small_model.fusion(out.by_branch.transpose(1, 2)).squeeze(-1))
        assert torch.equal(out.probabilities(), torch.sigmoid(out.fused))
    assert out.present.all()


@pytest.mark.parametrize("missing", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)])
def test_missing_modalities_give_finite_logits_from_the_rest(small_model: V2EM, missing: tuple[int, ...]) -> None:
    batch = without(packed(UTTERANCES), *missing)
    with torch.no_grad():
        out = small_model(batch)
    assert out.fused.isfinite().all()
    weights = small_model.fusion.weight[0].detach()
    held = [m for m in range(3) if m not in missing]
    expected = sum(weights[m] * out.by_branch[:, m] for m in held) * weights.abs().sum() / weights[held].abs().sum()
    torch.testing.assert_close(out.fused, expected)


def test_utterances_without_faces_sound_or_words_are_labelled_from_what_they_have(small_model: V2EM) -> None:
    bare = [
        utterance(0, 0, 3),
        utterance(1, 2, 0),
        utterance(2, 2, 2, text=" "),
        utterance(3, 0, 0),
        utterance(4, 2, 2),
    ]
    with torch.inference_mode():
        out = small_model(packed(bare))
    assert out.fused.isfinite().all()
    assert out.present.tolist() == [
        [True, False, True],
        [True, True, False],
        [False, True, True],
        [True, False, False],
        [True, True, True],
    ]
    alone = torch.cat([run(small_model, packed([u])) for u in bare])
    torch.testing.assert_close(out.fused, alone, atol=1e-4, rtol=0)


def test_an_utterance_of_nothing_is_refused(small_model: V2EM) -> None:
    with pytest.raises(ValueError, match="nothing to label"):
        small_model(packed([utterance(0, 1, 1), utterance(1, 0, 0, text=None)]))


def test_crops_without_a_face_are_not_looked_at_but_by_a_legacy_model() -> None:
    seen = utterance(0, faces=4, slices=2, found=[0, 3])
    changed = utterance(0, faces=4, slices=2, found=[0, 3])
    changed.faces[1:3] = 0
    mended, legacy = lived_in(V2EM(small_config())), lived_in(V2EM(small_config(legacy=True)))
    assert torch.equal(run(mended, packed([seen])), run(mended, packed([changed])))
    assert not torch.allclose(run(legacy, packed([seen])), run(legacy, packed([changed])))
    faceless = packed([utterance(0, faces=2, slices=2, found=[])])
    with torch.inference_mode():
        assert mended(faceless).present.tolist() == [[True, False, True]]
        assert legacy(faceless).present.tolist() == [[True, True, True]]


def test_only_a_mended_model_knows_when_a_face_was_seen() -> None:
    early, late = packed([utterance(0, 3, 2)]), packed([utterance(0, 3, 2)])
    late.face_t[2] = 4.0
    mended, legacy = lived_in(V2EM(small_config())), lived_in(V2EM(small_config(legacy=True)))
    assert not torch.allclose(run(mended, early), run(mended, late))
    assert torch.equal(run(legacy, early), run(legacy, late))


@pytest.mark.parametrize("modality", ["t", "v", "a"])
def test_a_single_modality_is_not_weighted(modality: str) -> None:
    model = lived_in(V2EM(small_config(modalities=modality)))
    with torch.inference_mode():
        out = model(packed(UTTERANCES))
    assert model.fusion is None
    assert torch.equal(out.fused, out.by_branch[:, 0])


def test_two_modalities_are_weighted() -> None:
    model = lived_in(V2EM(small_config(modalities="ta")))
    with torch.inference_mode():
        out = model(packed(UTTERANCES))
    assert out.by_branch.shape == (3, 2, 6)
    torch.testing.assert_close(out.fused, 0.5 * out.by_branch[:, 0] + 0.8 * out.by_branch[:, 1])
