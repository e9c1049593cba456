"""Where networks run: recorded or not, padded or not, they give the same."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.batches import Shapes, batches, in_batches, rows_of
from models.device import CONTEXT_BYTES, Execution, as_execution, device_and_index, memory_fraction, to_device
from models.emotions import EMOTIONS
from models.runner import MOST_GRAPHS, Runner
from models.voice import pad_ragged
from tests.models.recorders import Repeats

RECORDED = Execution("cpu", fixed_shapes=True, graphs=True)
NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


def double(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return 2 * first + second.sum(dim=1, keepdim=True)


def test_each_shape_is_recorded_once_and_replayed_on_what_it_is_given() -> None:
    recorder = Repeats()
    runner = Runner(double, RECORDED, recorder)
    results = []
    for number in range(6):
        first, second = torch.full((2 + number % 2, 3), float(number)), torch.ones(2 + number % 2, 5)
        results.append((runner(first, second), double(first, second)))
    assert (recorder.recorded, recorder.replayed) == (2, 6)
    for result, expected in results:  # those of before are still what they were
        torch.testing.assert_close(result, expected)


def test_shapes_beyond_the_most_are_run_all_the_same() -> None:
    recorder = Repeats()
    runner = Runner(double, RECORDED, recorder)
    for count in range(1, MOST_GRAPHS + 5):
        first, second = torch.ones(count, 3), torch.ones(count, 5)
        torch.testing.assert_close(runner(first, second), double(first, second))
    assert recorder.recorded == recorder.replayed == MOST_GRAPHS


@pytest.mark.parametrize("graphs", [False, True])
def test_bfloat16_is_of_products_alone_and_results_are_float32(graphs: bool) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(64, 8)
    kinds = []

    def forward(items: torch.Tensor) -> torch.Tensor:
        product = layer(items)
        kinds.append(product.dtype)
        return product

    items = torch.randn(4, 64)
    result = Runner(forward, Execution("cpu", "bfloat16", graphs, graphs), Repeats())(items)
    assert set(kinds) == {torch.bfloat16}
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, layer(items), atol=0.05, rtol=0.05)


def test_by_default_graphs_are_for_gpus() -> None:
    assert Execution.on("cpu", graphs=True) == Execution("cpu")
    assert Execution.on("cuda:1") == Execution("cuda:1", "float32", fixed_shapes=True, graphs=True)
    assert Execution.on("cuda", "bfloat16", graphs=False) == Execution("cuda", "bfloat16")
    assert as_execution("auto").on_gpu == torch.cuda.is_available()


@pytest.mark.parametrize(("name", "expected"), [("cpu", ("cpu", 0)), ("cuda", ("cuda", 0)), ("cuda:3", ("cuda", 3))])
def test_a_device_has_a_kind_and_an_index(name: str, expected: tuple[str, int]) -> None:
    assert device_and_index(name) == expected


@given(st.sampled_from([0.25, 0.2, 0.125, 0.0625, 1 / 3]), st.sampled_from([16, 24, 40, 80]))
def test_processes_that_share_a_gpu_find_room_in_it_together(share: float, gib: int) -> None:
    total = gib << 30
    each = memory_fraction(share, total) * total + CONTEXT_BYTES
    assert each / share <= total * 1.001
    assert memory_fraction(1.0, total) == 1.0
    assert 0 < memory_fraction(0.001, total) < 0.02


@given(st.lists(st.integers(1, 120), max_size=60), st.integers(1, 40), st.booleans())
def test_every_row_is_in_one_batch_with_rows_of_its_shape(lengths: list[int], batch_size: int, fixed: bool) -> None:
    shapes = Shapes(rows_of(batch_size), (8, 16, 32, 64)) if fixed else None
    made = batches(lengths, batch_size, shapes)
    assert sorted(row for batch in made for row in batch) == list(range(len(lengths)))
    assert all(0 < len(batch) <= batch_size for batch in made)
    if shapes:
        for batch in made:
            assert len({shapes.length(lengths[row]) for row in batch}) == 1
            assert len(batch) <= shapes.count(len(batch)) <= min(batch_size, 4 * len(batch))


@given(st.integers(1, 300))
def test_numbers_of_rows_are_few_and_reach_the_batch_size(batch_size: int) -> None:
    rows = rows_of(batch_size)
    assert (rows[0], rows[-1]) == (1, batch_size)
    assert len(rows) <= 6
    assert all(small < large <= 4 * small + 3 for small, large in itertools.pairwise(rows))


@given(st.lists(st.integers(1, 70), max_size=30), st.integers(1, 9))
def test_logits_come_in_the_order_of_the_rows(lengths: list[int], batch_size: int) -> None:
    shapes = Shapes(rows_of(batch_size), (16, 64))

    def classify(chosen: list[int]) -> torch.Tensor:
        rows = [torch.full((lengths[i], 1), float(i)) for i in chosen]
        padded, mask = pad_ragged(rows, shapes.length(max(map(len, rows))), shapes.count(len(rows)))
        return ((padded[..., 0] * mask).sum(dim=1) / mask.sum(dim=1))[:, None].expand(-1, len(EMOTIONS))

    logits = in_batches(lengths, batch_size, classify, shapes)
    assert logits.shape == (len(lengths), len(EMOTIONS))
    torch.testing.assert_close(logits[:, 0], torch.arange(len(lengths), dtype=torch.float32))


def test_rows_that_fill_up_a_batch_have_one_item_and_it_is_zero() -> None:
    padded, mask = pad_ragged([torch.ones(2, 3), torch.ones(1, 3)], length=4, count=3)
    assert padded.shape == (3, 4, 3)
    assert mask.tolist() == [[True, True, False, False], [True, False, False, False], [True, False, False, False]]
    assert padded[2].abs().sum() == 0
    assert padded[~mask].abs().sum() == 0


def test_on_a_cpu_a_tensor_stays_where_it_is() -> None:
    tensor = torch.ones(3)
    assert to_device(tensor, "cpu") is tensor


@NEEDS_GPU
def test_a_cuda_graph_gives_what_its_kernels_give() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(64, 8).cuda()
    eager, recorded = Runner(layer, Execution.on("cuda", graphs=False)), Runner(layer, Execution.on("cuda"))
    for count in (4, 8, 4, 8):
        items = torch.randn(count, 64)
        torch.testing.assert_close(recorded(items), eager(items), atol=0, rtol=0)
