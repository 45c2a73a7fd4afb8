"""Attacks on sessions: the cookie, its life, and what else might pass for it."""

from __future__ import annotations

import secrets

from sigra.attack.attack import attack
from sigra.attack.outcome import Broken, NotTested
from sigra.attack.target import Target
from sigra.attack.visitor import SetCookie, Visitor, set_cookies

PAGE = "docs/plugins/sessions.md"


async def is_signed_in(visitor: Visitor) -> bool:
    """Whether the visitor's cookies let it in."""
    return (await visitor.get("/session")).status_code == 200


async def lets_in(target: Target, secret: str) -> bool:
    """Whether a session's secret lets in whoever has it."""
    visitor = target.visitor()
    visitor.cookies[target.cookie] = secret
    return await is_signed_in(visitor)


@attack("Cookies are for this host alone, and not for scripts.", f"Nothing may rewrite Set-Cookie: {PAGE}.")
async def cookie_attributes(target: Target) -> str:
    """Looks at every cookie of a sign-in and of a request for a mail (RFC 6265bis, section 4.1.3.2)."""
    visitor, account = target.visitor(), target.account
    answer = await visitor.post("/login", {"email": account.email, "password": account.password})
    cookies = set_cookies(answer)
    if not any(cookie.name == target.cookie for cookie in cookies):
        raise NotTested(f"No cookie {target.cookie} came with the sign-in ({answer.status_code}).")
    for cookie in cookies:
        if wrong := _wrong(target, cookie):
            raise Broken(f"The cookie {cookie.name} {wrong}.")
    return f"{len(cookies)} cookies, all HttpOnly, SameSite, host-only" + (", Secure, __Host-" if target.https else "")


def _wrong(target: Target, cookie: SetCookie) -> str | None:
    has = cookie.attributes
    wrong = {
        "is there for scripts: it lacks HttpOnly": "httponly" not in has,
        "goes along with other sites' requests: it lacks SameSite": has.get("samesite", "").lower()
        not in ("lax", "strict"),
        "is not for the whole host: its Path is not /": has.get("path") != "/",
        "goes to other hosts: it has a Domain": "domain" in has,
        "goes over http: it lacks Secure": target.https and "secure" not in has,
        "can be set by a sibling host: its name lacks __Host-": target.https and not cookie.name.startswith("__Host-"),
    }
    return next((text for text, found in wrong.items() if found), None)


@attack("A session's id is new at every sign-in, and made by the server.", f"{PAGE}.")
async def session_fixation(target: Target) -> str:
    """Brings a session along to a sign-in (CWE-384)."""
    visitor, account, planted = target.visitor(), target.account, secrets.token_urlsafe(32)
    visitor.cookies[target.cookie] = planted
    credentials = {"email": account.email, "password": account.password}
    await visitor.post("/login", credentials)
    first = visitor.cookies.get(target.cookie, "")
    if first == planted or await lets_in(target, planted):
        raise Broken("A session id that the client chose was taken over by the sign-in.")
    await visitor.post("/login", credentials)
    if visitor.cookies.get(target.cookie) == first:
        raise Broken("A second sign-in kept the session id.")
    if await lets_in(target, first):
        raise Broken("The session that a second sign-in replaced is alive.")
    return "a planted id was not taken over; a second sign-in gave a new one and ended the old"


@attack("A session that was ended is dead at once.", f"Nothing may cache who is signed in: {PAGE}.")
async def ended_sessions(target: Target) -> str:
    """Uses a session's secret after sign-out, and after it was revoked from another session."""
    visitor = await target.signed_in()
    secret = visitor.cookies[target.cookie]
    await is_signed_in(visitor)  # whatever remembers who asks has seen it now
    await visitor.post("/logout", {})
    if await lets_in(target, secret):
        raise Broken("The session is alive after its sign-out.")
    one, other = await target.signed_in(), await target.signed_in()
    id = (await one.get("/session")).json()["session"]["id"]
    await other.send("DELETE", f"/sessions/{id}")
    if await is_signed_in(one):
        raise Broken("The session is alive after it was revoked from another one.")
    await other.post("/logout", {})
    return "dead after sign-out, and after being revoked elsewhere"


@attack("Two session cookies, or two Authorization headers, are refused.", f"{PAGE}.")
async def duplicate_credentials(target: Target) -> str:
    """Sends a good credential beside another, of which readers take different ones."""
    visitor = await target.signed_in()
    good, bad = (f"{target.cookie}={value}" for value in (visitor.cookies[target.cookie], secrets.token_urlsafe(32)))
    tries = {
        "two cookies in a header": [("cookie", f"{bad}; {good}")],
        "two cookies in a header, the good one first": [("cookie", f"{good}; {bad}")],
        "two cookies in two headers": [("cookie", good), ("cookie", bad)],
        "two Authorization headers": [("cookie", good), ("authorization", "Basic YTpi"), ("authorization", "Bearer x")],
    }
    for name, headers in tries.items():
        answer = await visitor.get("/session", headers=headers, cookies=False)
        if answer.status_code == 200:
            raise Broken(f"With {name} one of them counted.")
    await visitor.post("/logout", {})
    return f"{len(tries)} of {len(tries)} refused"


@attack("A bad bearer credential never falls back to the cookie, and no cookie is a bearer credential.", f"{PAGE}.")
async def bearer_tricks(target: Target) -> str:
    """Sends Authorization headers beside a good cookie, and the cookie's secret where a key belongs."""
    visitor = await target.signed_in()
    secret = visitor.cookies[target.cookie]
    for text in ("Bearer sigra_sk_nonsense", "bearer sigra_sk_nonsense", "BEARER  sigra_sk_", "Bearer x", "Bearer"):
        if (await visitor.get("/session", headers=[("authorization", text)])).status_code == 200:
            raise Broken(f"With `Authorization: {text}` the cookie counted.")
    for text in (f"Bearer {secret}", f"Bearer sigra_sk_{secret}", f"Session {secret}"):
        answer = await visitor.get("/session", headers=[("authorization", text)], cookies=False)
        if answer.status_code == 200:
            raise Broken(f"A session's secret counted as `{text.partition(' ')[0]}` credential.")
    await visitor.post("/logout", {})
    return "8 headers, none let in"


@attack("An API key counts in its header alone, and is dead when revoked.", "docs/plugins/api_keys.md.")
async def api_key_places(target: Target) -> str:
    """Makes a key, presents it elsewhere, and revokes it."""
    visitor = await target.signed_in()
    made = await visitor.post("/api-keys", {"name": "sigra attack", "scopes": []})
    if made.status_code != 201:
        raise NotTested(f"No API key could be made: {made.status_code}.")
    key, id = made.json()["key"], made.json()["id"]
    stranger, header = target.visitor(), [("authorization", f"Bearer {key}")]
    works = (await stranger.get("/session", headers=header)).status_code == 200
    places = [f"?{name}={key}" for name in ("api_key", "access_token", "token", "key", "authorization")]
    found = [place for place in places if (await stranger.get(f"/session{place}")).status_code == 200]
    in_cookie = await lets_in(target, key)
    await visitor.send("DELETE", f"/api-keys/{id}")
    if found or in_cookie:
        raise Broken(f"A key counted in {'the cookie' if in_cookie else 'the query string ' + found[0].split('=')[0]}.")
    if not works:
        raise NotTested("A new key did not work in its header.")
    if (await stranger.get("/session", headers=header)).status_code == 200:
        raise Broken("A key that was revoked still works.")
    return "5 places in the query string and the cookie: none counted; dead when revoked"


@attack("A new password ends all other sessions.", "docs/plugins/password.md.")
async def password_change(target: Target) -> str:
    """Changes the password of an account of its own, under a second session's eyes."""
    account = await target.other()
    one, other = await target.signed_in(account), await target.signed_in(account)
    old, new = one.cookies[target.cookie], secrets.token_urlsafe(18)
    if not (await is_signed_in(one) and await is_signed_in(other)):
        raise NotTested("A new session did not let in.")
    answer = await one.post("/password/change", {"current_password": account.password, "new_password": new})
    if answer.status_code != 204:
        raise NotTested(f"The password could not be changed: {answer.status_code}.")
    target.kept["other"] = type(account)(account.email, new)
    if await is_signed_in(other):
        raise Broken("Another session is alive after the password was changed.")
    if await lets_in(target, old):
        raise Broken("The session that changed the password kept its secret.")
    return "the other session is dead, and the present one has a new secret"
