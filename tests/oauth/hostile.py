"""An OpenID provider of our own that does what it is told, right or wrong, over real HTTP on a loopback port.

What it does wrong is a `Fault`: changes of what it says, by place. It looks on, too: whatever the application forgets
(PKCE, state, nonce, its secret, the registered address) is in `complaints`.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.oauth.fault import SOUND, Document, Fault
from tests.oauth.keys import SigningKey, encoded, signing_key
from tests.oauth.serving import Place, place
from tests.oauth.wire import as_answer, credentials, form_post, half_hash

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
PATHS = {
    "discovery": "/.well-known/openid-configuration",
    "keys": "/jwks",
    "authorize": "/authorize",
    "token": "/token",
    "userinfo": "/userinfo",
    "revoke": "/revoke",
    "end_session": "/logout",
}


def ada() -> Document:
    return {"sub": "sub-ada", "email": "ada@example.com", "email_verified": True, "name": "Ada Lovelace"}


@dataclass
class Hostile:
    """One that serves at `issuer`.

    Args:
        clock: The application's.
        callback: Ours; any other is a complaint.
        paths: Of its endpoints; a URL for one that is elsewhere.
        person: The claims of whoever is signed in there.
        codes: What each code that was not exchanged stands for.
        calls: How often each endpoint was called.
        nonces: All that were asked with.
        refreshed: What it does with a refresh token: `rotate`, `keep`, `refuse` or `fail`.
        revoked: Tokens, in order, with their hints.
    """

    issuer: str
    clock: Callable[[], datetime]
    callback: str
    client_id: str = "sigra"
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    paths: Mapping[str, str] = field(default_factory=lambda: PATHS)
    fault: Fault = SOUND
    person: Document = field(default_factory=ada)
    session: str | None = "session-1"
    key: SigningKey = field(default_factory=lambda: signing_key("first"))
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    people: dict[str, Document] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    nonces: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    refreshed: str = "rotate"
    refresh_tokens: set[str] = field(default_factory=set)
    revoked: list[tuple[str, str | None]] = field(default_factory=list)

    def options(self, **more: Any) -> dict[str, Any]:
        """What the section `oauth` says of it."""
        return {"issuer": self.issuer, "client_id": self.client_id, "client_secret": self.client_secret, **more}

    def extras(self) -> Document:
        """What a callback has besides, or otherwise."""
        return {}

    def url(self, endpoint: str) -> str:
        found = self.paths[endpoint]
        return found if found.startswith("https:") else self.issuer + found

    def is_client(self, request: Request, form: Mapping[str, str]) -> bool:
        """Whether it is ours who asks."""
        return credentials(request, form) == (self.client_id, self.client_secret)

    @property
    def now(self) -> int:
        return int(self.clock().astimezone(UTC).timestamp())

    def complain_unless(self, holds: bool, complaint: str) -> None:
        if not holds:
            self.complaints.append(complaint)

    # What it says

    def configuration(self) -> Any:
        """OpenID Connect Discovery 1.0, section 3."""
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": self.url("authorize"),
            "token_endpoint": self.url("token"),
            "userinfo_endpoint": self.url("userinfo"),
            "jwks_uri": self.url("keys"),
            "revocation_endpoint": self.url("revoke"),
            "end_session_endpoint": self.url("end_session"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "form_post"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "PS256", "ES256", "EdDSA"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "backchannel_logout_supported": True,
            "backchannel_logout_session_supported": True,
        }
        return self.fault.discovery(self, document)

    def jwks(self) -> Any:
        return self.fault.keys(self, {"keys": [self.key.public()]})

    def id_token(self, nonce: str | None, access_token: str, person: Document) -> str:
        claims = {
            "iss": self.issuer,
            "aud": self.client_id,
            "iat": self.now,
            "exp": self.now + 300,
            "auth_time": self.now,
            **({} if nonce is None else {"nonce": nonce}),
            **({} if self.session is None else {"sid": self.session}),
            **person,
        }
        claims["at_hash"] = half_hash(access_token, self.fault.key(self).alg)
        return self.signed(self.fault, claims, "JWT")

    def tokens(self, nonce: str | None, person: Document) -> Any:
        access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self.people[access] = self.people[refresh] = person
        self.refresh_tokens.add(refresh)
        body = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": 3600,
            "scope": "openid email profile",
            "refresh_token": refresh,
            "id_token": self.id_token(nonce, access, person),
        }
        return self.fault.token(self, body)

    def logout_token(self, fault: Fault = SOUND, **changed: Any) -> str:
        """One for whoever is signed in (Back-Channel Logout 1.0, section 2.4).

        Args:
            fault: Changes claims, header, key or signature.
            changed: Other claims; one that is None is left out.
        """
        claims = {
            "iss": self.issuer,
            "aud": self.client_id,
            "iat": self.now,
            "exp": self.now + 120,
            "jti": secrets.token_urlsafe(16),
            "sub": self.person["sub"],
            "sid": self.session,
            "events": {LOGOUT_EVENT: {}},
            **changed,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        return self.signed(fault, claims, "logout+jwt")

    def signed(self, fault: Fault, claims: Document, type: str) -> str:
        key = fault.key(self)
        header = {"alg": key.alg, "typ": type, **({} if key.kid is None else {"kid": key.kid})}
        header, claims = fault.header(self, header), fault.claims(self, claims)
        return fault.signed(self, header, claims) if fault.signed else key.sign(header, claims)

    # Its endpoints

    async def discovery(self, _: Request) -> Response:
        return as_answer(self.configuration())

    async def keys(self, _: Request) -> Response:
        return as_answer(self.jwks())

    async def authorize(self, request: Request) -> Response:
        """Whoever is signed in there allows it at once."""
        asked = dict(request.query_params)
        self.complain_unless(asked.get("response_type") == "code", "response_type")
        self.complain_unless("openid" in asked.get("scope", "").split(), "scope")
        self.complain_unless(asked.get("client_id") == self.client_id, "client_id")
        self.complain_unless(asked.get("redirect_uri") == self.callback, "redirect_uri")
        self.complain_unless(asked.get("code_challenge_method") == "S256", "code_challenge_method")
        self.complain_unless(len(asked.get("code_challenge", "")) == 43, "code_challenge")
        self.complain_unless(len(asked.get("state", "")) >= 43, "state")
        self.complain_unless(len(asked.get("nonce", "")) >= 43, "nonce")
        self.complain_unless(asked.get("nonce") not in self.nonces, "a nonce twice")
        self.nonces.append(asked.get("nonce", ""))
        code = secrets.token_urlsafe(32)
        self.codes[code] = asked
        parameters: Document = {
            "code": [code],
            "state": [asked.get("state", "")],
            "iss": [self.issuer],
            **self.extras(),
        }
        pairs = [(name, one) for name, all in self.fault.callback(self, parameters).items() for one in all]
        if asked.get("response_mode") == "form_post":
            return form_post(self.callback, pairs)
        return RedirectResponse(f"{self.callback}?{urlencode(pairs)}", 302)

    async def token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        if not self.is_client(request, form):
            return JSONResponse({"error": "invalid_client"}, 401)
        if form.get("grant_type") == "refresh_token":
            return self.refresh(form.get("refresh_token", ""))
        asked = self.codes.pop(form.get("code", ""), None)
        challenge = encoded(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if not asked or asked.get("code_challenge") != challenge or form.get("redirect_uri") != asked["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        return as_answer(self.tokens(asked.get("nonce"), dict(self.person)))

    def refresh(self, token: str) -> Response:
        if self.refreshed == "fail":
            return JSONResponse({"error": "server_error"}, 503)
        if self.refreshed == "refuse" or token not in self.refresh_tokens:
            return JSONResponse({"error": "invalid_grant"}, 400)
        body = self.tokens(None, self.people[token])
        if self.refreshed == "keep":
            return as_answer({name: value for name, value in body.items() if name != "refresh_token"})
        self.refresh_tokens.remove(token)
        return as_answer(body)

    async def userinfo(self, request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token not in self.people:
            return JSONResponse({"error": "invalid_token"}, 401)
        return as_answer(self.fault.userinfo(self, dict(self.people[token])))

    async def revoke(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        if not self.is_client(request, form):
            return JSONResponse({"error": "invalid_client"}, 401)
        self.revoked.append((form.get("token", ""), form.get("token_type_hint")))
        self.refresh_tokens.discard(form.get("token", ""))
        return Response()

    async def end_session(self, request: Request) -> Response:
        back, state = request.query_params.get("post_logout_redirect_uri"), request.query_params.get("state")
        if back is None:
            return HTMLResponse("Signed out.")
        return RedirectResponse(back if state is None else f"{back}?{urlencode({'state': state})}", 302)

    def application(self) -> Starlette:
        def route(name: str) -> Route:
            async def endpoint(request: Request) -> Response:
                self.calls[name] += 1
                if name in self.fault.instead:
                    return self.fault.instead[name](self, request)
                answer: Response = await getattr(self, name)(request)
                return answer

            return Route(urlsplit(self.url(name)).path, endpoint, methods=["GET", "POST"])

        async def elsewhere(request: Request) -> Response:
            """Where redirects and other people's addresses lead: nobody should come."""
            self.calls[request.url.path] += 1
            return JSONResponse({})

        return Starlette(routes=[*map(route, self.paths), Route("/{path:path}", elsewhere, methods=["GET", "POST"])])


@contextmanager
def running(
    clock: Callable[[], datetime],
    at: Place | None = None,
    *,
    base_url: str = "http://localhost",
    name: str = "hostile",
    **more: Any,
) -> Iterator[Hostile]:
    """Serve one to the application at that base URL, which calls it by that name.

    Args:
        at: Where; a place of its own when omitted.
    """
    with ExitStack() as stack:
        here = at or stack.enter_context(place())
        provider = Hostile(here.origin, clock, f"{base_url}/auth/oauth/{name}/callback", **more)
        here.app = provider.application()
        yield provider
