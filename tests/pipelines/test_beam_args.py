"""What a user is told of options that Beam or a runner can't work with, before any work starts."""

from pathlib import Path

import pytest

from pipelines.beam_args import beam_flags, runs_here
from pipelines.errors import SettingsError
from tests.labelling import fv2es

pytestmark = pytest.mark.beam


@pytest.mark.parametrize(
    ("text", "flags", "here"),
    [
        ("", ["--runner=FnApiRunner"], True),
        ("--job_name nightly", ["--runner=FnApiRunner", "--job_name", "nightly"], True),
        ("--runner=bundlebaseddirect", ["--runner=bundlebaseddirect"], True),
        ("--runner FlinkRunner --parallelism=4", ["--runner", "FlinkRunner", "--parallelism=4"], False),
        ("--runner=spark --of-its-job-server='a b'", ["--runner=spark", "--of-its-job-server=a b"], False),
        ("--runner=prism --prism_location=/opt/prism", ["--runner=prism", "--prism_location=/opt/prism"], False),
    ],
)
def test_options_are_taken_apart_and_a_runner_that_fetches_nothing_is_named(
    text: str, flags: list[str], here: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    assert beam_flags(text) == flags
    assert runs_here(flags) is here
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--runner='Flink", "can't be split into options: No closing quotation"),
        ("FlinkRunner", "'FlinkRunner' is no option: options begin with --"),
        ("--runner=FlunkRunner", "there is no runner 'FlunkRunner' here: .*FlinkRunner.*"),
        ("--runner=my.own.Runner", "there is no runner 'my.own.Runner' here: No module named 'my'"),
        ("--runner", "argument --runner: expected one argument"),
        ("--runner=DataflowRunner", r"install apache-beam\[gcp\]"),
        ("--direct_num_workers=two", "argument --direct_num_workers: invalid int value: 'two'"),
        ("--direct_num_worker=2", "Beam knows no option --direct_num_worker; --direct_num_workers is like it"),
        ("--runner=DirectRunner", "DirectRunner fetches a program from the network .* --runner=FnApiRunner"),
        ("--runner=prism", "PrismRunner fetches a program from the network .* or give --prism_location"),
        ("--help", "they ask for Beam's own help"),
        ("--s3_secret_access_key=abc", "--s3_secret_access_key is a secret, and options are stored with the run"),
    ],
)
def test_what_can_not_work_is_said_in_words(text: str, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SettingsError, match=rf"^wrong --beam-args \(engine.beam_args\): .*{message}.*\.$"):
        beam_flags(text)
    assert capfd.readouterr() == ("", "")


def test_flags_for_another_engine_are_refused(tmp_path: Path) -> None:
    for flags, message in (
        (["--beam-args=--runner=flink"], "--beam-args is for --engine beam; the engine is processes"),
        (["--engine", "beam", "--address", "ray://x:1"], "--address is of a Ray cluster"),
        (["--engine", "beam", "--beam-args", "--runner=Flunk"], "there is no runner 'Flunk' here"),
    ):
        done = fv2es("label", tmp_path, "--out", tmp_path / "out", *flags)
        assert done.returncode == 2
        assert message in done.stderr
        assert not (tmp_path / "out").exists()
