"""Tell somebody how a night went: by a command that gets the report on its standard input, or by POST to an address.

The address of such a door is often its key, so it is a secret: of an alarm that didn't get through, only the host is
said. An alarm that fails never fails the night.
"""

import http.client
import subprocess
import urllib.error
import urllib.request
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from operators.settings import Settings

TIME_LIMIT_S = 30.0


class AlarmSettings(Settings):
    """Who is told of a night, and when. Nothing here changes a label."""

    command: tuple[str, ...] = Field(
        (), description='A program and its arguments, as ["notify", "--urgent"]; the report comes on its input.'
    )
    url: SecretStr | None = Field(
        None, description="Secret: better in FV2ES_ALARM__URL. An http(s) address that gets the report by POST."
    )
    when: Literal["trouble", "always"] = Field(
        "trouble", description="trouble: errors, files that failed for the first time, removals that were held back."
    )

    @field_validator("url")
    @classmethod
    def _is_web_address(cls, value: SecretStr | None) -> SecretStr | None:
        parts = urlsplit(value.get_secret_value()) if value else None
        if parts and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("the address must begin with https:// or http:// and name a host")
        return value


def send(settings: AlarmSettings, report: bytes) -> list[str]:
    """Give a report, as JSON, to all who are to get it; returns what went wrong, in words without secrets."""
    problems = []
    if settings.command:
        problems.append(_run(settings.command, report))
    if settings.url:
        problems.append(_post(settings.url.get_secret_value(), report))
    return [problem for problem in problems if problem]


def _run(command: tuple[str, ...], report: bytes) -> str | None:
    # What it prints is its own affair: it may hold what nobody should read in a log.
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        done = subprocess.run(command, input=report, timeout=TIME_LIMIT_S, check=False, **quiet)  # type: ignore[call-overload] # noqa: S603
    except subprocess.TimeoutExpired:
        return f"the alarm command {command[0]} did not end within {TIME_LIMIT_S:g} s"
    except (OSError, ValueError) as error:
        return f"the alarm command {command[0]} can't be run: {getattr(error, 'strerror', None) or 'it is no program'}"
    return f"the alarm command {command[0]} ended with exit code {done.returncode}" if done.returncode else None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A report goes where it was sent, or nowhere: a redirected POST would become a GET without it."""

    def redirect_request(self, *args: object) -> None:
        """Never follow."""


def _post(url: str, report: bytes) -> str | None:
    request = urllib.request.Request(url, report, {"Content-Type": "application/json"}, method="POST")  # noqa: S310
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=TIME_LIMIT_S):
            return None
    except urllib.error.HTTPError as error:
        why = f"it answered with {error.code}"
    except urllib.error.URLError as error:
        why = str(getattr(error.reason, "strerror", None) or type(error.reason).__name__)
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = type(error).__name__
    return f"the alarm at {urlsplit(url).hostname} did not get the report: {why}"
