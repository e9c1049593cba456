"""Train the voice branch, by either front end, on clips encoded once for each augmented copy."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from models.batches import in_batches
from models.log_mel import log_mel_slices
from models.train.checkpoint import load_checkpoint, save_checkpoint
from models.train.loop import LoopSettings, Recipe, Training
from models.train.manifest import Item
from models.train.sounds import augment_clip, list_clips, read_clip, trim_silence
from models.train.splits import Part
from models.voice import VoiceBranch, VoiceConfig, VoiceEnsemble, build_voice, pad_ragged
from models.whisper_states import WhisperStates

FrontEnd = Callable[[list[np.ndarray]], list[Tensor]]
OnEpoch = Callable[[dict[str, Any]], None]


class VoiceRecipe(Recipe):
    """Everything that decides the trained weights, beside the data, the sizes, and the loop.

    copies: augmented ones of each clip, made once; the clip itself and its trimmed form come on top. An epoch sees one
    copy of each clip, cut to crop_s at random where it is longer. folds: the fit speakers are parted into so many, to
    calibrate by what a branch says of speakers that it never heard; 0 calibrates by the tune speakers alone.
    """

    kind: Literal["voice"] = "voice"
    copies: int = Field(6, ge=0)
    copies_seed: int = 0
    batch_size: int = Field(32, ge=2)
    label_smoothing: float = 0.05
    crop_s: float = Field(2.56, gt=0.4)
    time_mask_s: float = 0.6
    mixup: float = 0.2
    folds: int = Field(3, ge=0)


@dataclass(frozen=True)
class Encoded:
    """copies[k][i] is copy k of clip i as its front end gives it, float16."""

    copies: list[list[Tensor]]
    labels: Tensor
    corpora: list[str]
    speakers: list[str]

    def only(self, rows: list[int]) -> "Encoded":
        """Those clips."""
        copies = [[copy[row] for row in rows] for copy in self.copies]
        return Encoded(copies, self.labels[rows], [self.corpora[r] for r in rows], [self.speakers[r] for r in rows])


Parts = dict[Part, Encoded]


def front_end_of(config: VoiceConfig, whisper: Path | None) -> FrontEnd:
    """From clips to what the branch reads."""
    if config.front_end == "log-mel":
        return lambda clips: [log_mel_slices(clip) for clip in clips]
    if whisper is None:
        raise ValueError("the whisper-states front end needs the folder of a CTranslate2 Whisper model")
    return WhisperStates(whisper, layers=config.encoder_layers).encode


def encode_part(items: list[Item], front_end: FrontEnd, made_by: dict[str, Any], cache: Path) -> Encoded:
    """The clips, their trimmed forms, and augmented ones. Kept at `cache` for the next run.

    made_by: all that decides the copies: `copies`, how many are augmented; `seed`; and what the front end is. A cache
    that was made by anything else, or of other clips, is made anew.
    """
    labels, corpora = torch.tensor([item.label for item in items]), [item.corpus for item in items]
    speakers = [item.speaker for item in items]
    made_by = made_by | {"clips": [_clip_id(item) for item in items]}
    kept = load_checkpoint(cache)
    if kept and kept.get("made_by") == made_by:
        return Encoded(kept["copies"], labels, corpora, speakers)
    clips = [read_clip(item) for item in items]
    encoded = [front_end(clips), front_end([trim_silence(clip) for clip in clips])]
    for copy in range(made_by["copies"]):
        rng = np.random.default_rng([made_by["seed"], copy])
        encoded.append(front_end([augment_clip(clip, rng) for clip in clips]))
    halves = [[item.half() for item in copy] for copy in encoded]
    save_checkpoint(cache, {"made_by": made_by, "copies": halves})
    return Encoded(halves, labels, corpora, speakers)


def _clip_id(item: Item) -> str:
    return item.path.name if item.start_s is None else f"{item.speaker} {item.start_s}-{item.end_s}"


def speaker_folds(part: Encoded, count: int) -> list[int]:
    """The fold of each clip: the speakers of each corpus in pairs, pair after pair; RAVDESS' are of both sexes."""
    folds: dict[tuple[str, str], int] = {}
    for corpus in sorted(set(part.corpora)):
        speakers = sorted({s for s, c in zip(part.speakers, part.corpora, strict=True) if c == corpus})
        folds |= {(corpus, speaker): rank // 2 % count for rank, speaker in enumerate(speakers)}
    return [folds[key] for key in zip(part.corpora, part.speakers, strict=True)]


def sampling_weights(part: Encoded) -> Tensor:
    """Each (corpus, label) weighs as the square root of its size: no emotion and no corpus drowns the others."""
    keys = list(zip(part.corpora, part.labels.tolist(), strict=True))
    counts = {key: keys.count(key) for key in set(keys)}
    return torch.tensor([1 / math.sqrt(counts[key]) for key in keys])


def mask_times(mask: Tensor, seconds: float, items_per_s: float, generator: torch.Generator | None = None) -> Tensor:
    """Hide one stretch of up to `seconds`, and never more than a third, of each row."""
    lengths = mask.sum(dim=1)
    longest = torch.minimum(lengths / 3, torch.tensor(seconds * items_per_s))
    width = torch.rand(len(mask), generator=generator) * longest
    start = torch.rand(len(mask), generator=generator) * (lengths - width)
    place = torch.arange(mask.shape[1])
    return mask & ~((place >= start[:, None]) & (place < (start + width)[:, None]))


def logits_of(
    branch: nn.Module, clips: list[Tensor], batch_size: int = 32, device: str | torch.device = "cpu"
) -> Tensor:
    """Logits [N, 7] in eval mode, clips of like length together."""
    branch.eval()

    def classify(chosen: list[int]) -> Tensor:
        items, mask = pad_ragged([clips[i].float() for i in chosen])
        logits: Tensor = branch(items.to(device), mask.to(device))
        return logits

    with torch.no_grad():
        return in_batches([len(clip) for clip in clips], batch_size, classify)


def unweighted_recall(logits: Tensor, labels: Tensor) -> float:
    """Mean recall over the classes that occur, the prediction being one of them (a corpus' shared classes)."""
    classes = labels.unique()
    predicted = classes[logits[:, classes].argmax(dim=1)]
    return float(torch.stack([(predicted[labels == c] == c).float().mean() for c in classes]).mean())


def recall_by_corpus(logits: Tensor, part: Encoded) -> dict[str, float]:
    """Unweighted average recall for each corpus."""
    rows = {corpus: torch.tensor([c == corpus for c in part.corpora]) for corpus in sorted(set(part.corpora))}
    return {corpus: round(unweighted_recall(logits[row], part.labels[row]), 4) for corpus, row in rows.items()}


@dataclass(frozen=True)
class VoiceBatch:
    """Items [B, T, ...] with mask [B, T]; labels and those of what is mixed in, and the share of the former."""

    items: Tensor
    mask: Tensor
    labels: Tensor
    other_labels: Tensor
    share: float


class VoiceTask:
    """One branch on drawn copies, validated on the trimmed clips of the tune speakers."""

    watched = "minus_cross_entropy"

    def __init__(self, fit: Encoded, tune: Encoded, config: VoiceConfig, recipe: VoiceRecipe) -> None:
        self.module: nn.Module = VoiceBranch(config)
        self.fit, self.tune, self.config, self.recipe = fit, tune, config, recipe
        self.weights = sampling_weights(fit)
        self.loss_of = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All alike."""
        return [{"params": list(self.module.parameters())}]

    def steps(self, epoch: int) -> int:
        """As many as the clips fill."""
        return len(self.fit.labels) // self.recipe.batch_size

    def batches(self, epoch: int, generator: torch.Generator) -> Iterator[VoiceBatch]:
        """Clips drawn by weight, each in one of its copies, cut short, masked, and mixed with one another."""
        recipe, rng = self.recipe, np.random.default_rng(torch.randint(2**62, (1,), generator=generator).tolist())
        longest = round(recipe.crop_s * self.config.items_per_s)
        for _ in range(self.steps(epoch)):
            chosen = torch.multinomial(self.weights, recipe.batch_size, replacement=True, generator=generator).tolist()
            rows = []
            for clip in chosen:
                row = self.fit.copies[int(rng.integers(len(self.fit.copies)))][clip]
                start = int(rng.integers(max(len(row) - longest, 0) + 1))
                rows.append(row[start : start + longest].float())
            items, mask = pad_ragged(rows)
            mask = mask_times(mask, recipe.time_mask_s, self.config.items_per_s, generator)
            labels, share = self.fit.labels[chosen], 1.0
            partner = torch.randperm(len(chosen), generator=generator)
            if recipe.mixup:
                share = float(rng.beta(recipe.mixup, recipe.mixup))
                share = max(share, 1 - share)
                items = share * items + (1 - share) * items[partner]
            yield VoiceBatch(items, mask, labels, labels[partner], share)

    def loss(self, batch: VoiceBatch, device: torch.device, autocast: Callable[[], Any]) -> Tensor:
        """Cross-entropy by both labels, each by its share."""
        with autocast():
            logits = self.module(batch.items.to(device), batch.mask.to(device)).float()
        own, other = (self.loss_of(logits, labels.to(device)) for labels in (batch.labels, batch.other_labels))
        mixed: Tensor = batch.share * own + (1 - batch.share) * other
        return mixed

    def validate(self, module: nn.Module, device: torch.device) -> dict[str, float]:
        """Recall in each corpus, and what the training is watched by."""
        logits = logits_of(module, self.tune.copies[1], device=device)
        entropy = float(nn.functional.cross_entropy(logits, self.tune.labels))
        return {"minus_cross_entropy": -entropy, **recall_by_corpus(logits, self.tune)}


def train_members(
    fit: Encoded,
    tune: Encoded,
    config: VoiceConfig,
    recipe: VoiceRecipe,
    loop: LoopSettings,
    out: Path,
    on_epoch: OnEpoch = lambda row: None,
) -> VoiceBranch | VoiceEnsemble:
    """All members, one after the other, each in a folder of its own under `out`, where it is resumed."""
    branch = build_voice(config)
    members = list(branch.members) if isinstance(branch, VoiceEnsemble) else [branch]
    single = replace(config, members=1)
    for number, member in enumerate(members):
        settings = loop.model_copy(update={"seed": loop.seed * config.members + number})
        torch.manual_seed(settings.seed)
        task = VoiceTask(fit, tune, single, recipe)
        kept = {"model": asdict(single), "recipe": recipe.model_dump()}
        member.load_state_dict(Training(task, settings, kept, out / f"member{number}").run(on_epoch).state)
    return branch.cpu().eval()


def folded(part: Encoded, count: int) -> Iterator[tuple[list[int], list[int]]]:
    """For each fold the clips of other speakers, and its own: what a branch hears, and what is asked of it then.

    An emotion that a corpus has of one speaker alone is left out of the latter: the branch hasn't heard it there, and
    of how sure it may be of others its mistakes say nothing.
    """
    folds = speaker_folds(part, count)
    for fold in range(count):
        heard = [row for row, at in enumerate(folds) if at != fold]
        known = {(part.corpora[row], int(part.labels[row])) for row in heard}
        own = [row for row, at in enumerate(folds) if at == fold]
        yield heard, [row for row in own if (part.corpora[row], int(part.labels[row])) in known]


def held_out_logits(
    fit: Encoded, tune: Encoded, config: VoiceConfig, recipe: VoiceRecipe, loop: LoopSettings, out: Path
) -> tuple[Tensor, Tensor, list[str]]:
    """Logits, labels and corpora of fit clips, whole and trimmed, by branches that never heard their speakers."""
    logits, rows = [], []
    for fold, (heard, unheard) in enumerate(folded(fit, recipe.folds)):
        branch = train_members(fit.only(heard), tune, config, recipe, loop, out / f"fold{fold}")
        for copy in (0, 1):
            logits.append(logits_of(branch, [fit.copies[copy][row] for row in unheard]))
            rows += unheard
    return torch.cat(logits), fit.labels[rows], [fit.corpora[row] for row in rows]


def encode_parts(data: Path, out: Path, whisper: Path | None, config: VoiceConfig, recipe: VoiceRecipe) -> Parts:
    """What the front end makes of the clips of every part, kept in `out`."""
    front_end = front_end_of(config, whisper)
    return {
        part: encode_part(
            list_clips(data, part),
            front_end,
            {
                "copies": recipe.copies if part == "fit" else 0,
                "seed": recipe.copies_seed,
                "front_end": config.front_end,
                "encoder_layers": list(config.encoder_layers),
            },
            out / f"voice.{config.front_end}.{part}.cache",
        )
        for part in ("fit", "tune", "report")
    }


def train_voice(
    data: Path,
    out: Path,
    whisper: Path | None,
    config: VoiceConfig,
    recipe: VoiceRecipe,
    loop: LoopSettings,
    on_epoch: OnEpoch = lambda row: None,
) -> dict[str, float]:
    """Train in `out` from the corpora in `data`; write out/voice.FRONT-END.pt, what `assemble` reads; give measures.

    whisper: folder of the CTranslate2 Whisper model; the log-mel front end needs none. Its tune_logits are of speakers
    that the branch did not fit: those of the tune part, and of each fold by a branch of the others.
    """
    parts = encode_parts(data, out, whisper, config, recipe)
    fit, tune = parts["fit"], parts["tune"]
    runs = out / f"voice.{config.front_end}.runs"
    branch = train_members(fit, tune, config, recipe, loop, runs, on_epoch)
    measures: dict[str, float] = {}
    for part in ("tune", "report"):
        scores = recall_by_corpus(logits_of(branch, parts[part].copies[1]), parts[part])
        measures |= {f"{part}, {corpus}": score for corpus, score in scores.items()}
    logits = torch.cat([logits_of(branch, copy) for copy in tune.copies])
    labels, corpora = tune.labels.repeat(len(tune.copies)), tune.corpora * len(tune.copies)
    if recipe.folds:
        unheard = held_out_logits(fit, tune, config, recipe, loop, runs)
        logits, labels, corpora = torch.cat([logits, unheard[0]]), torch.cat([labels, unheard[1]]), corpora + unheard[2]
    sizes = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(config).items()}
    state = {"state": branch.state_dict(), "config": sizes, "recipe": recipe.model_dump(mode="json")}
    tuned = {"tune_logits": logits, "tune_labels": labels, "tune_corpora": corpora}
    save_checkpoint(out / f"voice.{config.front_end}.pt", state | tuned)
    return measures
