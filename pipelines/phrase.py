"""What it means that a phrase is said in a text; and sketches of texts, which tell fast where a phrase is not said.

A text is a row of tokens: letters and digits without their accents, in lower case, whatever lies between. A phrase is
said where its tokens follow each other: "times it was" in "the best of times. It was ..."; "don't" in "don’t".
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SQL_FOLDED = "replace(lower(strip_accents({text})), 'ß', 'ss')"
"""`folded` in SQL."""

BITS_PER_TOKEN = 12
PROBES = 6
"""A sketch is a Bloom filter: of tokens that are not in it, 1 in 300 seems to be."""

# Scripts that put no spaces between words: there every character is a token.
_UNSPACED = "\u0e00-\u0e7f\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


def folded(text: str) -> str:
    """The text in lower case and without accents."""
    plain = "".join(char for char in unicodedata.normalize("NFD", text) if unicodedata.category(char) != "Mn")
    return plain.lower().replace("ß", "ss")


def tokens(text: str) -> list[str]:
    """The tokens of a text."""
    return _TOKEN.findall(text.lower() if text.isascii() else folded(text))


def said_at(words: Sequence[str], phrase: Sequence[str]) -> list[tuple[int, int]]:
    """Where the words hold the tokens of a phrase, one after the other: numbers of the first word and the last."""
    flat = [(token, number) for number, word in enumerate(words) for token in tokens(word)]
    length = len(phrase)
    return [
        (flat[at][1], flat[at + length - 1][1])
        for at in range(len(flat) - length + 1)
        if all(flat[at + offset][0] == phrase[offset] for offset in range(length))
    ]


def sketch(texts: Iterable[str]) -> bytes:
    """A sketch of what is said in some texts together."""
    said = {token for text in texts for token in tokens(text)}
    size = 64
    while size < len(said) * BITS_PER_TOKEN:
        size *= 2
    bits = np.zeros(size, np.uint8)
    if said:
        bits[np.frombuffer(b"".join(map(_digest, said)), "<u8") % size] = 1
    return np.packbits(bits).tobytes()


def may_hold(sketches: pa.BinaryArray, phrase: Iterable[str]) -> NDArray[np.bool_]:
    """For each sketch, whether all tokens of a phrase may be in its texts; where there is no sketch, they may."""
    wanted = np.frombuffer(b"".join(map(_digest, set(phrase))), "<u8")
    found = np.ones(len(sketches), bool)
    _, offsets, octets = sketches.buffers()
    if octets is None:
        return found
    bounds = np.frombuffer(offsets, np.int32)[sketches.offset :][: len(sketches) + 1].astype(np.int64)
    there = np.flatnonzero(np.diff(bounds))  # one that is null has no length
    starts, sizes = bounds[there, None], np.diff(bounds)[there, None]
    at = (wanted % (sizes.astype(np.uint64) * np.uint64(8))).astype(np.int64)
    bits = np.frombuffer(octets, np.uint8)[starts + (at >> 3)] >> (7 - (at & 7))
    found[there] = (bits & 1).all(axis=1)
    return found


def _digest(token: str) -> bytes:
    """Where a token sets its bits, in a filter of any power of two of them: `PROBES` numbers of 8 bytes."""
    return hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=8 * PROBES).digest()
