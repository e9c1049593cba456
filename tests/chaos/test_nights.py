"""Some nights in a row; `python -m benchmarks.nights` lets two months of them pass."""

from pathlib import Path

import pytest

from tests.chaos.nights import DONE, Simulation


@pytest.mark.timeout(900)
def test_after_every_night_that_came_to_its_end_the_tables_are_as_from_scratch(tmp_path: Path) -> None:
    nights = list(Simulation(tmp_path, seed=6, files=12).nights(8))
    assert [night.number for night in nights if not night.same] == []
    assert {night.event for night in nights} == {"undisturbed", "killed", "cut short", "vanished"}
    assert sum(night.exit_code in DONE for night in nights) >= 3


@pytest.mark.timeout(900)
def test_what_a_night_asks_of_the_store_grows_with_what_changed_and_not_with_the_corpus(tmp_path: Path) -> None:
    asked = []
    for files in (10, 100):
        folder = tmp_path / str(files)
        folder.mkdir()
        simulation = Simulation(folder, seed=1, files=files)
        simulation.run()
        simulation.change(3)
        simulation.run()
        asked.append(simulation.requests())
    few, many = asked
    assert many <= few + 10
