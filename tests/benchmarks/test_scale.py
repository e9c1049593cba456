"""What each step of a run costs, by the size of the corpus: in proportion, and no more.

Counted are calls of functions and requests to the store, which say the same on every machine. Time and memory are what
`python -m benchmarks.scale` tells of, at sizes that matter.
"""

import sys
import threading
from collections import Counter
from typing import Any

import pytest

from benchmarks import scale
from benchmarks.made_up import made_up
from pipelines.config import Config, load

SIZES = (40, 80, 160)
CHANGED = 2
REQUESTS_A_CHANGE = 10
"""A changed file's old shard is read and written anew, its new one is committed and read back."""

STEPS = (
    ("label", scale.label, 0),
    ("label again", scale.label, 0),
    ("status", scale.status, 0),
    ("validate", scale.validate, 0),
    ("night", scale.night, CHANGED),
)
"""In this order. The night finds as many changed files whatever the size of the corpus."""

Spent = dict[str, tuple[int, int]]


@pytest.fixture(scope="module")
def spent(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Spent]:
    """Calls and requests of each step, by the number of files: some two of them a shard."""
    config = load(None, {"engine": {"engine": "local"}, "plan": {"shard_minutes": 5}})
    all_steps(str(tmp_path_factory.mktemp("first") / "out"), 4, config)  # whatever is imported on the way
    return {size: all_steps(str(tmp_path_factory.mktemp(str(size)) / "out"), size, config) for size in SIZES}


def all_steps(out: str, files: int, config: Config) -> Spent:
    return {name: count(step, out, files, config, changed) for name, step, changed in STEPS}


def count(step: Any, out: str, files: int, config: Config, changed: int) -> tuple[int, int]:
    calls, requests = [0], Counter[str]()

    def note(frame: object, event: str, about: object) -> None:
        calls[0] += event in ("call", "c_call")

    with made_up(files, changed), scale.counted(requests):
        threading.setprofile(note)
        sys.setprofile(note)
        try:
            step(out, config, scale.Measured(), lambda: None)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    return calls[0], requests.total()


@pytest.mark.parametrize("step", [name for name, *_ in STEPS])
def test_twice_the_corpus_costs_at_most_twice_as_much(spent: dict[int, Spent], step: str) -> None:
    calls, requests = zip(*(spent[size][step] for size in SIZES), strict=True)
    # What begins and ends a step is the same at each size and cancels out; of squares this would be 4.
    assert calls[2] - calls[1] < 2.5 * (calls[1] - calls[0])
    assert requests[2] - requests[1] < max(2.5 * (requests[1] - requests[0]), REQUESTS_A_CHANGE * CHANGED)


@pytest.mark.parametrize(("step", "most"), [("label again", 0), ("status", 0), ("night", REQUESTS_A_CHANGE * CHANGED)])
def test_what_is_done_costs_no_requests(spent: dict[int, Spent], step: str, most: int) -> None:
    asked = [spent[size][step][1] for size in SIZES]
    assert max(asked) - min(asked) <= most
    assert spent[SIZES[0]]["label"][1] > SIZES[0]
