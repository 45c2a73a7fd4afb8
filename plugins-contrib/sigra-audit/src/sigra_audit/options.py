"""The options of the plugin `audit`."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from sigra_audit.sinks import Syslog

KEY_LENGTH = 32
"""Characters of a key: 128 bits of security even from hexadecimal digits (NIST SP 800-107, section 5.3.4)."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Options(BaseModel):
    """How long rows stay, who vouches for them, and where they go.

    Args:
        keys: Keys of the record's own, the first one signs; the application's secret keys when there are none.
        retention: How long a row stays.
        seal_after: How long a row waits for its place in the chain.
        syslog: `udp://host:514`, `tcp://host:601` or `unix:/dev/log`: every row goes there too.
        sink: An https URL to which every row is posted, as JSON lines.
        sink_token: Sent to it as `Authorization: Bearer`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    keys: tuple[SecretStr, ...] = Field(default=(), repr=False)
    retention: timedelta = Field(default=timedelta(days=365), ge=timedelta(days=1))
    seal_after: timedelta = Field(default=timedelta(seconds=1), gt=timedelta(0), le=timedelta(seconds=30))
    syslog: str | None = None
    sink: str | None = None
    sink_token: SecretStr | None = None

    @field_validator("keys")
    @classmethod
    def _long(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(key.get_secret_value()) < KEY_LENGTH for key in keys):
            raise ValueError(f"each must have {KEY_LENGTH} characters at least: `sigra keys generate` prints one")
        return keys

    @field_validator("syslog")
    @classmethod
    def _server(cls, url: str | None) -> str | None:
        if url is not None:
            Syslog.of(url)
        return url

    @field_validator("sink")
    @classmethod
    def _https(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "")
        schemes = ("https", "http") if parts.hostname in LOOPBACK else ("https",)
        if url is not None and not (parts.hostname and parts.scheme in schemes and parts.username is None):
            raise ValueError("it must be an https URL without a password: SIGRA_AUDIT__SINK_TOKEN is sent along")
        return url
