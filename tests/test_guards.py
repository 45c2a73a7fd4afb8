"""What an application asks: who is there, and whether that is enough."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from sigra import Settings
from sigra.errors import (
    AssuranceRequired,
    InsufficientScope,
    ReauthenticationRequired,
    SessionRequired,
    SigraError,
    Unauthenticated,
)
from sigra.guards import current_user, requires
from sigra.http import exchange
from sigra.http.exchange import Exchange
from sigra.models import Authenticator, Identity, User

NOW = datetime(2026, 1, 1, tzinfo=UTC)
USER = User(uuid.UUID(int=1), "ann@example.com")
SESSION = Identity(USER, "session", "1", authenticated_at=NOW, session_id=uuid.UUID(int=2), amr=("pwd",))
LATER = NOW + timedelta(minutes=6)
KEY = Identity(USER, "api_key", "3", scopes=frozenset({"reports:read"}))


class FakeAuth:
    """The members of `Auth` that a guard asks; it is its own database, and knows what factors everybody has."""

    settings = Settings(secret_keys=["k" * 32], base_url="http://localhost")

    def __init__(self, now: datetime = NOW, *has: str) -> None:
        self.now, self.has = now, has
        self.db = self.authenticators = self

    def clock(self) -> datetime:
        return self.now

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[None]:
        yield

    async def of(self, tx: None, user: User) -> list[Authenticator]:
        return [Authenticator("mfa", method, "1", method) for method in self.has]


def connection(identity: Identity | None, kind: str = "http", now: datetime = NOW, *has: str) -> HTTPConnection:
    scope: dict[str, Any] = {"type": kind, "headers": [], "client": None}
    notes = Exchange(scope, lambda scope: "")
    return HTTPConnection({**scope, "sigra.identity": identity, "sigra.auth": FakeAuth(now, *has), exchange.KEY: notes})


async def refusal(guard: Any, at: HTTPConnection) -> type[SigraError]:
    with pytest.raises(SigraError) as caught:
        await guard(at)
    assert exchange.of(at).refusal is caught.value  # told as what it is, whatever a framework makes of it
    return type(caught.value)


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_a_guard_gives_the_user(kind: str) -> None:
    assert await current_user(connection(SESSION, kind)) is USER
    assert await requires()(connection(KEY, kind)) is USER


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("guard", [current_user, requires(), requires(scopes=["x"]), requires(fresh=True)])
async def test_nobody_is_unauthenticated(guard: Any, kind: str) -> None:
    assert await refusal(guard, connection(None, kind)) is Unauthenticated


async def test_hc25_every_scope_must_be_carried() -> None:
    assert await requires(scopes=["reports:read"])(connection(KEY)) is USER
    assert await refusal(requires(scopes=["reports:read", "reports:write"]), connection(KEY)) is InsufficientScope
    assert await refusal(requires(scopes=["reports:read"]), connection(SESSION)) is InsufficientScope


@pytest.mark.parametrize("scope", ["reports", "reports:", "Reports:Read", "reports:*", "*", "", "reports:read "])
async def test_hc25_a_scope_is_compared_whole(scope: str) -> None:
    assert await refusal(requires(scopes=[scope]), connection(KEY)) is InsufficientScope


async def test_hc25_a_key_with_a_star_has_no_more_than_a_star() -> None:
    starred = replace(KEY, scopes=frozenset({"*", "reports:*"}))

    assert await refusal(requires(scopes=["reports:read"]), connection(starred)) is InsufficientScope


def test_one_word_is_no_collection_of_scopes() -> None:
    with pytest.raises(TypeError, match="scopes is a collection"):
        requires(scopes="reports:read")


@pytest.mark.parametrize(
    ("fresh", "age", "passes"),
    [
        (True, timedelta(0), True),
        (True, timedelta(minutes=5), True),
        (True, timedelta(minutes=5, microseconds=1), False),
        (timedelta(minutes=1), timedelta(minutes=1), True),
        (timedelta(minutes=1), timedelta(minutes=1, microseconds=1), False),
        (timedelta(hours=1), timedelta(minutes=30), True),
        (timedelta(0), timedelta(0), True),
        (timedelta(0), timedelta(microseconds=1), False),
        (False, timedelta(days=9), True),
    ],
)
async def test_a_sign_in_is_fresh_up_to_the_edge_of_its_window(
    fresh: bool | timedelta, age: timedelta, passes: bool
) -> None:
    at = connection(SESSION, now=NOW + age)

    if passes:
        assert await requires(fresh=fresh)(at) is USER
        return
    assert await refusal(requires(fresh=fresh), at) is ReauthenticationRequired


async def test_a_credential_that_nobody_signed_in_for_is_never_fresh() -> None:
    assert await refusal(requires(fresh=True), connection(KEY)) is SessionRequired


async def test_hc10_a_session_at_whose_sign_in_something_was_waived_is_never_fresh() -> None:
    waived = replace(SESSION, authenticated_at=None)

    assert await requires()(connection(waived)) is USER
    for window in (True, timedelta(days=1)):
        assert await refusal(requires(fresh=window), connection(waived)) is ReauthenticationRequired


async def test_a_level_is_demanded() -> None:
    strong = replace(SESSION, assurance="aal2")

    assert await requires(assurance="aal2")(connection(strong)) is USER
    assert await requires(assurance="aal1")(connection(strong)) is USER
    assert await requires(assurance="aal1")(connection(SESSION)) is USER
    assert await refusal(requires(assurance="aal2"), connection(SESSION)) is AssuranceRequired
    assert await refusal(requires(assurance="aal2"), connection(KEY)) is AssuranceRequired


@pytest.mark.parametrize(
    ("lacking", "now", "has", "in_vain"),
    [
        (SESSION, NOW, (), True),
        (SESSION, LATER, (), True),
        (SESSION, NOW, ("totp",), False),
        (SESSION, LATER, ("totp",), False),
        (replace(SESSION, amr=("email",)), NOW, ("totp",), False),
        (replace(SESSION, amr=("email", "otp")), NOW, ("totp",), True),
        (replace(SESSION, amr=("email", "otp")), LATER, ("totp",), False),
        (replace(SESSION, authenticated_at=None), NOW, (), False),
        (replace(SESSION, authenticated_at=None), NOW, ("totp",), False),
        (KEY, NOW, ("totp",), True),
    ],
    ids=[
        "no factor",
        "no factor, stale",
        "added since",
        "stale",
        "added to a mailed link",
        "two things that one has",
        "the same, stale",
        "waived",
        "waived, and listed",
        "a key",
    ],
)
async def test_a_level_in_reach_is_told_from_one_that_is_not(
    lacking: Identity, now: datetime, has: tuple[str, ...], in_vain: bool
) -> None:
    with pytest.raises(AssuranceRequired) as refused:
        await requires(assurance="aal2")(connection(lacking, "http", now, *has))

    assert refused.value.in_vain is in_vain


async def test_an_account_without_a_factor_is_told_so() -> None:
    with pytest.raises(AssuranceRequired, match="your account has none"):
        await requires(assurance="aal2")(connection(SESSION))


async def test_every_term_holds_at_once() -> None:
    guard = requires(scopes=["a"], assurance="aal2", fresh=True)
    identity = replace(SESSION, scopes=frozenset({"a"}), assurance="aal2")

    assert await guard(connection(identity)) is USER
    for worse in (
        replace(identity, scopes=frozenset()),
        replace(identity, assurance="aal1"),
        replace(identity, authenticated_at=NOW - timedelta(days=1)),
    ):
        await refusal(guard, connection(worse))


def test_guards_of_equal_terms_are_equal() -> None:
    assert requires(scopes=["a", "b"]) == requires(scopes=("b", "a"))
    assert hash(requires(scopes=["a"])) == hash(requires(scopes={"a"}))
    assert requires(scopes=["a"]) != requires(scopes=["b"])
    assert requires(fresh=True) != requires(fresh=timedelta(minutes=1))
    assert requires() != requires(assurance="aal2")


@pytest.mark.parametrize("guard", [current_user, requires()])
async def test_hc49_a_request_that_did_not_come_through_sigra_is_told_so(guard: Any) -> None:
    with pytest.raises(RuntimeError, match=r"auth\.wrap\(app\)"):
        await guard(HTTPConnection({"type": "http", "headers": []}))
