"""ALBERT in miniature, in a folder as people download it."""

import json
from pathlib import Path

from models.v2em.config import TextSizes
from models.v2em.text import TextEncoder

WORDS = "aaa bbb ccc ddd eee fff and so on yes no what it is".split()


def save_albert(folder: Path, sizes: TextSizes) -> Path:
    """Random weights of these sizes, and a tokenizer of a few words that puts [CLS] and [SEP] around a text."""
    TextEncoder(sizes).albert.save_pretrained(folder)
    vocabulary = {word: k for k, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "truncation": None,
        "padding": None,
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder
