"""The pieces that `Sigra` is put together from, each made of the settings and of what the plugins bring."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.routing import BaseRoute

from sigra import hooks, hookspecs
from sigra import settings as options
from sigra.crypto import Hasher, KeyRing, MigratingHasher
from sigra.db.engine import Database
from sigra.errors import ConfigurationError
from sigra.hooks import Active, Calls, Installed
from sigra.http.cross_origin import parse_origin
from sigra.http.openapi import Face
from sigra.http.rendering import Source, names_in
from sigra.http.routing import RouteTable, overlap
from sigra.limits import DatabaseStore, Limits, open_store, rules
from sigra.mail.catalogues import Catalogues, beside
from sigra.models import Job, Limit
from sigra.protocols import Plugin
from sigra.settings import LimitsSettings, Settings
from sigra.sources import option_name

_log = logging.getLogger("sigra")

HERE = Path(__file__).parent

CLEANING = timedelta(hours=1)
"""How often what has expired is deleted."""


def activate(
    settings: Settings,
    chosen: Sequence[Installed | Plugin],
    available: Sequence[Installed],
    cookies: Sequence[str],
) -> tuple[Settings, tuple[Active, ...]]:
    """The settings with a field for each plugin's section, and the plugins made from them.

    Args:
        cookies: Names of the core's own.
    """
    models = {item.name: model for item in chosen if (model := hooks.section_model(item)) is not None}
    inactive = {item.name for item in available} - {item.name for item in chosen}
    complete = options.complete(settings.with_sections(_sections_in_code(settings, chosen)), models, inactive)
    active = tuple(hooks.activate(item, getattr(complete, item.name, None)) for item in chosen)
    hooks.check_declarations(active, cookies)
    return complete, active


def _sections_in_code(settings: Settings, chosen: Sequence[Installed | Plugin]) -> dict[str, BaseModel]:
    sections = {}
    for item in chosen:
        section = None if isinstance(item, Installed) else getattr(item, "settings", None)
        if not isinstance(section, BaseModel):
            continue
        if item.name in (settings.model_extra or {}):
            raise ConfigurationError(
                f"Plugin {item.name} is configured in code and by {option_name(item.name)}: use one of them."
            )
        sections[item.name] = section
    return sections


def hasher(settings: Settings) -> Hasher:
    """What hashes passwords."""
    password = settings.password
    return MigratingHasher(
        memory_kib=password.memory_kib,
        time=password.time,
        parallelism=password.parallelism,
        queue=password.queue,
        foreign=password.foreign_hashes,
        costs=password.foreign_costs,
        allow_weak=settings.development,
    )


def limits(
    options: LimitsSettings,
    brought: Iterable[tuple[str, Sequence[Limit]]],
    counts: DatabaseStore,
    keys: KeyRing,
    clock: Callable[[], datetime],
) -> Limits:
    """The core's limits and the plugins', in the store that the operator wants.

    Args:
        counts: The application's own database.
    """
    by_action = rules(brought, options.rules)
    actions = frozenset(by_action)
    if not options.enabled:
        _log.warning(
            "limits are switched off: nothing slows down who guesses passwords. Set SIGRA_LIMITS__ENABLED=true, "
            "unless something before the application limits by client and by account."
        )
        by_action = {}
    return Limits(actions, by_action, open_store(options.url.get_secret_value(), counts, clock), keys)


def templates(settings: Settings, brought: Iterable[tuple[str, Sequence[Source]]]) -> list[Source]:
    """The host's, the plugins', the core's."""
    return [*settings.templates, *hooks.claim_templates(brought, names_in), HERE / "templates"]


def catalogues(settings: Settings, plugins: Iterable[Active]) -> Catalogues:
    """The host's, the plugins', the core's."""
    return Catalogues([*settings.locales, *beside([one.plugin for one in plugins]), HERE / "locale"])


def sweeping(db: Database, sweeps: Mapping[str, Callable[[AsyncConnection], Awaitable[bool]]]) -> list[Job]:
    """The core's own jobs, which clean its tables."""
    return [Job(name, CLEANING, partial(db.transaction, sweep)) for name, sweep in sweeps.items()]


def routes(
    brought: Iterable[tuple[str, Sequence[BaseRoute]]], owner: str, own: Sequence[BaseRoute]
) -> dict[str, tuple[BaseRoute, ...]]:
    """Every plugin's routes, none of which answers what another does, nor the core's `own`."""
    claimed = hooks.claim_routes([(owner, own), *brought], overlap)
    return {plugin: its for plugin, its in claimed.items() if plugin != owner}


def carriers(calls: Calls, plugins: Iterable[Active]) -> dict[str, str]:
    """Which plugin issues for a carrier."""
    issuing, renewing = calls.asked(hookspecs.issue_credential), calls.asked(hookspecs.renew_session)
    found = {carrier: one.name for one in plugins for carrier in getattr(one.plugin, "carriers", ())}
    for carrier, name in found.items():
        if name not in issuing:
            raise ConfigurationError(
                f"Plugin {name} claims the carrier {carrier} but has no issue_credential: implement it."
            )
        if name in calls.asked(hookspecs.revoke_session) and name not in renewing:
            raise ConfigurationError(
                f"Plugin {name} carries sessions but has no renew_session, without which nobody whom it lets in "
                "could change a password: implement it."
            )
    return found


def face(settings: Settings, calls: Calls, plugins: Iterable[Active], cookies: Sequence[str]) -> Face:
    """What the OpenAPI document says of all routes."""
    return Face(
        server=f"{settings.base_url}{settings.mount_path}",
        cookies=[settings.cookie_name(name) for name in cookies],
        bearer=bool(calls.asked(hookspecs.identity_from_authorization)),
        pages=bool(calls.asked(hookspecs.render_page) or calls.asked(hookspecs.render_error)),
        errors=[error for one in plugins for error in getattr(one.plugin, "errors", ())],
    )


def with_home(settings: Settings, table: RouteTable) -> Settings:
    """The settings, `home` being the account page when there is one and nothing else is said."""
    if "home" in settings.model_fields_set or not all(table.has("GET", page) for page in ("/login", "/account")):
        return settings
    return settings.model_copy(update={"home": f"{settings.mount_path}/account"})


def origins(option: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Origins as browsers send them.

    Raises:
        ConfigurationError: One is none; names the option.
    """
    try:
        return tuple(parse_origin(text) for text in texts)
    except ValueError as error:
        raise ConfigurationError(f"{option}: {error}; write origins as in https://app.example.com.") from None
