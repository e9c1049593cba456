"""BERT as we read it is BERT as transformers reads it: tokens, states, and what files are refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from models.bert import load_bert
from models.text import MAX_TOKENS, MiniLM

TEXTS = ["It was the best of times.", "No! I can't — café déjà vu, 3.5 %", "word " * 300, "", "hm"]


def test_tokens_and_states_are_those_of_transformers(minilm_dir: Path) -> None:
    ours, theirs = MiniLM(minilm_dir, tuned_layers=2), AutoModel.from_pretrained(str(minilm_dir)).eval()
    tokenizer = AutoTokenizer.from_pretrained(str(minilm_dir))
    packed = tokenizer(TEXTS, truncation=True, max_length=MAX_TOKENS, padding=True, return_tensors="pt")
    mask = packed["attention_mask"].bool()
    tokens = ours.tokenize(TEXTS)
    assert tokens == [ids[real].tolist() for ids, real in zip(packed["input_ids"], mask, strict=True)]
    states, our_mask = ours.encode(tokens)
    assert torch.equal(our_mask, mask)
    with torch.inference_mode():
        for layer in ours.upper:
            states = layer(states, mask)
        expected = theirs(**packed).last_hidden_state
    torch.testing.assert_close(states[mask], expected[mask], atol=1e-5, rtol=1e-5)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": 20, **sizes}), "utf-8")
    from transformers import BertConfig, BertModel

    save_file(BertModel(BertConfig(vocab_size=20, **sizes)).state_dict(), tmp_path / "model.safetensors")
    return tmp_path


def test_weights_of_another_shape_are_refused(small: Path) -> None:
    load_bert(small)
    state = load_file(small / "model.safetensors")
    del state["encoder.layer.0.output.dense.weight"]
    save_file(state, small / "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors is not the BERT of its config\.json"):
        load_bert(small)


def test_another_kind_of_model_is_refused(small: Path) -> None:
    described = json.loads((small / "config.json").read_text("utf-8"))
    (small / "config.json").write_text(json.dumps(described | {"model_type": "albert"}), "utf-8")
    with pytest.raises(ValueError, match="holds no BERT with GELU: 'albert' is not read"):
        load_bert(small)
