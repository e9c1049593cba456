"""V2EM: three branches and the weighted sum of their logits."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.fusion import fuse_logits
from models.log_mel import SLICE_S
from models.v2em.audio import AudioNetwork
from models.v2em.batch import MODALITIES, V2emBatch
from models.v2em.config import V2emConfig
from models.v2em.encoder import SequenceEncoder
from models.v2em.text import TextEncoder
from models.v2em.vision import VisionNetwork


@dataclass(frozen=True)
class V2emLogits:
    """Of B utterances: fused [B, E]; by_branch [B, M, E] and present bool [B, M] for the model's M modalities.

    Logits of a branch that is not present mean nothing, and have no part in the fused ones.
    """

    fused: Tensor
    by_branch: Tensor
    present: Tensor

    def probabilities(self) -> Tensor:
        """One for each emotion, [B, E]; each by itself, as several may be felt at once."""
        return self.fused.sigmoid()


class TextBranch(nn.Module):
    """The sentence of each utterance -> logits [B, E], and whether there was one, [B]."""

    def __init__(self, config: V2emConfig) -> None:
        super().__init__()
        self.network = TextEncoder(config.text)
        self.head = nn.Linear(config.text.hidden, config.emotions)

    def forward(self, batch: V2emBatch) -> tuple[Tensor, Tensor]:
        """Of texts that are missing, their place holders are read."""
        return self.head(self.network(batch.input_ids, batch.attn_mask)), batch.has("text")


class VisionBranch(nn.Module):
    """The faces of each utterance -> logits [B, E], and whether there were any, [B]."""

    def __init__(self, config: V2emConfig) -> None:
        super().__init__()
        self.network = VisionNetwork(config.vision, config.encoder.dim)
        self.encoder = SequenceEncoder(config.encoder, knows_times=not config.legacy)
        self.head = nn.Linear(config.encoder.dim, config.emotions)
        self.looks_at_all = config.legacy

    def forward(self, batch: V2emBatch) -> tuple[Tensor, Tensor]:
        """Crops in which no face was found are left out, unless the model is a legacy one."""
        utterance = torch.repeat_interleave(batch.face_len.long())
        looked_at = torch.ones_like(batch.face_ok) if self.looks_at_all else batch.face_ok
        counts = torch.bincount(utterance[looked_at], minlength=len(batch))
        vectors = self.network(batch.faces[looked_at])
        return self.head(self.encoder(vectors, batch.face_t[looked_at], counts)), batch.has("vision") & (counts > 0)


class AudioBranch(nn.Module):
    """The slices of each utterance's spectrum -> logits [B, E], and whether there were any, [B]."""

    def __init__(self, config: V2emConfig) -> None:
        super().__init__()
        self.network = AudioNetwork(config.audio, config.encoder.dim)
        self.encoder = SequenceEncoder(config.encoder, knows_times=not config.legacy)
        self.head = nn.Linear(config.encoder.dim, config.emotions)

    def forward(self, batch: V2emBatch) -> tuple[Tensor, Tensor]:
        """Slices follow each other every 0.4 s."""
        counts = batch.mel_len.long()
        first = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
        times_s = SLICE_S * (torch.arange(len(batch.mel), device=first.device) - first)
        return self.head(self.encoder(self.network(batch.mel), times_s, counts)), batch.has("audio") & (counts > 0)


BRANCHES: dict[str, type[nn.Module]] = {"text": TextBranch, "vision": VisionBranch, "audio": AudioBranch}


class V2EM(nn.Module):
    """A batch of utterances -> logits. Raises ValueError for an utterance of which nothing is present."""

    def __init__(self, config: V2emConfig) -> None:
        super().__init__()
        self.config = config
        names = [name for name in MODALITIES if name[0] in config.modalities]
        self.branches = nn.ModuleDict({name: BRANCHES[name](config) for name in names})
        self.fusion = nn.Linear(len(names), 1, bias=False) if len(names) > 1 else None

    def forward(self, batch: V2emBatch) -> V2emLogits:
        """Logits of each branch, and of all together: sum over the branches of weight times logit."""
        logits, present = zip(*(branch(batch) for branch in self.branches.values()), strict=True)
        by_branch, held = torch.stack(logits, dim=1), torch.stack(present, dim=1)
        weights = by_branch.new_ones(1) if self.fusion is None else self.fusion.weight[0]
        return V2emLogits(fuse_logits(by_branch, held, weights), by_branch, held)

    def fused(self) -> "V2EM":
        """A copy for inference with single convolutions for RepVGG's blocks; a training of this model can go on."""
        clone = copy.deepcopy(self).eval().requires_grad_(False)
        for branch in clone.branches.values():
            if isinstance(branch, VisionBranch):
                branch.network = branch.network.fused()
        return clone
