"""The process that workers are forked from: begun early, left unused, killed, or unable to import what it should."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipelines import nursery
from pipelines.errors import JobError
from pipelines.process_engine import Crew
from tests.pipelines import process_stages as stages

MODULE = "pipelines.process_nursery"
START = "import sys; from pipelines.cli.start import main; sys.argv[0] = 'fv2es'; main()"


def nurseries(of: psutil.Process) -> list[psutil.Process]:
    """The nurseries that a process has, without the workers that came from them."""
    return [child for child in of.children() if MODULE in child.cmdline()]


def fv2es(*arguments: object) -> subprocess.Popen[bytes]:
    """The command as it is installed, in a process of its own."""
    command = [sys.executable, "-c", START, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.mark.usefixtures("workers_find_tests")
class TestOfACrew:
    def test_one_that_was_begun_early_is_the_one_that_workers_come_from(self, tmp_path: Path) -> None:
        nursery.begin_early()
        (early,) = nurseries(psutil.Process())
        running = Crew([stages.stage(stages.slow)], tmp_path).run(stages.shards(4), 2)
        pids = {next(running)["pid"][0].as_py()}
        assert nurseries(psutil.Process()) == [early]
        pids |= {summary["pid"][0].as_py() for summary in running}
        assert len(pids) == 2
        assert not early.is_running()

    def test_one_that_nobody_takes_is_ended(self) -> None:
        nursery.begin_early()
        (early,) = nurseries(psutil.Process())
        nursery.leave()
        assert not early.is_running()

    def test_another_is_begun_for_one_that_was_killed_and_no_shard_is_lost(self, tmp_path: Path) -> None:
        running = Crew([stages.stage(stages.slow)], tmp_path).run(stages.shards(8), 2)
        found = stages.ids(iter([next(running)]))
        (killed,) = nurseries(psutil.Process())
        workers = killed.children()
        killed.kill()
        assert sorted(found + stages.ids(running)) == [f"shard-{number}" for number in range(8)]
        assert psutil.wait_procs(workers, timeout=5)[1] == []

    def test_that_libraries_can_not_be_imported_ends_the_job_and_is_said(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(nursery, "LIBRARIES", ("no_such_library",))
        with pytest.raises(JobError, match=r"(?s)3 workers have ended with 1\n.*No module named 'no_such_library'"):
            list(Crew([stages.stage(stages.passing_on)], tmp_path).run(stages.shards(2), 1))

    def test_a_plan_with_nothing_in_it_leaves_no_process(self, tmp_path: Path) -> None:
        crew = Crew([stages.stage(stages.passing_on)], tmp_path)
        crew.foresee()
        (begun,) = nurseries(psutil.Process())
        crew.end()
        assert not begun.is_running()


class TestOfACommand:
    def test_label_begins_one_before_it_has_looked_at_its_settings_and_ends_it_when_they_are_wrong(
        self, tmp_path: Path
    ) -> None:
        process = fv2es("label", tmp_path / "nowhere", "--out", tmp_path / "out")
        seen = wait_for_nursery(process)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 2
        assert b"nowhere" in said
        assert psutil.wait_procs(seen, timeout=5)[1] == []

    @pytest.mark.parametrize("arguments", [("--version",), ("label", "--help"), ("plan", ".")])
    def test_what_labels_nothing_begins_none(self, arguments: tuple[str, ...], tmp_path: Path) -> None:
        code = f"from pipelines import nursery; nursery.begin_early = lambda: print('BEGUN'); {START}"
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert "BEGUN" not in done.stdout

    def test_the_end_of_a_killed_command_is_that_of_its_nursery(self, tmp_path: Path) -> None:
        process = fv2es("label", tmp_path, "--out", tmp_path / "out")
        seen = wait_for_nursery(process)
        process.kill()
        process.communicate()
        assert psutil.wait_procs(seen, timeout=60)[1] == []  # when it has imported all: it doesn't listen before

    @pytest.mark.media
    def test_another_engine_does_without(self, demo_corpus: Path, tmp_path: Path) -> None:
        process = fv2es("label", demo_corpus, "--out", tmp_path / "out", "--engine", "local")
        try:
            assert psutil.wait_procs(wait_for_nursery(process), timeout=30)[1] == []
            assert process.poll() is None
        finally:
            process.kill()
            process.communicate()


def wait_for_nursery(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Those that a command has begun, once it has."""
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        if found := nurseries(psutil.Process(process.pid)):
            return found
        time.sleep(0.01)
    raise AssertionError("no nursery was begun")
