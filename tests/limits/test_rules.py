"""Which limits hold: the core's, the plugins', and what the operator says instead."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from sigra import Auth, ConfigurationError, Limit, Route, Settings, Sigra, hookimpl
from sigra.limits.rules import CORE_LIMITS, ORDER, rules
from sigra.settings import from_sources
from sigra.testing import Client, FrozenClock, cheap_settings
from sigra.testing.cheap import SECRET_KEY
from tests.apps import running

MEMORY = "sqlite:///:memory:"


class Bell:
    """Brings limits, and a route that counts."""

    api = 1

    def __init__(self, *limits: Limit, name: str = "bell") -> None:
        self.name, self.limits = name, limits

    @hookimpl
    def register_limits(self) -> Sequence[Limit]:
        return self.limits

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        async def ring(request: Request) -> Response:
            await auth.limit(request, f"{self.name}_ring")
            return Response(status_code=204)

        return [Route(f"/{self.name}", ring, methods=["POST"])]


def built(*plugins: Any, **rates: str) -> Sigra:
    return Sigra(cheap_settings(limits={"rules": rates}), ["sessions", *plugins])


async def test_a_plugin_limits_an_action_of_its_own() -> None:
    bell = Bell(Limit("bell_client", "bell_ring", "client", "2/hour"))
    async with running(MEMORY, ["defaults", bell], limits={}) as client:
        outcomes = [(await client.post("/auth/bell")).status_code for _ in range(3)]
        of_another = await Client(client.app, client.sigra, address=("198.51.100.4", 1)).post("/auth/bell")

    assert outcomes == [204, 204, 429]
    assert of_another.status_code == 204


async def test_the_operator_changes_the_rate_of_a_plugins_limit() -> None:
    bell = Bell(Limit("bell_client", "bell_ring", "client", "2/hour"))
    async with running(MEMORY, ["defaults", bell], limits={"rules": {"bell_client": "1/hour"}}) as client:
        outcomes = [(await client.post("/auth/bell")).status_code for _ in range(2)]

    assert outcomes == [204, 429]


async def test_a_limit_on_client_and_account_counts_both_together() -> None:
    clock = FrozenClock()
    both = Bell(Limit("bell_pair", "bell_ring", "client_and_account", "1/hour"))
    async with running(MEMORY, ["sessions", both], clock=clock, limits={}) as client:
        limits = client.sigra.limits
        await limits.count("bell_ring", client="203.0.113.1", account="ada@example.com")
        await limits.count("bell_ring", client="203.0.113.1", account="bob@example.com")
        await limits.count("bell_ring", client="203.0.113.2", account="ada@example.com")
        with pytest.raises(Exception, match="Too many attempts"):
            await limits.count("bell_ring", client="203.0.113.1", account="ada@example.com")


def test_hc48_two_plugins_with_one_limit_are_refused_naming_both() -> None:
    one = Bell(Limit("bell_ring_client", "bell_ring", "client", "1/hour"))
    other = Bell(Limit("bell_ring_client", "bell_ring_ring", "client", "1/hour"), name="bell_ring")

    with pytest.raises(ConfigurationError, match=r"limit bell_ring_client: plugin bell and plugin bell_ring\b"):
        built(one, other)


def test_hc48_a_plugin_takes_no_limit_of_the_core() -> None:
    with pytest.raises(ConfigurationError, match="limit sign_in_client: the core and plugin bell"):
        built(Bell(Limit("sign_in_client", "attempt", "client", "1000/second")))


def test_a_limit_bears_the_name_of_its_plugin() -> None:
    with pytest.raises(ConfigurationError, match=r"brings the limit ring: name it bell_"):
        built(Bell(Limit("ring", "bell_ring", "client", "1/hour")))


@pytest.mark.parametrize(
    "rate",
    [
        *("", "ten a minute", "10", "0/minute", "-1/minute", "10/fortnight", "5/hour;1000/second", "1000000/minute"),
        *("10/9 years", "10/999999999999999 years", "1e9/minute", "\u0661\u0660/minute"),
    ],
)
def test_hc49_a_rate_that_is_none_stops_the_start(rate: str) -> None:
    with pytest.raises(ConfigurationError, match=r"SIGRA_LIMITS__RULES gives sign_in_client the rate .*10/minute"):
        built(sign_in_client=rate)
    with pytest.raises(ConfigurationError, match=r"Limit bell_client has the rate .*10/minute"):
        built(Bell(Limit("bell_client", "bell_ring", "client", rate)))


def test_hc49_a_rule_of_no_limit_stops_the_start_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match=r"SIGRA_LIMITS__RULES has 'sign_in_clients'.*sign_in_client"):
        built(sign_in_clients="20/minute")


@pytest.mark.parametrize("subject", ORDER)
def test_hc40_clients_are_counted_before_whom_they_name(subject: Any) -> None:
    brought = [Limit(f"bell_{one}", "bell_ring", one, "1/hour") for one in (subject, *ORDER[::-1])]
    found = rules([("bell", [*{limit.name: limit for limit in brought}.values()])], {})

    assert [rule.limit.subject for rule in found["bell_ring"]] == list(ORDER)


async def test_hc40_a_client_that_is_refused_uses_up_nobodys_mails() -> None:
    limits = {"rules": {"mail_client": "2/hour", "mail_address": "3/15 minutes"}}
    async with running(MEMORY, limits=limits) as client:
        attacker = [
            (await client.post("/auth/password/forgot", json={"email": "ada@example.com"})).status_code
            for _ in range(9)
        ]
        owner = Client(client.app, client.sigra, address=("198.51.100.4", 1))
        own = await owner.post("/auth/password/forgot", json={"email": "ada@example.com"})

    assert attacker == [202, 202, *[429] * 7]
    assert own.status_code == 202


# Settings

CORE = {"SIGRA_SECRET_KEYS": SECRET_KEY, "SIGRA_BASE_URL": "https://example.com", "SIGRA_DATABASE_URL": MEMORY}


def rate_of(settings: Settings, name: str) -> tuple[int, int]:
    auth = Sigra(settings, ["sessions"])
    return next(
        (one.amount, one.seconds) for its in auth.limits.by_action.values() for one in its if one.limit.name == name
    )


def test_rules_are_read_from_the_environment_and_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "sigra.toml").write_text('[limits.rules]\nmail_address = "5/hour"\n')
    by_file = from_sources(CORE, tmp_path)
    environment = {**CORE, "SIGRA_LIMITS__RULES": json.dumps({"sign_in_client": "30/2 minutes"})}
    by_variable = from_sources(environment, tmp_path / "..")

    assert rate_of(by_file, "mail_address") == (5, 3600)
    assert rate_of(by_variable, "sign_in_client") == (30, 120)


def test_every_limit_of_the_core_has_a_rate_of_its_own_option() -> None:
    auth = built(**{limit.name: "7/day" for limit in CORE_LIMITS})

    assert {(one.amount, one.seconds) for its in auth.limits.by_action.values() for one in its} == {(7, 86_400)}


@pytest.mark.parametrize("url", ["memory", "http://example.com", "redis:", "redis://", "", "database"])
def test_hc49_an_unknown_store_stops_the_start(url: str) -> None:
    with pytest.raises(ConfigurationError, match="SIGRA_LIMITS__URL"):
        from_sources({**CORE, "SIGRA_LIMITS__URL": url}, Path("/nowhere"))


def test_hc49_memory_is_for_one_process(tmp_path: Path) -> None:
    wanted = {**CORE, "SIGRA_LIMITS__URL": "memory:"}
    with pytest.raises(ConfigurationError, match=r"SIGRA_LIMITS__URL is memory:.*SIGRA_SINGLE_PROCESS"):
        from_sources(wanted, tmp_path)

    assert from_sources({**wanted, "SIGRA_SINGLE_PROCESS": "true"}, tmp_path).single_process


def test_limits_that_are_off_are_warned_of_at_each_start(caplog: pytest.LogCaptureFixture) -> None:
    auth = Sigra(cheap_settings(limits={"enabled": False}), ["sessions"])

    assert auth.limits.by_action == {}
    assert "SIGRA_LIMITS__ENABLED=true" in caplog.text
