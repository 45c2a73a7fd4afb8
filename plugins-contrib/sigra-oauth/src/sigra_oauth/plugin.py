"""The plugin: sign-in by accounts of providers, and their section of the account page."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, Table
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from sigra import (
    Auth,
    Authenticator,
    AuthenticatorRemoved,
    ConfigurationError,
    Event,
    Identity,
    Job,
    Limit,
    MailRequest,
    Message,
    NotFound,
    Part,
    Route,
    SignedIn,
    SigraError,
    User,
    current_user,
    hookimpl,
    hookspecs,
    requires,
)
from sigra.answers import DONE, HTML, SIGN_IN, Challenged, Problem
from sigra_oauth import hookspecs as own
from sigra_oauth.access import Access
from sigra_oauth.attempts import Attempts
from sigra_oauth.backchannel import LIMIT, Backchannel, OAuthLoggedOut
from sigra_oauth.building import make_providers
from sigra_oauth.dancing import ACTION, CALLBACK, Dancing, Posted
from sigra_oauth.errors import (
    GrantLost,
    IdentityTaken,
    OAuthDenied,
    OAuthExpired,
    OAuthFailed,
    OAuthSignUpClosed,
    OAuthUnavailable,
)
from sigra_oauth.grants import Grants
from sigra_oauth.identities import METHOD, Identities, LinkedIdentity
from sigra_oauth.linking import Linking
from sigra_oauth.options import Options
from sigra_oauth.pages import SECTION, Pages
from sigra_oauth.settling import ADDRESS_PAGE, LINK_PAGE, PURPOSE, Settling
from sigra_oauth.shapes import Address, AllIdentities, OAuthRefused, Proof, PublicLinkedIdentity, Start, Started
from sigra_oauth.signing_out import SigningOut
from sigra_oauth.tokens import KeptTokens


class OAuth:
    """Signs in by accounts that people have elsewhere."""

    name = "oauth"
    api = 1
    requires = ("email_verification",)
    events = (OAuthRefused, OAuthLoggedOut)
    errors = (OAuthExpired, OAuthDenied, OAuthFailed, OAuthUnavailable, OAuthSignUpClosed, IdentityTaken, GrantLost)
    hookspecs = own
    Settings = Options

    def __init__(self, **settings: Any) -> None:
        self.settings = Options(**settings)

    @hookimpl
    def register_tables(self, metadata: MetaData) -> Sequence[Table]:
        self.attempts, self.identities = Attempts(metadata), Identities(metadata)
        self.grants, self.tokens = Grants(metadata), KeptTokens(metadata)
        return [self.attempts.table, self.identities.table, *self.grants.tables, *self.tokens.tables]

    @hookimpl
    def register_templates(self) -> Sequence[Path]:
        return [Path(__file__).parent / "templates"]

    @hookimpl
    def register_limits(self) -> Sequence[Limit]:
        return [Limit("oauth_start", ACTION, "client", "30/minute"), LIMIT]

    @hookimpl
    def register_resources(self, auth: Auth) -> Sequence[AbstractAsyncContextManager[object]]:
        return [self._joined(auth)]

    @asynccontextmanager
    async def _joined(self, auth: Auth) -> AsyncIterator[None]:
        """The providers that other plugins bring, beside those of the settings."""
        for provider in [one for its in await auth.each(own.providers_for_oauth) for one in its]:
            if provider.name in self.providers:
                raise ConfigurationError(f"Two OAuth providers are called {provider.name}: rename one of them.")
            self.providers[provider.name] = provider
        yield

    @hookimpl
    def register_jobs(self, auth: Auth) -> Sequence[Job]:
        sweeps = {"attempts": self.attempts.sweep, "grants": self.grants.sweep, "logouts": self.grants.logouts.sweep}
        hourly = [
            Job(f"oauth.{name}", timedelta(hours=1), partial(auth.db.transaction, partial(sweep, auth)))
            for name, sweep in sweeps.items()
        ]
        return [*hourly, Job("oauth.revocations", timedelta(minutes=1), partial(self._revoke, auth))]

    async def _revoke(self, auth: Auth) -> bool:
        return await self.tokens.revocations.run(auth, self.providers)

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        development = auth.settings.development
        self.providers = make_providers(self.settings, development=development, clock=auth.clock)
        settling = Settling(auth, self.attempts, self.identities, self.grants, self.tokens)
        dancing = Dancing(auth, self.providers, self.attempts, settling)
        self.linking = Linking(auth, self.providers, self.attempts, settling)
        self.access = Access(auth, self.providers, self.identities, self.tokens)
        signing_out = SigningOut(auth, self.providers, self.grants)
        self.pages = Pages(auth, self.providers, self.attempts, self.identities, self.linking, signing_out)
        backchannel = Backchannel(auth, self.providers, self.identities, self.grants)
        callback, done = "/oauth/{provider}/callback", {**SIGN_IN, 202: (Challenged, HTML), 204: None, 400: Problem}
        return [
            *signing_out.routes(),
            *backchannel.routes(),
            Route(
                "/oauth/{provider}/start",
                dancing.start,
                methods=["POST"],
                body=Start,
                answers={200: (Started, HTML), 303: None},
            ),
            Route(callback, dancing.by_link, name=CALLBACK, cross_origin=True, answers=done),
            Route(callback, dancing.by_form, methods=["POST"], cross_origin=True, body=Posted, answers=done),
            Route(f"/{LINK_PAGE}", self.linking.show_link, answers={200: HTML}),
            Route(f"/{LINK_PAGE}", self.linking.prove, methods=["POST"], body=Proof, answers={**SIGN_IN, 204: None}),
            Route(f"/{ADDRESS_PAGE}", self.linking.show_address, answers={200: HTML}),
            Route(
                f"/{ADDRESS_PAGE}",
                self.linking.give,
                methods=["POST"],
                body=Address,
                answers={202: Challenged, 303: None},
            ),
            Route(f"/{SECTION}", partial(self.show, auth), secured=True, answers={200: (AllIdentities, HTML)}),
            Route(
                f"/{SECTION}/{{id:uuid}}",
                partial(self.remove, auth),
                methods=["DELETE"],
                secured=True,
                answers={**DONE, 409: Problem},
            ),
        ]

    async def access_token(self, user: User, provider: str, *, identity: uuid.UUID | None = None) -> str:
        """An access token of a user at a provider, for the application; see `Access.token`."""
        return await self.access.token(user, provider, identity)

    # What a user has

    async def show(self, auth: Auth, request: Request) -> Response:
        """GET /identities: the user's linked accounts, the oldest first."""
        user = await current_user(request)
        answer: AllIdentities = {"identities": await self._public(auth, user)}
        return await auth.show(request, "account", answer)

    async def remove(self, auth: Auth, request: Request) -> Response:
        """DELETE /identities/{id}: it lets nobody in any more, and every other session ends. Needs a fresh sign-in."""
        await requires(fresh=True)(request)
        return await auth.renew(request, partial(self._remove, auth, request))

    async def _remove(self, auth: Auth, request: Request, tx: AsyncConnection, user: User) -> None:
        id: uuid.UUID = request.path_params["id"]
        its = next((one for one in await self.identities.of(tx, user) if one.id == id), None)
        if its is None:
            raise NotFound
        await self.tokens.end(auth, tx, its)
        if await self.identities.remove(tx, user, id) is None:
            raise NotFound
        label = self.pages.label(its)
        await auth.authenticators.removed(tx, user, self._described(its), request, tell=False)
        if user.email is not None:
            await auth.send(tx, Message("identity_unlinked", user.email, user, {"provider": label}))

    def _described(self, identity: LinkedIdentity) -> Authenticator:
        return identity.described(self.pages.label(identity), alone=identity.provider in self.providers)

    async def _public(self, auth: Auth, user: User) -> list[PublicLinkedIdentity]:
        async with auth.db.connect() as tx:
            return [one.public(self.pages.label(one)) for one in await self.identities.of(tx, user)]

    @hookimpl
    async def authenticators_for_user(self, tx: AsyncConnection, user: User) -> Sequence[Authenticator]:
        return [self._described(one) for one in await self.identities.of(tx, user)]

    @hookimpl
    async def forget_authenticators(self, auth: Auth, tx: AsyncConnection, user: User) -> None:
        await self.erase_user(auth, tx, user)

    @hookimpl
    async def erase_user(self, auth: Auth, tx: AsyncConnection, user: User) -> None:
        await self.tokens.end_all(auth, tx, user)
        await self.identities.clear(tx, user)
        await self.attempts.clear(tx, user)

    @hookimpl
    async def end_restored(self, tx: AsyncConnection, passwords: bool) -> Mapping[str, int]:
        """What was unlinked after the backup is linked again: as with passwords, nobody can tell which."""
        ended = {
            "oauth_attempts": await self.attempts.clear_all(tx),
            "oauth_grants": await self.grants.clear_all(tx),
            "oauth_tokens": await self.tokens.clear_all(tx),
        }
        return {**ended, "oauth_identities": await self.identities.clear_all(tx)} if passwords else ended

    @hookimpl
    async def export_user(self, auth: Auth, user: User) -> Mapping[str, Any]:
        async with auth.db.connect() as tx:
            its = [
                {**one.public(self.pages.label(one)), **one.key(), "scopes": await self.tokens.scopes(tx, one)}
                for one in await self.identities.of(tx, user)
            ]
        return {"oauth_identities": its}

    # Sessions

    @hookimpl
    async def revoke_session(self, tx: AsyncConnection, identity: Identity) -> None:
        if identity.session_id is not None:
            await self.grants.end_session(tx, identity.session_id)

    @hookimpl
    async def revoke_credentials(self, tx: AsyncConnection, user: User, keep: uuid.UUID | None) -> None:
        await self.grants.clear(tx, user, keep)

    # Facts

    @hookimpl
    async def handle_event(self, auth: Auth, event: Event) -> None:
        """Nobody who has unlinked an account waits a minute for it."""
        if isinstance(event, AuthenticatorRemoved) and event.metadata["method"] == METHOD:
            await self._revoke(auth)

    @hookimpl
    async def record_event(self, tx: AsyncConnection, event: Event) -> None:
        if event.session_id is not None and (replaced := _replaced(event)) is not None:
            await self.attempts.moved(tx, replaced, event.session_id)
            await self.grants.moved(tx, replaced, event.session_id, event.occurred_at)
        if isinstance(event, SignedIn):
            await self.linking.finish(tx, event)

    @hookimpl
    async def address_to_prove(self, auth: Auth, tx: AsyncConnection, address: str) -> str | None:
        return await self.attempts.address(auth, tx, address)

    @hookimpl
    async def account_for_address(
        self, tx: AsyncConnection, request: Request, address: str, login_token: str | None
    ) -> User | None:
        return await self.linking.account_for(tx, request, address, login_token)

    @hookimpl
    async def next_for_proof(self, request: Request) -> str | None:
        return await self.linking.onward(request)

    @hookimpl
    async def answer_mail_request(self, auth: Auth, tx: AsyncConnection, request: MailRequest) -> None:
        if request.purpose != PURPOSE:
            return
        user = await auth.users.by_email(request.address, tx)
        if user is None or user.email is None or not user.email_verified:
            again = replace(request, purpose="email_verification", context={})
            await auth.each(hookspecs.answer_mail_request, tx=tx, request=again)
            return
        context = {"sign_in": f"{auth.settings.base_url}{auth.settings.mount_path}/login"}
        await auth.send(tx, Message("already_registered", user.email, user, context, languages=request.languages))

    # Pages

    @hookimpl
    async def parts_for_page(self, request: Request, page: str) -> Sequence[Part]:
        return await self.pages.parts(request, page)

    @hookimpl(trylast=True)
    async def render_page(
        self, request: Request, page: str, context: Mapping[str, object], status: int
    ) -> Response | None:
        return await self.pages.page(request, page, context, status)

    @hookimpl
    async def render_error(self, request: HTTPConnection, error: SigraError) -> Response | None:
        return await self.pages.error_page(request, error)


def _replaced(event: Event) -> uuid.UUID | None:
    """The session whose place the event's session takes."""
    if isinstance(event, SignedIn):
        return None if event.login is None else event.login.replaces
    replaced = event.metadata.get("replaces")
    return uuid.UUID(replaced) if isinstance(replaced, str) else None
