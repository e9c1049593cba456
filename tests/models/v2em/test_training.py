"""The training of V2EM: what an epoch sees, what its steps do, and what it leaves behind."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from models.corpora import READERS
from models.corpora.item import Corpus, Part
from models.evaluate.thresholds import LeakError, Thresholds
from models.train.checkpoint import load_checkpoint
from models.train.loop import CHECKPOINT, LoopSettings, Training, TrainingError, read_metrics
from models.train.v2em import V2emRecipe, V2emTask, positive_weights, train_v2em, write_outcome
from models.train.v2em_augment import drop_modalities
from models.train.v2em_weights import load_v2em
from models.v2em.config import V2emConfig
from models.v2em.model import V2EM
from models.weights_file import WeightsError
from tests.models.v2em.albert import save_albert
from tests.models.v2em.conftest import small_config
from tests.models.v2em.made import ALL, EMOTIONS, items, no_detector, part_of, tokenize

LOOP = LoopSettings(epochs=3, learning_rate=1e-3, optimiser="adam", schedule="constant", warmup=0)


def still_config(modalities: str = "tva") -> V2emConfig:
    """The model in miniature, without dropout: every pass over a batch gives the same."""
    small = small_config(modalities=modalities)
    return replace(small, audio=replace(small.audio, drop_path=0.0), encoder=replace(small.encoder, dropout=0.0))


def task(folder: Path, recipe: V2emRecipe, config: V2emConfig, count: int = 12, tune: Part = "tune") -> V2emTask:
    torch.manual_seed(0)
    model = V2EM(config)
    if model.fusion is not None:
        model.fusion.weight.data.fill_(1)  # random ones may cancel each other, which takes long to mend
    return V2emTask(model, tokenize, part_of(folder, "fit", count, config), part_of(folder, tune, 6, config), recipe)


def recipe(**changes: Any) -> V2emRecipe:
    return V2emRecipe(**{"corpus": "made", "batch_size": 4, **changes})


def test_a_few_utterances_are_learnt_by_heart(tmp_path: Path) -> None:
    made = task(tmp_path, recipe(batch_size=6, text_scale=0.3), still_config(), count=6)
    loop = LOOP.model_copy(update={"epochs": 45, "learning_rate": 0.01, "warmup": 0.1})
    outcome = Training(made, loop, {}, tmp_path / "out").run()
    losses = [row["loss"] for row in read_metrics(tmp_path / "out")]
    assert losses[-1] < 0.05 < 1 < losses[0]
    assert outcome.measures["mean_f1"] > 0.8  # the utterances to tune with are like those


def test_classes_weigh_as_published() -> None:
    """The counts of IEMOCAP's train split, and the weights that follow."""
    labels = torch.repeat_interleave(torch.arange(6), torch.tensor([757, 736, 1298, 398, 1214, 759]))
    weights = positive_weights(torch.nn.functional.one_hot(labels, 6).float())
    assert [round(weight, 2) for weight in weights.tolist()] == [5.82, 6.01, 2.98, 11.97, 3.25, 5.80]
    assert positive_weights(torch.zeros(5, 1)).tolist() == [5]


def test_class_weights_can_be_switched_off(tmp_path: Path) -> None:
    weighted, plain = (task(tmp_path, recipe(class_weights=on), still_config()) for on in (True, False))
    draw = next(iter(weighted.batches(0, torch.Generator().manual_seed(0))))
    device, cpu = torch.device("cpu"), lambda: torch.autocast("cpu", enabled=False)
    with torch.no_grad():
        logits = weighted.model.eval()(weighted.assemble(draw)).fused
        plain.model.eval()
        targets = weighted.targets[draw.rows]
        by_hand = -(targets * logits.sigmoid().log() + (1 - targets) * (-logits).sigmoid().log())
        torch.testing.assert_close(plain.loss(draw, device, cpu), by_hand.mean())
        by_hand = -(5 * targets * logits.sigmoid().log() + (1 - targets) * (-logits).sigmoid().log())
        torch.testing.assert_close(weighted.loss(draw, device, cpu), by_hand.mean())  # two of twelve have an emotion


def test_text_learns_ten_times_slower_and_everything_learns(tmp_path: Path) -> None:
    made = task(tmp_path, recipe(), still_config())
    before = {name: value.clone() for name, value in made.module.named_parameters()}
    loop = LOOP.model_copy(update={"epochs": 1})
    Training(made, loop, {}, tmp_path / "out").run()
    moved = {name: float((value - before[name]).abs().max()) for name, value in made.module.named_parameters()}
    assert {name for name, by in moved.items() if not by} == {
        f"branches.text.network.albert.pooler.{kind}"
        for kind in ("weight", "bias")  # V2EM reads the state before it
    }
    text = [by for name, by in moved.items() if name.startswith("branches.text") and by]
    rest = [by for name, by in moved.items() if not name.startswith("branches.text")]
    # Adam moves a parameter by about the learning rate a step, whatever the gradient; there were 3 steps.
    assert max(text) < 3.3e-4 < 1e-3 < max(rest) < 3.3e-3


@given(
    present=st.lists(st.booleans(), min_size=3, max_size=3),
    probability=st.floats(0, 0.99),
    seed=st.integers(0, 2**32),
)
def test_modalities_are_left_out_but_never_all(present: list[bool], probability: float, seed: int) -> None:
    there = torch.tensor(present)
    kept = drop_modalities(there, probability, np.random.default_rng(seed))
    assert (kept <= there).all()
    assert kept.any() == there.any()
    if probability == 0:
        assert torch.equal(kept, there)


def test_with_most_left_out_the_loss_is_a_number_and_rows_differ(tmp_path: Path) -> None:
    made = task(tmp_path, recipe(modality_dropout=0.6), small_config())
    draws = list(made.batches(0, torch.Generator().manual_seed(0)))
    kept = torch.cat([made.assemble(draw).modality for draw in draws])
    assert kept.any(dim=1).all()
    assert 0.2 < kept.float().mean() < 0.8
    rows = read_rows(tmp_path, made)
    assert all(np.isfinite(row["loss"]) for row in rows)


def read_rows(folder: Path, made: V2emTask) -> list[dict[str, Any]]:
    Training(made, LOOP.model_copy(update={"epochs": 1}), {}, folder / "out").run()
    return read_metrics(folder / "out")


def test_what_chance_does_to_an_utterance_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    """So that workers who share a batch out see what one would have seen."""
    drawn = []
    for size in (1, 2, 4):
        made = task(tmp_path, recipe(batch_size=size), still_config())
        draws = list(made.batches(3, torch.Generator().manual_seed(5)))
        assert len(draws) == made.steps(3) == 12 // size
        drawn.append([pair for draw in draws for pair in zip(draw.rows, draw.seeds, strict=True)])
    assert drawn[0] == drawn[1] == drawn[2]
    assert sorted(row for row, _ in drawn[0]) == list(range(12))


@pytest.mark.parametrize("changes", [{}, {"modality_dropout": 0.4, "augmentation": ALL}], ids=["plain", "changed"])
def test_a_training_that_was_cut_off_ends_in_the_same_weights(tmp_path: Path, changes: dict[str, Any]) -> None:
    class KilledError(Exception):
        pass

    def kill(row: dict[str, Any]) -> None:
        if row["epoch"] == 2:
            raise KilledError

    def training(name: str) -> Training[Any]:
        return Training(task(tmp_path, recipe(**changes), small_config()), LOOP, {}, tmp_path / name)

    whole = training("whole").run()
    with pytest.raises(KilledError):
        training("cut").run(kill)
    resumed = training("cut").run()
    assert all(torch.equal(value, whole.state[name]) for name, value in resumed.state.items())


def test_validating_and_writing_leave_the_training_as_it_was(tmp_path: Path) -> None:
    """The published training fused its blocks for the first validation, and trained them no more."""
    made = task(tmp_path, recipe(), still_config())
    named = [name for name, _ in made.module.named_parameters()]
    blocks = made.model.branches["vision"].network.blocks
    states: list[list[torch.Tensor]] = []

    def note(row: dict[str, Any]) -> None:
        write_outcome(made, made.model, row["epoch"], tmp_path, torch.device("cpu"))
        states.append([p.detach().clone() for p in blocks.parameters()])

    Training(made, LOOP, {}, tmp_path / "out").run(note)
    assert [name for name, _ in made.module.named_parameters()] == named
    assert all(p.requires_grad for p in made.module.parameters())
    for earlier, later in itertools.pairwise(states):
        assert all(not torch.equal(a, b) for a, b in zip(earlier, later, strict=True))


def test_thresholds_come_from_the_part_for_tuning_alone(tmp_path: Path) -> None:
    made = task(tmp_path, recipe(), still_config(), tune="report")
    with pytest.raises(LeakError, match="tune part alone"):
        Training(made, LOOP, {}, tmp_path / "out").run()
    with pytest.raises(LeakError):
        write_outcome(made, made.model.eval(), 1, tmp_path, torch.device("cpu"))


def test_low_precision_keeps_weights_and_loss_in_full(tmp_path: Path) -> None:
    losses = {}
    seen: list[torch.dtype] = []

    def note(module: torch.nn.Module, given: Any, made: torch.Tensor) -> None:
        seen.append(made.dtype)

    for precision in ("float32", "bfloat16"):
        made = task(tmp_path, recipe(), still_config())
        settings = LOOP.model_copy(update={"precision": precision, "epochs": 1})
        training = Training(made, settings, {}, tmp_path / precision)
        draw = next(iter(made.batches(0, torch.Generator().manual_seed(0))))
        hook = made.model.branches["audio"].network.project.register_forward_hook(note)
        loss = made.loss(draw, training.device, training._autocast)
        hook.remove()
        assert seen.pop() == getattr(torch, precision)
        assert loss.dtype == torch.float32
        loss.backward()
        assert all(p.grad is None or p.grad.dtype == p.dtype == torch.float32 for p in made.model.parameters())
        losses[precision] = loss.item()
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)


# What is written


@pytest.fixture
def albert(tmp_path: Path) -> Path:
    """A folder with random weights of ALBERT in miniature, and a tokenizer of a few words."""
    return save_albert(tmp_path / "albert", small_config().text)


@pytest.fixture
def made_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    counts = {"fit": 12, "tune": 6}
    monkeypatch.setitem(
        READERS,
        "made",
        lambda folder, part: Corpus(items(folder, part, counts[part]), EMOTIONS),
    )
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_weights_are_written_in_both_forms_and_read_back(tmp_path: Path, albert: Path, made_corpus: Path) -> None:
    out = tmp_path / "out"
    told: list[dict[str, Any]] = []
    arguments = (made_corpus, out, small_config(), recipe(albert=str(albert)), LOOP, no_detector)
    measures = train_v2em(*arguments, told.append)
    assert [row["epoch"] for row in told] == [1, 2, 3]
    assert max(row["mean_f1"] for row in told) == measures["mean_f1"]
    trained, kept = load_v2em(out / "v2em.safetensors"), load_checkpoint(out / "v2em.pt")
    assert trained.deploy
    assert not kept["deploy"]
    assert trained.emotions == EMOTIONS
    assert trained.fitted_on == "v2em, Made, tune"
    best = load_checkpoint(out / CHECKPOINT)["best"]["epoch"]
    assert trained.model_id == f"v2em-made-epoch{best}"

    whole = V2EM(small_config()).eval()
    whole.load_state_dict(kept["state"], strict=True)
    tune = part_of(made_corpus, "tune", 6, small_config())
    reader = V2emTask(whole, tokenize, tune, tune, recipe())
    logits = [reader.logits(model, torch.device("cpu")) for model in (whole, trained.model)]
    torch.testing.assert_close(logits[0], logits[1], atol=1e-4, rtol=0)
    fitted = Thresholds.fit(tune.scored(kept["tune_logits"].sigmoid()))
    assert trained.thresholds == fitted.values == tuple(kept["thresholds"])
    assert train_v2em(*arguments) == measures  # it had ended; nothing is trained on

    state = load_file(out / "v2em.safetensors")
    save_file(state, out / "bare.safetensors")
    with pytest.raises(WeightsError, match="is of format"):
        load_v2em(out / "bare.safetensors")
    metadata = read_metadata(out / "v2em.safetensors")
    state.pop("v2em.branches.vision.head.weight")
    save_file(state, out / "short.safetensors", metadata)
    with pytest.raises(WeightsError, match=r"missing v2em\.branches\.vision\.head\.weight"):
        load_v2em(out / "short.safetensors")
    save_file(load_file(out / "v2em.safetensors"), out / "lie.safetensors", metadata | {"deploy": "false"})
    with pytest.raises(WeightsError, match=r"missing v2em\.branches\.vision\.network\.blocks"):
        load_v2em(out / "lie.safetensors")


def read_metadata(path: Path) -> dict[str, str]:
    with safe_open(str(path), framework="pt") as file:
        return file.metadata()


def test_what_cannot_be_trained_is_said_before_anything_is_read(
    tmp_path: Path, albert: Path, made_corpus: Path
) -> None:
    def attempt(config: V2emConfig, recipe: V2emRecipe, loop: LoopSettings = LOOP) -> None:
        train_v2em(made_corpus, tmp_path / "out", config, recipe, loop, no_detector)

    with pytest.raises(TrainingError, match=r"recipe.albert: no ALBERT in .*nowhere: give a folder with config.json"):
        attempt(small_config(), recipe(albert=str(tmp_path / "nowhere")))
    with pytest.raises(TrainingError, match=r"model\.emotions is 7, and made has 6"):
        attempt(replace(small_config(), emotions=7), recipe(albert=str(albert)))
    wide = small_config()
    with pytest.raises(TrainingError, match=r"recipe.albert: the weights in .* are not of albert-base-v2's sizes"):
        attempt(replace(wide, text=replace(wide.text, hidden=24)), recipe(albert=str(albert)))
    with pytest.raises(TrainingError, match="too large for float16"):
        attempt(small_config(legacy=True), recipe(), LOOP.model_copy(update={"precision": "float16"}))
    assert not (tmp_path / "out").exists()
