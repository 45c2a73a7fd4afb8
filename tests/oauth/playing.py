"""Google, GitHub, Apple and Microsoft, played: their hosts, paths and peculiarities, behind one TLS server on loopback.

Nothing of the presets is changed by it. A test lets the application resolve every host to here and trust the
certificate (`directed`), and allows the private address; the rest is as it is out there.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Host, Route, Router
from starlette.types import ASGIApp

from sigra_oauth.outbound import Outbound
from tests.oauth.fault import Document
from tests.oauth.hostile import Hostile
from tests.oauth.serving import listening, served

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"


class Google(Hostile):
    """Names us twice (`azp`), answers with parameters of its own, and tells scopes as URLs."""

    def id_token(self, nonce: str | None, access_token: str, person: Document) -> str:
        return super().id_token(nonce, access_token, {"azp": self.client_id, "hd": "example.com", **person})

    def extras(self) -> Document:
        return {"scope": ["openid"], "authuser": ["0"], "prompt": ["none"]}

    def tokens(self, nonce: str | None, person: Document) -> Any:
        scope = "openid https://www.googleapis.com/auth/userinfo.email https://www.googleapis.com/auth/userinfo.profile"
        return {**super().tokens(nonce, person), "scope": scope}


class Microsoft(Hostile):
    """Speaks for every tenant: its configuration names none, its ID tokens name theirs; `email` is anybody's word."""

    tenant = TENANT

    def configuration(self) -> Any:
        document = super().configuration()
        document["issuer"] = "https://login.microsoftonline.com/{tenantid}/v2.0"
        del document["authorization_response_iss_parameter_supported"]
        return document

    def jwks(self) -> Any:
        issuer = "https://login.microsoftonline.com/{tenantid}/v2.0"
        return {"keys": [{**key, "issuer": issuer, "x5c": ["AAAA"]} for key in super().jwks()["keys"]]}

    def id_token(self, nonce: str | None, access_token: str, person: Document) -> str:
        issuer = f"https://login.microsoftonline.com/{self.tenant}/v2.0"
        own = {
            "iss": issuer,
            "tid": self.tenant,
            "oid": "oid-ada",
            "ver": "2.0",
            "preferred_username": "ada@example.com",
        }
        return super().id_token(nonce, access_token, {**own, **person})

    def extras(self) -> Document:
        return {"session_state": ["b0a1"], "iss": []}


class Apple(Hostile):
    """Answers by form alone, wants its client's secret signed, and tells a name once, beside the token.

    Args:
        team: Whose key signs the client's secrets.
    """

    team, key_id = "TEAM123456", "KEY1234567"

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.client_key = ec.generate_private_key(ec.SECP256R1())
        self.names: list[str] = [json.dumps({"name": {"firstName": "Ada", "lastName": "Lovelace"}})]

    def options(self, **more: Any) -> dict[str, Any]:
        pem = self.client_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        own = {"team_id": self.team, "key_id": self.key_id, "private_key": pem}
        return {"preset": "apple", "client_id": self.client_id, **own, **more}

    def is_client(self, request: Request, form: Mapping[str, str]) -> bool:
        """Apple's rules for a client's secret: ES256, named key, its own team, for Apple, at most six months."""
        try:
            token = jwt.decode(form.get("client_secret", ""), ECKey.import_key(self.client_key.public_key()), ["ES256"])
        except (JoseError, ValueError):
            return False
        claims, right = token.claims, {"iss": self.team, "sub": self.client_id, "aud": "https://appleid.apple.com"}
        lives = claims["exp"] - claims["iat"]
        return (
            form.get("client_id") == self.client_id
            and token.header.get("kid") == self.key_id
            and all(claims[name] == value for name, value in right.items())
            and 0 < lives <= 15_777_000
            and claims["iat"] <= self.now < claims["exp"]
        )

    def configuration(self) -> Any:
        document = super().configuration()
        document["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
        document["id_token_signing_alg_values_supported"] = ["RS256"]
        for name in ("userinfo_endpoint", "end_session_endpoint", "authorization_response_iss_parameter_supported"):
            del document[name]
        return document

    def tokens(self, nonce: str | None, person: Document) -> Any:
        return {name: value for name, value in super().tokens(nonce, person).items() if name != "scope"}

    def id_token(self, nonce: str | None, access_token: str, person: Document) -> str:
        # The name is never among the claims.
        told = {name: value for name, value in person.items() if name != "name"}
        return super().id_token(nonce, access_token, {"nonce_supported": True, **told})

    def extras(self) -> Document:
        user, self.names = self.names, []
        return {"iss": [], "user": user}

    async def authorize(self, request: Request) -> Response:
        self.complain_unless(request.query_params.get("response_mode") == "form_post", "response_mode")
        return await super().authorize(request)


@dataclass
class GitHub:
    """No OpenID provider: errors come with 200, numbers are subjects, and addresses are asked for on their own."""

    clock: Callable[[], datetime]
    callback: str
    client_id: str = "sigra"
    client_secret: str = field(default="s" * 40, repr=False)
    user: Document = field(
        default_factory=lambda: {"id": 583231, "login": "ada", "name": "Ada Lovelace", "email": None}
    )
    emails: list[Document] = field(
        default_factory=lambda: [
            {"email": "old@example.com", "primary": False, "verified": True, "visibility": None},
            {"email": "ada@example.com", "primary": True, "verified": True, "visibility": "private"},
        ]
    )
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    def options(self, **more: Any) -> dict[str, Any]:
        return {"preset": "github", "client_id": self.client_id, "client_secret": self.client_secret, **more}

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        for name, length in (("state", 43), ("code_challenge", 43), ("redirect_uri", 1)):
            if len(asked.get(name, "")) < length:
                self.complaints.append(name)
        self.codes[code := f"code{len(self.codes)}"] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}", 302)

    async def token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        answer = {"error": "bad_verification_code", "error_description": "The code passed is incorrect or expired."}
        right = (form.get("client_id"), form.get("client_secret")) == (self.client_id, self.client_secret)
        if right and self.codes.pop(form.get("code", ""), None):
            answer = {"access_token": "gho_ada", "token_type": "bearer", "scope": "read:user,user:email"}
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse(answer)
        return PlainTextResponse(urlencode(answer), media_type="application/x-www-form-urlencoded")

    def _api(self, request: Request, body: Any) -> Response:
        if "user-agent" not in request.headers:
            return PlainTextResponse("Request forbidden by administrative rules.", 403)
        if request.headers.get("authorization", "").lower() not in ("bearer gho_ada", "token gho_ada"):
            return JSONResponse({"message": "Bad credentials"}, 401)
        return JSONResponse(body)

    async def account(self, request: Request) -> Response:
        return self._api(request, self.user)

    async def addresses(self, request: Request) -> Response:
        return self._api(request, self.emails)

    def hosts(self) -> dict[str, ASGIApp]:
        site = [
            Route("/login/oauth/authorize", self.authorize),
            Route("/login/oauth/access_token", self.token, methods=["POST"]),
        ]
        api = [Route("/user", self.account), Route("/user/emails", self.addresses)]
        return {"github.com": Router(site), "api.github.com": Router(api)}


PLACES: Mapping[type[Hostile], tuple[str, Mapping[str, str]]] = {
    Google: (
        "https://accounts.google.com",
        {
            "discovery": "/.well-known/openid-configuration",
            "authorize": "/o/oauth2/v2/auth",
            "token": "https://oauth2.googleapis.com/token",
            "revoke": "https://oauth2.googleapis.com/revoke",
            "userinfo": "https://openidconnect.googleapis.com/v1/userinfo",
            "keys": "https://www.googleapis.com/oauth2/v3/certs",
            "end_session": "/none",
        },
    ),
    Microsoft: (
        "https://login.microsoftonline.com/common/v2.0",
        {
            "discovery": "/.well-known/openid-configuration",
            "authorize": "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
            "token": "https://login.microsoftonline.com/common/oauth2/v2.0/token",
            "keys": "https://login.microsoftonline.com/common/discovery/v2.0/keys",
            "userinfo": "https://graph.microsoft.com/oidc/userinfo",
            "end_session": "https://login.microsoftonline.com/common/oauth2/v2.0/logout",
            "revoke": "/none",
        },
    ),
    Apple: (
        "https://appleid.apple.com",
        {
            "discovery": "/.well-known/openid-configuration",
            "authorize": "/auth/authorize",
            "token": "/auth/token",
            "keys": "/auth/keys",
            "revoke": "/auth/revoke",
            "userinfo": "/none",
            "end_session": "/none",
        },
    ),
}
"""Their issuers, and where the endpoints are, as their own configurations say."""


class Scene:
    """Providers under their own names, and a browser that finds them."""

    def __init__(self, hosts: Mapping[str, ASGIApp], port: int, tls: ssl.SSLContext) -> None:
        self.hosts, self.port, self.tls = hosts, port, tls
        self.app = Starlette(routes=[Host(name, app) for name, app in hosts.items()])

    async def resolve(self, host: str, _: int) -> Sequence[tuple[str, int]]:
        """Where the application finds a host: here."""
        if host not in self.hosts:
            raise OSError(f"{host} is not played")
        return [("127.0.0.1", self.port)]

    def directed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have every outbound client that is made from now on look here; `allow_private` is still to be said."""
        for name, value in {"resolve": self.resolve, "tls": self.tls}.items():
            monkeypatch.setitem(Outbound.__init__.__kwdefaults__, name, value)

    def browser(self) -> httpx2.AsyncClient:
        """Of whoever signs in there."""
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(self.app), trust_env=False)


def hosts_of(provider: Hostile) -> dict[str, ASGIApp]:
    """The hosts that its endpoints are at, all of them one application."""
    app = provider.application()
    return {str(urlsplit(provider.url(name)).hostname): app for name in provider.paths}


def cast(role: type[Hostile], clock: Callable[[], datetime], callback: str, **more: Any) -> Hostile:
    """One of `PLACES`."""
    issuer, paths = PLACES[role]
    return role(issuer, clock, callback, paths=paths, **more)


@contextmanager
def playing(hosts: Mapping[str, ASGIApp]) -> Iterator[Scene]:
    """Serve them all from one loopback port, over TLS, with certificates for their names."""
    authority, at = trustme.CA(), listening()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(*hosts).configure_cert(server)
    authority.configure_trust(client)
    scene = Scene(hosts, at.getsockname()[1], client)
    with served(scene.app, at, tls=server):
        yield scene
