"""Where the folder is: settings, and the URLs that state them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, field_serializer, field_validator

from pqueue.abc import StoreSettings
from pqueue.errors import SettingsError

SCHEME = "file"
_FORM = "write file:///absolute/path, with %23 for # and %3F for ?"


class LocalSettings(StoreSettings):
    """Which folder, and how it is made."""

    backend: Literal["local"] = "local"
    path: Path
    appends: bool = True
    """Whether segments grow; without, each commit is a segment of its own."""
    mode: int = Field(0o700, json_schema_extra={"type": ["integer", "string"]})
    """Permissions of a folder that is made; files get the same without the right to enter. As a string: octal."""

    @field_validator("mode", mode="before")
    @classmethod
    def _octal(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return int(value, 8)
        except ValueError as error:
            raise ValueError(f"{value!r} is not octal digits, as in 0700 or 0770") from error

    @field_serializer("mode", when_used="json")
    def _in_octal(self, value: int) -> str:
        return f"{value:#o}"

    @field_validator("mode")
    @classmethod
    def _owner_may_all(cls, value: int) -> int:
        if value & 0o700 != 0o700 or value > 0o7777:  # noqa: PLR2004  # the bits that chmod knows
            raise ValueError(f"mode {value:#o} must grant its owner everything, as 0o700 or 0o770 do")
        return value


def settings_of(url: str) -> Mapping[str, Any]:
    """The settings that a URL states, without its query.

    Raises:
        SettingsError: not a local file's URL.
    """
    try:
        parts = urlsplit(url)
        host, secret = parts.hostname or "", parts.username is not None or parts.password is not None
    except ValueError as error:
        raise SettingsError(f"not a URL; {_FORM}") from error
    if parts.scheme != SCHEME:
        raise SettingsError(f"not a file's URL: its scheme is {parts.scheme!r}; {_FORM}")
    if secret:
        raise SettingsError(f"a file's URL has no user and no password; {_FORM}")
    if host not in ("", "localhost"):
        raise SettingsError(f"a folder on the host {host!r} can't be used from here; {_FORM}")
    path = unquote(parts.path)
    if parts.fragment or "\0" in path or not path.startswith("/"):
        raise SettingsError(f"not an absolute path: {path!r}; {_FORM}")
    return {"backend": "local", "path": path}
