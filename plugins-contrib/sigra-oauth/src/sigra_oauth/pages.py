"""What people see: buttons on others' pages, the account page's section, and what a page says when it was in vain."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from sigra import Auth, Part, SigraError, User, confirmation, hookspecs
from sigra_oauth.attempts import MAIL, Attempt, Attempts
from sigra_oauth.dancing import Posted
from sigra_oauth.errors import OAuthExpired
from sigra_oauth.identities import Identities, LinkedIdentity
from sigra_oauth.linking import Linking
from sigra_oauth.provider import Provider
from sigra_oauth.settling import ADDRESS_PAGE, LINK_PAGE, MAIL_PAGE
from sigra_oauth.shapes import Start
from sigra_oauth.signing_out import SigningOut

SECTION = "identities"

LOGIN, SIGN_UP, ACCOUNT, REAUTHENTICATE = "login", "signup", "account", "reauthenticate"

STANDS_ON = {"login": LOGIN, "link": ACCOUNT, "reauthenticate": REAUTHENTICATE}
"""The page of a start's form, by its intent."""

_START, _CALLBACK = re.compile(r"oauth/[^/]+/start"), re.compile(r"oauth/[^/]+/callback")


@dataclass(frozen=True)
class Pages:
    """Parts and pages."""

    auth: Auth
    providers: Mapping[str, Provider]
    attempts: Attempts
    identities: Identities
    linking: Linking
    signing_out: SigningOut

    # Parts

    async def parts(self, request: Request, page: str) -> Sequence[Part]:
        """What stands on a page of somebody else's."""
        user: User | None = request.scope["sigra.user"]
        if page == MAIL_PAGE:
            return await self._other_address(request)
        if user is not None:
            return [*await self._of_user(request, page, user), *await self._sign_out(request)]
        if page == LOGIN:
            return self._buttons("oauth/login.html", self.providers.values())
        if page == SIGN_UP:
            return self._buttons("oauth/signup.html", [one for one in self.providers.values() if one.sign_up])
        return []

    async def _of_user(self, request: Request, page: str, user: User) -> Sequence[Part]:
        if page not in (ACCOUNT, REAUTHENTICATE):
            return []
        async with self.auth.db.connect() as tx:
            own = await self.identities.of(tx, user)
            ways = [one for one in await self.auth.authenticators.of(tx, user) if one.alone]
        if page == REAUTHENTICATE:
            linked = {one.provider for one in own}
            mine = [provider for name, provider in self.providers.items() if name in linked]
            return self._buttons("oauth/reauthenticate.html", mine)
        if not own and not self.providers:
            return []
        context = {
            "identities": [one.public(self.label(one)) for one in own],
            "providers": _listed(self.providers.values()),
            "last": ways[0].id if len(ways) == 1 else None,
            "confirm": confirmation(request, SECTION),
        }
        return [Part("main", 230, "oauth/account.html", context)]

    async def _sign_out(self, request: Request) -> Sequence[Part]:
        provider = await self.signing_out.there(request)
        return [] if provider is None else [Part("sign_out", 110, "oauth/sign_out.html", {"label": provider.label})]

    async def _other_address(self, request: Request) -> Sequence[Part]:
        """For who came by a provider, and waits for a mail."""
        waiting = await self.attempts.waiting(self.auth, request, [MAIL])
        if not waiting:
            return []
        return [Part("main", 100, "oauth/other_address.html", {"address": waiting[0].address})]

    def _buttons(self, template: str, providers: Iterable[Provider]) -> Sequence[Part]:
        listed = _listed(providers)
        return [Part("alternatives", 150, template, {"providers": listed})] if listed else []

    def label(self, identity: LinkedIdentity) -> str:
        """What people know its provider by."""
        provider = self.providers.get(identity.provider)
        return identity.provider if provider is None else provider.label

    # Pages

    async def page(self, request: Request, page: str, context: Mapping[str, object], status: int) -> Response | None:
        """A page of the plugin's own, or the one on which a form of it stands."""
        if page in (LINK_PAGE, ADDRESS_PAGE):
            return await self._own_page(request, page, context, status)
        if _CALLBACK.fullmatch(page):
            return await self._posted_in_vain(request, page, context, status)
        return await self._start_page(request, page, context, status) if _START.fullmatch(page) else None

    async def _own_page(self, request: Request, page: str, context: Mapping[str, object], status: int) -> Response:
        try:
            return await self.linking.page(request, page, context, status)
        except OAuthExpired as expired:
            return await self.in_vain(request, page, [], expired, expired.status)

    async def _start_page(
        self, request: Request, page: str, context: Mapping[str, object], status: int
    ) -> Response | None:
        try:
            body = await self.auth.read(request, Start)
        except SigraError:
            return None  # nothing that a form of ours sends
        onward = body.next or request.query_params.get("next")
        return await self._around(request, STANDS_ON[body.intent], {"posted": page, "next": onward, **context}, status)

    async def _around(self, request: Request, page: str, context: Mapping[str, object], status: int) -> Response | None:
        return await self.auth.first(hookspecs.render_page, request=request, page=page, context=context, status=status)

    async def error_page(self, connection: HTTPConnection, error: SigraError) -> Response | None:
        """For who followed the link by which a provider sends people back."""
        path = connection.scope["path"].removeprefix(connection.scope.get("root_path", ""))
        page = path.removeprefix(f"{self.auth.settings.mount_path}/")
        is_navigation = connection.scope["method"] == "GET" and "text/html" in connection.headers.get("accept", "")
        if not is_navigation or not _CALLBACK.fullmatch(page):
            return None
        request = Request(connection.scope)
        return await self.in_vain(request, page, request.query_params.getlist("state"), error, error.status)

    async def _posted_in_vain(
        self, request: Request, page: str, context: Mapping[str, object], status: int
    ) -> Response:
        try:
            body = await self.auth.read(request, Posted)
        except SigraError:
            body = Posted()
        states = [] if body.state is None else [body.state]
        return await self.in_vain(request, page, states, context["error"], status)

    async def in_vain(self, request: Request, page: str, states: Sequence[str], error: object, status: int) -> Response:
        """What was wrong with an answer of a provider, and where to begin again."""
        attempt = await self._attempt(request, page, states)
        intent = "login" if attempt is None else attempt.intent
        onward = None if attempt is None else attempt.next
        context = {"error": error, "intent": intent, "back": self._back(intent, onward)}
        return await self.auth.render(request, "oauth/in_vain.html", context, status)

    async def _attempt(self, request: Request, page: str, states: Sequence[str]) -> Attempt | None:
        """What it was an answer to, as long as that is not done."""
        provider = self.providers.get(page.split("/")[1])
        if provider is None:
            return None
        try:
            return await self.attempts.find(self.auth, request, provider, states)
        except SigraError:
            return None

    def _back(self, intent: str, onward: str | None) -> str:
        """The page on which it began."""
        if intent == "link":
            return f"{self.auth.settings.mount_path}/{ACCOUNT}#{SECTION}"
        page = f"{self.auth.settings.mount_path}/{STANDS_ON[intent]}"
        return page if onward is None else f"{page}?next={quote(onward, safe='')}"


def _listed(providers: Iterable[Provider]) -> list[dict[str, str]]:
    """As templates see them."""
    return [{"name": one.name, "label": one.label} for one in providers]
