"""A browser between the application and a provider, and what came of it."""

from __future__ import annotations

import re
import ssl
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
from sqlalchemy import func, select

from sigra.testing import Client
from tests.oauth.hostile import Hostile

NONE_TRUSTED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients that speak http alone: to read the system's certificates takes longer than most tests."""

COUNTED = ("sigra_users", "sigra_sessions", "sigra_oauth_identities")


async def start(client: Client, name: str = "hostile", **body: Any) -> str:
    """Begin, and return where the browser is sent.

    Args:
        body: `intent`, `next`, `remember`.
    """
    begun = await client.post(f"/auth/oauth/{name}/start", json=body)
    assert begun.status_code == 200, begun.text
    return str(begun.json()["authorization_url"])


async def answered(url: str, browser: httpx2.AsyncClient | None = None) -> httpx2.Request:
    """What the browser sends us after it was at the provider: a link followed, or a form posted."""
    async with browser or httpx2.AsyncClient(trust_env=False, verify=NONE_TRUSTED) as going:
        response = await going.get(url)
    if response.is_redirect:
        return httpx2.Request("GET", response.headers["location"])
    action = re.search(r'<form method="post" action="([^"]+)">', response.text)
    assert action, response.text
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', response.text)
    return httpx2.Request("POST", unescape(action[1]), data={name: unescape(value) for name, value in fields})


async def come_back(client: Client, callback: httpx2.Request, **headers: str) -> httpx2.Response:
    """Send it: with this client's cookies, and, when it is a form, as the provider's page posts it."""
    if callback.method == "GET":
        return await client.get(str(callback.url), headers=headers)
    posted = {"sec-fetch-site": "cross-site", "origin": "https://provider.example.com"}
    form = dict(parse_qsl(callback.read().decode(), keep_blank_values=True))
    return await client.post(str(callback.url), data=form, headers={**posted, **headers})


async def dance(client: Client, name: str = "hostile", **body: Any) -> httpx2.Response:
    """Begin, go there and come back."""
    begun = await client.post(f"/auth/oauth/{name}/start", json=body)
    if begun.status_code != 200:
        return begun
    return await come_back(client, await answered(begun.json()["authorization_url"]))


async def counted(client: Client) -> dict[str, int]:
    """How many accounts, sessions and identities there are."""
    tables = client.sigra.metadata.tables
    async with client.sigra.db.connect() as tx:
        return {name: await tx.scalar(select(func.count()).select_from(tables[name])) or 0 for name in COUNTED}


def outcome(response: httpx2.Response) -> str:
    """`accepted`, `unverified`, or the problem's code; the status of what says nothing."""
    if not response.content:
        return str(response.status_code)
    body = response.json()
    if response.status_code == 200:
        assert body["status"] == "signed_in"
        return "accepted"
    if response.status_code == 202:
        assert [one["kind"] for one in body["challenges"]] == ["email_verification"]
        return "unverified"
    assert response.headers["content-type"] == "application/problem+json"
    assert body["status"] == response.status_code
    return str(body["code"])


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def configured(*providers: Hostile, **more: Any) -> dict[str, Any]:
    """The section `oauth`: the first one is `hostile`, the next `hostile2`.

    Args:
        more: Of each provider's options.
    """
    named = {f"hostile{number}" if number > 1 else "hostile": one for number, one in enumerate(providers, 1)}
    return {"providers": {name: one.options(**more) for name, one in named.items()}}
