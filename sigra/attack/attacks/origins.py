"""Attacks by other sites' pages: their requests carry the cookie, and a browser says where they come from."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import httpx2

from sigra.attack.attack import attack
from sigra.attack.attacks.sessions import is_signed_in
from sigra.attack.outcome import Broken, NotTested
from sigra.attack.target import Target
from sigra.attack.visitor import Header, Visitor, set_cookies

CURE = (
    "Only SIGRA_TRUSTED_ORIGINS lets other origins write; Origin and Sec-Fetch-Site must reach Sigra: docs/concepts.md."
)

EVIL = "https://evil.example"


def origins(target: Target) -> dict[str, list[Header]]:
    """What browsers say of requests that other pages make."""
    parts = urlsplit(target.origin)
    other = "http" if target.https else "https"
    alike = [f"{target.origin}.evil.example", f"{parts.scheme}://evil.{parts.netloc}", f"{other}://{parts.netloc}"]
    alike += [f"{parts.scheme}://{parts.hostname}:1", f"{target.origin}@evil.example", f"{target.origin}/evil"]
    found: dict[str, list[Header]] = {f"Origin {one}": [("origin", one)] for one in (EVIL, "null", "", *alike)}
    found |= {f"Sec-Fetch-Site {one}": [("sec-fetch-site", one)] for one in ("cross-site", "same-site", "x")}
    found["our Origin, Sec-Fetch-Site cross-site"] = [("origin", target.origin), ("sec-fetch-site", "cross-site")]
    found["two Origins"] = [("origin", target.origin), ("origin", EVIL)]
    return found


@attack("A page of another origin changes nothing with somebody's cookie.", CURE)
async def cross_origin_posts(target: Target) -> str:
    """Signs out, revokes and renames from elsewhere."""
    visitor = await target.signed_in()
    writes: list[tuple[str, str, dict[str, object]]] = [
        ("POST", "/logout", {"json": {}}),
        ("POST", "/logout", {"form": {}}),
        ("PATCH", "/account", {"json": {}}),
        ("DELETE", "/sessions", {}),
    ]
    tries = origins(target)
    for name, headers in tries.items():
        for method, path, options in writes:
            answer = await visitor.send(method, path, headers=headers, **options)  # type: ignore[arg-type]
            if answer.status_code < 400 or not await is_signed_in(visitor):
                raise Broken(f"{method} {path} with {name} was answered {answer.status_code}.")
    await visitor.post("/logout", {})
    return f"{len(tries)} origins at {len(writes)} writes, all refused"


@attack("A page of another origin signs nobody in.", CURE)
async def sign_in_from_elsewhere(target: Target) -> str:
    """Posts good credentials from elsewhere: the victim would work in the attacker's account."""
    visitor, account, tries = target.visitor(), target.account, origins(target)
    body = {"email": account.email, "password": account.password}
    for name, headers in tries.items():
        for options in ({"json": body}, {"form": body}):
            answer = await visitor.send("POST", "/login", headers=headers, **options)  # type: ignore[arg-type]
            if any(cookie.name == target.cookie for cookie in set_cookies(answer)):
                raise Broken(f"A sign-in with {name} was let through.")
    return f"{len(tries)} origins by JSON and by form, all refused"


@attack("JSON is taken as JSON alone: no form of another site can write it.", CURE)
async def plain_text_json(target: Target) -> str:
    """Sends JSON under the types that a form of another site can have (WHATWG Fetch, "CORS-safelisted")."""
    visitor = await target.signed_in()
    types = ["text/plain", "text/plain; charset=utf-8", "application/octet-stream", "text/json", None]
    for kind in types:
        headers: list[Header] = [("content-type", kind)] if kind else []
        answer = await visitor.send("PATCH", "/account", content=b'{"locale": null}', headers=headers)
        if answer.status_code < 400:
            raise Broken(f"JSON as {kind or 'no type'} was taken: {answer.status_code}.")
    await visitor.post("/logout", {})
    return f"{len(types)} types refused"


@attack("A page of another origin opens no WebSocket with somebody's cookie.", CURE)
async def websocket_handshakes(target: Target) -> str:
    """Shakes hands from elsewhere: no browser asks before it opens a WebSocket."""
    visitor = await target.signed_in()
    if await _shaken(target, visitor, [("origin", target.origin)]) != 101:
        raise NotTested(f"There is no WebSocket at {target.websocket} for who is signed in: name one by --websocket.")
    tries: dict[str, list[Header]] = {**origins(target), "no Origin at all": []}
    for name, headers in tries.items():
        if await _shaken(target, visitor, headers) == 101:
            raise Broken(f"A handshake with {name} was accepted.")
    await visitor.post("/logout", {})
    return f"our own was accepted, {len(tries)} others refused"


async def _shaken(target: Target, visitor: Visitor, headers: list[Header]) -> int:
    try:
        return await visitor.handshake(target.websocket, headers)
    except httpx2.RemoteProtocolError:
        return 0  # refused in a way of the server's own


@attack("No other origin may read answers.", CURE)
async def cors(target: Target) -> str:
    """Asks as a browser does before it lets a script of another origin read."""
    visitor = await target.signed_in()
    tries: list[tuple[str, list[Header]]] = [
        ("OPTIONS", [("access-control-request-method", "PATCH"), ("access-control-request-headers", "content-type")]),
        ("GET", []),
    ]
    for origin in (EVIL, "null", f"{target.origin}.evil.example"):
        for method, headers in tries:
            answer = await visitor.send(method, "/session", headers=[("origin", origin), *headers])
            allowed = answer.headers.get("access-control-allow-origin")
            if allowed in (origin, "*"):
                raise Broken(f"{method} from {origin} is answered with Access-Control-Allow-Origin: {allowed}.")
    await visitor.post("/logout", {})
    return "3 origins, none may read"


@attack("GET and HEAD change nothing.", "docs/plugins/email_verification.md: what a link does is done by a POST.")
async def safe_methods(target: Target) -> str:
    """Follows every address that does something when posted to, as scanners of mail and prefetching browsers do."""
    visitor = await target.signed_in()
    secret = visitor.cookies[target.cookie]
    query = f"?token={'x' * 43}&_method=DELETE"
    if await target.has_mailbox():
        # Of an account of its own: queries are logged.
        account = await target.other()
        query += f"&email={quote(account.email)}&password={account.password}"
    paths = ["/logout", "/sessions", "/login", "/account", "/email/verify", "/magic-link/verify", "/password/reset"]
    for path in paths:
        for method in ("GET", "HEAD"):
            answer = await visitor.send(method, path + query)
            if any(cookie.name == target.cookie for cookie in set_cookies(answer)):
                raise Broken(f"{method} {path} set the session's cookie.")
            if not await is_signed_in(visitor) or visitor.cookies.get(target.cookie) != secret:
                raise Broken(f"{method} {path} ended the session.")
    await visitor.post("/logout", {})
    return f"{len(paths)} addresses by GET and HEAD: nothing was done"


@attack("A link in a mail does nothing when it is opened.", "docs/plugins/email_verification.md.")
async def followed_links(target: Target) -> str:
    """Follows a mailed link as a scanner does, with its token in the query string, and then uses it."""
    email, visitor = target.stranger(), target.visitor()
    await target.need_mailbox()
    answer = await visitor.post("/signup", {"email": email, "password": "quite a long pass phrase of nobody"})
    if answer.status_code != 202:
        raise NotTested(f"Nobody could sign up: {answer.status_code}.")
    token = (await target.mail(email, "verify_email"))["token"]
    scanner = target.visitor()
    for method in ("GET", "HEAD"):
        await scanner.send(method, f"/email/verify?token={token}")
    proof = {"token": token, "signup_token": answer.json()["signup_token"]}
    if (proven := await visitor.post("/email/verify", proof)).status_code != 204:
        raise Broken(f"After GET and HEAD of the link its token was spent: {proven.status_code}.")
    return "after GET and HEAD of the link its token worked still"


@attack("A method is what the request line says, and a form's own field.", "docs/http.md.")
async def method_override(target: Target) -> str:
    """Asks for DELETE by the headers, queries and JSON members that frameworks take for it."""
    visitor, other = await target.signed_in(), await target.signed_in()
    names = ("x-http-method-override", "x-http-method", "x-method-override")
    for name in names:
        for method in ("GET", "POST"):
            await visitor.send(method, "/sessions", headers=[(name, "DELETE")])
    for path in ("/sessions?_method=DELETE", "/sessions?method=DELETE"):
        await visitor.get(path)
        await visitor.post(path, {})
    await visitor.post("/sessions", {"_method": "DELETE"})
    await visitor.send("GET", "/sessions", form={"_method": "DELETE"})
    if not await is_signed_in(other):
        raise Broken("DELETE /sessions was done by a request of another method.")
    await visitor.post("/logout", {})
    await other.post("/logout", {})
    return "12 requests for DELETE by other methods: nothing was done"
