"""The split files that are published with V2EM's parents: train_split.txt, valid_split.txt, test_split.txt."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from models.corpora.item import Part
from models.corpora.layout import Layout

FILES: dict[Part, str] = {"fit": "train", "tune": "valid", "report": "test", "test": "test"}
"""There is one development part, and thresholds need it; so `report` and `test` are the same items."""


def read_split(folder: Path, within: str, sizes: Mapping[str, int], part: Part, layout: Layout) -> tuple[str, ...]:
    """Ids of that part. The files lie in the folder `within`; each has an id a line.

    Raises CorpusError when a file is not there, an id is in it twice, or in two of them, or when a file has not as many
    ids as published, by `sizes`: then it is another split, or half of this one.
    """
    files = {name: f"{within}/{name}_split.txt" for name in sizes}
    layout.require(folder, *files.values())
    splits = {name: (folder / file).read_text("utf-8", errors="replace").split() for name, file in files.items()}
    seen: dict[str, str] = {}
    for name, ids in splits.items():
        twice = [id for id, count in Counter(ids).items() if count > 1]
        layout.require_none(folder, twice, len(ids), f"ids are in {files[name]} more than once")
        for other in sorted(set(seen.values())):
            shared = [id for id in ids if seen.get(id) == other]
            layout.require_none(folder, shared, len(ids), f"ids of {files[name]} are in {files[other]} too")
        seen |= dict.fromkeys(ids, name)
    for name, ids in splits.items():
        if len(ids) != sizes[name]:
            raise layout.error(folder, f"{files[name]} has {len(ids):,} ids; the published one has {sizes[name]:,}")
    return tuple(splits[FILES[part]])
