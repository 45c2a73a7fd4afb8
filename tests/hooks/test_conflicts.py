"""What two plugins may not both bring: every conflict is an error at start that names both and the cure."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel
from sqlalchemy import Column, Integer, MetaData, Table, Uuid
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, WebSocketRoute

from sigra import Route, Settings, Sigra, hooks
from sigra.db import Sealed
from sigra.errors import ConfigurationError, Refused, SigraError
from sigra.events import Event, SignedIn
from sigra.hooks import Active
from sigra.hookspecs import hookimpl

Announce = Callable[..., None]


class Plugin:
    api = 1

    def __init__(self, name: str, **attributes: Any) -> None:
        self.name = name
        vars(self).update(attributes)


def start(*plugins: Any, **options: Any) -> Sigra:
    settings = Settings(secret_keys=["k" * 32], base_url="http://localhost", development=True, **options)
    return Sigra(settings, plugins)


def refusal(*plugins: Any, **options: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        start(*plugins, **options)
    assert "\n" not in caught.value.detail
    return caught.value.detail


def assert_named(message: str, *parts: str) -> None:
    for part in parts:
        assert part in message


# Needs


def test_a_plugin_that_requires_an_inactive_one_is_refused() -> None:
    message = refusal("sessions", Plugin("badge", requires=("password",)))

    assert_named(message, "Plugin badge", "requires password", "add password to SIGRA_PLUGINS or switch badge off")


def test_a_plugin_may_require_a_later_one() -> None:
    auth = start(Plugin("a", requires=("b",)), Plugin("b"))

    assert [one.name for one in auth.plugins] == ["a", "b"]
    assert [one.name for one in hooks.in_order_of_need(auth.plugins)] == ["b", "a"]


@pytest.mark.parametrize(
    ("plugins", "circle"),
    [
        ((Plugin("a", requires=("a",)),), "a → a"),
        ((Plugin("a", requires=("b",)), Plugin("b", requires=("a",))), "a → b → a"),
        (
            (Plugin("x", requires=("a",)), Plugin("a", requires=("b",)), Plugin("b", requires=("a",))),
            "a → b → a",
        ),
    ],
)
def test_plugins_that_require_each_other_in_a_circle_are_refused(plugins: tuple[Any, ...], circle: str) -> None:
    message = refusal(*plugins)

    assert_named(message, circle, "Switch one of them off")


def test_every_plugin_comes_once_and_after_what_it_requires() -> None:
    plugins = [
        Plugin("d", requires=("b", "c")),
        Plugin("b", requires=("a",)),
        Plugin("c", requires=("a",)),
        Plugin("a"),
    ]

    ordered = hooks.in_order_of_need([Active(plugin.name, plugin, None) for plugin in plugins])

    assert [one.name for one in ordered] == ["a", "b", "c", "d"]


# Declarations


@dataclass(frozen=True, kw_only=True)
class BadgeRead(Event):
    name: ClassVar[str] = "badge.read"


@dataclass(frozen=True, kw_only=True)
class OtherRead(Event):
    name: ClassVar[str] = "badge.read"


class BadgeLost(Refused):
    code = "badge_lost"


class OtherLost(SigraError):
    code = "badge_lost"


class Codeless(Refused):
    pass


@pytest.mark.parametrize(
    ("what", "first", "second"),
    [
        ("event badge.read", {"events": (BadgeRead,)}, {"events": (OtherRead,)}),
        ("event badge.read", {"events": (BadgeRead,)}, {"events": (BadgeRead,)}),
        ("error code badge_lost", {"errors": (BadgeLost,)}, {"errors": (OtherLost,)}),
        ("carrier token", {"carriers": ("token",)}, {"carriers": ("other", "token")}),
        ("cookie badge", {"cookies": ("badge",)}, {"cookies": ("badge",)}),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_hc48_two_plugins_that_bring_the_same_are_refused_in_either_order(
    what: str, first: dict[str, Any], second: dict[str, Any], turned: bool
) -> None:
    plugins = [Plugin("one", **first), Plugin("two", **second)]

    message = refusal(*(reversed(plugins) if turned else plugins))

    assert_named(message, f"Two bring the {what}: ", "plugin one", "plugin two", "SIGRA_PLUGINS", "-")


@pytest.mark.parametrize(
    ("what", "brought"),
    [
        ("event sign_in.succeeded", {"events": (SignedIn,)}),
        ("error code refused", {"errors": (Codeless,)}),
        ("cookie sigra-login", {"cookies": ("sigra-login",)}),
    ],
)
def test_hc48_a_plugin_that_brings_what_the_core_has_is_refused(what: str, brought: dict[str, Any]) -> None:
    assert_named(refusal(Plugin("one", **brought)), f"Two bring the {what}: ", "the core", "plugin one", "-one")


@pytest.mark.parametrize(
    ("name", "brought"),
    [
        ("session", {"carriers": ("session",)}),
        ("sigra", {"cookies": ("sigra",)}),
        ("session.revoked", {"events": (type("Mine", (Event,), {"name": "session.revoked"}),)}),
    ],
)
def test_hc48_a_plugin_that_brings_what_a_built_in_has_is_refused(name: str, brought: dict[str, Any]) -> None:
    assert_named(refusal("defaults", Plugin("one", **brought)), name, "sessions (of sigra)", "plugin one")


@pytest.mark.parametrize("attribute", ["requires", "events", "errors", "carriers", "cookies"])
@pytest.mark.parametrize("value", ["sessions", BadgeRead, None, 1])
def test_a_declaration_that_is_no_tuple_is_refused(attribute: str, value: object) -> None:
    assert_named(refusal(Plugin("one", **{attribute: value})), "Plugin one", attribute, "no tuple")


@pytest.mark.parametrize("attribute", ["events", "errors"])
def test_a_class_without_a_name_is_refused(attribute: str) -> None:
    assert_named(refusal(Plugin("one", **{attribute: (object,)})), "Plugin one", attribute, "give it a")


def test_a_carrier_without_an_issuer_is_refused() -> None:
    assert_named(refusal(Plugin("one", carriers=("token",))), "one", "carrier token", "issue_credential")


# Settings sections


class Section(BaseModel):
    key: str = ""


class WithSettings(Plugin):
    Settings = Section


def test_hc48_a_section_that_is_an_option_of_the_core_is_refused() -> None:
    for name in ("plugins", "reauthentication", "https"):
        assert_named(refusal(WithSettings(name)), f"settings section {name}", "the core", f"plugin {name}", f"-{name}")


def test_hc48_the_name_of_a_core_option_is_free_for_a_plugin_without_settings() -> None:
    assert [one.name for one in start(Plugin("password")).plugins] == ["password"]


def test_a_section_of_an_active_plugin_is_an_option() -> None:
    assert start(WithSettings("badge"), badge={"key": "x"}).settings.badge == Section(key="x")  # type: ignore[attr-defined]
    assert "SIGRA_BADGE__KEYS is not an option" in refusal(WithSettings("badge"), badge={"keys": "x"})
    assert "SIGRA_BADGE__KEY is not an option" in refusal(Plugin("badge"), badge={"key": "x"})


def test_a_plugin_is_configured_in_one_place() -> None:
    plugin = WithSettings("badge", settings=Section(key="code"))

    assert start(plugin).settings.badge is plugin.settings  # type: ignore[attr-defined]
    assert_named(refusal(plugin, badge={"key": "x"}), "Plugin badge", "in code", "SIGRA_BADGE")


def test_the_section_of_an_inactive_plugin_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "sigra"):
        start("password", sessions={"idle": "60"})

    assert "SIGRA_SESSIONS is set, but the plugin sessions is not active" in caplog.text
    assert "60" not in caplog.text


def test_an_entry_point_brings_its_section(announce: Announce) -> None:
    source = """
        from pydantic import BaseModel
        class Badge:
            name, api = "badge", 1
            class Settings(BaseModel):
                key: str
    """
    announce("sigra-badge", "badge = sigra_badge:Badge", sigra_badge=source)

    assert start("badge", badge={"key": "x"}).plugins[0].plugin.settings.key == "x"
    assert refusal("badge") == "SIGRA_BADGE__KEY is not set: set it."


# Tables


class Tables(Plugin):
    def __init__(self, name: str, *tables: str, **options: Any) -> None:
        super().__init__(name)
        self.tables, self.options = tables, options

    @hookimpl
    def register_tables(self, metadata: MetaData) -> Any:
        return [Table(name, metadata, Column("id", Integer, primary_key=True), **self.options) for name in self.tables]


@pytest.mark.parametrize("options", [{}, {"extend_existing": True}])
def test_hc48_two_plugins_with_one_table_are_refused_naming_both(options: dict[str, Any]) -> None:
    first, second = Tables("badge", "sigra_badge_x"), Tables("badge_x", "sigra_badge_x", **options)

    message = refusal(first, second)

    assert_named(message, "table sigra_badge_x", "plugin badge", "lugin badge_x", "-badge_x")


@pytest.mark.parametrize("name", ["sigra_users", "sigra_tokens"])
def test_hc48_a_table_of_the_core_is_not_a_plugins(name: str) -> None:
    assert_named(refusal(Tables("badge", name)), f"table {name}", "the core", "lugin badge")


@pytest.mark.parametrize(
    "name", ["badge", "sigra", "sigra_badg", "users", "sigra_Badge", "sigra_badge_X", "Sigra_badge"]
)
def test_a_table_is_named_after_its_plugin(name: str) -> None:
    assert_named(refusal(Tables("badge", name)), "Plugin badge", f"table {name}", "sigra_badge")


def test_a_plugin_has_tables_of_its_name() -> None:
    assert [table.name for table in start(Tables("badge", "sigra_badge", "sigra_badges_read")).tables["badge"]] == [
        "sigra_badge",
        "sigra_badges_read",
    ]


def test_tables_are_made_on_the_given_metadata_and_returned() -> None:
    class Forgetful(Plugin):
        @hookimpl
        def register_tables(self, metadata: MetaData) -> Any:
            Table("sigra_badge", metadata, Column("id", Uuid, primary_key=True))
            return []

    class Elsewhere(Plugin):
        @hookimpl
        def register_tables(self) -> Any:
            return [Table("sigra_badge", MetaData(), Column("id", Uuid, primary_key=True))]

    for plugin in (Forgetful("badge"), Elsewhere("badge")):
        assert_named(refusal(plugin), "Plugin badge returns other tables than it makes", "metadata")


@pytest.mark.parametrize("keys", [(), ("a", "b")], ids=["no key", "two columns"])
def test_hc49_what_is_sealed_needs_a_row_of_one_key(keys: tuple[str, ...]) -> None:
    class Sealing(Plugin):
        @hookimpl
        def register_tables(self, metadata: MetaData) -> Any:
            columns = [Column(name, Integer, primary_key=True) for name in keys]
            return [Table("sigra_badge", metadata, *columns, Column("seed", Sealed))]

    assert_named(
        refusal(Sealing("badge")), "Plugin badge", "sigra_badge", "Sealed", f"{len(keys)} columns", "give it one"
    )


def test_a_failing_plugin_is_not_taken_for_a_conflict() -> None:
    class Broken(Plugin):
        @hookimpl
        def register_tables(self) -> Any:
            raise ValueError("'sigra_users'")

    assert refusal(Broken("badge")).startswith("Plugin badge failed in register_tables")


# Routes


async def answer(request: Any) -> Response:
    return Response()


class Routes(Plugin):
    def __init__(self, name: str, *routes: BaseRoute) -> None:
        super().__init__(name)
        self.routes = routes

    @hookimpl
    def register_routes(self) -> Any:
        return (route for route in self.routes)


def get(path: str) -> Route:
    return Route(path, answer, methods=["GET"])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (get("/badge"), get("/badge")),
        (get("/badge/{id}"), get("/badge/{other:int}")),
        (get("/badge/{id}"), get("/badge/new")),
        (get("/badge"), Route("/badge", answer, methods=["HEAD"])),
        (get("/badge/{rest:path}"), get("/badge/a/b")),
        (WebSocketRoute("/badge", answer), WebSocketRoute("/badge", answer)),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_hc48_two_plugins_that_answer_one_request_are_refused(first: Any, second: Any, turned: bool) -> None:
    plugins = [Routes("one", first), Routes("two", second)]

    message = refusal(*(reversed(plugins) if turned else plugins))

    assert_named(message, "Two answer ", "/badge", "plugin one", "plugin two", "SIGRA_PLUGINS", "-")


def test_hc48_a_route_of_a_built_in_plugin_is_taken() -> None:
    message = refusal("defaults", Routes("one", Route("/login", answer, methods=["POST"])))

    assert_named(message, "POST /login", "plugin password", "plugin one")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (get("/badge"), Route("/badge", answer, methods=["POST"])),
        (get("/badge"), get("/badges")),
        (get("/badge/{id:int}"), get("/badge/new")),
        (get("/badge"), WebSocketRoute("/badge", answer)),
    ],
)
def test_plugins_may_share_a_path_and_not_a_request(first: Any, second: Any) -> None:
    auth = start(Routes("one", first), Routes("two", second))

    assert auth.routes == {"one": (first,), "two": (second,)}


def test_the_order_of_a_plugins_own_routes_is_its_own_affair() -> None:
    assert len(start(Routes("one", get("/badge/new"), get("/badge/{id}"))).routes["one"]) == 2


def test_a_route_that_cannot_be_compared_is_refused() -> None:
    assert_named(refusal(Routes("one", Mount("/badge", routes=[]))), "Plugin one", "Mount", "neither Route nor")


def test_hc48_order_never_decides_what_starts() -> None:
    plugins = [Routes("one", get("/a")), Tables("two", "sigra_two"), Plugin("three", cookies=("three",))]

    for order in (plugins, plugins[::-1], [*plugins[1:], plugins[0]]):
        assert {one.name for one in start(*order).plugins} == {"one", "two", "three"}


# Templates


def test_hc48_two_plugins_with_one_template_are_named() -> None:
    brought = [("one", ["a b", "c"]), ("two", ["d", "e c"])]

    with pytest.raises(ConfigurationError) as refused:
        hooks.claim_templates(brought, str.split)

    assert refused.value.detail.startswith("Two bring the template c: plugin one and plugin two.")


def test_sources_of_templates_are_kept_in_order_and_a_plugin_may_have_one_twice() -> None:
    brought = [("one", ["a b", "b c"]), ("two", ["d"])]

    assert hooks.claim_templates(brought, str.split) == ("a b", "b c", "d")
