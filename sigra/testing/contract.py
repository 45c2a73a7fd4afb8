"""What every plugin promises, as tests that its author inherits."""

from __future__ import annotations

import json
import re
import sys
import types
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, ValidationError
from sqlalchemy import PrimaryKeyConstraint, Table, UniqueConstraint, inspect
from starlette.routing import BaseRoute, Route, WebSocketRoute

from sigra.core import Sigra
from sigra.db.migrations import CORE, check, upgrade
from sigra.db.schema import USERS
from sigra.db.types import Digest
from sigra.errors import ConfigurationError, SigraError
from sigra.events import Event
from sigra.hooks import installed
from sigra.hookspecs import API, end_restored, erase_user, export_user, identity_of_session, renew_session
from sigra.protocols import Plugin
from sigra.testing.accounts import create_tables, make_api_key, make_user, migrate
from sigra.testing.cheap import cheap_settings
from sigra.testing.client import Client
from sigra.testing.probing import path_of, places, probe
from sigra.testing.who_asks import application


@pytest.mark.anyio
class PluginContract:
    """The contract of a plugin.

        class TestBadge(PluginContract):
            plugin = Badge

    It uses the fixtures `sigra_database_url` and `sigra_clock`, which a project may override.

    Args:
        plugin: The plugin's class.
        section: Keywords that make it, when it has options without a default.
    """

    plugin: ClassVar[Any]
    section: ClassVar[Mapping[str, Any]] = {}

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    async def auth(self, sigra_database_url: str, sigra_clock: Any) -> AsyncIterator[Sigra]:
        """The built-ins with the plugin, every table made."""
        auth = self.build(sigra_database_url, sigra_clock, "defaults")
        await create_tables(auth)
        async with auth:
            yield auth

    def build(self, database_url: str, clock: Any, *others: str | Plugin, **options: Any) -> Sigra:
        """A `Sigra` with the plugin, what it requires, and others."""
        plugins = [*others, *getattr(self.plugin, "requires", ()), self.make()]
        return Sigra(cheap_settings(database_url, **options), plugins, clock=clock)

    def make(self) -> Plugin:
        """The plugin, new."""
        plugin: Plugin = self.plugin(**self.section)
        return plugin

    def name(self) -> str:
        return str(self.plugin.name)

    def tables(self, auth: Sigra) -> Sequence[Table]:
        return auth.tables.get(self.name(), ())

    def routes(self, auth: Sigra) -> Sequence[BaseRoute]:
        return auth.routes.get(self.name(), ())

    # What it is

    def test_it_has_a_name_and_an_abi(self) -> None:
        assert re.fullmatch(r"[a-z][a-z0-9_]{0,40}", self.plugin.name)
        assert self.plugin.api == API

    def test_what_its_module_brings_is_declared(self) -> None:
        """An event or an error that is not declared could be another plugin's too."""
        home = self.plugin.__module__
        classes = [value for value in vars(sys.modules[home]).values() if isinstance(value, type)]
        brought = [cls for cls in classes if cls.__module__ == home]

        assert {one for one in brought if issubclass(one, Event)} <= set(getattr(self.plugin, "events", ()))
        assert {one for one in brought if issubclass(one, SigraError)} <= set(getattr(self.plugin, "errors", ()))

    def test_its_events_and_errors_are_named_after_it(self) -> None:
        names = (self.name(), self.name().removesuffix("s"))

        for event in getattr(self.plugin, "events", ()):
            owner, _, fact = event.name.partition(".")
            assert owner in names, event
            assert fact, event
        for error in getattr(self.plugin, "errors", ()):
            assert error.code.startswith(tuple(f"{name}_" for name in names)), error
            assert 400 <= error.status < 500 or error.status == HTTPStatus.SERVICE_UNAVAILABLE, error

    async def test_its_tables_are_named_after_it(self, auth: Sigra) -> None:
        names = (f"sigra_{self.name()}", f"sigra_{self.name().removesuffix('s')}s")

        for table in self.tables(auth):
            assert table.name in names or table.name.startswith(f"sigra_{self.name()}_"), table.name
            assert table.metadata is auth.metadata

    async def test_rows_of_a_user_go_with_the_user(self, auth: Sigra) -> None:
        """Every column that points at a user is made by `user_ref`."""
        for table in self.tables(auth):
            for column in table.columns:
                targets = [key for key in column.foreign_keys if key.target_fullname == f"{USERS}.id"]
                assert targets or not column.name.endswith("user_id"), f"{table.name}.{column.name} is no user_ref()"
                assert all(key.ondelete == "CASCADE" for key in targets), f"{table.name}.{column.name} does not cascade"

    async def test_rows_of_a_user_can_be_erased_while_the_account_stays(self, auth: Sigra) -> None:
        """An account that is made anonymous stays, and no cascade ends what the plugin holds about its user."""
        of_users = [table.name for table in self.tables(auth) if _points_at_users(table)]
        asked = auth.calls.asked(erase_user)
        assert not of_users or self.name() in asked, f"{of_users[0]} holds rows of users: implement erase_user"

    async def test_what_it_issued_can_be_ended_after_a_backup_was_restored(self, auth: Sigra) -> None:
        """A row that is found by the digest of a secret is good again in an old backup, unless its plugin ends it."""
        found = [table.name for table in self.tables(auth) if _is_found_by_digest(table)]
        asked = auth.calls.asked(end_restored)
        assert not found or self.name() in asked, f"{found[0]} is found by a digest: implement end_restored"

    async def test_what_it_exports_is_named_after_it(self, auth: Sigra) -> None:
        user = await make_user(auth)

        for plugin, held in await auth.calls.answers(auth, export_user, user=user):
            if plugin == self.name():
                assert json.loads(json.dumps(held)) == held
                assert all(name == plugin or name.startswith(f"{plugin}_") for name in held), list(held)

    async def test_who_carries_sessions_says_whether_one_lives(self, auth: Sigra) -> None:
        """Whatever a session asks for is refused unless somebody says that it lives."""
        carries = self.name() in auth.calls.asked(renew_session)
        says = self.name() in auth.calls.asked(identity_of_session)
        assert says or not carries, f"{self.name()} renews sessions: implement identity_of_session"

    async def test_its_routes_are_below_the_mount_path(self, auth: Sigra) -> None:
        for route in self.routes(auth):
            assert isinstance(route, Route | WebSocketRoute)
            assert route.path.startswith("/")
            assert not route.path.startswith(f"{auth.settings.mount_path}/")

    # How it is built

    async def test_it_starts_with_nothing_but_what_it_requires(self, sigra_database_url: str, sigra_clock: Any) -> None:
        auth = self.build(sigra_database_url, sigra_clock)
        await create_tables(auth)

        async with auth, Client(auth.wrap(application), auth) as client:
            assert (await client.get("/")).json() == {"user": None, "method": None}

    async def test_its_options_refuse_what_they_do_not_know(self, sigra_database_url: str, sigra_clock: Any) -> None:
        model = getattr(self.plugin, "Settings", None)
        if model is not None:
            with pytest.raises(ValidationError):
                model(**self.section, an_unknown_option=1)

        with pytest.raises(ConfigurationError):
            self.build(sigra_database_url, sigra_clock, "defaults", **{self.name(): {"an_unknown_option": 1}})

    async def test_two_of_it_share_nothing(self, tmp_path: Path, sigra_clock: Any) -> None:
        one = self.build(f"sqlite:///{tmp_path / 'one.db'}", sigra_clock, "defaults")
        two = self.build(f"sqlite:///{tmp_path / 'two.db'}", sigra_clock, "defaults")

        first, second = (vars(auth.plugin(self.plugin)) for auth in (one, two))
        shared = {name for name in first.keys() & second.keys() if first[name] is second[name]}
        assert not {name for name in shared if not _is_value(first[name])}
        assert not {name for name, value in vars(self.plugin).items() if name[0] != "_" and not _is_value(value)}
        assert not set(map(id, self.tables(one))) & set(map(id, self.tables(two)))
        assert not set(map(id, self.routes(one))) & set(map(id, self.routes(two)))
        await one.aclose()
        await two.aclose()

    # What it stores

    async def test_its_migrations_make_its_tables_and_no_others(
        self, sigra_database_url: str, sigra_clock: Any
    ) -> None:
        if not any(one.name == self.name() and one.load() is self.plugin for one in installed()):
            return  # a plugin that is the application's own is migrated with the application's tables
        auth = self.build(sigra_database_url, sigra_clock, "defaults")
        await upgrade(auth.db, [CORE])
        before = await _names(auth)
        await migrate(auth)
        await migrate(auth)

        made = await _names(auth) - before
        announced = {lineage.version_table for lineage in auth.lineages()}
        assert await check(auth.db, self.tables(auth)) == []
        assert made - announced <= {table.name for table in self.tables(auth)}
        await auth.aclose()

    async def test_switched_off_it_leaves_a_working_installation(
        self, auth: Sigra, sigra_database_url: str, sigra_clock: Any
    ) -> None:
        """Its tables are still there, and nobody reads them."""
        user = await make_user(auth)
        await auth.aclose()
        active = [one.name for one in auth.plugins if not _needs(one.plugin, self.name())]
        rest = Sigra(cheap_settings(sigra_database_url), active, clock=sigra_clock)

        async with rest, Client(rest.wrap(application), rest) as client:
            assert (await client.get("/")).json() == {"user": None, "method": None}
            if {"password", "sessions"} <= set(active):
                assert (await client.sign_in(user)).status_code == 200

    # What it answers

    async def test_its_routes_answer_nonsense_from_nobody(self, auth: Sigra) -> None:
        async with Client(auth.wrap(application), auth, raises=False) as client:
            await probe(client, self.routes(auth))

    async def test_its_routes_answer_nonsense_from_a_program(self, auth: Sigra) -> None:
        key = await make_api_key(auth, await make_user(auth))
        headers = {"authorization": f"Bearer {key}"}

        async with Client(auth.wrap(application), auth, headers=headers, raises=False) as client:
            await probe(client, self.routes(auth))

    async def test_its_routes_answer_nonsense_from_a_person(self, auth: Sigra) -> None:
        user = await make_user(auth)

        for route in self.routes(auth):
            async with Client(auth.wrap(application), auth, raises=False) as client:
                await client.sign_in_as(user)
                await probe(client, [route])

    async def test_its_routes_answer_other_methods_by_saying_which(self, auth: Sigra) -> None:
        async with Client(auth.wrap(application), auth) as client:
            for _, path in places(self.routes(auth)):
                response = await client.request("PURGE", client.path(path))
                assert response.status_code == 405, path
                assert response.headers["allow"], path

    async def test_its_unsafe_routes_refuse_other_origins(self, auth: Sigra) -> None:
        async with Client(auth.wrap(application), auth) as client:
            foreign = client.as_browser(site="cross-site", origin="https://elsewhere.example")
            for route in self.routes(auth):
                if not isinstance(route, Route) or getattr(route, "cross_origin", False):
                    continue
                for method in (route.methods or set()) - {"GET", "HEAD", "OPTIONS"}:
                    response = await foreign.request(method, client.path(path_of(route)), json={})
                    assert (response.status_code, response.json()["code"]) == (403, "cross_origin"), (method, route)


async def _names(auth: Sigra) -> set[str]:
    async with auth.db.connect() as tx:
        return set(await tx.run_sync(lambda connection: inspect(connection).get_table_names()))


def _points_at_users(table: Table) -> bool:
    return any(key.target_fullname == f"{USERS}.id" for column in table.columns for key in column.foreign_keys)


def _is_found_by_digest(table: Table) -> bool:
    digests = {column.name for column in table.columns if isinstance(column.type, Digest)}
    keys = [index.columns for index in table.indexes]
    keys += [one.columns for one in table.constraints if isinstance(one, UniqueConstraint | PrimaryKeyConstraint)]
    return any(column.name in digests for columns in keys for column in columns)


def _is_value(value: Any) -> bool:
    """Whether nobody can change it: it is compared by value, or it is code."""
    if value is None or callable(value) or isinstance(value, BaseModel | types.ModuleType | staticmethod | property):
        return True
    by_value: Any = type(value).__hash__
    return by_value is not None and by_value is not object.__hash__


def _needs(plugin: Any, name: str) -> bool:
    return plugin.name == name or name in getattr(plugin, "requires", ())
