"""The fuzzing benchmark goes round all parsers and says how often; what it finds ends it."""

from collections import Counter

import pytest
from hypothesis import strategies as st

from benchmarks import fuzz


def test_each_parser_is_fed_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "EXAMPLES_AT_ONCE", 2)
    tried: Counter[str] = Counter()
    for target in fuzz.TARGETS:
        run = fuzz.fuzzer(target, tried)
        run()
        run()
    assert set(tried) == {"transcripts", "fitting", "configurations", "plans"}
    assert min(tried.values()) > 2


def test_a_finding_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def parser(number: int) -> None:
        assert number < 100

    monkeypatch.setitem(fuzz.TARGETS, parser, (st.integers(),))
    with pytest.raises(AssertionError):
        fuzz.fuzzer(parser, Counter())()
