"""Planted faults: each is a few lines that a deployment, a proxy or a careless change might have.

A fault stands between the server and a sound build. One that a wrapper cannot make is made to look so from outside,
which is where the attacks look from.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote

from starlette.types import Message, Receive, Scope, Send

from sigra.testing import PASSWORD, make_user

Run = Callable[[Any, Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """A fault, and the attacks that find it.

    Args:
        found_by: Of these each says BROKEN; any other holds, or cannot be made.
    """

    name: str
    run: Run
    found_by: tuple[str, ...]


FAULTS: dict[str, Fault] = {}


def fault(*found_by: str) -> Callable[[Run], Run]:
    """Register a fault under its function's name."""

    def registered(run: Run) -> Run:
        FAULTS[run.__name__] = Fault(run.__name__, run, found_by)
        return run

    return registered


# What faults are made of


class Answer:
    """An answer that is changed before it is sent."""

    def __init__(self, start: Message, body: bytes) -> None:
        self.status, self.headers, self.body = start["status"], list(start["headers"]), body

    def header(self, name: str) -> str:
        return b", ".join(value for key, value in self.headers if key == name.encode()).decode()

    def set(self, name: str, value: str | None) -> None:
        self.headers = [one for one in self.headers if one[0] != name.encode()]
        if value is not None:
            self.headers.append((name.encode(), value.encode()))

    async def send(self, send: Send) -> None:
        self.set("content-length", str(len(self.body)))
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


async def asked(build: Any, scope: Scope, receive: Receive) -> Answer:
    """The sound build's answer."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    await build.app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return Answer(messages[0], body)


def changed(*found_by: str, path: str = "", method: str = "") -> Callable[[Callable[..., Any]], Any]:
    """Register a fault that changes answers: `change(build, scope, sent, answer)`, at a path when one is given."""

    def registered(change: Callable[..., Any]) -> Any:
        async def run(build: Any, scope: Scope, receive: Receive, send: Send) -> None:
            if not is_at(scope, path, method):
                await build.app(scope, receive, send)
                return
            sent, receive = await read(receive)
            answer = await asked(build, scope, receive)
            done = change(build, scope, sent, answer)
            if done is not None:
                await done
            await answer.send(send)

        FAULTS[change.__name__] = Fault(change.__name__, run, found_by)
        return change

    return registered


def moved(*found_by: str, path: str = "", method: str = "") -> Callable[[Callable[..., Any]], Any]:
    """Register a fault that changes requests: `move(build, scope)` changes the scope."""

    def registered(move: Callable[..., Any]) -> Any:
        async def run(build: Any, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "websocket" or is_at(scope, path, method):
                move(build, scope)
            await build.app(scope, receive, send)

        FAULTS[move.__name__] = Fault(move.__name__, run, found_by)
        return move

    return registered


def is_at(scope: Scope, path: str, method: str) -> bool:
    if scope["type"] != "http" or (method and scope["method"] != method):
        return False
    return not path or re.fullmatch(f"/auth{path}", scope["path"]) is not None


async def read(receive: Receive) -> tuple[bytes, Receive]:
    """The body, and a `receive` that gives it once more."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return body, again


def text(scope: Scope, name: str) -> str:
    """A request's header."""
    return b", ".join(value for key, value in scope["headers"] if key == name.encode()).decode("latin-1")


def put(scope: Scope, name: str, value: str | None) -> None:
    """Set or drop a request's header."""
    scope["headers"] = [one for one in scope["headers"] if one[0] != name.encode()]
    if value is not None:
        scope["headers"].append((name.encode(), value.encode()))


def fields(scope: Scope, body: bytes) -> dict[str, Any]:
    """What a body says, JSON or form."""
    if "json" in text(scope, "content-type"):
        try:
            found = json.loads(body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}
    return {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}


def cookies(scope: Scope) -> dict[str, str]:
    pairs = [one.strip().partition("=") for one in text(scope, "cookie").replace(",", ";").split(";")]
    return {name: value for name, _, value in pairs}


def somebody() -> tuple[str, int]:
    return (f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(256)}", 1)


def merge(answer: Answer, **members: Any) -> None:
    answer.body = json.dumps({**json.loads(answer.body), **members}).encode()


# Answers


@changed("security-headers")
def no_policy(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    answer.set("content-security-policy", None)


@changed("security-headers")
def stored_answers(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    answer.set("cache-control", "public, max-age=60")


@changed("problems")
def echoing_errors(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if "problem+json" in answer.header("content-type"):
        merge(answer, detail=f"{scope['path']}: {', '.join(fields(scope, sent))} is wrong")


@changed("problems")
def errors_as_text(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if answer.status >= 400:
        answer.set("content-type", "text/plain")


@changed("escaped-pages")
def unescaped_pages(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if "text/html" in answer.header("content-type"):
        answer.body += fields(scope, sent).get("email", "").encode()


@moved("mailbox-elsewhere", path="/mailbox")
def mailbox_for_all(build: Any, scope: Scope) -> None:
    for name in ("x-forwarded-for", "x-real-ip", "forwarded", "via", "x-forwarded-host"):
        put(scope, name, None)
    put(scope, "host", "localhost")


# Redirects


@changed("redirect-targets", path="/logout", method="POST")
def next_unchecked(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    where = fields(scope, sent).get("next")
    if where and answer.status == 303:
        answer.set("location", quote(where, safe="/\\:@?#[]%"))


@changed("redirect-targets", path="/logout", method="POST")
def next_by_prefix(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    where = fields(scope, sent).get("next", "")
    if where.startswith(build.origin) and answer.status == 303:
        answer.set("location", quote(where, safe="/\\:@?#[]%"))


@changed("redirect-after-sign-in", path="/login", method="POST")
def next_after_sign_in(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    where = fields(scope, sent).get("next")
    if where and answer.status == 303:
        answer.set("location", where.replace("\t", ""))


@changed("poisoned-hosts", method="GET")
def host_believed(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    host = text(scope, "x-forwarded-host") or text(scope, "host")
    if location := answer.header("location"):
        answer.set("location", f"http://{host}{location}")


# Bodies


@changed("described-routes", path="/sessions", method="GET")
def open_door(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    answer.status = 200


@changed("hostile-bodies", method="POST")
def falls_over(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if b"\\u0000" in sent:
        answer.status = 500


@changed("hostile-bodies", method="POST")
def takes_nonsense(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if answer.status == 400 and sent == b"null":
        answer.status = 204


@changed("hostile-headers")
def falls_over_headers(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if any(b"\xff" in value for _, value in scope["headers"]):
        answer.status = 500


@fault("slow-bodies")
async def waits_for_ever(build: Any, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        _, receive = await read(receive)
    await build.app(scope, receive, send)


# Sessions


@changed("cookie-attributes", path="/login")
def cookie_for_scripts(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    answer.headers = [(name, value.replace(b"; HttpOnly", b"")) for name, value in answer.headers]


@changed("cookie-attributes", path="/login")
def cookie_for_siblings(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    answer.headers = [
        (name, value + b"; Domain=localhost" if name == b"set-cookie" else value) for name, value in answer.headers
    ]


@moved("session-fixation", path="/login", method="POST")
def old_session_lives(build: Any, scope: Scope) -> None:
    put(scope, "cookie", None)


@fault("session-fixation")
async def planted_session(build: Any, scope: Scope, receive: Receive, send: Send) -> None:
    """The server takes the id that the browser brings."""
    planted = cookies(scope).get("sigra") if scope["type"] == "http" else None
    if planted in build.state:
        put(scope, "cookie", f"sigra={build.state[planted]}")
    if planted is None or not is_at(scope, "/login", "POST"):
        await build.app(scope, receive, send)
        return
    answer = await asked(build, scope, receive)
    if found := re.search(r"sigra=([^;,]+)", answer.header("set-cookie")):
        build.state[planted] = found[1]
        answer.headers = [(name, value.replace(found[1].encode(), planted.encode())) for name, value in answer.headers]
    await answer.send(send)


@moved("ended-sessions", path="/logout", method="POST")
def sign_out_of_the_browser_alone(build: Any, scope: Scope) -> None:
    put(scope, "cookie", None)


@changed("ended-sessions", "password-change", path="/session", method="GET")
def cached_identity(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    cookie = cookies(scope).get("sigra")
    if answer.status == 200 and cookie:
        build.state[cookie] = answer.body
    elif cookie in build.state:
        answer.status, answer.body = 200, build.state[cookie]


@moved("duplicate-credentials", path="/session")
def last_cookie_counts(build: Any, scope: Scope) -> None:
    found = re.findall(r"sigra=([^;,]+)", text(scope, "cookie"))
    if found:
        put(scope, "cookie", f"sigra={found[-1]}")


@moved("bearer-tricks", path="/session")
def bearer_or_cookie(build: Any, scope: Scope) -> None:
    if text(scope, "cookie") and "," not in text(scope, "authorization"):
        put(scope, "authorization", None)


@moved("bearer-tricks", path="/session")
def session_as_bearer(build: Any, scope: Scope) -> None:
    scheme, _, secret = text(scope, "authorization").partition(" ")
    if scheme.lower() == "bearer" and not secret.startswith("sigra_sk"):
        put(scope, "authorization", None)
        put(scope, "cookie", f"sigra={secret}")


@moved("api-key-places", path="/session")
def key_in_query(build: Any, scope: Scope) -> None:
    found = parse_qs(scope["query_string"].decode()).get("access_token")
    if found:
        put(scope, "authorization", f"Bearer {found[0]}")


@changed("api-key-places", path="/session", method="GET")
def cached_key(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    key = text(scope, "authorization")
    if answer.status == 200 and key:
        build.state[key] = answer.body
    elif key in build.state:
        answer.status, answer.body = 200, build.state[key]


# Origins


def _ours(build: Any, scope: Scope) -> None:
    put(scope, "origin", build.origin)
    put(scope, "sec-fetch-site", None)


@moved("cross-origin-posts", path="/(logout|account|sessions)")
def writes_from_anywhere(build: Any, scope: Scope) -> None:
    if scope["type"] == "http":
        _ours(build, scope)


@moved("cross-origin-posts", path="/(logout|account|sessions)")
def origin_by_prefix(build: Any, scope: Scope) -> None:
    if scope["type"] == "http" and text(scope, "origin").startswith(build.origin):
        _ours(build, scope)


@moved("cross-origin-posts", path="/(logout|account|sessions)")
def null_origin_is_ours(build: Any, scope: Scope) -> None:
    if scope["type"] == "http" and text(scope, "origin") == "null":
        _ours(build, scope)


@moved("sign-in-from-elsewhere", path="/login")
def sign_in_from_anywhere(build: Any, scope: Scope) -> None:
    if scope["type"] == "http":
        _ours(build, scope)


@moved("websocket-handshakes", path="/none")
def sockets_from_anywhere(build: Any, scope: Scope) -> None:
    _ours(build, scope)


@moved("plain-text-json", path="/account", method="PATCH")
def any_type_is_json(build: Any, scope: Scope) -> None:
    put(scope, "content-type", "application/json")


@changed("cors")
def everybody_reads(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if origin := text(scope, "origin"):
        answer.set("access-control-allow-origin", origin)
        answer.set("access-control-allow-credentials", "true")


@moved("safe-methods", path="/logout", method="GET")
def get_signs_out(build: Any, scope: Scope) -> None:
    scope["method"] = "POST"
    put(scope, "content-type", "application/x-www-form-urlencoded")


@fault("followed-links")
async def get_verifies(build: Any, scope: Scope, receive: Receive, send: Send) -> None:
    found = parse_qs(scope["query_string"].decode()).get("token") if is_at(scope, "/email/verify", "GET") else None
    if found:
        scope["method"] = "POST"
        put(scope, "content-type", "application/json")
        body = json.dumps({"token": found[0], "without_password": True}).encode()

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

    await build.app(scope, receive, send)


@moved("method-override", path="/sessions")
def method_by_header(build: Any, scope: Scope) -> None:
    scope["method"] = text(scope, "x-http-method-override") or scope["method"] if scope["type"] == "http" else ""


# Accounts


@changed("mass-assignment", path="/account")
def writes_anything(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    said = fields(scope, sent)
    if scope["method"] == "PATCH" and "email" in said:
        build.state["written"] = {"email": said["email"]}
    if answer.status == 200:
        merge(answer, **build.state.get("written", {}))


@changed("sign-up-unproven", path="/signup", method="POST")
async def proven_by_word(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    said = fields(scope, sent)
    if said.get("email_verified"):
        await make_user(build.auth, said["email"], said["password"])


@changed("foreign-is-absent", path="/sessions?/?.*")
def tells_foreign(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if scope["path"] == "/auth/session" and answer.status == 200:
        build.state[(json.loads(answer.body)["session"] or {}).get("id")] = True
    if scope["method"] == "DELETE" and answer.status == 404 and scope["path"].rpartition("/")[2] in build.state:
        answer.status = 403


@changed("token-slots", path="/email/change/cancel", method="POST")
def any_token(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if fields(scope, sent).get("token"):
        answer.status, answer.body = 204, b""


@changed("pending-sign-ins", path="/session")
def pending_is_session(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if cookies(scope).get("sigra-login"):
        answer.status = 200


@changed("magic-link-once", path="/magic-link/verify", method="POST")
def link_works_again(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    said = fields(scope, sent)
    if said.get("login_token") != said.get("token"):
        answer.status = 200


@changed("magic-link-once", path="/magic-link/verify", method="POST")
def link_works_anywhere(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if not fields(scope, sent).get("login_token"):
        answer.status = 200


# Enumeration


async def _is_known(build: Any, scope: Scope, sent: bytes) -> bool:
    email = fields(scope, sent).get("email")
    return isinstance(email, str) and await build.auth.users.by_email(email) is not None


@changed("enumeration-by-sign-in", path="/login", method="POST")
async def no_such_account(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if answer.status == 401 and not await _is_known(build, scope, sent):
        answer.status = 404


@changed("enumeration-by-sign-in", path="/login", method="POST")
async def remembered_account(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if await _is_known(build, scope, sent):
        answer.headers.append((b"set-cookie", b"last-account=1; Path=/; HttpOnly; SameSite=Lax"))


@changed("enumeration-by-sign-up", path="/signup", method="POST")
async def taken_address(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if await _is_known(build, scope, sent):
        answer.status = 409


@changed("enumeration-by-magic-link", path="/magic-link", method="POST")
async def nobody_to_link(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if answer.status == 202 and not await _is_known(build, scope, sent):
        merge(answer, status="nobody")


@changed("enumeration-by-forgotten-password", path="/password/forgot", method="POST")
async def nobody_forgot(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if answer.status == 202 and not await _is_known(build, scope, sent):
        answer.status = 404


@changed("enumeration-by-verification", path="/email/verify/resend", method="POST")
async def verified_already(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if await _is_known(build, scope, sent):
        answer.set("x-verified", "1")


@changed("enumeration-by-limits", "mails-to-one-address", path="/password/forgot", method="POST")
async def only_accounts_are_limited(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if answer.status == 429 and not await _is_known(build, scope, sent):
        answer.status, answer.body = 202, b'{"status": "sent"}'


@changed("enumeration-by-time", path="/login", method="POST")
async def slow_for_accounts(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if await _is_known(build, scope, sent):
        await asyncio.sleep(0.15)


# Limits


@changed("mails-to-one-address", path="/(password/forgot|magic-link|email/verify/resend)", method="POST")
def mails_for_all(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if answer.status == 429:
        answer.status = 202


@fault("at-once")
async def counts_after_the_check(build: Any, scope: Scope, receive: Receive, send: Send) -> None:
    """Of those who come while others are looked at, none is counted yet."""
    if not is_at(scope, "/login", "POST"):
        await build.app(scope, receive, send)
        return
    under_way = build.state["under_way"] = build.state.get("under_way", 0) + 1
    if under_way > 1:
        scope["client"] = somebody()
    try:
        await build.app(scope, receive, send)
    finally:
        build.state["under_way"] -= 1


@moved("one-client", path="/(magic-link|email)/verify", method="POST")
def counts_passwords_alone(build: Any, scope: Scope) -> None:
    scope["client"] = somebody()


@moved("forged-addresses")
def believes_forwarding(build: Any, scope: Scope) -> None:
    if address := text(scope, "x-forwarded-for"):
        scope["client"] = (address.partition(",")[0], 1)


@moved("forged-addresses")
def believes_a_network(build: Any, scope: Scope) -> None:
    if address := text(scope, "cf-connecting-ip"):
        scope["client"] = (address, 1)


@fault("one-account")
async def counts_by_client_alone(build: Any, scope: Scope, receive: Receive, send: Send) -> None:
    """What is counted at an account is forgotten with each client: here by an address of each one's own."""
    if is_at(scope, "/login", "POST"):
        body, receive = await read(receive)
        said = fields(scope, body)
        if said.get("password") != PASSWORD:
            other = json.dumps({**said, "email": f"{random.random()}@example.com"}).encode()

            async def receive() -> Message:
                return {"type": "http.request", "body": other, "more_body": False}

    await build.app(scope, receive, send)


@changed("one-account", path="/login", method="POST")
def lock_for_guesses_alone(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    if answer.status == 401 and fields(scope, sent).get("password") == PASSWORD:
        answer.status = 200


@moved("one-account", path="/login", method="POST")
def no_browser_is_known(build: Any, scope: Scope) -> None:
    if text(scope, "cookie"):
        put(scope, "cookie", text(scope, "cookie").replace("sigra-browser=", "unknown="))


@changed("one-account", path="/magic-link/verify", method="POST")
def lock_for_links_too(build: Any, scope: Scope, sent: bytes, answer: Answer) -> None:
    answer.status = 400
