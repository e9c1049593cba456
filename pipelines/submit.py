"""A run as a job of a Ray cluster: what is sent, under which id, and why sending it twice does no harm.

The driver runs on the cluster, as `python -m pipelines label ...`: nothing but HTTP passes between here and there. What
is sent is the code and the settings that were made here. Secrets are not: whoever reaches the dashboard could read
them, so nodes have credentials of their own.
"""

import hashlib
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, SecretStr

from models import catalogue
from operators.schema import SCHEMA_VERSION
from operators.settings import resolve_path
from operators.write import canonical_json
from pipelines.config import PREFIX, Config
from pipelines.errors import SettingsError
from pipelines.package import copy_code
from pipelines.recipe import LABELLING_VERSION, check_language
from pipelines.source_file import absolute, filesystem_of

if TYPE_CHECKING:
    from pipelines.job_server import JobServer, SubmittedJob  # it imports ray, which takes a second

SETTINGS_FILE = "fv2es.yaml"
STOP_MARGIN_S = 60
"""Beyond its grace, a run that was told to stop has so long to leave before Ray kills it."""

Settings = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Submission:
    """A run that is to be submitted, once everything that can be wrong with it here has been looked at.

    `settings` are those that were set, by group, without secrets; `notes` what the user should know.
    """

    command: str  # label or nightly
    sources: tuple[str, ...]
    out: str
    flags: tuple[str, ...]
    settings: Settings
    stop_wait_s: int
    notes: tuple[str, ...]

    @property
    def digest(self) -> str:
        """12 hex digits that stand for sources, OUT, settings, and what labels depend on beside them."""
        weights = {name: catalogue.digest(name) for name, entry in catalogue.entries().items() if entry.default}
        versions = [SCHEMA_VERSION, LABELLING_VERSION, weights]
        said = [self.command, self.sources, self.out, self.flags, self.settings, versions]
        return hashlib.sha256(canonical_json(said).encode()).hexdigest()[:12]

    @property
    def entrypoint(self) -> str:
        """The command of the driver. Ray gives it to a shell; `exec`, so that signals meet the driver itself."""
        command = ["python", "-m", "pipelines", self.command, *self.sources, "--out", self.out]
        command += ["--address", "auto", "--config", SETTINGS_FILE, *self.flags]
        return f"exec {shlex.join(command)}"

    def runtime_env(self, folder: Path) -> dict[str, Any]:
        """What the driver and its workers run with, from copies in an empty folder: code, settings, variables.

        The settings come in a file. Variables of a node that set the same would win over it, so they are emptied.
        """
        files = folder / "files"
        files.mkdir()
        (files / SETTINGS_FILE).write_text(yaml.safe_dump(self.settings, allow_unicode=True), "utf-8")
        names = [f"{PREFIX}{group}__{name}".upper() for group, values in self.settings.items() for name in values]
        return {
            "working_dir": str(files),
            "py_modules": [str(path) for path in copy_code(folder / "code")],
            "env_vars": dict.fromkeys(names, "") | {"RAY_JOB_STOP_WAIT_TIME_S": str(self.stop_wait_s)},
        }


@dataclass(frozen=True)
class Sent:
    """The job that stands for a submission; `new` says whether this submission began it."""

    job_id: str
    new: bool


def prepare(sources: Sequence[str], out: str, config: Config, nightly: bool, flags: Sequence[str] = ()) -> Submission:
    """Check what can be checked here, and make a submission of it.

    Raises:
        SettingsError: something that was set can't work on a cluster.
    """
    if config.engine.engine not in (None, "ray"):
        raise SettingsError(f"A Ray cluster runs the engine ray, and engine.engine is {config.engine.engine}.")
    check_language(config)
    settings, kept_back = _sendable(config)
    notes = [f"{name} stays here: nodes use credentials and alarms of their own." for name in kept_back]
    notes += _local_weights(config, settings)
    places = [_place(source) for source in sources]
    if out and "://" not in out and Path(out).is_file():
        raise SettingsError(f"{out}: is a file; --out wants a folder or an s3:// prefix.")
    target = _place(out, may_be_new=True)
    if local := [place for place in (*places, target) if "://" not in place]:
        notes.append(
            f"{', '.join(local)}: every node of the cluster must see the same there, as on a disk that they share. "
            "This is not looked at from here; the run stops if a node does not."
        )
    stop_wait_s = math.ceil(config.job.grace_s) + STOP_MARGIN_S
    command = "nightly" if nightly else "label"
    return Submission(command, tuple(places), target, tuple(flags), settings, stop_wait_s, tuple(notes))


def send(server: "JobServer", submission: Submission, folder: Path) -> Sent:
    """Submit a run, unless it is pending or running there: then that is the job.

    Of two that do so at the same moment one begins the job, as the cluster gives an id once. A run that has ended is
    begun anew, under the next id.

    Args:
        server: of the cluster.
        submission: the run.
        folder: empty; for what is sent.
    """
    name = f"fv2es-{submission.digest}"
    latest = max(_attempts(server.jobs(), name), key=lambda pair: pair[0], default=None)
    if latest and not latest[1].has_ended:
        return Sent(latest[1].id, new=False)
    attempt = latest[0] + 1 if latest else 1
    job_id = name if attempt == 1 else f"{name}-{attempt}"
    what = (submission.command, submission.sources, submission.out)
    return Sent(job_id, server.submit(job_id, submission.entrypoint, submission.runtime_env(folder), *what))


def _attempts(jobs: "list[SubmittedJob]", name: str) -> "list[tuple[int, SubmittedJob]]":
    found = []
    for job in jobs:
        if job.id == name:
            found.append((1, job))
        elif (number := job.id.removeprefix(f"{name}-")).isdecimal():
            found.append((int(number), job))
    return found


def _sendable(config: Config) -> tuple[Settings, list[str]]:
    """What was set and may be sent, and the names of secrets that were set."""
    settings: Settings = {}
    secrets = []
    for group in sorted(config.model_fields_set):
        values: BaseModel = getattr(config, group)
        held = [name for name in sorted(values.model_fields_set) if isinstance(getattr(values, name), SecretStr)]
        secrets += [f"{group}.{name}" for name in held]
        left_out = {*held, *({"address", "engine"} if group == "engine" else set())}
        settings[group] = values.model_dump(mode="json", exclude_unset=True, exclude=left_out)
    endpoint = config.storage.endpoint_url
    if endpoint and _holds_credentials(endpoint):
        raise SettingsError("storage.endpoint_url holds a password; it would be sent. Give credentials by variables.")
    return {group: values for group, values in settings.items() if values}, secrets


def _local_weights(config: Config, settings: Settings) -> list[str]:
    """Weights that are named by a path: it is made absolute in what is sent. What the user should know of them."""
    notes = []
    for group, name in (("speech", "asr"), ("infer", "model")):
        if path := resolve_path(getattr(getattr(config, group), name)):
            settings.setdefault(group, {})[name] = str(path.absolute())
            notes.append(f"{group}.{name}: the cluster's head must have the weights at {path.absolute()}.")
    return notes


def _place(address: str, may_be_new: bool = False) -> str:
    """An address as the cluster is given it.

    Raises:
        SettingsError: it is no address, or means nothing elsewhere.
    """
    if not address or "\0" in address:
        raise SettingsError("an empty address is no place of videos or labels.")
    try:
        address.encode()
    except UnicodeEncodeError as error:
        raise SettingsError(f"{address!r}: a name that is not valid UTF-8 can't be sent to a cluster.") from error
    if "://" in address:
        if _holds_credentials(address):
            raise SettingsError("An address holds a password; it would be sent. Give credentials by variables.")
        if not address.startswith("s3://"):
            filesystem_of(address)
        elif not urlsplit(address).netloc:
            raise SettingsError(f"{address}: names no bucket.")
        return address
    path = Path(address)
    # What is named from this folder is here, or it is a mistake; what is named in full may be there only.
    if not path.is_absolute() and not may_be_new and not path.exists() and not list(Path().glob(address)):
        raise SettingsError(f"{address}: no such file or folder here, and no pattern that matches anything.")
    return absolute(address)


def _holds_credentials(address: str) -> bool:
    return "@" in urlsplit(address).netloc
