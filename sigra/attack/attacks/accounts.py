"""Attacks on accounts: giving oneself what is not in the form, and reaching what is others'."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from sigra.attack.attack import attack
from sigra.attack.attacks.sessions import lets_in
from sigra.attack.comparing import difference
from sigra.attack.outcome import Broken, NotTested
from sigra.attack.target import Target
from sigra.attack.visitor import set_cookies

MORE: dict[str, Any] = {
    "id": "00000000-0000-7000-8000-000000000001",
    "user_id": "00000000-0000-7000-8000-000000000001",
    "email": "evil@evil.example",
    "email_canonical": "evil@evil.example",
    "email_verified": False,
    "email_verified_at": None,
    "is_admin": True,
    "is_superuser": True,
    "role": "admin",
    "status": "disabled",
    "security_version": 99,
    "scopes": ["*"],
    "assurance": "aal2",
}
"""Members that no form has."""


@attack("Nothing is written but what a form has.", "docs/plugins/account.md.")
async def mass_assignment(target: Target) -> str:
    """Sends members along that are columns (CWE-915), to a profile and to a sign-up."""
    visitor = await target.signed_in()
    before = (await visitor.get("/account")).json()
    await visitor.send("PATCH", "/account", json={**MORE, "name": before.get("name")})
    await visitor.send("PATCH", "/account", json={"user": MORE, "account": MORE})
    after = (await visitor.get("/account")).json()
    who = (await visitor.get("/session")).json()
    await visitor.post("/logout", {})
    changed = [name for name in after if after.get(name) != before.get(name)]
    if changed:
        raise Broken(f"PATCH /account wrote {', '.join(sorted(changed))}.")
    if who["user"].get("email") != before.get("email") or who["identity"]["assurance"] != "aal1":
        raise Broken("PATCH /account changed who is signed in.")
    return f"{len(MORE)} members beside the name: nothing of them was written"


@attack("A sign-up lets nobody in before its address is proven.", "docs/plugins/signup.md.")
async def sign_up_unproven(target: Target) -> str:
    """Signs up, says that the address is proven, and signs in."""
    visitor, email, password = target.visitor(), target.stranger(), "quite a long pass phrase of nobody"
    body = {**MORE, "email": email, "password": password, "email_verified": True, "status": "active"}
    answer = await visitor.post("/signup", body)
    if answer.status_code not in (202, 422):
        raise NotTested(f"A sign-up was answered {answer.status_code}.")
    for somebody in (visitor, target.visitor()):
        answer = await somebody.post("/login", {"email": email, "password": password})
        signed_in = any(cookie.name == target.cookie for cookie in set_cookies(answer))
        if signed_in or (await somebody.get("/session")).status_code == 200:
            raise Broken("Somebody is signed in whose address nobody has proven.")
    return "neither its own browser nor another was let in"


@attack("What is another's is answered as what is not there.", "docs/http.md.")
async def foreign_is_absent(target: Target) -> str:
    """Ends another account's session, and one that never was."""
    theirs = await target.signed_in(await target.other())
    id = (await theirs.get("/session")).json()["session"]["id"]
    visitor = await target.signed_in()
    foreign = await visitor.send("DELETE", f"/sessions/{id}")
    absent = await visitor.send("DELETE", f"/sessions/{uuid.uuid4()}")
    alive = (await theirs.get("/session")).status_code == 200
    await visitor.post("/logout", {})
    if not alive:
        raise Broken("Another account's session was ended.")
    if found := difference(foreign, absent):
        raise Broken(f"Another's session and none are told apart by {found}.")
    return f"both {foreign.status_code}, alike to the byte"


@attack("A token works where it belongs, and nowhere else.", "docs/threat-model.md.")
async def token_slots(target: Target) -> str:
    """Presents every secret that the account has in the place of each other kind."""
    visitor = await target.signed_in()
    found = {"a session's secret": visitor.cookies[target.cookie]}
    if await target.has_mailbox():
        email = target.stranger()
        asked = await target.visitor().post(
            "/signup", {"email": email, "password": "quite a long pass phrase of nobody"}
        )
        if asked.status_code == 202:
            found["a sign-up's secret"] = asked.json()["signup_token"]
            found["a token to verify"] = (await target.mail(email, "verify_email"))["token"]
    slots = {
        "/password/reset": "token",
        "/magic-link/verify": "token",
        "/email/change/confirm": "token",
        "/email/change/cancel": "token",
        "/account/delete/cancel": "token",
        "/unlock": "token",
        "/password/set": "login_token",
        "/email/verify": "token",
    }
    tried = 0
    for kind, secret in found.items():
        for path, field in slots.items():
            if (kind, path) == ("a token to verify", "/email/verify"):
                continue
            body = {field: secret, "login_token": secret, "new_password": "quite a long pass phrase of nobody"}
            answer = await target.visitor().post(path, body)
            tried += 1
            if answer.status_code < 400:
                raise Broken(f"{kind.capitalize()} was taken at {path}: {answer.status_code}.")
        if kind != "a session's secret" and await lets_in(target, secret):
            raise Broken(f"{kind.capitalize()} was taken for a session.")
    await visitor.post("/logout", {})
    return f"{len(found)} secrets in {tried} places that are not theirs: none was taken"


@attack("What waits for another proof is no session, and nothing invented is waited for.", "docs/concepts.md.")
async def pending_sign_ins(target: Target) -> str:
    """Goes on with sign-ins that never began, or that began as something else."""
    visitor, signed = target.visitor(), await target.signed_in()
    name = target.cookie.replace("sigra", "sigra-login")
    for secret in ("x" * 43, signed.cookies[target.cookie], ""):
        visitor.cookies = {name: secret}
        new = {"new_password": "quite a long pass phrase of nobody", "login_token": secret}
        answers = [
            await visitor.post("/password/set", new),
            await visitor.get("/session"),
            await visitor.get("/account"),
            await visitor.post("/email/verify", {"login_token": secret, "without_password": True, "code": "12345678"}),
        ]
        for answer in answers:
            if answer.status_code < 400:
                raise Broken(f"{answer.request.url.path} went on with a sign-in that never began.")
    await signed.post("/logout", {})
    return "3 invented ones, refused at 4 routes"


@attack("A link to sign in works once, and in its own browser alone.", "docs/plugins/magic_link.md.")
async def magic_link_once(target: Target) -> str:
    """Uses one without the browser that asked, and then many times at once."""
    account, visitor = await target.other(), target.visitor()
    answer = await visitor.post("/magic-link", {"email": account.email})
    if answer.status_code != 202:
        raise NotTested(f"No link to sign in could be asked for: {answer.status_code}.")
    token = (await target.mail(account.email, "magic_link"))["token"]
    elsewhere = await target.visitor().post("/magic-link/verify", {"token": token})
    if elsewhere.status_code == 200:
        raise Broken("The link signed in a browser that had not asked for it.")
    proof = {"token": token, "login_token": answer.json()["login_token"]}
    people = [target.visitor() for _ in range(10)]
    answers = await asyncio.gather(*(one.post("/magic-link/verify", proof) for one in people))
    let_in = sum(one.status_code == 200 for one in answers)
    if let_in > 1:
        raise Broken(f"Of 10 at once, {let_in} signed in by one link.")
    if let_in == 0:
        raise NotTested("The link did not sign in its own browser.")
    return "refused elsewhere; of 10 at once one was let in"
