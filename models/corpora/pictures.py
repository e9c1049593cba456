"""Pictures that are numbered in their names: image_0.jpg, image_1.jpg ..."""

from pathlib import Path


def numbered_pictures(folder: Path, prefix: str, step: int = 1) -> tuple[Path, ...]:
    """PREFIX<i>.jpg in `folder`, in the order of i, from 0 every `step`; those that are not there are left out."""
    numbered = [(path.stem.removeprefix(prefix), path) for path in folder.glob(f"{prefix}*.jpg")]
    pictures = sorted((int(number), path) for number, path in numbered if number.isdecimal())
    return tuple(path for number, path in pictures if number % step == 0)
