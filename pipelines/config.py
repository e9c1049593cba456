"""The one configuration: defaults, then a YAML file, then the environment (FV2ES_SPEECH__ASR=base), then flags."""

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from operators.settings import OperatorSettings, Settings
from pipelines import logs
from pipelines.alarm import AlarmSettings
from pipelines.errors import SettingsError
from pipelines.plain_yaml import read_yaml
from pipelines.storage import StorageSettings
from pipelines.until import seconds_until

PREFIX = "FV2ES_"
OTHER_VARIABLES = frozenset({"FV2ES_TEST_DATA", "FV2ES_CACHE", "FV2ES_WEIGHTS", "FV2ES_FFMPEG", "FV2ES_DRIVER_NODE"})
"""Variables with our prefix that are not settings: where test media, weights, another ffmpeg and the driver are."""


class PlanSettings(Settings):
    """How a corpus is cut. Nothing here changes a label."""

    segment_minutes: float | None = Field(
        None, gt=0, le=60, description="Long videos are cut so often; by default 4, and less towards the end."
    )
    shard_minutes: float | None = Field(
        None,
        gt=0,
        le=600,
        description="Media a shard; by default 60 at most, and less towards the end, for workers to end together.",
    )
    probe_workers: int = Field(2, ge=1, le=256, description="Files whose headers are read at the same time.")
    probe_time_limit_s: float = Field(60.0, gt=0)


class EngineSettings(Settings):
    """Where the work is done. Nothing here changes a label."""

    engine: Literal["processes", "ray", "beam", "local"] | None = Field(
        None,
        description="processes (worker processes on this machine), ray, beam (Apache Beam), or local: a plain loop in "
        "one process for debugging. By default ray where there is an `address` or GPUs are set, else processes.",
    )
    workers: int | None = Field(
        None,
        ge=1,
        description="Shards that are worked on at the same time; by default one a CPU, or as many processes as the "
        "memory has room for.",
    )
    transcribers: int | None = Field(
        None, ge=1, description="Of Ray: by default one for two workers, or as many as the GPUs have room for."
    )
    inferrers: int | None = Field(
        None, ge=1, description="Of Ray: by default one for four workers, or as many as the GPUs have room for."
    )
    gpus: float | None = Field(
        None,
        ge=0,
        description="GPUs to share between transcription and inference; by default those of the cluster at `address`, "
        "and none on this machine.",
    )
    faces_on: Literal["auto", "cpu", "gpu"] = Field(
        "auto",
        description="Where decoders find faces. gpu: each has a share of a GPU; auto: there, where the large detector "
        "is set or decode.hardware gives them one anyway.",
    )
    address: str | None = Field(
        None,
        description="A Ray cluster: auto or HOST:PORT of its GCS on a machine of it, http://HOST:8265 for `submit`; by "
        "default the work is done on this machine.",
    )
    autoscales: bool = Field(
        False,
        description="The cluster at `address` grows when it is asked: what it has not got yet is asked for. Needs "
        "`workers`.",
    )
    decode_resources: dict[str, Annotated[float, Field(gt=0)]] = Field(
        {}, description="Ray resources of your own that a decoder takes, as {decoding: 1}: it goes where they are."
    )
    decode_labels: dict[str, str] = Field(
        {}, description="Ray labels of the machines that decode, as {role: decode}; by default any machine."
    )
    beam_args: str = Field(
        "",
        description="Options of Beam and its runner, as on a command line; by default --runner=FnApiRunner, which runs "
        "here.",
    )
    object_store_mb: int = Field(2_000, ge=200, description="Memory of Ray's object store, when Ray runs here.")

    @property
    def chosen(self) -> str:
        """The engine: what is set, or what the other settings want."""
        return self.engine or ("ray" if self.address or self.gpus else "processes")

    @model_validator(mode="after")
    def _belong_together(self) -> "EngineSettings":
        if self.engine == "processes" and self.address:
            raise ValueError("address is of a Ray cluster, and processes are of this machine: set engine to ray")
        if self.engine == "processes" and self.gpus:
            raise ValueError("processes use no GPU: set engine to ray, which shares them out")
        return self

    @field_validator("decode_resources")
    @classmethod
    def _are_of_ones_own(cls, value: dict[str, float]) -> dict[str, float]:
        if rays := value.keys() & {"CPU", "GPU", "memory", "object_store_memory"}:
            raise ValueError(f"{', '.join(sorted(rays))}: not a resource of your own; FV2ES counts those itself")
        for name, amount in value.items():
            if amount > 1 and not amount.is_integer():
                raise ValueError(f"{name}: more than 1 must be a whole number in Ray")
        return value


class JobSettings(Settings):
    """When a run counts, and how it ends. Nothing here changes a label."""

    max_failed_fraction: float = Field(
        1.0,
        ge=0,
        le=1,
        description="When a larger share of the files has failed, the run is not marked complete (exit code 4). 1: "
        "never, as nobody knows how many of a heap of unknown files are media.",
    )
    grace_s: float = Field(20.0, ge=0, description="After SIGTERM or Ctrl-C, seconds for what is in flight to end.")
    lease_s: float = Field(
        90.0, ge=3, description="A run killed on another host holds the output for so long; it is renewed meanwhile."
    )
    log_format: logs.Format = Field(
        "text", description="text: progress for people on stderr; json: one JSON object a line, for machines."
    )
    log_level: logs.Level = Field(
        "info", description="The least grave events that are logged: debug, info, warning, error."
    )


class NightlySettings(Settings):
    """How `fv2es nightly` goes about a night. Nothing here changes a label."""

    until: str | None = Field(
        None, description="Local time (06:00) or length (7h30m) after which nothing new is begun; by default no limit."
    )
    grace_s: float = Field(600.0, ge=0, description="When the time is up, seconds for what is in flight to end.")
    max_removed_fraction: float = Field(
        0.5,
        ge=0,
        le=1,
        description="When more of a source's files are gone, their rows stay until --allow-mass-removal. 1: never.",
    )
    max_new_files: int = Field(
        100_000, ge=1, description="Files a night that are new or changed; their headers are read before work begins."
    )

    @field_validator("until")
    @classmethod
    def _is_time_or_length(cls, value: str | None) -> str | None:
        if value is not None:
            seconds_until(value, datetime.now())
        return value


class Config(OperatorSettings, BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, env_ignore_empty=True
    )

    plan: PlanSettings = PlanSettings()
    engine: EngineSettings = EngineSettings()
    job: JobSettings = JobSettings()
    nightly: NightlySettings = NightlySettings()
    alarm: AlarmSettings = AlarmSettings()
    storage: StorageSettings = StorageSettings()

    def public(self) -> dict[str, Any]:
        """What may be stored and shown: everything but how to get at the storage, and who is told of a night."""
        return self.model_dump(mode="json", exclude={"storage", "alarm"})

    def shown(self) -> dict[str, Any]:
        """Everything, but secrets as if they were not set: a file of settings is no place for stars."""
        return self.public() | {name: _without_secrets(getattr(self, name)) for name in ("alarm", "storage")}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing but what `load` has gathered: no .env is read that happens to lie around."""
        return (init_settings,)


def _without_secrets(settings: Settings) -> dict[str, Any]:
    """What of a group may be shown; secrets are None."""
    secret = {name: None for name in type(settings).model_fields if isinstance(getattr(settings, name), SecretStr)}
    return settings.model_dump(mode="json") | secret


def load(path: Path | None = None, flags: Mapping[str, Mapping[str, Any]] | None = None) -> Config:
    """The configuration in force.

    Args:
        path: a YAML file, or None.
        flags: values from the command line by group and name; None values are left out.

    Raises:
        SettingsError: with every wrong setting named.
    """
    _check_variables()
    given = {
        group: {name: value for name, value in values.items() if value is not None}
        for group, values in (flags or {}).items()
    }
    sources = [_read_yaml(path) if path else {}, EnvSettingsSource(Config)(), given]
    try:
        return Config(**_merge(sources))
    except ValidationError as error:
        raise SettingsError(_explain(error, path)) from error


def _merge(sources: list[dict[str, Any]]) -> dict[str, Any]:
    """Later sources win, setting by setting; what is no group goes through as it is, for validation to refuse."""
    merged: dict[str, Any] = {}
    for source in sources:
        for group, values in source.items():
            both = isinstance(values, dict) and isinstance(merged.get(group), dict)
            merged[group] = merged[group] | values if both else values
    return merged


def _read_yaml(path: Path) -> dict[str, Any]:
    values = read_yaml(path)
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise SettingsError(f"{path}: settings are groups of names and values; see `fv2es config show`.")
    return values


def _check_variables() -> None:
    groups = tuple(f"{PREFIX}{name.upper()}__" for name in Config.model_fields)
    unknown = [
        name
        for name in os.environ
        if name.startswith(PREFIX) and name not in OTHER_VARIABLES and not name.upper().startswith(groups)
    ]
    if unknown:
        raise SettingsError(
            f"unknown environment variable {', '.join(sorted(unknown))}: settings are named like FV2ES_SPEECH__ASR; "
            "see `fv2es config show`."
        )


def _explain(error: ValidationError, path: Path | None) -> str:
    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        message = "unknown setting" if problem["type"] == "extra_forbidden" else problem["msg"]
        lines.append(f"{name}: {message}")
    source = f"{path}, the environment or a flag" if path else "the environment or a flag"
    return f"wrong settings, from {source} (see `fv2es config show`):\n  " + "\n  ".join(lines)
