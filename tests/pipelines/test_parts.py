"""A shard goes through operators in parts, and is committed as a whole or not at all."""

from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.parts import PART_MS, PartByPart, parts

MINUTE_MS = 60_000
LENGTHS_MS = st.lists(st.one_of(st.just(0), st.integers(1, 4 * MINUTE_MS), st.integers(1, 3 * PART_MS)), max_size=40)


def shard_of(lengths_ms: list[int]) -> pa.Table:
    start_ms = [17 * row for row in range(len(lengths_ms))]
    end_ms = [start + length for start, length in zip(start_ms, lengths_ms, strict=True)]
    columns = {"segment": range(len(lengths_ms)), "start_ms": start_ms, "end_ms": end_ms}
    return pa.table({name: pa.array(values, pa.int64()) for name, values in columns.items()})


@given(LENGTHS_MS)
def test_parts_are_the_shard_in_its_order_and_none_is_too_long(lengths_ms: list[int]) -> None:
    shard = shard_of(lengths_ms)
    cut = list(parts(shard))
    assert pa.concat_tables(cut).equals(shard)
    lengths = [
        [end - start for start, end in zip(*part.select([1, 2]).to_pydict().values(), strict=True)] for part in cut
    ]
    for of_part, of_next in zip(lengths, [*lengths[1:], []], strict=True):
        assert sum(of_part) <= PART_MS or len(of_part) == 1 or sum(map(bool, of_part)) == 1
        assert not of_next or sum(of_part) + of_next[0] > PART_MS, "one more would have fitted in"


def noting(
    seen: list[list[int]], but: Callable[[pa.Table], bool] = lambda part: False
) -> Callable[[pa.Table], pa.Table]:
    def operate(table: pa.Table) -> pa.Table:
        seen.append(table["segment"].to_pylist())
        return table.slice(0, 0) if but(table) else table

    return operate


def test_operators_are_given_parts_and_the_last_one_all_at_once() -> None:
    first: list[list[int]] = []
    second: list[list[int]] = []
    last: list[list[int]] = []
    done = PartByPart([noting(first), noting(second), noting(last)])(shard_of([4 * MINUTE_MS] * 5))
    assert first == second == [[0, 1], [2, 3], [4]]
    assert last == [[0, 1, 2, 3, 4]]
    assert done["segment"].to_pylist() == [0, 1, 2, 3, 4]
    assert done["segment"].num_chunks == 1


@pytest.mark.parametrize("stopped_at", [0, 2, 4])
def test_a_shard_that_is_handed_back_at_any_part_is_not_committed_in_part(stopped_at: int) -> None:
    last: list[list[int]] = []
    told_to_stop = noting([], but=lambda part: stopped_at in part["segment"].to_pylist())
    done = PartByPart([told_to_stop, noting([]), noting(last)])(shard_of([4 * MINUTE_MS] * 5))
    assert last == [[]]
    assert done.num_rows == 0


def test_an_empty_shard_passes() -> None:
    last: list[list[int]] = []
    assert PartByPart([noting([]), noting(last)])(shard_of([])).num_rows == 0
    assert last == [[]]
