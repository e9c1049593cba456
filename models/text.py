"""Text branch: MiniLM-L6 with its top layers tuned, pooled over tokens, one logit per emotion.

The lower layers and the tokenizer come from the catalogue and stay as published; our weights hold the tuned layers and
the head.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from models.bert import load_bert
from models.emotions import EMOTIONS
from models.temporal import AttentionPool

MAX_TOKENS = 100  # the paper's; an utterance of 10 s has some 40


@dataclass(frozen=True)
class TextConfig:
    """Sizes of the text branch."""

    dim: int = 384
    tuned_layers: int = 3
    dropout: float = 0.2


class MiniLM:
    """Tokenizer, embeddings and lower layers of a MiniLM (BERT) in a local folder, frozen."""

    def __init__(self, folder: Path, tuned_layers: int, device: str = "cpu") -> None:
        self.device = device
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.pad_token_id = self.tokenizer.token_to_id("[PAD]")
        embeddings, layers = load_bert(folder)
        if tuned_layers > len(layers):
            raise ValueError(f"{folder} has {len(layers)} layers; {tuned_layers} cannot be tuned")
        self.embeddings = embeddings.requires_grad_(False).to(device)
        lower = len(layers) - tuned_layers
        stack = nn.ModuleList(layers).requires_grad_(False).to(device)
        self.lower, self.upper = stack[:lower], stack[lower:]

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, [CLS] and [SEP] included, at most 100."""
        return [encoded.ids for encoded in self.tokenizer.encode_batch(list(texts))]

    @torch.inference_mode()
    def encode(self, token_ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Token ids of B texts -> states [B, T, 384] below the tuned layers, and mask [B, T]."""
        padded, mask = (part.to(self.device) for part in self.pad(token_ids))
        return self.states(padded, mask), mask

    def pad(
        self, token_ids: Sequence[Sequence[int]], length: int | None = None, count: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Token ids of texts -> one tensor [B, T] and mask [B, T], on the CPU.

        length, count: T and B to pad to. Texts that are added are one padding token that passes for real.
        """
        lengths = [len(ids) for ids in token_ids]
        longest, missing = length or max(lengths), (count or len(lengths)) - len(lengths)
        padding = self.pad_token_id
        padded = [[*ids, *([padding] * (longest - len(ids)))] for ids in token_ids] + missing * [[padding] * longest]
        real = torch.tensor(lengths + missing * [1])
        return torch.tensor(padded), torch.arange(longest) < real[:, None]

    def states(self, token_ids: Tensor, mask: Tensor) -> Tensor:
        """Padded token ids [B, T] and mask [B, T] -> states [B, T, 384] below the tuned layers."""
        states = self.embeddings(token_ids)
        for layer in self.lower:
            states = layer(states, mask)
        return states


class TextBranch(nn.Module):
    """States below the tuned layers -> logits."""

    def __init__(self, config: TextConfig, upper: nn.ModuleList) -> None:
        """`upper` are the layers to tune, as MiniLM gives them."""
        super().__init__()
        self.config = config
        self.layers = upper
        self.pool = AttentionPool(config.dim)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(2 * config.dim, len(EMOTIONS))

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """States [B, T, 384], mask [B, T] with at least one True a row -> logits [B, 7]."""
        for layer in self.layers:
            states = layer(states, mask)
        share = mask.float() / mask.sum(dim=1, keepdim=True)
        mean = torch.einsum("bt,btd->bd", share, states)
        return self.head(self.dropout(torch.cat([self.pool(states, states, mask), mean], dim=-1)))
