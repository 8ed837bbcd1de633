"""Settings of every process, read once from the environment.

Nothing else reads the environment, but for the OTEL_* variables of a standard (`service.runtime.telemetry`).
"""

from functools import cache
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _known_store(url: str) -> str:
    scheme, separator, _ = url.partition("://")
    if separator and scheme not in ("file", "s3"):
        raise ValueError(f"'{scheme}://' is not known: use a path, file:///FOLDER or s3://BUCKET/PREFIX")
    return url


class Settings(BaseSettings):
    """What may differ from one deployment to the next."""

    model_config = SettingsConfigDict(
        frozen=True,
        env_prefix="PARETUNE_",
        populate_by_name=True,
        env_ignore_empty=True,  # compose passes what .env leaves out as empty
    )

    database_url: SecretStr = Field(validation_alias="DATABASE_URL")
    broker_url: SecretStr = Field(validation_alias="BROKER_URL")
    database_password_file: Path | None = Field(default=None, validation_alias="DATABASE_PASSWORD_FILE")
    """A file with the password for DATABASE_URL, which then has none: any characters, quoted by nobody."""
    broker_password_file: Path | None = Field(default=None, validation_alias="BROKER_PASSWORD_FILE")
    artifacts_url: Annotated[str, AfterValidator(_known_store)] = Field(
        validation_alias=AliasChoices("PARETUNE_ARTIFACTS_URL", "PARETUNE_ARTIFACTS_DIR")
    )
    """Where trained weights are kept: a path, `file:///FOLDER` or `s3://BUCKET/PREFIX`."""
    models_dir: Path | None = None
    """Where local backbones may lie; names like `local:NAME` resolve here and nowhere else."""
    data_dir: Path | None = None
    """Where task files may lie, uploads among them; names like `file:NAME` resolve here and nowhere else."""
    bootstrap_api_key: SecretStr | None = Field(default=None, validation_alias="PARETUNE_API_KEY")
    """A key that `paretune migrate` registers for the default tenant."""
    bootstrap_api_key_file: Path | None = Field(default=None, validation_alias="PARETUNE_API_KEY_FILE")
    """A file with that key."""
    lease_seconds: float = Field(default=30.0, gt=0)
    max_attempts: int = Field(default=3, ge=1)
    sweep_seconds: float = Field(default=1.0, gt=0)
    wake_up_seconds: float = Field(default=5.0, gt=0)
    """A wake-up older than this counts as lost and is sent again."""
    alive_file: Path | None = None
    """A file that a worker touches every ten seconds while it hears wake-ups; without it, none."""
    study_memory_bytes: int | None = Field(default=None, ge=1)
    """The most that a study worker may take; without it, half of what the machine has."""
    device: Literal["cuda", "cpu"] | None = None
    """What a trial worker trains on; without it, a GPU if it sees one. On `cuda` it takes nothing else."""
    trial_threads: int = Field(default=1, ge=1)
    trials_per_pack: int = Field(default=1, ge=1, le=64)
    """How many trials of a study a worker may train in one batch: for a GPU that one trial leaves idle."""
    activation_cache_bytes: int = Field(default=2**30, ge=0)
    """How much a trial worker keeps of what frozen layers computed; 0 keeps nothing."""
    trial_memory_bytes: int | None = Field(default=None, ge=1)
    """The most that a trial may take beside the backbone; without it, nine tenths of what is free."""
    tenant_active_studies: int | None = Field(default=None, ge=0)
    """How many studies a tenant may have that have not ended. A tenant may have limits of its own."""
    tenant_running_trials: int | None = Field(default=None, ge=0)
    tenant_artifact_bytes: int | None = Field(default=None, ge=0)
    requests_per_second: float | None = Field(default=None, gt=0)
    """How many requests a key may make, in the long run and of each API process; without it, any number."""
    request_burst: int = Field(default=50, ge=1)
    """How many it may make at once after a pause."""
    metrics_token: SecretStr | None = None
    """What a scraper of /metrics must send; without it, only processes of this host may read them."""
    metrics_token_file: Path | None = None
    """A file with that token."""
    webhook_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks that webhooks may reach although they are not public, as a JSON list."""
    webhook_http: bool = False
    """Whether webhooks may use http, too."""
    max_body_bytes: int = Field(default=1_000_000, ge=1)
    max_task_file_bytes: int = Field(default=100_000_000, ge=1)


@cache
def settings() -> Settings:
    """Read the environment and the files of secrets that it names, once.

    Raises:
        ValueError: If such a file cannot be read, or is empty.
    """
    given = Settings()
    key_file, token_file = given.bootstrap_api_key_file, given.metrics_token_file
    return given.model_copy(
        update={
            "database_url": _with_secret(given.database_url, given.database_password_file),
            "broker_url": _with_secret(given.broker_url, given.broker_password_file),
            "bootstrap_api_key": SecretStr(read_secret(key_file)) if key_file else given.bootstrap_api_key,
            "metrics_token": SecretStr(read_secret(token_file)) if token_file else given.metrics_token,
        }
    )


def _with_secret(url: SecretStr, file: Path | None) -> SecretStr:
    return url if file is None else SecretStr(with_password(url.get_secret_value(), read_secret(file)))


def read_secret(file: Path) -> str:
    """Return what a file holds, without the line break at its end.

    Raises:
        ValueError: If it cannot be read, or is empty.
    """
    try:
        secret = file.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"The secret in {file} cannot be read: {error}") from error
    if not secret:
        raise ValueError(f"The file {file} is empty: write the secret into it.")
    return secret


def with_password(url: str, password: str) -> str:
    """Return the address with the password, quoted; one that it had is replaced."""
    parts = urlsplit(url)
    user, _, place = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    return parts._replace(netloc=f"{name}:{quote(password, safe='')}@{place}").geturl()
