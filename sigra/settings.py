"""The core's options, checked when they are made; a plugin's section is one more field, of the plugin's name."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, create_model, field_validator, model_validator

from sigra import sources
from sigra.errors import ConfigurationError

_log = logging.getLogger("sigra.settings")

MINIMUM_KEY_LENGTH = 32
"""Characters of a secret key: 128 bits of security even from hexadecimal digits (NIST SP 800-107, section 5.3.4)."""

NIST_LENGTH = 15
"""Characters of a password that signs in alone (NIST SP 800-63B-4, section 3.1.1.2)."""

_DEFAULT_PORTS = {"http": 80, "https": 443}

_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/?",
    re.ASCII,
)

_PLAIN_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)+", re.ASCII)

_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine: localhost, *.localhost, 127.0.0.0/8 or ::1 (RFC 6761, 6.3)."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return any(address in network for network in _LOOPBACK)


def _canonical_host(host: str) -> str:
    """The host as browsers write it in `Origin`: an IPv6 address in its shortest form (RFC 5952)."""
    return f"[{ipaddress.IPv6Address(host.strip('[]')).compressed}]" if host.startswith("[") else host


class PasswordSettings(BaseModel):
    """How passwords are hashed (argon2id, RFC 9106, in one bounded queue), and which new ones are taken.

    Args:
        memory_kib: Memory of one hash, in KiB; at least 19,456 with `time` 2 (OWASP Password Storage Cheat Sheet).
        time: Passes over the memory.
        parallelism: Lanes.
        queue: Hashes that may wait; the next is told to come back (503).
        foreign_hashes: Hashes of other libraries to take until their owners sign in: `bcrypt`, `django`, `passlib`, …
        foreign_costs: What their hashes cost, by scheme, where it is not the libraries' default: every attempt pays it.
        min_length: Characters of a new password, at least; 15 with the preset `nist`.
        preset: `nist`: what a password needs that signs in alone (NIST SP 800-63B-4, section 3.1.1.2).
        breach_url: A range API (k-anonymity) that new passwords are looked up in; the first five digits of the SHA-1
            are added to it. Off when not set.
        breach_failure: What happens to a new password when that API does not answer: `open` takes it and logs a
            warning, `closed` tells to come back (503).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory_kib: int = Field(default=65_536, ge=8)
    time: int = Field(default=3, ge=1)
    parallelism: int = Field(default=1, ge=1, le=16)
    queue: int = Field(default=128, ge=1)
    foreign_hashes: tuple[str, ...] = ()
    foreign_costs: dict[str, int] = Field(default_factory=dict)
    min_length: int = Field(default=8, ge=8, le=256)
    preset: Literal["nist"] | None = None
    breach_url: str | None = None
    breach_failure: Literal["open", "closed"] = "open"

    @property
    def minimum_length(self) -> int:
        """Characters of a new password, preset and all."""
        return max(self.min_length, NIST_LENGTH) if self.preset == "nist" else self.min_length

    @field_validator("breach_url")
    @classmethod
    def _https(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "")
        schemes = ("https", "http") if is_loopback(parts.hostname or "") else ("https",)
        if url is not None and not (parts.hostname and parts.scheme in schemes):
            raise ValueError("it must be an https URL to which five digits are added, as in https://example.com/range/")
        return url


class ReauthenticationSettings(BaseModel):
    """How recent a sign-in must be where a fresh one is asked for.

    Args:
        fresh: The age of a fresh sign-in, at most.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fresh: timedelta = Field(default=timedelta(minutes=5), gt=timedelta(0))


LIMITS_URL = re.compile(r"database:|memory:|rediss?://.+")


class LimitsSettings(BaseModel):
    """How often things may be done, and where that is counted.

    Args:
        enabled: Off is for where something else limits: it is warned of at each start.
        url: `database:`, the application's own; `redis://…`; or `memory:`, with `development` or `single_process`.
        rules: Other rates, by the name of the limit, as in `{"sign_in_client": "20/minute"}`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    url: SecretStr = SecretStr("database:")
    rules: dict[str, str] = Field(default_factory=dict)

    @field_validator("url")
    @classmethod
    def _known_store(cls, url: SecretStr) -> SecretStr:
        if not LIMITS_URL.fullmatch(url.get_secret_value()):
            raise ValueError("it must be database:, redis://host:port/number or memory:")
        return url


class Settings(BaseModel):
    """The core's options.

    Args:
        secret_keys: The key ring, at least 32 characters each; the first one signs, the others still verify.
        base_url: Where the application is reached: https, or http on localhost. No path.
        database_url: An SQLAlchemy URL.
        plugins: Names to switch on; `defaults` is every built-in, `*` everything installed, `-name` switches off.
        mount_path: Where the plugins' routes are.
        development: Relaxes what is only unsafe in public; refused unless `base_url` is loopback.
        trusted_origins: Other origins that may make unsafe requests.
        skip_paths: Paths, with all below them, that pass through without identity.
        trusted_proxies: Addresses or networks whose forwarding headers are believed.
        home: Where a browser goes when it asked for nowhere in particular; else the account page, or `/`.
        templates: Folders of the application's own templates, which come before all others.
        locales: Folders of the application's own translations, which come before all others.
        app: `module:name` of the host's `Sigra`, for the command line.
        trace_hooks: Log which plugin was asked what.
        websocket_recheck: How old the identity of an open socket may be when a message arrives.
        starlette_user: Say who asks in Starlette's shape too, as `scope["user"]` and `scope["auth"]`.
        gc_freeze: While the server runs, leave out what start-up made when garbage is collected in full (`gc.freeze`),
            and look for young garbage only after 10,000 new objects (`gc.set_threshold`): else each collection stops
            every request for as long as it takes to look at all of it.
        worker: Send mail and do periodic work in the application; off where `sigra worker` runs beside it.
        single_process: One process serves the application, so that what counts may be kept in its memory.

    Raises:
        ConfigurationError: Names every option that is wrong, and the cure.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    secret_keys: tuple[SecretStr, ...] = Field(default=(), validate_default=True)
    base_url: str = Field(default="", validate_default=True)
    database_url: SecretStr = SecretStr("sqlite:///sigra.db")
    plugins: tuple[str, ...] = ("defaults",)
    mount_path: str = "/auth"
    development: bool = False
    trusted_origins: tuple[str, ...] = ()
    skip_paths: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    home: str = "/"
    templates: tuple[Path, ...] = ()
    locales: tuple[Path, ...] = ()
    app: str | None = None
    trace_hooks: bool = False
    websocket_recheck: timedelta = Field(default=timedelta(seconds=30), ge=timedelta(0))
    starlette_user: bool = False
    gc_freeze: bool = True
    worker: bool = True
    single_process: bool = False
    limits: LimitsSettings = LimitsSettings()
    password: PasswordSettings = PasswordSettings()
    reauthentication: ReauthenticationSettings = ReauthenticationSettings()

    def __init__(self, /, **values: Any) -> None:
        unread: list[sources.Option] = []
        decoded = sources.decode(type(self), values, unread)
        doubtful = [((name,), value) for name, value in decoded.items() if not self._may_be_section(name, value)]
        with sources.explained(type(self), unread=unread, doubtful=doubtful):
            super().__init__(**decoded)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Without sections that no model has read yet: what is secret in them is not known."""
        return [(name, value) for name, value in super().__repr_args__() if name in type(self).model_fields]

    @classmethod
    def _may_be_section(cls, name: str, value: Any) -> bool:
        """Whether an option is the core's or may be a plugin's, as a table or as text of one."""
        if isinstance(value, str):
            return name in cls.model_fields or value.lstrip().startswith("{")
        return name in cls.model_fields or isinstance(value, Mapping | BaseModel)

    @property
    def https(self) -> bool:
        """Whether the application is reached over https."""
        return self.base_url.startswith("https:")

    def cookie_name(self, name: str) -> str:
        """The name on the wire: `__Host-` over https (RFC 6265bis, 4.1.3.2), bare over http on localhost."""
        return f"__Host-{name}" if self.https else name

    def with_sections(self, sections: Mapping[str, BaseModel]) -> Settings:
        """The same options with plugins' sections that were made in code."""
        return self.model_copy(update=dict(sections))

    @field_validator("secret_keys")
    @classmethod
    def _long_keys(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not keys:
            raise ValueError("no key is set; make one with `sigra keys generate`")
        if any(len(key.get_secret_value()) < MINIMUM_KEY_LENGTH for key in keys):
            raise ValueError(
                f"every key needs at least {MINIMUM_KEY_LENGTH} characters; make one with `sigra keys generate`"
            )
        return keys

    @field_validator("base_url")
    @classmethod
    def _own_origin(cls, text: str) -> str:
        if not text:
            raise ValueError("it is not set; set it to where the application is reached, as in https://example.com")
        found = _ORIGIN.fullmatch(text.lower()) if text.isascii() else None
        if found is None or int(found["port"] or 1) not in range(1, 65_536):
            raise ValueError(
                "it must be scheme, host (in its ASCII form) and perhaps a port alone; write it as in https://example.com"
            )
        scheme, host = found["scheme"], _canonical_host(found["host"])
        if scheme == "http" and not is_loopback(host):
            raise ValueError("http is for localhost only; use https")
        port = int(found["port"] or _DEFAULT_PORTS[scheme])
        return f"{scheme}://{host}" if port == _DEFAULT_PORTS[scheme] else f"{scheme}://{host}:{port}"

    @field_validator("mount_path")
    @classmethod
    def _plain_path(cls, path: str) -> str:
        path = path.rstrip("/")
        if not _PLAIN_PATH.fullmatch(path):
            raise ValueError("it must be a plain path below the root, as in /auth")
        return path

    @field_validator("skip_paths")
    @classmethod
    def _rooted(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        if any(not path.startswith("/") or set(path) & set("?#*%") for path in paths):
            raise ValueError("every path starts with a slash and is written as it is, without pattern, as in /static")
        return tuple(path.rstrip("/") for path in paths)

    @field_validator("home")
    @classmethod
    def _own_path(cls, path: str) -> str:
        if not path.startswith("/") or path.startswith("//") or "\\" in path or " " in path or not path.isprintable():
            raise ValueError("it must be a path of the application, as in /")
        return path

    @field_validator("templates", "locales")
    @classmethod
    def _folders(cls, paths: tuple[Path, ...]) -> tuple[Path, ...]:
        if not all(path.is_dir() for path in paths):
            raise ValueError("every one must be a folder that exists; create it, or leave it out")
        return paths

    @model_validator(mode="after")
    def _together(self) -> Self:
        wrong = []
        if self.limits.url.get_secret_value() == "memory:" and not (self.development or self.single_process):
            wrong.append(
                "SIGRA_LIMITS__URL is memory:, which other processes do not see; use database: or redis://, "
                "or set SIGRA_SINGLE_PROCESS when there is one process"
            )
        if self.development and not is_loopback(urlsplit(self.base_url).hostname or ""):
            wrong.append("SIGRA_DEVELOPMENT is on but SIGRA_BASE_URL is not on localhost; switch development off there")
        for path in self.skip_paths:
            if covers(path, self.mount_path):
                wrong.append(f"SIGRA_SKIP_PATHS has {path or '/'}, which covers the mount path; leave it out")
            elif covers(self.mount_path, path):
                wrong.append(f"SIGRA_SKIP_PATHS has {path}, which is below the mount path; leave it out")
        if wrong:
            raise ValueError(". ".join(wrong))
        return self


def covers(path: str, other: str) -> bool:
    """Whether `other` is `path` or below it, by whole segments."""
    return other == path or other.startswith(f"{path}/")


class CompleteSettings(Settings):
    """The second pass: nothing is allowed that no active plugin reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def complete(settings: Settings, sections: Mapping[str, type[BaseModel]], inactive: Collection[str] = ()) -> Settings:
    """The settings with every plugin's section checked by its model.

    Args:
        settings: As read without knowing the plugins.
        sections: The models, by plugin name.
        inactive: Names of plugins that are installed but not switched on: their sections are left out with a warning.

    Raises:
        ConfigurationError: A section or option that nothing reads, with the nearest name, or a wrong value.
    """
    for name in sections:
        if hasattr(CompleteSettings, name) or name in CompleteSettings.model_fields:
            raise ConfigurationError(
                f"Two bring the settings section {name}: the core and plugin {name}. Rename the plugin, "
                f"or switch it off with -{name} in SIGRA_PLUGINS."
            )
    return _model(tuple(sections.items()))(**_without_inactive(settings, inactive))


@lru_cache(maxsize=16)
def _model(sections: tuple[tuple[str, type[BaseModel]], ...]) -> type[CompleteSettings]:
    # Remembered, since a test makes the same again and again, and making takes longer than using.
    fields: dict[str, Any] = {
        name: (model, Field(default_factory=_section_default(name, model))) for name, model in sections
    }
    return create_model("Settings", __base__=CompleteSettings, **fields)


def _without_inactive(settings: Settings, inactive: Collection[str]) -> dict[str, Any]:
    extra = dict(settings.model_extra or {})
    for name in sorted(extra.keys() & set(inactive)):
        del extra[name]
        _log.warning(
            "%s is set, but the plugin %s is not active: add it to SIGRA_PLUGINS, or remove its settings.",
            sources.option_name(name),
            name,
        )
    own = settings.model_fields_set & type(settings).model_fields.keys()
    return {**{name: getattr(settings, name) for name in own}, **extra}


def _section_default(name: str, model: type[BaseModel]) -> Any:
    return lambda: sources.validate(model, {}, name)


def from_sources(environ: Mapping[str, str] | None = None, directory: Path | None = None) -> Settings:
    """The first pass over `sigra.toml` and the environment: sections of plugins are not yet checked."""
    return Settings(**sources.read(os.environ if environ is None else environ, directory or Path()))
