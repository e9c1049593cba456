"""Train the text branch: MiniLM's top layers are tuned together with the head, on sentences of several corpora."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from models.batches import in_batches
from models.emotions import EMOTIONS
from models.metrics import weighted_f1
from models.text import MiniLM, TextBranch, TextConfig
from models.train.checkpoint import save_checkpoint
from models.train.loop import LoopSettings, Recipe, Training
from models.train.sentences import Sentence, load_sentences

HEAD_FASTER = 10.0  # than the top layer of MiniLM
BIAS_FASTER = 100.0


class TextRecipe(Recipe):
    """Everything that decides the trained weights, beside the data, the sizes, and the loop.

    layer_decay: each layer of MiniLM learns so much slower than the one above it. repeats: how often an epoch sees the
    sentences of a corpus; once where it isn't named. corpus_bias: whether each corpus has its own biases in training,
    so that what is common in one isn't learnt from the words of another; calibration takes their place afterwards.
    """

    kind: Literal["text"] = "text"
    batch_size: int = Field(64, ge=1)
    max_tokens: int = Field(64, ge=8, le=100)
    label_smoothing: float = 0.05
    layer_decay: float = Field(0.85, gt=0, le=1)
    repeats: dict[str, int] = Field(default_factory=dict)
    corpus_bias: bool = True


@dataclass(frozen=True)
class Sentences:
    """Token ids of N sentences, targets [N, 7] that sum to 1 a row, and the corpus of each."""

    token_ids: list[list[int]]
    targets: Tensor
    corpora: list[str]


def tokenize(minilm: MiniLM, sentences: Sequence[Sentence], max_tokens: int) -> Sentences:
    """Sentences cut at `max_tokens`; several labels share the target equally."""
    targets = torch.zeros(len(sentences), len(EMOTIONS))
    for row, sentence in zip(targets, sentences, strict=True):
        row[list(sentence.labels)] = 1 / len(sentence.labels)
    token_ids = [ids[:max_tokens] for ids in minilm.tokenize([sentence.text for sentence in sentences])]
    return Sentences(token_ids, targets, [sentence.corpus for sentence in sentences])


def batches_by_length(lengths: Sequence[int], batch_size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Every place once, in random batches of like length, so that little is padded."""
    order = torch.randperm(len(lengths), generator=generator).tolist()
    chunks = [order[i : i + 50 * batch_size] for i in range(0, len(order), 50 * batch_size)]
    batches = []
    for chunk in chunks:
        chunk.sort(key=lengths.__getitem__)
        batches += [chunk[i : i + batch_size] for i in range(0, len(chunk), batch_size)]
    for i in torch.randperm(len(batches), generator=generator).tolist():
        yield batches[i]


class TextInTraining(nn.Module):
    """The branch, and the biases that the corpora have while it is trained."""

    def __init__(self, branch: TextBranch, corpora: Sequence[str]) -> None:
        super().__init__()
        self.branch = branch
        self.corpora = tuple(corpora)
        self.corpus_bias = nn.Parameter(torch.zeros(len(corpora), len(EMOTIONS)))


class TextTask:
    """The branch on sentences; the lower layers of `minilm` are run as they are published."""

    watched = "weighted_f1"

    def __init__(self, minilm: MiniLM, config: TextConfig, fit: Sentences, tune: Sentences, recipe: TextRecipe) -> None:
        branch = TextBranch(config, minilm.upper).requires_grad_(True)
        self.training = TextInTraining(branch, sorted(set(fit.corpora)))
        self.training.corpus_bias.requires_grad_(recipe.corpus_bias)
        self.module: nn.Module = self.training
        self.minilm, self.fit, self.tune, self.recipe = minilm, fit, tune, recipe
        self.rows = [i for i, corpus in enumerate(fit.corpora) for _ in range(recipe.repeats.get(corpus, 1))]
        self.corpus_of = torch.tensor([self.training.corpora.index(corpus) for corpus in fit.corpora])

    def parameter_groups(self) -> list[dict[str, Any]]:
        """A group a layer, the lower the slower; the head; the biases of corpora."""
        branch, decay = self.training.branch, self.recipe.layer_decay
        top = len(branch.layers) - 1
        groups = [
            {"params": list(layer.parameters()), "scale": decay ** (top - k)} for k, layer in enumerate(branch.layers)
        ]
        groups.append({"params": [*branch.pool.parameters(), *branch.head.parameters()], "scale": HEAD_FASTER})
        if self.recipe.corpus_bias:
            groups.append({"params": [self.training.corpus_bias], "scale": BIAS_FASTER, "decayed": False})
        return groups

    def steps(self, epoch: int) -> int:
        """Every sentence as often as its corpus is repeated."""
        return sum(
            -(-min(50 * self.recipe.batch_size, len(self.rows) - first) // self.recipe.batch_size)
            for first in range(0, len(self.rows), 50 * self.recipe.batch_size)
        )

    def batches(self, epoch: int, generator: torch.Generator) -> Iterator[list[int]]:
        """Rows of the sentences to fit."""
        lengths = [len(self.fit.token_ids[row]) for row in self.rows]
        for places in batches_by_length(lengths, self.recipe.batch_size, generator):
            yield [self.rows[place] for place in places]

    def loss(self, batch: list[int], device: torch.device, autocast: Callable[[], Any]) -> Tensor:
        """Cross-entropy with smoothed labels."""
        with autocast():
            states, mask = self.minilm.encode([self.fit.token_ids[row] for row in batch])
            logits = self.training.branch(states.clone(), mask)  # a clone, as the lower layers run in inference mode
        logits = logits.float() + self.training.corpus_bias[self.corpus_of[batch]]
        targets = self.fit.targets[batch].to(device)
        return nn.functional.cross_entropy(logits, targets, label_smoothing=self.recipe.label_smoothing)

    def validate(self, module: nn.Module, device: torch.device) -> dict[str, float]:
        """Weighted F1 of each corpus with its own biases, and the mean over corpora."""
        training = cast(TextInTraining, module)
        logits = logits_of(training.branch, self.minilm, self.tune.token_ids)
        known = torch.tensor([training.corpora.index(corpus) for corpus in self.tune.corpora])
        predicted = (logits + training.corpus_bias.cpu()[known]).argmax(dim=1).numpy()
        truth = self.tune.targets.argmax(dim=1).numpy()
        measures = {}
        for k, corpus in enumerate(training.corpora):
            rows = (known == k).numpy()
            if rows.any():
                measures[f"weighted_f1_{corpus}"] = weighted_f1(truth[rows], predicted[rows])
        return {"weighted_f1": sum(measures.values()) / len(measures), **measures}


def logits_of(branch: TextBranch, minilm: MiniLM, token_ids: Sequence[Sequence[int]], batch_size: int = 128) -> Tensor:
    """Logits [N, 7] in eval mode, in float32."""
    branch.eval()

    def classify(chosen: list[int]) -> Tensor:
        return branch(*minilm.encode([token_ids[i] for i in chosen]))

    with torch.inference_mode():
        return in_batches([len(ids) for ids in token_ids], batch_size, classify)


def train_text(
    data: Path,
    out: Path,
    minilm: MiniLM,
    config: TextConfig,
    recipe: TextRecipe,
    loop: LoopSettings,
    on_epoch: Callable[[dict[str, Any]], None] = lambda row: None,
) -> dict[str, float]:
    """Train in `out` from the corpora in `data`; write out/text.pt, what `assemble` reads; give the measures."""
    fit, tune = (tokenize(minilm, load_sentences(data, part), recipe.max_tokens) for part in ("fit", "tune"))
    torch.manual_seed(loop.seed)
    task = TextTask(minilm, config, fit, tune, recipe)
    kept = {"model": asdict(config), "recipe": recipe.model_dump()}
    outcome = Training(task, loop, kept, out).run(on_epoch)
    task.training.load_state_dict(outcome.state)
    branch = task.training.branch
    tuned = {
        "tune_logits": logits_of(branch, minilm, tune.token_ids),
        "tune_labels": tune.targets,
        "tune_corpora": tune.corpora,
    }
    state = {"state": branch.state_dict(), "config": asdict(config), "recipe": recipe.model_dump(mode="json")}
    save_checkpoint(out / "text.pt", state | tuned)
    return outcome.measures
