"""The reference's `meta.pkl`, read as data. A pickle is a program: this one may only build plain values."""

import json
import pickle
import pickletools
from io import BytesIO
from pathlib import Path
from typing import Any

from models.corpora.layout import Layout

NAMES = ("meta.json", "meta.pkl")
MAX_BYTES = 64 * 2**20  # MOSEI's, the largest, has some 5 MB
PLAIN = frozenset(
    "PROTO FRAME STOP MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT "
    "UNICODE SHORT_BINUNICODE BINUNICODE EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 "
    "EMPTY_DICT DICT SETITEM SETITEMS PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET".split()
)
"""Pickle's operations that make dict, list, tuple, str, int, float, bool and None; no other is run."""
MEMO = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})

Meta = dict[str, dict[str, Any]]


def read_meta(folder: Path, within: str, layout: Layout) -> Meta:
    """By id, what is known of an utterance: `meta.json` in the folder `within`, or else `meta.pkl` of the same content.

    Raises CorpusError when there is neither, or when it holds anything but plain values.
    """
    path = next((path for name in NAMES if (path := folder / within / name).is_file()), None)
    if path is None:
        raise layout.error(folder, f"there is no {' and no '.join(NAMES)} in {folder / within}")
    if path.stat().st_size > MAX_BYTES:
        raise layout.error(folder, f"{path} is larger than {MAX_BYTES // 2**20} MiB")
    data = path.read_bytes()
    try:
        meta = json.loads(data) if path.suffix == ".json" else unpickle_plain(data)
    except Exception as error:  # broken pickles and JSON fail in many ways
        raise layout.error(folder, f"{path} cannot be read: {error}") from error
    if not (isinstance(meta, dict) and all(isinstance(k, str) and isinstance(v, dict) for k, v in meta.items())):
        raise layout.error(folder, f"{path} does not map ids to what is known of them")
    return meta


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Nothing that a pickle names is looked up, whatever PLAIN lets through."""
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def unpickle_plain(data: bytes) -> Any:
    """The value of a pickle of plain values.

    Raises UnpicklingError, before anything of it is run, when an operation could build more (objects, also NumPy's
    numbers) or claim memory beyond the file's own size; ValueError and others when it is no pickle.
    """
    for operation, argument, place in pickletools.genops(data):
        if operation.name not in PLAIN:
            raise pickle.UnpicklingError(
                f"{operation.name} at byte {place} could make more than dict, list, tuple, str, int, float, bool and "
                "None. If you trust the file, load it yourself and write its content as meta.json beside it"
            )
        if operation.name in MEMO and argument is not None and argument > len(data):
            raise pickle.UnpicklingError(f"{operation.name} at byte {place} claims more memory than the file's size")
    return _PlainUnpickler(BytesIO(data)).load()
