"""V2EM in miniature, and utterances for it."""

from collections.abc import Sequence

import pytest
import torch

from models.v2em.batch import Utterance, V2emBatch, pack
from models.v2em.config import AudioSizes, EncoderSizes, TextSizes, V2emConfig, VisionSizes
from models.v2em.model import V2EM
from tests.models.test_repvgg import with_lived_in_norms


def small_config(legacy: bool = False, modalities: str = "tva") -> V2emConfig:
    return V2emConfig(
        modalities=modalities,
        legacy=legacy,
        text=TextSizes(vocabulary=60, embedding=8, hidden=16, layers=2, heads=2, feed_forward=32),
        vision=VisionSizes(stem=8, blocks=(8, 8, 16, 16, 24), flatten=16),
        audio=AudioSizes(dims=(8, 16, 32), heads=(2, 4, 8), depths=(1, 1, 2), flatten=16),
        encoder=EncoderSizes(dim=16, layers=2, heads=2, feed_forward=32),
    )


def lived_in(model: V2EM) -> V2EM:
    """As after a training: norms of their own, fusion weights that differ and are positive."""
    with_lived_in_norms(model)
    if model.fusion is not None:
        model.fusion.weight.data.copy_(torch.tensor([[0.5, 0.8, 0.3]])[:, : model.fusion.in_features])
    return model.eval()


def utterance(
    seed: int, faces: int, slices: int, text: str | None = "yes", found: Sequence[int] | None = None
) -> Utterance:
    """Noise for faces and sound; `found` are the places where a face was found, everywhere when None."""
    generator = torch.Generator().manual_seed(seed)
    ok = torch.tensor([found is None or place in found for place in range(faces)], dtype=torch.bool)
    return Utterance(
        faces=torch.randint(0, 256, (faces, 3, 48, 48), dtype=torch.uint8, generator=generator),
        face_t=torch.arange(faces) * 0.5,
        face_ok=ok,
        mel=torch.randn(slices, 4, 32, 32, generator=generator),
        mel_valid=torch.full((slices,), 32, dtype=torch.uint8),
        text=text,
    )


def packed(utterances: Sequence[Utterance], seed: int = 0) -> V2emBatch:
    """With tokens that stand for the texts: as many as a text has words, and the two around them."""
    lengths = [len((u.text or "").split()) + 2 for u in utterances]
    longest = max(lengths)
    ids = torch.zeros(len(utterances), longest, dtype=torch.long)
    for row, (u, length) in enumerate(zip(utterances, lengths, strict=True)):
        words = [3 + sum(map(ord, word)) % 50 for word in (u.text or "").split()]
        ids[row, :length] = torch.tensor([1, *words, 2])
    return pack(utterances, ids, torch.arange(longest) < torch.tensor(lengths)[:, None])


@pytest.fixture
def small_model() -> V2EM:
    torch.manual_seed(3)
    return lived_in(V2EM(small_config()))
