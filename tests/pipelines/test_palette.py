import itertools

import numpy as np
import pytest

from models.emotions import EMOTIONS
from pipelines import palette

# Machado, Oliveira, Fernandes 2009: what linear RGB becomes for people who lack one kind of cone.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# Ottosson 2020: OKLab, in which a distance is about as large as it looks; 0.02 can just be seen side by side.
TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
APART = 0.08


def linear(colour):
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def oklab(rgb):
    return TO_LAB @ np.cbrt(TO_LMS @ np.clip(rgb, 0, 1))


def contrast(one, other):
    """Of WCAG 2: 1 for the same colour, 21 for black on white."""
    low, high = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("colours", [palette.LIGHT, palette.DARK], ids=["light", "dark"])
def test_any_two_emotions_can_be_told_apart(colours, vision):
    assert tuple(colours) == EMOTIONS
    seen = {name: oklab(VISIONS[vision] @ linear(colour)) for name, colour in colours.items()}
    apart = {pair: np.linalg.norm(seen[pair[0]] - seen[pair[1]]) for pair in itertools.combinations(EMOTIONS, 2)}
    assert {pair: round(d, 3) for pair, d in apart.items() if d < APART} == {}


@pytest.mark.parametrize(
    ("emotions", "page"),
    [(palette.LIGHT, palette.PAGE_LIGHT), (palette.DARK, palette.PAGE_DARK)],
    ids=["light", "dark"],
)
@pytest.mark.parametrize("background", ["paper", "raised"])
def test_colours_stand_out_from_their_background(emotions, page, background):
    assert {e: c for e, c in emotions.items() if contrast(c, page[background]) < 3} == {}
    text = {name: page[name] for name in ("ink", "soft", "accent", "bad")}
    assert {n: c for n, c in text.items() if contrast(c, page[background]) < 4.5} == {}
