"""The fuzzing benchmark goes round all parsers and says how often; what it finds ends it."""

from collections import Counter

import pytest
from hypothesis import strategies as st

from benchmarks import fuzz


def test_it_goes_round_all_parsers_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fuzz, "EXAMPLES_AT_ONCE", 2)
    fuzz.main(minutes=0.1)
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said] == ["transcripts", "fitting", "configurations", "plans"]
    assert all(int(line.split()[1]) > 2 for line in said)


def test_a_finding_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def parser(number: int) -> None:
        assert number < 100

    monkeypatch.setitem(fuzz.TARGETS, parser, (st.integers(),))
    with pytest.raises(AssertionError):
        fuzz.fuzzer(parser, Counter())()
