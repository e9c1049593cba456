"""How to get at buckets: endpoint, region and credentials, by settings or by the usual variables; and what went wrong.

Settings become the usual variables (AWS_ENDPOINT_URL ...) of the processes that need them, which is the one way in that
every library knows. They are never written down, and decoders of hostile files don't get them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

from pydantic import Field, SecretStr

from operators.settings import Settings
from pipelines.errors import JobError, SettingsError


class StorageSettings(Settings):
    """S3 and what speaks like it. By default what the usual variables and files of AWS say."""

    endpoint_url: str | None = Field(None, description="Of a store that is not Amazon's, as https://host:port.")
    region: str | None = Field(None, description="Region of the buckets.")
    access_key_id: SecretStr | None = Field(None, description="Secret: better in FV2ES_STORAGE__ACCESS_KEY_ID.")
    secret_access_key: SecretStr | None = Field(None, description="Secret: better in FV2ES_STORAGE__SECRET_ACCESS_KEY.")
    session_token: SecretStr | None = Field(None, description="Secret, of temporary credentials.")

    def environment(self) -> dict[str, str]:
        """The usual variables, for what is set here."""
        values = {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": _revealed(self.access_key_id),
            "AWS_SECRET_ACCESS_KEY": _revealed(self.secret_access_key),
            "AWS_SESSION_TOKEN": _revealed(self.session_token),
        }
        return {name: value for name, value in values.items() if value is not None}

    def apply(self) -> None:
        """Set the variables for this process and those that it starts."""
        os.environ.update(self.environment())


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


@contextmanager
def explained(address: str) -> Iterator[None]:
    """Turn what a store says to a request at `address` into words for the one who has set the address.

    Raises:
        SettingsError: credentials, bucket, region or endpoint are wrong.
        JobError: the store does not answer, or answers with errors.
    """
    if "://" not in address:
        yield
        return
    from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError

    bucket = PurePosixPath(address.partition("://")[2]).parts[:1]
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "Amazon's own address")
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise SettingsError(
            f"{address}: no credentials for the store. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or storage.* "
            "in the settings."
        ) from error
    except PermissionError as error:
        raise SettingsError(
            f"{address}: the store at {endpoint} refuses access ({error}). Check the credentials (AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY, or storage.* in the settings) and what they may do there."
        ) from error
    except FileNotFoundError as error:
        raise SettingsError(f"{address}: there is no bucket {''.join(bucket)!r} at {endpoint} ({error}).") from error
    except (OSError, BotoCoreError) as error:
        raise JobError(
            f"{address}: the store at {endpoint} does not do what was asked: {error}. Is AWS_ENDPOINT_URL (or "
            "storage.endpoint_url) right, and is the store up? What is committed stays; run the same command again."
        ) from error
