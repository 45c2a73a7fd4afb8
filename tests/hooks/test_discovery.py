"""From names to plugins: what is installed, what is switched on, with which section."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from sigra import hooks
from sigra.errors import ConfigurationError
from sigra.hooks import Active, Installed
from sigra.plugins.sessions import Sessions
from tools import distributions

Announce = Callable[..., None]

BUILT_IN = [
    *("account", "api_keys", "email_change", "email_verification", "known_browsers", "magic_link", "mail", "pages"),
    *("password", "password_reset", "reauthentication", "recovery_codes", "second_factor", "sessions", "signup"),
    "trusted_browsers",
]

BADGE = """
    class Badge:
        name = "badge"
        api = 1
"""


class Badge:
    name = "badge"
    api = 1


def installed() -> list[Installed]:
    """What is announced here, without the distributions that lie beside the core's."""
    return [one for one in hooks.installed() if one.distribution not in distributions.ON_THEIR_OWN]


def names(*wanted: Any) -> list[str]:
    return [item.name for item in hooks.select(wanted, installed())]


def refusal(*wanted: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        hooks.select(wanted, installed())
    return caught.value.detail


def activated(item: Any, section: BaseModel | None = None) -> Active:
    return hooks.activate(item, section)


# Installed


def test_the_built_in_plugins_are_announced_by_the_core_itself() -> None:
    assert [(one.name, one.distribution) for one in installed()] == [(name, "sigra") for name in BUILT_IN]


def test_a_distribution_announces_its_plugins(announce: Announce) -> None:
    announce("sigra-badge", "badge = sigra_badge:Badge", version="2.1", sigra_badge=BADGE)

    found = installed()[-1]

    assert (found.name, found.distribution, found.version) == ("badge", "sigra-badge", "2.1")
    assert found.load().name == "badge"


def test_an_installed_plugin_is_not_imported_before_it_is_switched_on(announce: Announce) -> None:
    announce("sigra-broken", "broken = sigra_broken:Broken", sigra_broken="1 / 0")

    assert [item.name for item in hooks.select(["defaults"], installed())] == BUILT_IN


# Switched on by name


def test_defaults_are_the_built_in_plugins_alone(announce: Announce) -> None:
    announce("sigra-badge", "badge = sigra_badge:Badge", sigra_badge=BADGE)

    assert names("defaults") == BUILT_IN
    assert names("badge", "defaults") == ["badge", *BUILT_IN]
    assert names("*") == [*BUILT_IN, "badge"]
    assert names("sessions", "sessions") == ["sessions"]
    assert names() == []


@pytest.mark.parametrize("wanted", [("defaults", "-pages"), ("-pages", "defaults"), ("*", "-pages"), ("-pages", "*")])
def test_a_name_is_switched_off_wherever_that_is_said(wanted: tuple[str, ...]) -> None:
    assert names(*wanted) == [name for name in BUILT_IN if name != "pages"]


@pytest.mark.parametrize(
    ("wanted", "nearest"),
    [("session", "sessions"), ("-sesions", "sessions"), ("Sessions", "sessions"), ("default", "")],
)
def test_an_unknown_name_is_refused_with_the_nearest(wanted: str, nearest: str) -> None:
    message = refusal(wanted)

    assert repr(wanted.removeprefix("-")) in message
    assert "SIGRA_PLUGINS" in message
    assert f"did you mean {nearest}" in message or not nearest


@pytest.mark.parametrize("wanted", ["", "-", "--sessions", "-*", "-defaults", "nothing-like-it"])
def test_what_is_no_name_is_refused(wanted: str) -> None:
    assert "not installed" in refusal(wanted)


def test_hc48_two_distributions_that_announce_one_name_are_refused(announce: Announce) -> None:
    announce("sigra-badge", "badge = sigra_badge:Badge", sigra_badge=BADGE)
    announce("other-badge", "badge = sigra_badge:Badge")

    message = refusal("badge")

    assert "badge, of other-badge and sigra-badge: uninstall one" in message
    assert refusal("*") == message
    assert names("defaults") == BUILT_IN
    assert names("*", "-badge") == BUILT_IN


def test_hc48_nobody_takes_the_name_of_a_built_in_plugin(announce: Announce) -> None:
    announce("evil", "sessions = sigra_badge:Badge", sigra_badge=BADGE)

    message = refusal("defaults")

    assert "sessions, of sigra and evil" in message


# Objects


def test_an_object_stands_for_its_name() -> None:
    sessions = Sessions()

    assert hooks.select(["defaults", sessions], installed())[BUILT_IN.index("sessions")] is sessions
    assert hooks.select([sessions, "defaults"], installed())[0] is sessions
    assert names("defaults", sessions) == BUILT_IN


def test_an_object_of_a_plugin_that_no_distribution_announces() -> None:
    assert names("defaults", Badge()) == [*BUILT_IN, "badge"]


class OwnSessions(Sessions):
    pass


@pytest.mark.parametrize("wanted", [("sessions", OwnSessions()), (OwnSessions(), "defaults"), (Sessions(), Sessions())])
def test_hc48_two_plugins_of_one_name_are_refused_in_either_order(wanted: tuple[Any, ...]) -> None:
    message = refusal(*wanted)

    assert "Two plugins are named sessions" in message
    assert "-sessions" in message


def test_an_object_takes_the_place_of_a_plugin_that_is_switched_off() -> None:
    own = OwnSessions()

    assert own in hooks.select(["defaults", "-sessions", own], installed())
    assert names("defaults", "-sessions", own).count("sessions") == 1


@pytest.mark.parametrize("name", ["", "Badge", "my-badge", "1st", "_x", "a b", "a.b", "naïve", "x" * 42, "badge\n"])
def test_a_name_that_fits_no_variable_and_no_table_is_refused(name: str) -> None:
    class Named:
        api = 1

    plugin = Named()
    plugin.name = name  # type: ignore[attr-defined]

    assert "unfit name" in refusal(plugin)


def test_what_is_no_plugin_object_is_refused() -> None:
    assert "Badge in `plugins` is a class: write Badge()" in refusal(Badge)
    assert "has no `name`" in refusal(object())
    assert "has no `name`" in refusal(None)


# Loading


def loaded(announce: Announce, source: str, point: str = "badge = sigra_badge:Badge") -> str:
    announce("sigra-badge", point, sigra_badge=source)
    with pytest.raises(ConfigurationError) as caught:
        installed()[-1].load()
    return caught.value.detail


@pytest.mark.parametrize("source", ["import nowhere", "1 / 0", "raise KeyError('x')", "class Other: pass", "a ="])
def test_a_plugin_that_cannot_be_imported_is_named_with_its_distribution(announce: Announce, source: str) -> None:
    message = loaded(announce, source)

    assert "Plugin badge of sigra-badge cannot be imported" in message
    assert "-badge" in message


def test_a_module_that_is_not_there_is_an_error(announce: Announce) -> None:
    assert "cannot be imported" in loaded(announce, BADGE, "badge = sigra_nowhere:Badge")


@pytest.mark.parametrize("source", ["class Badge: name = 'other'", "class Badge: pass", "Badge = None"])
def test_hc48_an_entry_point_and_its_class_have_one_name(announce: Announce, source: str) -> None:
    message = loaded(announce, source)

    assert "sigra-badge announces the plugin badge" in message
    assert "must agree" in message


# Sections


class Section(BaseModel):
    issuer: str = "Acme"


def announced(announce: Announce, body: str) -> Installed:
    source = f"from pydantic import BaseModel\nclass Badge:\n    name = 'badge'\n    api = 1\n{body}"
    announce("sigra-badge", "badge = sigra_badge:Badge", sigra_badge=source)
    return installed()[-1]


def test_a_plugin_takes_its_section_as_keywords(announce: Announce) -> None:
    item = announced(announce, "    def __init__(self, issuer): self.issuer = issuer")

    assert activated(item, Section(issuer="x")).plugin.issuer == "x"


def test_a_plugin_without_an_init_finds_its_section(announce: Announce) -> None:
    section = Section()

    assert activated(announced(announce, ""), section).plugin.settings is section


@pytest.mark.parametrize(
    "body",
    [
        "    def __init__(self): pass",
        "    def __init__(self, **values): raise ValueError(str(values))",
        "    def __init__(self, issuer): 1 / 0",
        "    __slots__ = ()",
    ],
)
def test_a_plugin_that_cannot_be_made_is_named_without_its_values(announce: Announce, body: str) -> None:
    item = announced(announce, body)

    with pytest.raises(ConfigurationError) as caught:
        activated(item, Section(issuer="hunter2-hunter2"))

    assert "Plugin badge of sigra-badge cannot be made" in caught.value.detail
    assert "hunter2" not in caught.value.detail


def test_the_section_is_the_class_settings() -> None:
    class Plain:
        name, api, Settings = "plain", 1, "no model"

    assert hooks.section_model(Sessions()) is Sessions.Settings
    assert hooks.section_model(Badge()) is None
    assert hooks.section_model(Plain()) is None
    assert hooks.section_model(installed()[BUILT_IN.index("sessions")]) is Sessions.Settings


def test_an_error_says_where_a_plugin_comes_from(announce: Announce) -> None:
    item = announced(announce, "")

    assert activated(item).where == "badge (of sigra-badge)"
    assert activated(Badge()).where == f"badge (of {__name__})"
