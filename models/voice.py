"""Voice branch: attention inside slices of 0.4 s, then over the slices of an utterance, one logit per emotion.

Two front ends share that hierarchy: encoder states of Whisper (shipped) and log-mel slices through a small NesT (the
paper's own; kept for comparison, see the model card).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.emotions import EMOTIONS
from models.log_mel import GROUPS, SLICE_S
from models.nest import Nest
from models.temporal import AttentionPool, TemporalEncoder, TransformerLayer
from models.whisper_states import PAIR_RATE_HZ, STATE_RATE_HZ

MIN_VARIANCE = 1e-5  # of a single slice: the root keeps a slope


@dataclass(frozen=True)
class VoiceConfig:
    """Sizes of the voice branch.

    encoder_layers: of Whisper whose states are read, 25 a second; empty: its last states, 50 a second.
    deviation: whether the head also sees how much the slices of an utterance differ.
    members: networks of other seeds whose logits are averaged.
    """

    front_end: str = "whisper-states"  # or "log-mel"
    encoder_layers: tuple[int, ...] = ()
    deviation: bool = False
    members: int = 1
    state_dim: int = 384
    dim: int = 128
    heads: int = 4
    layers: int = 1
    dropout: float = 0.3
    nest_dims: tuple[int, ...] = (32, 64, 128)
    nest_heads: tuple[int, ...] = (1, 2, 4)
    nest_depths: tuple[int, ...] = (1, 1, 3)

    @property
    def items_per_s(self) -> float:
        """Of what the front end gives: states, or slices of the spectrum."""
        if self.front_end == "log-mel":
            return 1 / SLICE_S
        return PAIR_RATE_HZ if self.encoder_layers else STATE_RATE_HZ


class StateSlices(nn.Module):
    """States [B, T, layers * D] with mask [B, T] -> slices [B, S, dim] and mask [B, S]: attention inside each slice."""

    def __init__(self, config: VoiceConfig) -> None:
        super().__init__()
        self.layer_count = max(len(config.encoder_layers), 1)
        self.per_slice = round(SLICE_S * config.items_per_s)  # 10, or 20
        self.norm = nn.LayerNorm(config.state_dim)
        self.project = nn.Linear(self.layer_count * config.state_dim, config.dim)
        self.dropout = nn.Dropout(config.dropout)
        self.layer = TransformerLayer(config.dim, config.heads, dropout=config.dropout)
        self.pool = AttentionPool(config.dim)

    def forward(self, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The last slice may be short; slices without a real state are masked."""
        batch, length, _ = states.shape
        missing = -length % self.per_slice
        states = nn.functional.pad(states, (0, 0, 0, missing))
        mask = nn.functional.pad(mask, (0, missing)).view(-1, self.per_slice)
        slice_mask = mask.any(dim=1)
        readable = mask | ~slice_mask[:, None]  # an empty slice attends to its padding: finite, and masked later
        normed = self.norm(states.unflatten(-1, (self.layer_count, -1))).flatten(-2)
        x = self.dropout(self.project(normed)).view(-1, self.per_slice, self.project.out_features)
        x = self.layer(x, readable)
        return self.pool(x, x, readable).view(batch, -1, x.shape[-1]), slice_mask.view(batch, -1)


class MelSlices(nn.Module):
    """Log-mel slices [B, S, 4, 32, 32] with mask [B, S] -> [B, S, dim] and the mask: NesT on each slice."""

    def __init__(self, config: VoiceConfig) -> None:
        super().__init__()
        self.nest = Nest(
            GROUPS,
            32,
            tuple(config.nest_dims),
            tuple(config.nest_heads),
            tuple(config.nest_depths),
            block_edge=4,
            patch_stride=2,
            dropout=config.dropout / 3,
        )

    def forward(self, slices: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Each slice alone."""
        return self.nest(slices.flatten(0, 1)).view(*slices.shape[:2], -1), mask


class VoiceBranch(nn.Module):
    """What a front end gives for utterances -> logits [B, 7]."""

    def __init__(self, config: VoiceConfig) -> None:
        super().__init__()
        self.config = config
        on_mel = config.front_end == "log-mel"
        self.slices: nn.Module = MelSlices(config) if on_mel else StateSlices(config)
        slice_dim = config.nest_dims[-1] if on_mel else config.dim
        self.temporal = TemporalEncoder(slice_dim, config.dim, config.heads, config.layers, config.dropout)
        self.pool = AttentionPool(config.dim)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear((3 if config.deviation else 2) * config.dim, len(EMOTIONS))

    def forward(self, items: Tensor, mask: Tensor) -> Tensor:
        """States [B, T, D] or slices [B, S, 4, 32, 32], mask [B, T or S] with at least one True a row -> logits."""
        sliced, slice_mask = self.slices(items, mask)
        times_s = SLICE_S * (torch.arange(sliced.shape[1], device=sliced.device) + 0.5).expand(sliced.shape[:2])
        contexts = self.temporal(sliced, times_s, slice_mask)
        attended = self.pool(contexts, contexts, slice_mask)
        share = slice_mask.float() / slice_mask.sum(dim=1, keepdim=True)
        mean = torch.einsum("bs,bsd->bd", share, contexts)
        pooled = [attended, mean]
        if self.config.deviation:
            variance = torch.einsum("bs,bsd->bd", share, (contexts - mean[:, None]).square())
            pooled.append((variance + MIN_VARIANCE).sqrt())
        return self.head(self.dropout(torch.cat(pooled, dim=-1)))


class VoiceEnsemble(nn.Module):
    """The mean of the logits of branches that differ in their seed alone: steadier, and less sure of itself."""

    def __init__(self, config: VoiceConfig) -> None:
        super().__init__()
        self.config = config
        self.members = nn.ModuleList(VoiceBranch(config) for _ in range(config.members))

    def forward(self, items: Tensor, mask: Tensor) -> Tensor:
        """As VoiceBranch."""
        return torch.stack([member(items, mask) for member in self.members]).mean(dim=0)


def build_voice(config: VoiceConfig) -> VoiceBranch | VoiceEnsemble:
    """The branch of that configuration, or several of them."""
    return VoiceEnsemble(config) if config.members > 1 else VoiceBranch(config)


def pad_ragged(rows: list[Tensor], length: int | None = None, count: int | None = None) -> tuple[Tensor, Tensor]:
    """Tensors [T_i, ...] -> one [B, max T, ...], zero behind the ends, and a mask [B, max T], where the rows are.

    length, count: T and B to pad to. Rows that are added have one item, a zero: no network chokes on it.
    """
    padded = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    longest, missing = length or padded.shape[1], (count or len(rows)) - len(rows)
    lengths = torch.tensor([len(row) for row in rows] + [1] * missing)
    if missing or longest > padded.shape[1]:
        behind = (0, 0) * (padded.dim() - 2) + (0, longest - padded.shape[1], 0, missing)
        padded = nn.functional.pad(padded, behind)
    return padded, torch.arange(longest) < lengths[:, None]
