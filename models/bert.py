"""BERT's encoder (Devlin et al., arXiv 1810.04805), as MiniLM is one, read from a folder of the model hub's layout.

Parameters have the names that transformers gives them, so that published and tuned weights load either way. Ours,
because importing that package takes longer than all else that a worker does before it labels.
"""

import json
from pathlib import Path

from pydantic import BaseModel
from safetensors.torch import load_file
from torch import Tensor, nn

from models import unset


class BertConfig(BaseModel):
    """What of a folder's config.json decides the network; what is not named there is as in the paper."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    vocab_size: int
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1


class BertEmbeddings(nn.Module):
    """Token ids [B, T] of one sentence each -> [B, T, hidden]."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.word_embeddings = unset.Embedding(config.vocab_size, config.hidden_size)
        self.position_embeddings = unset.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = unset.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, token_ids: Tensor) -> Tensor:
        """Words, places and the first sentence's mark, added."""
        places = self.position_embeddings.weight[: token_ids.shape[1]]
        embedded = self.word_embeddings(token_ids) + self.token_type_embeddings.weight[0] + places
        return self.dropout(self.LayerNorm(embedded))


class _Attention(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.query = unset.Linear(config.hidden_size, config.hidden_size)
        self.key = unset.Linear(config.hidden_size, config.hidden_size)
        self.value = unset.Linear(config.hidden_size, config.hidden_size)
        self.heads = config.num_attention_heads
        self.dropout = config.attention_probs_dropout_prob

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        q, k, v = (
            of(states).unflatten(-1, (self.heads, -1)).transpose(1, 2) for of in (self.query, self.key, self.value)
        )
        dropped = self.dropout if self.training else 0.0
        attended = nn.functional.scaled_dot_product_attention(q, k, v, mask[:, None, None, :], dropped)
        return attended.transpose(1, 2).flatten(-2)


class _AddedOutput(nn.Module):
    def __init__(self, inputs: int, config: BertConfig) -> None:
        super().__init__()
        self.dense = unset.Linear(inputs, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, states: Tensor, before: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(self.dense(states)) + before)


class BertLayer(nn.Module):
    """States [B, T, hidden] and mask [B, T], True where a token is real, with at least one a row -> states."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"self": _Attention(config), "output": _AddedOutput(config.hidden_size, config)})
        self.intermediate = nn.ModuleDict({"dense": unset.Linear(config.hidden_size, config.intermediate_size)})
        self.output = _AddedOutput(config.intermediate_size, config)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Attention, then the network of each token; each added to what came in."""
        attended = self.attention["output"](self.attention["self"](states, mask), states)
        return self.output(nn.functional.gelu(self.intermediate["dense"](attended)), attended)


def load_bert(folder: Path) -> tuple[BertEmbeddings, list[BertLayer]]:
    """Embeddings and layers of a BERT in a local folder (config.json, model.safetensors), in eval mode.

    Raises:
        ValueError: config.json is of another kind of model, or the weights are not those of such a network.
    """
    described = json.loads((folder / "config.json").read_text("utf-8"))
    if described.get("model_type") != "bert" or described.get("hidden_act", "gelu") != "gelu":
        raise ValueError(f"{folder} holds no BERT with GELU: {described.get('model_type')!r} is not read")
    config = BertConfig.model_validate(described)
    embeddings = BertEmbeddings(config)
    layers = [BertLayer(config) for _ in range(config.num_hidden_layers)]
    state = load_file(folder / "model.safetensors")
    for prefix, module in [("embeddings.", embeddings), *((f"encoder.layer.{n}.", m) for n, m in enumerate(layers))]:
        own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        own.pop("position_ids", None)  # 0, 1, 2 ...: older files hold them
        try:
            module.load_state_dict(own, strict=True, assign=True)
        except RuntimeError as error:
            raise ValueError(f"{folder / 'model.safetensors'} is not the BERT of its config.json: {error}") from error
    return embeddings.eval(), [layer.eval() for layer in layers]
