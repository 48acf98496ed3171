"""What a bucket's address and its client are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PositiveFloat, PositiveInt, SecretStr

from pqueue.abc import StoreSettings
from pqueue.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRETS = frozenset({"access_key_id", "secret_access_key", "session_token"})


def _trim(prefix: str) -> str:
    return prefix.strip("/")


def _url(value: Any) -> Any:
    if isinstance(value, str) and not value.startswith(("http://", "https://")):
        raise ValueError("must be a URL, like http://127.0.0.1:9000 or https://s3.example.org")
    return value


def _no_login(url: str) -> str:
    if "@" in urlsplit(url).netloc:
        raise ValueError("no user or password in an endpoint's URL")
    return url


_Endpoint = Annotated[str, BeforeValidator(_url), Field(pattern="^https?://"), AfterValidator(_no_login)]


class S3Settings(StoreSettings):
    """Where the bucket is and how it is spoken to. What is None is left to boto3: its profiles, variables and roles."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    backend: Literal["s3"] = "s3"
    bucket: Annotated[str, Field(min_length=1)]
    prefix: Annotated[str, AfterValidator(_trim)] = ""
    """The queue's folder in the bucket; slashes at its ends do not count."""
    region: str | None = None
    profile: str | None = None
    """A section of `~/.aws/config`."""
    endpoint_url: _Endpoint | None = None
    """Another service than Amazon's."""
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    storage_class: str | None = None
    """Of segments and pages; documents, small and short-lived, stay in the bucket's standard class."""
    sse: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = None
    """Encryption at rest by the server; `aws:kms` where only a key is named."""
    kms_key_id: str | None = None
    connect_timeout: PositiveFloat = 5.0
    """Seconds."""
    read_timeout: PositiveFloat = 20.0
    """Seconds without a byte. Losers of a race are answered up to 6 s late by some servers: stay well above that."""
    max_pool_connections: PositiveInt = 64
    request_attempts: PositiveInt = 3
    """How often one request is sent at most, where the answer is lost or says to come again."""
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    client: Annotated[Any, Field(exclude=True, repr=False)] = None
    """A boto3 S3 client of one's own, used as it is: its retries, time-outs and credentials instead of those above."""


def from_url(url: str) -> Mapping[str, Any]:
    """`s3://BUCKET/PREFIX` as a mapping; what stands in the query is the caller's to read.

    Raises:
        SettingsError: not such a URL, or one with a secret in it. The message holds nothing of the URL's secret part.
    """
    parts = urlsplit(url)
    if parts.scheme != "s3":
        raise SettingsError(f"not the URL of a bucket: the scheme is {parts.scheme!r}, not 's3'")
    if "@" in parts.netloc:
        raise SettingsError(
            "the URL holds a user or a password; URLs end up in logs: "
            "give keys by the environment, a profile or the settings access_key_id and secret_access_key"
        )
    secrets = sorted(SECRETS.intersection(key for key, _ in parse_qsl(parts.query, keep_blank_values=True)))
    if secrets:
        raise SettingsError(
            f"{', '.join(secrets)} in a URL, which ends up in logs: give keys by the environment, a profile or settings"
        )
    if "client" in (key for key, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise SettingsError("a client is an object: give it in Python, not in a URL")
    if not parts.netloc:
        raise SettingsError(f"no bucket in {url!r}: write s3://BUCKET/PREFIX")
    if parts.fragment:
        raise SettingsError(f"a '#' in {url!r}: write it as %23")
    return {"backend": "s3", "bucket": parts.netloc, "prefix": unquote(parts.path).strip("/")}
