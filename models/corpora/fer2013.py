"""FER2013: grey faces of 48x48 pixels from the web, as the challenge gave them (one table) or as folders of pictures.

The pictures' people are not known. A picture's part is decided by its name, as in training; the table has no names, so
a tune part that is read from it holds pictures that training by the other layout has seen.
"""

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from models.corpora.item import Corpus, Item, Part
from models.corpora.layout import Layout
from models.train.pictures import SIDE_PX, TUNE_FRACTION
from models.train.splits import fit_or_tune

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""In the order of the table's codes, 0 to 6."""
TABLE = "fer2013.csv"
SIZES = {"Training": 28709, "PublicTest": 3589, "PrivateTest": 3589}
FOLDERS = ("train", "validation", "test")
LAYOUT = Layout(
    "FER2013",
    "It is public after registration, on Kaggle: the Facial Expression Recognition Challenge of 2013.",
    f"""
    {TABLE}    columns emotion, pixels, Usage
    or
    train/angry/*.jpg ...         a folder for each of {", ".join(LABELS)}
    validation/angry/*.jpg ...    or in test/, as PublicTest_*.jpg
    test/angry/*.jpg ...
    """,
)


def read(folder: Path, part: Part, sizes: Mapping[str, int] = SIZES) -> Corpus:
    """Of Training a fifteenth tunes and the rest fits; PublicTest, or validation, reports; PrivateTest, or test, tests.

    sizes: how many pictures the table must have of each usage.
    """
    items = _from_table(folder, part, sizes) if (folder / TABLE).is_file() else _from_folders(folder, part)
    return Corpus(tuple(items), LABELS)


def part_of(usage: str, name: str) -> Part:
    """Of a picture in the folder, or of the Usage, that is called so; the name decides where it says PublicTest."""
    if name.startswith("PublicTest"):
        return "report"
    if name.startswith("PrivateTest"):
        return "test"
    if usage in ("train", "Training"):
        return fit_or_tune(name, TUNE_FRACTION)
    return "report" if usage == "validation" else "test"


def _from_table(folder: Path, part: Part, sizes: Mapping[str, int]) -> list[Item]:
    items = []
    found: Counter[str] = Counter()
    with (folder / TABLE).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            usage = row.get("Usage") or ""
            name = f"{usage}_{found[usage]}"
            found[usage] += 1
            if usage in sizes and part_of(usage, name) == part:
                items.append(_row_item(folder, part, name, row))
    if found != Counter(sizes):
        counts = ", ".join(f"{found[usage]:,} of {size:,} {usage}" for usage, size in sizes.items())
        raise LAYOUT.error(folder, f"{TABLE} is not whole: it has {counts}, and {sum(found.values()):,} rows in all")
    return items


def _row_item(folder: Path, part: Part, name: str, row: Mapping[str, str]) -> Item:
    try:
        label, greys = int(row["emotion"]), [int(grey) for grey in row["pixels"].split()]
        if label not in range(len(LABELS)) or len(greys) != SIDE_PX**2 or not 0 <= min(greys) <= max(greys) <= 255:
            raise ValueError("an emotion of 0 to 6 and 48x48 pixels of 0 to 255 were expected")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise LAYOUT.error(folder, f"{TABLE}: row {name} is broken: {error}") from error
    image = np.array(greys, np.uint8).reshape(SIDE_PX, SIDE_PX)
    return Item(corpus="FER2013", id=name, speaker="", part=part, labels=(label,), image=image)


def _from_folders(folder: Path, part: Part) -> list[Item]:
    held = [top for top in FOLDERS if (folder / top).is_dir()]
    if not held:
        raise LAYOUT.error(folder, f"there is no {TABLE} and no {', '.join(FOLDERS)} in {folder}")
    items = []
    for top in held:
        LAYOUT.require(folder, *(f"{top}/{name}" for name in LABELS))
        for label, name in enumerate(LABELS):
            files = sorted(path for path in (folder / top / name).iterdir() if path.suffix in (".jpg", ".png"))
            items += [_file_item(folder, part, label, path) for path in files if part_of(top, path.name) == part]
    if not items:
        raise LAYOUT.error(folder, f"there is no picture of the part {part} in {', '.join(held)}")
    return items


def _file_item(folder: Path, part: Part, label: int, path: Path) -> Item:
    id = path.relative_to(folder).as_posix()
    return Item(corpus="FER2013", id=id, speaker="", part=part, labels=(label,), pictures=(path,))
