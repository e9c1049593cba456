"""The options of Beam and its runner that a user gives (`--beam-args`), looked at before any work starts."""

import argparse
import difflib
import io
import logging
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pipelines.errors import SettingsError

if TYPE_CHECKING:
    from apache_beam.runners.runner import PipelineRunner

RUNNERS_HERE = ("FnApiRunner", "BundleBasedDirectRunner")
"""Runners that work in the process of the pipeline, or in children of it, and download nothing. The first is ours
when none is named."""
RUNNERS_THAT_FETCH = ("DirectRunner", "SwitchingDirectRunner", "TestDirectRunner", "PrismRunner")
"""Runners that fetch a program from the network before they begin."""
SECRETS = ("s3_secret_access_key", "s3_session_token", "azure_connection_string")
"""Options are stored with the run, and Beam's own file systems are not used."""


def beam_flags(text: str) -> list[str]:
    """The options one by one, a runner among them.

    Raises:
        SettingsError: they can't work. Options that only a runner's job server could know are let through.
    """
    try:
        flags = shlex.split(text)
    except ValueError as error:
        raise _wrong(f"{text!r} can't be split into options: {error}") from error
    with _quiet_beam():
        known, unknown, names = _parse(flags)
        if known.runner is None:
            known.runner = RUNNERS_HERE[0]
            flags = [f"--runner={known.runner}", *flags]
        _check_secrets(known)
        name = _spelt(known.runner)
        runner = _made(name, known)
        _check_unknown(unknown, names, only_beams=name in (*RUNNERS_HERE, "DataflowRunner"))
        _check_together(flags, runner)
    return flags


def runs_here(flags: Sequence[str]) -> bool:
    """Whether the pipeline's work is done on this machine, by the process that runs it or its children."""
    return _spelt(_parse(flags)[0].runner) in RUNNERS_HERE


def _parse(flags: Sequence[str]) -> tuple[argparse.Namespace, list[str], list[str]]:
    """What Beam knows of the options, those that it doesn't know, and the names of all that it does."""
    from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

    parser = _BeamArgumentParser(allow_abbrev=False)
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(parser)
    said = io.StringIO()
    try:
        with redirect_stderr(said), redirect_stdout(io.StringIO()):
            known, unknown = parser.parse_known_args(list(flags))
    except SystemExit as error:
        raise _wrong(said.getvalue().rpartition("error: ")[2].strip() or "they ask for Beam's own help") from error
    return known, unknown, [name for action in parser._actions for name in action.option_strings]


def _check_secrets(known: argparse.Namespace) -> None:
    for name in SECRETS:
        if getattr(known, name, None):
            raise _wrong(
                f"--{name} is a secret, and options are stored with the run. Access to storage is set by storage.* in "
                "the settings, or by the usual variables"
            )


def _made(name: str, known: argparse.Namespace) -> "PipelineRunner":
    """The runner, if it can be had."""
    from apache_beam.runners.runner import create_runner

    if name in RUNNERS_THAT_FETCH and not (name == "PrismRunner" and known.prism_location):
        raise _wrong(
            f"{name} fetches a program from the network when it starts. Name --runner={RUNNERS_HERE[0]}, which runs "
            "here and fetches nothing" + (", or give --prism_location" if name == "PrismRunner" else "")
        )
    if name == "DataflowRunner" and find_spec("apitools") is None:
        raise _wrong("DataflowRunner needs packages that are not installed: install apache-beam[gcp]")
    try:
        return create_runner(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise _wrong(f"there is no runner {known.runner!r} here: {error}") from error


def _spelt(given: str) -> str:
    """A runner's name as Beam spells it; what Beam doesn't know stays as it is."""
    from apache_beam.options.pipeline_options import StandardOptions

    known = {name.lower(): name for name in StandardOptions.KNOWN_RUNNER_NAMES}
    return known.get(given.lower()) or known.get(f"{given.lower()}runner") or given


def _check_unknown(unknown: list[str], names: list[str], only_beams: bool) -> None:
    words = [word.partition("=")[0] for word in unknown if word.startswith("--")]
    if unknown and not unknown[0].startswith("--"):
        raise _wrong(f"{unknown[0]!r} is no option: options begin with --")
    if words and only_beams:
        similar = difflib.get_close_matches(words[0], names, 1)
        raise _wrong(f"Beam knows no option {words[0]}" + (f"; {similar[0]} is like it" if similar else ""))


def _check_together(flags: list[str], runner: "PipelineRunner") -> None:
    """What Beam itself says of options that don't go together, or without which a runner can't work."""
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator

    try:
        problems = PipelineOptionsValidator(PipelineOptions(flags), runner).validate()
    except ValueError as error:
        problems = [str(error)]
    if problems:
        raise _wrong("; ".join(problems))


def _wrong(what: str) -> SettingsError:
    return SettingsError(f"wrong --beam-args (engine.beam_args): {what.rstrip('.')}.")


@contextmanager
def _quiet_beam() -> Iterator[None]:
    """Beam's import and its options speak to the log of whoever imports them."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
