"""What a browser with a passkey does at an application, step by step."""

from __future__ import annotations

from typing import Any

import httpx2

from sigra.testing import Client
from tests.passkeys.authenticator import Authenticator


async def register(client: Client, **traits: Any) -> Authenticator:
    """Give whoever is signed in a passkey.

    Args:
        traits: Of the `Authenticator`.
    """
    options = await client.post("/auth/passkeys/register/options", json={})
    assert options.status_code == 200, options.text
    one = Authenticator(origin=client.sigra.settings.base_url, **traits)
    made = await client.post("/auth/passkeys/register", json={"credential": one.create(options.json())})
    assert made.status_code in (200, 201, 202), made.text
    return one


async def options_for(client: Client, **wanted: Any) -> dict[str, Any]:
    """The options of a sign-in."""
    answer = await client.post("/auth/login/passkey/options", json=wanted)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def use(
    client: Client, one: Authenticator, *, wanted: dict[str, Any] | None = None, **body: Any
) -> httpx2.Response:
    """Sign in by a passkey, alone or for a sign-in that waits.

    Args:
        wanted: The body of the request for options.
        body: More members of the sign-in's.
    """
    given = one.get(await options_for(client, **(wanted or {})))
    return await client.post("/auth/login/passkey", json={"credential": given, **body})


def code_of(answer: httpx2.Response) -> str | None:
    """The code of a problem; None of what is none."""
    is_problem = answer.headers.get("content-type", "").startswith("application/problem+json")
    return str(answer.json()["code"]) if is_problem else None
