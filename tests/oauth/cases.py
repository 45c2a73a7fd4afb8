"""An application before its providers, who comes from there, and what is left of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from sqlalchemy import Row, select

from sigra import Auth, hookimpl
from sigra.testing import PASSWORD, Client, FrozenClock
from sigra_oauth.building import make_outbound, make_provider
from sigra_oauth.options import Options, ProviderOptions
from sigra_oauth.provider import Provider, ResponseMode
from sigra_oauth.providers import OpenID
from tests.apps import Postbox, running
from tests.oauth.dancing import configured, dance
from tests.oauth.hostile import Hostile

ADA, EVE = "ada@example.com", "eve@example.com"
NEW_PASSWORD = "a train of thought leaves at nine"

VERIFIED = {"email_verified": True}

BROWSER = {"accept": "text/html"}
"""A navigation."""


class FormPosting(OpenID):
    """Answers by a form (Form Post Response Mode 1.0)."""

    @property
    def response_mode(self) -> ResponseMode:
        return "form_post"


class ByForm:
    """A stranger's plugin that brings one."""

    name = "by_form"
    api = 1

    def __init__(self, provider: Hostile) -> None:
        self.provider = provider

    @hookimpl
    async def providers_for_oauth(self, auth: Auth) -> Sequence[Provider]:
        entry = ProviderOptions(**self.provider.options())
        out = make_outbound(Options(), development=True)
        return [make_provider("hostile", entry, out, auth.clock, development=True, kind=FormPosting)]


@asynccontextmanager
async def installed(
    database: str,
    clock: FrozenClock,
    *providers: Hostile,
    plugins: Sequence[Any] = (),
    entries: dict[str, Any] | None = None,
    by_form: bool = False,
    **options: Any,
) -> AsyncIterator[Client]:
    """One with `hostile` (and `hostile2`), every built-in plugin and a postbox.

    Args:
        entries: More of each provider's options.
        by_form: Whether the provider answers by a form that its page posts.
    """
    active = ["defaults", "oauth", Postbox(), *plugins]
    oauth = configured(*providers, **(entries or {}))
    if by_form:
        oauth, active = {}, [*active, ByForm(*providers)]
    async with running(database, active, clock=clock, oauth=oauth, **options) as client:
        yield client


def other(client: Client) -> Client:
    """Another browser."""
    return Client(client.app, client.sigra)


def says(provider: Hostile, sub: str, email: str | None, verified: object = True, **more: Any) -> None:
    """Who is signed in at the provider from now on."""
    told = {} if email is None else {"email": email, "email_verified": verified}
    provider.person = {"sub": sub, **told, **more}


async def come(client: Client, provider: Hostile, sub: str, email: str | None, verified: object = True) -> Any:
    """Sign in as that one there, in a new browser that is left signed in here."""
    says(provider, sub, email, verified)
    browser = other(client)
    response = await dance(browser)
    return browser, response


async def mails(client: Client) -> Postbox:
    """What was sent, all of it."""
    while await client.sigra.worker.work():
        pass
    return client.sigra.plugin(Postbox)


async def rows(client: Client, name: str) -> list[Row[Any]]:
    async with client.sigra.db.connect() as tx:
        return list(await tx.execute(select(client.sigra.metadata.tables[name])))


async def owners(client: Client) -> dict[str, str | None]:
    """Whose account each subject is linked to."""
    users = {row.id: row.email for row in await rows(client, "sigra_users")}
    return {row.subject: users[row.user_id] for row in await rows(client, "sigra_oauth_identities")}


async def who(client: Client) -> str | None:
    """Who is signed in."""
    email: str | None = (await client.get("/")).json()["email"]
    return email


async def works(client: Client, password: str = PASSWORD, email: str = ADA) -> bool:
    """Whether a password opens the account."""
    body = {"email": email, "password": password}
    return (await other(client).post("/auth/login", json=body)).status_code == 200


def members(response: httpx2.Response) -> dict[str, Any]:
    """What a JSON answer says; nothing of another."""
    is_json = "json" in response.headers.get("content-type", "")
    return dict(response.json()) if is_json else {}


def code_of(response: httpx2.Response) -> str | None:
    """The code of a problem."""
    return members(response).get("code")


def kinds_of(response: httpx2.Response) -> list[str]:
    """What is still to be proven."""
    return [one["kind"] for one in members(response).get("challenges", [])]


def email_of(response: httpx2.Response) -> str | None:
    """Whose sign-in it was."""
    email: str | None = members(response).get("user", {}).get("email")
    return email


def is_proven(response: httpx2.Response) -> bool:
    """Whether that address is proven."""
    return bool(members(response).get("user", {}).get("email_verified"))


def seen(response: httpx2.Response) -> tuple[Any, ...]:
    """What an answer tells, without what is new in every one."""
    kept = {name: value for name, value in response.headers.items() if name not in ("date", "set-cookie")}
    cookies = sorted(
        (one.partition("=")[0][:11], one.partition("; ")[2]) for one in response.headers.get_list("set-cookie")
    )
    body = {name: value for name, value in members(response).items() if not name.endswith("_token")}
    return response.status_code, kept, cookies, body
