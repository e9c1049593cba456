"""Each branch learns, and padding, order and company of an utterance change nothing."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.emotions import EMOTIONS
from models.face import FaceBranch, FaceConfig, normalise_crops
from models.nest import Nest
from models.temporal import AttentionPool, TemporalEncoder
from models.text import MiniLM, TextBranch, TextConfig
from models.voice import VoiceBranch, VoiceConfig, pad_ragged

SMALL_FACE = FaceConfig(widths=(4, 8, 16), depths=(1, 1), time_dim=16, dropout=0.0)
SMALL_VOICE = VoiceConfig(state_dim=12, dim=16, heads=2, dropout=0.0)
SMALL_MEL = VoiceConfig(
    front_end="log-mel", dim=16, heads=2, dropout=0.0, nest_dims=(8, 16), nest_heads=(1, 2), nest_depths=(1, 1)
)
LABELS = torch.arange(len(EMOTIONS))


def fits(parameters, logits_of, steps: int, learning_rate: float) -> bool:  # type: ignore[no-untyped-def]
    optimiser = torch.optim.Adam(parameters, lr=learning_rate)
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(logits_of(), LABELS)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return bool((logits_of().argmax(1) == LABELS).all())


def test_the_face_branch_can_learn_seven_faces() -> None:
    torch.manual_seed(0)
    branch = FaceBranch(SMALL_FACE)
    crops = torch.randint(0, 256, (7, 48, 48, 3), dtype=torch.uint8)
    mask = torch.ones(7, 1, dtype=torch.bool)
    assert fits(
        branch.parameters(), lambda: branch.classify(branch.embed(crops)[:, None], torch.zeros(7, 1), mask), 30, 0.01
    )


@pytest.mark.parametrize("config", [SMALL_VOICE, SMALL_MEL], ids=["whisper-states", "log-mel"])
def test_the_voice_branch_can_learn_seven_clips(config: VoiceConfig) -> None:
    torch.manual_seed(0)
    branch = VoiceBranch(config)
    shape = (4, 32, 32) if config.front_end == "log-mel" else (config.state_dim,)
    items, mask = pad_ragged([torch.randn(3 + k, *shape) for k in range(7)])
    assert fits(branch.parameters(), lambda: branch(items, mask), 60, 0.01)


def test_the_text_branch_can_learn_seven_sentences(minilm_dir: Path) -> None:
    torch.manual_seed(0)
    minilm = MiniLM(minilm_dir, tuned_layers=1)
    branch = TextBranch(TextConfig(tuned_layers=1, dropout=0.0), minilm.upper).requires_grad_(True)
    states, mask = minilm.encode(minilm.tokenize([f"I feel {emotion} today." for emotion in EMOTIONS]))
    states = states.clone()
    assert fits(branch.parameters(), lambda: branch(states, mask), 15, 0.002)


def test_no_more_layers_can_be_tuned_than_there_are(minilm_dir: Path) -> None:
    with pytest.raises(ValueError, match="has 6 layers; 7 cannot be tuned"):
        MiniLM(minilm_dir, tuned_layers=7)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 65), min_size=1, max_size=5))
def test_a_voice_is_heard_alike_alone_and_in_a_batch(lengths: list[int]) -> None:
    torch.manual_seed(0)
    branch = VoiceBranch(SMALL_VOICE).eval()
    clips = [torch.randn(length, SMALL_VOICE.state_dim) for length in lengths]
    with torch.no_grad():
        together = branch(*pad_ragged(clips))
        for clip, logits in zip(clips, together, strict=True):
            torch.testing.assert_close(branch(*pad_ragged([clip]))[0], logits, atol=1e-4, rtol=1e-4)
    assert together.isfinite().all()


def test_one_face_keeps_its_logits_whatever_its_time_and_the_padding() -> None:
    torch.manual_seed(0)
    branch = FaceBranch(SMALL_FACE).eval()
    crops = torch.randint(0, 256, (1, 48, 48, 3), dtype=torch.uint8)
    with torch.no_grad():
        embedded = branch.embed(crops)
        alone = branch.head(embedded)
        padded = torch.cat([embedded, torch.full((3, embedded.shape[1]), 7.0)])[None]
        mask = torch.tensor([[True, False, False, False]])
        late = branch.classify(padded, torch.full((1, 4), 5.0), mask)
    torch.testing.assert_close(late, alone, atol=1e-5, rtol=1e-5)


def test_exposure_and_colour_of_a_crop_do_not_matter() -> None:
    grey = torch.randint(40, 120, (2, 48, 48, 1)).expand(-1, -1, -1, 3)
    brighter = (1.5 * grey + 20).to(torch.uint8)
    close = torch.testing.assert_close
    close(normalise_crops(brighter), normalise_crops(grey.to(torch.uint8)), atol=0.03, rtol=0)
    assert normalise_crops(torch.full((1, 48, 48, 3), 80, dtype=torch.uint8)).abs().max() < 1e-4


def test_times_matter_to_the_temporal_encoder_and_hidden_items_do_not() -> None:
    torch.manual_seed(0)
    encoder, pool = TemporalEncoder(6, 16, 2, layers=1).eval(), AttentionPool(16)
    items, mask = torch.randn(1, 4, 6), torch.tensor([[True, True, True, False]])
    times_s = torch.tensor([[0.0, 0.5, 1.0, 1.5]])

    def pooled(items: torch.Tensor, times_s: torch.Tensor) -> torch.Tensor:
        contexts = encoder(items, times_s, mask)
        return pool(contexts, contexts, mask)

    with torch.no_grad():
        changed = items.clone()
        changed[0, 3] = 100
        torch.testing.assert_close(pooled(changed, times_s), pooled(items, times_s))
        assert (pooled(items, times_s + torch.tensor([[0, 0, 3.0, 0]])) - pooled(items, times_s)).abs().max() > 1e-4


def test_nest_attends_inside_its_blocks_only_on_the_first_level() -> None:
    torch.manual_seed(0)
    nest = Nest(1, 16, (8, 16), (1, 2), (1, 1), block_edge=4).eval()
    level = nest.stages[0]
    x = torch.randn(1, 8, 16, 16)
    changed = x.clone()
    changed[..., :4, :4] += 1
    with torch.no_grad():
        difference = (level(changed) - level(x)).abs().amax(dim=(0, 1))
    assert difference[:4, :4].min() > 0
    difference[:4, :4] = 0
    assert difference.max() == 0
    with pytest.raises(ValueError, match="cannot be cut into blocks"):
        Nest(1, 18, (8,), (1,), (1,), block_edge=4)
