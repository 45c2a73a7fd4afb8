"""What changes what a provider says, and answers that are none."""

from __future__ import annotations

import base64
import gzip
import json
import warnings
from collections.abc import AsyncIterator, Callable
from functools import cache
from typing import Any

import anyio
import anyio.lowlevel
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import RSAKey
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)

from tests.oauth.fault import Change, Document
from tests.oauth.keys import SigningKey, by_hmac, encoded, signing_key, unsigned

# Changes


def put(**values: Any) -> Change:
    """With these members; one that is callable is told the provider."""
    return lambda provider, document: {
        **document,
        **{name: value(provider) if callable(value) else value for name, value in values.items()},
    }


def without(*names: str) -> Change:
    return lambda _, document: {name: value for name, value in document.items() if name not in names}


def after(seconds: int) -> Callable[[Any], int]:
    """That many seconds from the provider's now."""
    return lambda provider: provider.now + seconds


def all_of(*changes: Change) -> Change:
    def change(provider: Any, document: Document) -> Any:
        for one in changes:
            document = one(provider, document)
        return document

    return change


def sent(*answer: Any, **named: Any) -> Change:
    """That text with that status in place of the document."""
    return lambda *_: PlainTextResponse(*answer, **named)


def published(*keys: Callable[[Any], Document]) -> Change:
    return lambda provider, _: {"keys": [key(provider) for key in keys]}


def own(provider: Any) -> Document:
    return dict(provider.key.public())


def another(name: str = "second", alg: str = "RS256", **more: Any) -> Callable[[Any], Document]:
    return lambda _: signing_key(name, alg).public(**more)


def by(name: str, alg: str = "RS256") -> Callable[[Any], SigningKey]:
    return lambda _: signing_key(name, alg)


def anonymous(key: SigningKey) -> SigningKey:
    return SigningKey(key.key, key.alg, None)


def foreign_jwks(provider: Any) -> str:
    return f"{provider.issuer}/stolen/jwks"


@cache
def weak() -> SigningKey:
    with warnings.catch_warnings(action="ignore"):
        return SigningKey(RSAKey.import_key(rsa.generate_private_key(65537, 1024)), "RS256", "weak")


def pem(provider: Any) -> bytes:
    public = RSAKey.import_key(provider.key.public()).public_key
    return bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def by_public_key(provider: Any, header: Document, claims: Document) -> str:
    return by_hmac(pem(provider), {**header, "alg": "HS256"}, claims)


def by_secret(provider: Any, header: Document, claims: Document) -> str:
    return by_hmac(provider.client_secret.encode(), {**header, "alg": "HS256"}, claims)


def damaged(provider: Any, header: Document, claims: Document) -> str:
    first, _, signature = provider.fault.key(provider).sign(header, claims).rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)))
    raw[-1] ^= 1
    return f"{first}.{encoded(bytes(raw))}"


def swapped(provider: Any, header: Document, claims: Document) -> str:
    """The signature of other claims."""
    first = unsigned(header, claims).rpartition(".")[0]
    return f"{first}.{provider.key.sign(header, {**claims, 'sub': 'sub-eve'}).rpartition('.')[2]}"


def none(alg: str) -> Callable[[Any, Document, Document], str]:
    return lambda _, header, claims: unsigned({**header, "alg": alg}, claims)


def rotated(provider: Any) -> SigningKey:
    """A key of which nobody knew, published right before it signs."""
    provider.key = signing_key("rotated")
    return signing_key("rotated")


# Answers that are none


def redirected(provider: Any, _: Any) -> Response:
    return RedirectResponse(f"{provider.issuer}/elsewhere", 307)


def to_itself(provider: Any, request: Any) -> Response:
    return RedirectResponse(str(request.url), 302)


def endless(*_: Any) -> Response:
    """A GiB, unless somebody hangs up."""

    async def body() -> AsyncIterator[bytes]:
        yield b'{"filler": "'
        for _ in range(1024 * 16):
            yield b"a" * 65_536
            await anyio.lowlevel.checkpoint()

    return StreamingResponse(body(), media_type="application/json")


def dripping(*_: Any) -> Response:
    """A byte a tenth of a second, never the last one."""

    async def body() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await anyio.sleep(0.1)

    return StreamingResponse(body(), media_type="application/json")


@cache
def bomb() -> bytes:
    return gzip.compress(json.dumps({"filler": "a" * 8 * 1024 * 1024}).encode())


def exploding(*_: Any) -> Response:
    return Response(bomb(), media_type="application/json", headers={"content-encoding": "gzip"})


def broken(*_: Any) -> Response:
    return Response(b'{"access_token": "', media_type="application/json", headers={"content-length": "4096"})


def instead(endpoint: str, answer: Callable[..., Response]) -> dict[str, Any]:
    return {"instead": {endpoint: answer}}


def problem(status: int, error: str) -> Callable[..., Response]:
    return lambda *_: JSONResponse({"error": error, "error_description": "<script>alert(1)</script>"}, status)


def page(*_: Any) -> Response:
    return HTMLResponse("<h1>Under maintenance</h1>")
