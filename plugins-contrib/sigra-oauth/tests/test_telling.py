"""What is told of it, to whom: events to those who listen, reasons to the operator, and secrets to nobody."""

from __future__ import annotations

import json
import logging
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import select
from starlette.requests import Request

from sigra import Event, hookimpl
from sigra.testing import Client, FrozenClock, make_user
from sigra_oauth import OAuth
from sigra_oauth.shapes import Start
from tests.oauth.cases import ADA, BROWSER, EVE, installed, mails, other, says
from tests.oauth.dancing import answered, come_back, dance, outcome, query_of, start
from tests.oauth.hostile import Hostile

SIGN_UP = ["authenticator.added", "email.verified", "sign_in.succeeded", "user.created"]


class Ears:
    """Hears every event."""

    name = "ears"
    api = 1

    def __init__(self) -> None:
        self.heard: list[Event] = []

    @hookimpl
    async def handle_event(self, event: Event) -> None:
        self.heard.append(event)

    def named(self, *names: str) -> list[Any]:
        return [one for one in self.heard if one.name in names]


async def test_a_first_sign_in_is_told_as_what_it_is(database: str, clock: FrozenClock, provider: Hostile) -> None:
    ears = Ears()
    async with installed(database, clock, provider, plugins=[ears]) as client:
        response = await dance(client)
    user = response.json()["user"]["id"]

    assert sorted(one.name for one in ears.heard) == SIGN_UP
    assert {str(one.user_id) for one in ears.heard} == {user}
    [added] = ears.named("authenticator.added")
    assert (added.metadata["method"], added.metadata["kind"]) == ("oauth", "primary")


async def test_an_answer_that_was_not_taken_is_told_with_its_reason(
    database: str, clock: FrozenClock, provider: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    ears = Ears()
    async with installed(database, clock, provider, plugins=[ears]) as client:
        for error in ("access_denied", "invalid_scope"):
            told = {"state": query_of(await start(client))["state"], "error": error, "iss": provider.issuer}
            await client.get(f"/auth/oauth/hostile/callback?{urlencode(told)}")
        with caplog.at_level(logging.WARNING):
            await client.get("/auth/oauth/hostile/callback?state=x")

    denied, failed = ears.named("oauth.refused")
    assert (denied.outcome, denied.metadata) == (
        "failure",
        {"provider": "hostile", "code": "oauth_denied", "reason": None},
    )
    assert (failed.metadata["code"], "invalid_scope" in failed.metadata["reason"]) == ("oauth_failed", True)


async def test_what_is_linked_and_removed_is_told(database: str, clock: FrozenClock, provider: Hostile) -> None:
    ears = Ears()
    async with installed(database, clock, provider, plugins=[ears]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await dance(client, intent="link")
        [one] = (await client.get("/auth/identities")).json()["identities"]
        await client.delete(f"/auth/identities/{one['id']}")

    events = ears.named("authenticator.added", "authenticator.removed")
    assert [(one.name, one.user_id, one.actor_id, one.metadata["name"]) for one in events] == [
        ("authenticator.added", user.id, user.id, "hostile"),
        ("authenticator.removed", user.id, user.id, "hostile"),
    ]


@pytest.mark.parametrize("label", ["Somewhere", "<b>Bold</b> & Co"])
async def test_mails_name_the_provider(database: str, clock: FrozenClock, provider: Hostile, label: str) -> None:
    async with installed(database, clock, provider, entries={"label": label}) as client:
        await client.sign_in(await make_user(client.sigra))
        await dance(client, intent="link")
        [one] = (await client.get("/auth/identities")).json()["identities"]
        await client.delete(f"/auth/identities/{one['id']}")
        box = await mails(client)

    assert sorted(box.kinds) == ["identity_linked", "identity_unlinked"]
    assert all(label in one.text for one in box.messages)


# Secrets


async def everything(client: Client) -> bytes:
    """All that the database holds."""
    found = []
    async with client.sigra.db.connect() as tx:
        for table in client.sigra.metadata.sorted_tables:
            for row in await tx.execute(select(table)):
                found += [one if isinstance(one, bytes) else str(one).encode() for one in row]
    return b"\n".join(found)


def secrets_of(provider: Hostile, client: Client, *callbacks: Any) -> list[str]:
    """All that lets somebody in, or would."""
    told = [query_of(str(one.url)) for one in callbacks]
    cookies = [one.value for one in client.cookies.jar if one.value]
    states = [one["state"] for one in told]
    return [
        *(one["code"] for one in told),
        *states,
        *(one[12:] for one in states),
        *provider.nonces,
        *provider.people,
        *provider.refresh_tokens,
        provider.client_secret,
        *cookies,
    ]


async def test_hc22_a_stolen_database_finishes_nothing(database: str, clock: FrozenClock, provider: Hostile) -> None:
    """On the way, waiting, and when it is done: no code, token, state, nonce or verifier is in it as it was."""
    async with installed(database, clock, provider, entries={"keep_tokens": True}) as client:
        await make_user(client.sigra)
        callbacks = [await answered(await start(client)) for _ in range(3)]
        kept = [await everything(client)]
        secrets = secrets_of(provider, client, *callbacks)
        for callback, (sub, email, verified) in zip(
            callbacks, [("sub-1", ADA, True), ("sub-2", EVE, False), ("sub-3", "new@example.com", True)], strict=True
        ):
            says(provider, sub, email, verified)
            await come_back(client, callback)
            secrets += secrets_of(provider, client, callback)
            kept.append(await everything(client))

    assert len(set(secrets)) > 15
    assert [one for one in secrets for all in kept if one.encode() in all] == []


async def test_hc21_no_secret_is_logged_told_or_shown(
    database: str, clock: FrozenClock, provider: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    ears, answers = Ears(), []
    with caplog.at_level(logging.DEBUG):
        async with installed(database, clock, provider, plugins=[ears]) as client:
            user = await make_user(client.sigra)
            await client.sign_in(user)
            linking = await answered(await start(client, intent="link"))
            answers.append(await come_back(client, linking))
            failing = await answered(await start(other(client)))
            failed = await answered(await start(client))
            secrets = secrets_of(provider, client, linking, failing, failed)
            provider.codes.clear()
            for callback in (failing, failed, failed):
                answers.append(await come_back(client, callback))
                answers.append(await come_back(client, callback, **BROWSER))
            box = await mails(client)

    ours = [one for one in caplog.records if one.name.startswith(("sigra", "starlette", "authlib"))]
    texts = [one.getMessage() for one in ours] + [repr(one) for one in ears.heard]
    texts += [one.text for one in answers] + [one.text for one in box.messages]
    texts += [json.dumps(dict(one.metadata), default=str) for one in ears.heard]
    assert [outcome(one) for one in answers if "json" in one.headers.get("content-type", "")][-1] == "oauth_expired"
    assert [(one, text) for one in secrets for text in texts if one in text] == []


async def test_hc21_what_is_under_way_shows_no_secret_in_its_repr(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        plugin = client.sigra.plugin(OAuth)
        request = Request({"type": "http", "headers": [], "query_string": b"", "sigra.identity": None})
        begun = plugin.attempts.new(client.sigra, request, plugin.providers["hostile"], Start())
        asked = begun.attempt.asked("http://localhost/", begun.state)

    hidden = [begun.state, begun.attempt.secret, asked.nonce, asked.code_verifier]
    assert len({*hidden}) == 4
    assert [one for one in hidden if one in repr((begun, begun.attempt, asked))] == []
    assert provider.client_secret not in repr(plugin.settings)
