"""Attacks on where people are sent: by `next`, and by the names that a request gives the host."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

import httpx2

from sigra.attack.attack import attack
from sigra.attack.outcome import Broken, NotTested
from sigra.attack.target import Target
from sigra.attack.visitor import Header, Visitor

TARGETS = (
    "//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example", "\\/evil.example",
    "/\\/evil.example", "//\\evil.example", "/\t/evil.example", "/\n/evil.example", "/\r/evil.example",
    "\t//evil.example", " //evil.example", "/\t\\evil.example", "\x01//evil.example", "https://evil.example",
    "https:evil.example", "https:/evil.example", "https:///evil.example", "http:evil.example", "HTTPS://EVIL.example",
    "https:\\\\evil.example", "ht\ntps://evil.example", "/.//evil.example", "/..//evil.example", "/%2e//evil.example",
    "/%2fevil.example", "/%5cevil.example", "/%09/evil.example", "%2f%2fevil.example", "/a/..//evil.example",
    "javascript:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "//0x7f.1", "//[::1]",
    "{origin}.evil.example/", "{origin}@evil.example/", "https://user@{host}/", "https://evil.example/{origin}/",
    "{origin}\\@evil.example/", "{origin}//evil.example", "{origin}/\\evil.example", "//{host}@evil.example",
    "/a\r\nlocation: //evil.example", "/\r\n\r\n<script>",
)  # fmt: skip
"""Each is another origin to some browser or some server, or none at all."""


def stays(location: str, origin: str) -> bool:
    """Whether a browser on this origin stays there (WHATWG URL, basic URL parser, special schemes)."""
    text = re.sub(r"[\t\n\r]", "", location.strip("".join(map(chr, range(33)))))
    if scheme := re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", text):
        if scheme[1].lower() not in ("http", "https"):
            return False
        rest = text[scheme.end() :]
        if scheme[1].lower() == urlsplit(origin).scheme and not re.match(r"[/\\]{2}", rest):
            return _is_below(rest)
        host = re.split(r"[/\\?#]", rest.lstrip("/\\"), maxsplit=1)[0]
        return f"{scheme[1].lower()}://{host.lower()}" == origin
    return _is_below(text)


def _is_below(text: str) -> bool:
    # Encoded, or after dot segments, they begin a host for servers that decode a path and redirect to it.
    return not re.match(r"(?:/\.{1,2}|/%2e)*(?:[/\\]|%2f|%5c)(?:%0[9ad])*(?:[/\\]|%2f|%5c)", text, re.IGNORECASE)


@attack("After a form a browser stays on this origin, whatever `next` says.", "docs/http.md.")
async def redirect_targets(target: Target) -> str:
    """Gives every target to a form that anybody may post, as a field, in the address, and twice."""
    visitor = target.visitor()
    for text in (_filled(target, one) for one in TARGETS):
        encoded = quote(text, safe="")
        for path, form in (
            ("/logout", {"next": text}),
            (f"/logout?next={encoded}", {}),
            (f"/logout?next=/&next={encoded}", {}),
        ):
            answer = await visitor.send("POST", path, form=form)
            _check(answer, target, text)
    return f"{len(TARGETS)} targets, in the form and in the address: nobody left"


@attack("After a sign-in a browser stays on this origin, whatever `next` says.", "docs/http.md.")
async def redirect_after_sign_in(target: Target) -> str:
    """Gives the most telling targets to the sign-in form."""
    account, chosen = target.account, ["//evil.example", "/\\evil.example", "https:evil.example", "/\t/evil.example"]
    for text in chosen if target.many else chosen[:2]:
        visitor = target.visitor()
        form = {"email": account.email, "password": account.password, "next": text}
        answer = await visitor.send("POST", "/login", form=form)
        if answer.status_code != 303:
            raise NotTested(f"The sign-in form was answered {answer.status_code}.")
        _check(answer, target, text)
        await visitor.post("/logout", {})
    return f"{len(chosen)} targets: nobody left"


def _filled(target: Target, text: str) -> str:
    return text.replace("{origin}", target.origin).replace("{host}", target.host)


def _check(answer: httpx2.Response, target: Target, text: str) -> None:
    for location in answer.headers.get_list("location"):
        if not stays(location, target.origin):
            raise Broken(f"next={text!r} leads to {location!r}.")
    if answer.headers.get("location") is None and answer.status_code < 400:
        raise Broken(f"next={text!r} was answered {answer.status_code} without a way on.")


EVIL: list[tuple[str, list[Header]]] = [
    ("X-Forwarded-Host", [("x-forwarded-host", "evil.example")]),
    ("Forwarded", [("forwarded", "host=evil.example;proto=https")]),
    ("X-Forwarded-Proto and -Port", [("x-forwarded-proto", "evil"), ("x-forwarded-port", "666")]),
    ("X-Original-URL", [("x-original-url", "/evil.example"), ("x-rewrite-url", "/evil.example")]),
    ("Host", [("host", "evil.example")]),
]


@attack("Links and redirects name the configured host, whatever the request says.", "SIGRA_BASE_URL: docs/settings.md.")
async def poisoned_hosts(target: Target) -> str:
    """Names another host to pages and redirects, and to a mail where one can be read."""
    visitor = target.visitor()
    for name, headers in EVIL:
        for path in ("/login", "/account", "/password/forgot", "/nothing-here"):
            answer = await visitor.page(path, headers=headers)
            where = "".join(answer.headers.get_list("location")) + answer.text
            if "evil.example" in where or ":666" in where:
                raise Broken(f"GET {path} with {name} names that host in its answer.")
    told = "pages and redirects name none of them"
    return told + (await _mailed(target, visitor) if await target.has_mailbox() else "")


async def _mailed(target: Target, visitor: Visitor) -> str:
    email = target.stranger()
    headers: list[Header] = [("x-forwarded-host", "evil.example"), ("forwarded", "host=evil.example")]
    if not target.https:
        headers.append(("host", "evil.example"))
    body = {"email": email, "password": "quite a long pass phrase of nobody"}
    if (await visitor.post("/signup", body, headers=headers)).status_code != 202:
        return ""
    message = await target.mail(email, "verify_email")
    if "evil.example" in message["text"] + message["html"]:
        raise Broken("A link in a mail names the host that the request named.")
    return ", nor does a mail"
