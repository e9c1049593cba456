"""Text branch: ALBERT's first state, and the tokens it reads."""

from collections.abc import Sequence
from typing import Protocol, cast

from torch import Tensor, nn
from transformers import AlbertConfig, AlbertModel, AutoTokenizer

from models.v2em.config import TextSizes

MAX_TOKENS = 100
ALBERT = "albert-base-v2"  # name of the published encoder, on a hub


class Tokenizer(Protocol):
    """Token ids [B, L] and mask bool [B, L] of B texts, at most 100 tokens, padded to the longest."""

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Tokenise."""


class TextEncoder(nn.Module):
    """Token ids [B, L], mask [B, L] -> ALBERT's state of the first token, [B, hidden].

    Built without weights; `load_pretrained` brings them.
    """

    def __init__(self, sizes: TextSizes) -> None:
        super().__init__()
        self.albert = AlbertModel(_albert_config(sizes))

    def forward(self, token_ids: Tensor, mask: Tensor) -> Tensor:
        """The state before ALBERT's own pooling layer."""
        states = self.albert(input_ids=token_ids, attention_mask=mask).last_hidden_state
        return cast(Tensor, states[:, 0])

    def load_pretrained(self, source: str) -> None:
        """Take the weights of ALBERT in a local folder, or of that name on the hub.

        Raises ValueError when there are none, or they are of other sizes.
        """
        try:
            pretrained = AlbertModel.from_pretrained(source)
        except (OSError, ValueError) as error:  # ValueError: it takes a folder that is not there for a hub's name
            raise ValueError(_not_there(source)) from error
        try:
            self.albert.load_state_dict(pretrained.state_dict(), strict=True)
        except RuntimeError as error:
            raise ValueError(f"the weights in {source} are not of {ALBERT}'s sizes: {error}") from error


def load_tokenizer(source: str) -> Tokenizer:
    """ALBERT's tokenizer from a local folder, or of that name on the hub. ValueError when there is none."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError) as error:  # ValueError: it takes a folder that is not there for a hub's name
        raise ValueError(_not_there(source)) from error

    def tokenize(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Not always 100 tokens, as published: padding is masked, so that the states are equal."""
        encoded = tokenizer(list(texts), truncation=True, max_length=MAX_TOKENS, padding=True, return_tensors="pt")
        return encoded["input_ids"], encoded["attention_mask"].bool()

    return tokenize


def _not_there(source: str) -> str:
    return (
        f"no ALBERT in {source}: give a folder with config.json, tokenizer.json and model.safetensors of {ALBERT}, or "
        f"{ALBERT!r} where a hub can be reached"
    )


def _albert_config(sizes: TextSizes) -> AlbertConfig:
    return AlbertConfig(
        vocab_size=sizes.vocabulary,
        embedding_size=sizes.embedding,
        hidden_size=sizes.hidden,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        intermediate_size=sizes.feed_forward,
        hidden_act="gelu_new",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
