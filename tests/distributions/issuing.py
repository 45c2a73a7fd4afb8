"""Every route at which a session or a token is issued, each with a right request that would get one.

A run of the whole suite notes where credentials are issued; a route of ours that is not here fails it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pyotp

from sigra import Challenge, Login, hookimpl
from sigra.testing import EMAIL, PASSWORD, Client
from tests.apps import Postbox
from tests.distributions.policies import Asker, SecondAsker
from tests.distributions.ways import BADGE_WAY, CARELESS_WAY, PASSWORD_WAY, House, post
from tests.oauth import elsewhere
from tests.passkeys.authenticator import Authenticator
from tests.passkeys.browsing import options_for, register

NEW = "eve@example.com"
"""Of whoever has no account yet."""

Asked = tuple[str, Mapping[str, Any]]
"""The path and the body of a request."""

Prepare = Callable[[House, Client], Awaitable[Asked]]
"""Does all that comes before the request which would issue."""


@dataclass(frozen=True)
class Issuing:
    """A way to a credential.

    Args:
        prepare: Up to the last request, which it returns.
        meets_mfa: Whether it is, or brings, a second factor itself: then another kind stops it.
        options: Of the installation that it needs.
    """

    name: str
    prepare: Prepare
    meets_mfa: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """The same as a request has it."""
        return self.name.replace("{provider}", elsewhere.NAME)

    async def go(self, client: Client, asked: Asked) -> httpx2.Response:
        """Make the last request."""
        path, body = asked
        if self.name.startswith("GET "):
            return await client.get(client.path(path), params=dict(body))
        return await post(client, path, body)

    def asker(self) -> Asker:
        """A policy of which it meets nothing."""
        if self.options is DEMANDED:
            return LaterAsker()
        return SecondAsker() if self.meets_mfa else Asker()


class LaterAsker(SecondAsker):
    """Asks once something more than the first proof was given: while it asks, no factor is added."""

    name = "later_asker"

    @hookimpl
    async def challenges_for_login(self, login: Login) -> Sequence[Challenge]:
        return [Challenge(self.kind, self.method)] if len(login.methods) > 1 else []


async def let_in(here: House, client: Client) -> None:
    """Sign the user in, by all that is asked for."""
    await post(client, PASSWORD_WAY.path, PASSWORD_WAY.right)
    for asker in [one.plugin for one in here.auth.plugins if isinstance(one.plugin, Asker)]:
        await post(client, f"/login/{asker.method}", {"code": asker.code})
    assert client.signed_in


async def waiting(client: Client) -> None:
    """A sign-in by password that owes something."""
    assert (await post(client, PASSWORD_WAY.path, PASSWORD_WAY.right)).status_code == 202


async def mailed(here: House) -> Postbox:
    """All that waits is sent; where it arrives."""
    while await here.auth.worker.work():
        pass
    return here.auth.plugin(Postbox)


# Alone


async def by_password(here: House, client: Client) -> Asked:
    return PASSWORD_WAY.path, PASSWORD_WAY.right


async def by_badge(here: House, client: Client) -> Asked:
    return BADGE_WAY.path, BADGE_WAY.right


async def by_word(here: House, client: Client) -> Asked:
    return CARELESS_WAY.path, CARELESS_WAY.right


async def by_link(here: House, client: Client) -> Asked:
    await post(client, "/magic-link", {"email": EMAIL})
    return "/magic-link/verify", {"token": (await mailed(here)).token()}


async def by_mailed_code(here: House, client: Client) -> Asked:
    await post(client, "/magic-link", {"email": EMAIL})
    return "/magic-link/verify", {"code": (await mailed(here)).code()}


async def by_link_of_a_sign_up(here: House, client: Client) -> Asked:
    """Whoever signed up and never came back is let in by a link; the account is made from the address alone."""
    await post(client, "/signup", {"email": NEW})
    await mailed(here)
    await post(client, "/magic-link", {"email": NEW})
    return "/magic-link/verify", {"token": (await mailed(here)).token()}


async def by_first_password(here: House, client: Client) -> Asked:
    """Whoever signed up without a password, and has proven the address."""
    await post(client, "/signup", {"email": NEW})
    proven = await post(client, "/email/verify", {"token": (await mailed(here)).token()})
    assert proven.status_code == 202
    return "/password/set", {"new_password": "a train of thought leaves at nine"}


async def by_password_again(here: House, client: Client) -> Asked:
    await let_in(here, client)
    return "/reauthenticate", {"password": PASSWORD}


async def by_passkey(here: House, client: Client) -> Asked:
    return await _passkey(here, client, verified=True)


async def by_unverified_passkey(here: House, client: Client) -> Asked:
    return await _passkey(here, client, verified=False)


async def _passkey(here: House, client: Client, *, verified: bool) -> Asked:
    await let_in(here, client)
    one = await register(client, verified=verified)
    await client.sign_out()
    return await _shown(client, one)


async def _shown(client: Client, one: Authenticator) -> Asked:
    return "/login/passkey", {"credential": one.get(await options_for(client))}


# From elsewhere


async def by_provider(here: House, client: Client) -> Asked:
    """Whoever was there before."""
    await _come(client, "first", NEW)
    client.cookies.clear()
    return f"/oauth/{elsewhere.NAME}/callback", await elsewhere.begun(client, "first", None)


async def by_new_account_of_a_provider(here: House, client: Client) -> Asked:
    return f"/oauth/{elsewhere.NAME}/callback", await elsewhere.begun(client, "new", NEW)


async def by_password_for_a_provider(here: House, client: Client) -> Asked:
    """The proof of the account that the provider's address has."""
    assert (await _come(client, "ada", EMAIL)).status_code == 202
    return "/oauth/link", {"password": PASSWORD}


async def by_provider_again(here: House, client: Client) -> Asked:
    await let_in(here, client)
    linked = await elsewhere.begun(client, "ada", None, intent="link")
    assert (await post(client, f"/oauth/{elsewhere.NAME}/callback", linked)).status_code == 204
    return f"/oauth/{elsewhere.NAME}/callback", await elsewhere.begun(client, "ada", None, intent="reauthenticate")


async def _come(client: Client, subject: str, email: str) -> httpx2.Response:
    return await post(client, f"/oauth/{elsewhere.NAME}/callback", await elsewhere.begun(client, subject, email))


# After another one


async def by_pin(here: House, client: Client) -> Asked:
    await waiting(client)
    return "/login/badge", {"pin": "2468"}


async def by_code_of_an_app(here: House, client: Client) -> Asked:
    app, _ = await _app(here, client)
    await waiting(client)
    return "/login/totp", {"code": app.at(here.auth.clock(), counter_offset=1)}


async def by_recovery_code(here: House, client: Client) -> Asked:
    _, codes = await _app(here, client)
    await waiting(client)
    return "/login/recovery-code", {"code": codes[0]}


async def _app(here: House, client: Client) -> tuple[pyotp.TOTP, list[str]]:
    """An authenticator app of the user's, and the codes that came with it; nobody is signed in."""
    await let_in(here, client)
    path, body, app = await _begun(here, client)
    confirmed = await post(client, path, body)
    await client.sign_out()
    return app, confirmed.json()["recovery_codes"]


async def _begun(here: House, client: Client) -> tuple[str, Mapping[str, Any], pyotp.TOTP]:
    begun = await post(client, "/totp/enroll", {})
    app = pyotp.TOTP(begun.json()["secret"])
    return "/totp/confirm", {"code": app.at(here.auth.clock())}, app


async def by_passkey_after_the_password(here: House, client: Client) -> Asked:
    await let_in(here, client)
    one = await register(client)
    await client.sign_out()
    await waiting(client)
    return await _shown(client, one)


# Adding what is demanded


async def by_a_new_app(here: House, client: Client) -> Asked:
    await waiting(client)
    path, body, _ = await _begun(here, client)
    return path, body


async def by_a_new_passkey(here: House, client: Client) -> Asked:
    await waiting(client)
    options = await post(client, "/passkeys/register/options", {})
    one = Authenticator(origin=here.auth.settings.base_url)
    return "/passkeys/register", {"credential": one.create(options.json())}


DEMANDED = {"second_factor": {"demand": "required"}}
LENIENT = {"passkeys": {"user_verification": "preferred"}}

WAYS = (
    Issuing("POST /login", by_password),
    Issuing("POST /badge", by_badge),
    Issuing("POST /careless", by_word),
    Issuing("POST /magic-link/verify", by_link),
    Issuing("POST /magic-link/verify", by_mailed_code),
    Issuing("POST /magic-link/verify", by_link_of_a_sign_up),
    Issuing("POST /password/set", by_first_password),
    Issuing("POST /reauthenticate", by_password_again),
    Issuing("POST /login/passkey", by_passkey, meets_mfa=True),
    Issuing("GET /oauth/{provider}/callback", by_provider),
    Issuing("POST /oauth/{provider}/callback", by_provider),
    Issuing("GET /oauth/{provider}/callback", by_new_account_of_a_provider),
    Issuing("GET /oauth/{provider}/callback", by_provider_again),
    Issuing("POST /oauth/link", by_password_for_a_provider),
    Issuing("POST /login/badge", by_pin, options={"badge": {"required": True}}),
    Issuing("POST /login/totp", by_code_of_an_app, meets_mfa=True),
    Issuing("POST /login/recovery-code", by_recovery_code, meets_mfa=True),
    Issuing("POST /login/passkey", by_passkey_after_the_password, meets_mfa=True),
    Issuing("POST /totp/confirm", by_a_new_app, meets_mfa=True, options=DEMANDED),
    Issuing("POST /passkeys/register", by_a_new_passkey, meets_mfa=True, options=DEMANDED),
)

ROUTES = frozenset(way.name for way in WAYS)
"""Method and path of each."""
