"""The job server of a Ray cluster, which is part of its dashboard: what FV2ES asks of it, and its answers in words."""

import asyncio
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from pipelines.errors import JobError, SettingsError

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray is imported

import ray
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

TALKATIVE = (
    "ray.dashboard.modules.job.sdk",
    "ray.dashboard.modules.dashboard_sdk",
    "ray._private.runtime_env.packaging",
)
"""Loggers of Ray that would tell the user of each package and connection."""

ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""Where Ray keeps an address; for us a flag comes before them."""

OLDEST_RAY = (2, 60)
CONNECT_LIMIT_S = 15.0
POLL_S = 0.5
LOST_AFTER = 20
"""A server that fails to answer so often in a row is lost, for one who follows a job."""

_METADATA = "fv2es"
_WHERE = "Is the cluster up, and is that the address of its dashboard (http://HOST:8265 by default)?"


@dataclass(frozen=True)
class SubmittedJob:
    """A job as its cluster knows it.

    `state` is pending, running, stopped, succeeded or failed. `exit_code` is that of the driver, None until it has
    ended, or when it never began. Times are seconds since 1970. `ours` says whether FV2ES submitted it; only then are
    `command`, `sources` and `out` known.
    """

    id: str
    state: str
    exit_code: int | None
    message: str
    entrypoint: str
    started: float | None
    ended: float | None
    ours: bool
    command: str = ""
    sources: tuple[str, ...] = ()
    out: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state not in ("pending", "running")


class JobServer:
    """A connection to the server at `address`, http://HOST:PORT.

    Raises:
        SettingsError: the address can't be one, the token is wrong, or the cluster's Ray is too old.
        JobError: nobody answers, or not as a job server does.
    """

    def __init__(self, address: str) -> None:
        self.address = _checked(address)
        _knock(self.address)
        for name in TALKATIVE:
            logging.getLogger(name).setLevel(logging.ERROR)
        with self._explained(), _without(ADDRESS_VARIABLES):
            self._client = JobSubmissionClient(self.address)

    def check_version(self) -> None:
        """Raises SettingsError when the cluster's Ray is older than any that FV2ES runs on."""
        version = str(self._client._server_ray_version)  # no public way to ask; its value was checked by the client
        with suppress(ValueError):  # a build of somebody's own
            if tuple(map(int, version.split(".")[:2])) < OLDEST_RAY:
                oldest = ".".join(map(str, OLDEST_RAY))
                raise SettingsError(
                    f"The cluster at {self.address} runs Ray {version}; FV2ES needs {oldest} or newer there, and this "
                    f"machine has {ray.__version__}. Its nodes want the packages of requirements.lock."
                )

    def jobs(self) -> list[SubmittedJob]:
        """All jobs that were submitted to the cluster, oldest first."""
        with self._explained():
            found = [_job(details) for details in self._client.list_jobs() if details.submission_id]
        return sorted(found, key=lambda job: (job.started or 0, job.id))

    def find(self, job_id: str) -> SubmittedJob | None:
        """The job of that id, None where there is none."""
        return next((job for job in self.jobs() if job.id == job_id), None)

    def submit(
        self,
        job_id: str,
        entrypoint: str,
        runtime_env: dict[str, Any],
        command: str,
        sources: tuple[str, ...],
        out: str,
    ) -> bool:
        """Submit a job, which is told to say its command, sources and output; False when its id is taken by another."""
        said = {"command": command, "sources": sources, "out": out}
        with self._explained():
            try:
                self._client.submit_job(
                    submission_id=job_id,
                    entrypoint=entrypoint,
                    runtime_env=runtime_env,
                    metadata={_METADATA: json.dumps(said)},
                )
            except RuntimeError:
                if self.find(job_id) is None:
                    raise
                return False
        return True

    def logs(self, job_id: str) -> str:
        """What a job has said so far."""
        with self._explained():
            return str(self._client.get_job_logs(job_id))

    def stop(self, job_id: str) -> bool:
        """Ask a job to end; False when it had ended already."""
        with self._explained():
            return bool(self._client.stop_job(job_id))

    def follow(self, job_id: str, say: Callable[[str], None]) -> SubmittedJob:
        """Pass on what a job says, from its beginning, until it has ended; the job as it then is."""
        said, lost = 0, 0
        while True:
            try:
                said = asyncio.run(self._tail(job_id, say, said))
                job = self.find(job_id)
                lost = 0
            except JobError:
                lost += 1
                if lost == LOST_AFTER:
                    raise
            else:
                if job is None:
                    raise JobError(f"The cluster at {self.address} knows no job {job_id} any more.")
                if job.has_ended:
                    return job
            asyncio.run(asyncio.sleep(POLL_S))

    async def _tail(self, job_id: str, say: Callable[[str], None], said: int) -> int:
        """Pass on a log from its character `said` on, until it ends or the connection does; how far it came."""
        at = 0
        lines: AsyncIterator[str] = self._client.tail_job_logs(job_id)
        with suppress(RuntimeError), self._explained():  # a connection that was cut is taken up again
            async for text in lines:
                if at + len(text) > said:
                    say(text[max(0, said - at) :])
                    said = at + len(text)
                at += len(text)
        return said

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what goes wrong on the way into words.

        Raises:
            SettingsError: the token is wrong.
            JobError: nobody answers, or not as a job server does.
        """
        try:
            yield
        except ray.exceptions.AuthenticationError as error:
            raise SettingsError(
                f"The cluster at {self.address} asks for another token than it was given, or for one at all. Set "
                "RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to the token with which it was started (or which is in "
                "~/.ray/auth_token there)."
            ) from error
        except (KeyError, ValueError) as error:
            raise JobError(f"What answers at {self.address} is no job server of Ray ({error}). {_WHERE}") from error
        except (OSError, aiohttp.ClientError) as error:  # requests' errors are OSErrors
            raise JobError(
                f"The job server at {self.address} does not answer as it should: {error}. {_WHERE}"
            ) from error


def _checked(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(
            f"{address}: jobs are submitted to the cluster's dashboard, as http://HOST:8265. Addresses such as auto, "
            "HOST:6379 (its GCS) and ray:// (Ray Client) are something else."
        )
    if parts.username or parts.password:
        raise SettingsError("The cluster's address may hold no password; its token comes in RAY_AUTH_TOKEN.")
    return address.rstrip("/")


def _knock(address: str) -> None:
    """Ray's client would wait for minutes for an address where nobody is."""
    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((str(parts.hostname), port), CONNECT_LIMIT_S).close()
    except OSError as error:
        raise JobError(f"No job server answers at {address}: {error.strerror or error}. {_WHERE}") from error


@contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """Ray would prefer these variables to the address that it is given."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def _job(details: JobDetails) -> SubmittedJob:
    said: dict[str, Any] = {}
    with suppress(ValueError, TypeError):
        said = json.loads((details.metadata or {}).get(_METADATA, "null")) or {}
    ours = isinstance(said, dict) and {"command", "sources", "out"} <= said.keys()
    code = details.driver_exit_code
    return SubmittedJob(
        id=str(details.submission_id),
        state=JobStatus(details.status).value.lower(),
        exit_code=128 - code if code is not None and code < 0 else code,
        message=details.message or "",
        entrypoint=details.entrypoint,
        started=details.start_time / 1000 if details.start_time else None,
        ended=details.end_time / 1000 if details.end_time else None,
        ours=ours,
        command=str(said["command"]) if ours else "",
        sources=tuple(map(str, said["sources"])) if ours else (),
        out=str(said["out"]) if ours else "",
    )
