"""Attacks on answers: headers, errors, and what is reflected in them."""

from __future__ import annotations

from sigra.attack.attack import attack
from sigra.attack.outcome import Broken
from sigra.attack.target import Target, is_loopback
from sigra.attack.visitor import JSON, Header

CURE = "A proxy or middleware before Sigra must leave its headers alone: docs/deployment.md."

MARKUP = '"><sigra-attack onload=x>'
ECHO = "sigra-attack-echo"


@attack("Answers are not stored, framed or sniffed, and no script but ours runs.", CURE)
async def security_headers(target: Target) -> str:
    """Looks at the headers of pages, data and errors."""
    visitor, paths = target.visitor(), ("/login", "/signup", "/session", "/nothing-here", "/password/reset")
    for path in paths:
        answer = await visitor.page(path)
        policy = answer.headers.get("content-security-policy", "")
        wrong = {
            "is stored: no Cache-Control: no-store": "no-store" not in answer.headers.get("cache-control", ""),
            "can be framed: no frame-ancestors": "frame-ancestors 'none'" not in policy,
            "runs other scripts: no default-src 'none'": "default-src 'none'" not in policy,
            "runs injected scripts: unsafe-inline": "unsafe-inline" in policy or "unsafe-eval" in policy,
            "may be sniffed: no nosniff": answer.headers.get("x-content-type-options") != "nosniff",
            "tells other sites its address: no Referrer-Policy": answer.headers.get("referrer-policy")
            not in ("same-origin", "no-referrer", "strict-origin"),
        }
        for text, found in wrong.items():
            if found:
                raise Broken(f"GET {path} {text}.")
    return f"{len(paths)} answers have them all"


@attack("Errors are problems of one shape, and repeat nothing of the request.", "docs/errors.md.")
async def problems(target: Target) -> str:
    """Asks wrongly in every way, with a word in it that no answer may have (RFC 9457)."""
    visitor = target.visitor()
    tries: dict[str, tuple[str, str, bytes, str]] = {
        "an unknown path": ("GET", f"/{ECHO}", b"", JSON),
        "a wrong method": ("PUT", "/login", b"{}", JSON),
        "a wrong type": ("POST", "/login", b"{}", f"text/{ECHO}"),
        "broken JSON": ("POST", "/login", f'{{"{ECHO}": '.encode(), JSON),
        "a list": ("POST", "/login", f'["{ECHO}"]'.encode(), JSON),
        "missing fields": ("POST", "/login", f'{{"{ECHO}": 1}}'.encode(), JSON),
        "wrong kinds": ("POST", "/login", f'{{"email": ["{ECHO}"], "password": {{"{ECHO}": 1}}}}'.encode(), JSON),
        "members twice": ("POST", "/login", f'{{"{ECHO}": 1, "{ECHO}": 2}}'.encode(), JSON),
        "a wrong proof": ("POST", "/login", f'{{"email": "{ECHO}@example.com", "password": "x"}}'.encode(), JSON),
        "a bad token": ("POST", "/email/verify", f'{{"token": "{ECHO}"}}'.encode(), JSON),
        "nobody": ("GET", "/account", b"", JSON),
    }
    for name, (method, path, content, kind) in tries.items():
        headers: list[Header] = [("content-type", kind), ("user-agent", ECHO)] if content else [("user-agent", ECHO)]
        answer = await visitor.send(method, path, content=content or None, headers=headers)
        if answer.status_code < 400:
            raise Broken(f"{name} was answered {answer.status_code}.")
        if not answer.headers.get("content-type", "").startswith("application/problem+json"):
            raise Broken(f"{name} is no problem, but {answer.headers.get('content-type', 'without a type')}.")
        if ECHO in answer.text:
            raise Broken(f"The problem of {name} repeats what was sent.")
        if not {"type", "title", "status", "code"} <= answer.json().keys():
            raise Broken(f"The problem of {name} lacks a member.")
    return f"{len(tries)} errors, all problems, nothing repeated"


@attack("Nothing of a request becomes markup of a page.", "docs/plugins/pages.md: templates escape.")
async def escaped_pages(target: Target) -> str:
    """Puts markup into everything that pages show again (CWE-79)."""
    visitor, word = target.visitor(), MARKUP
    html: list[Header] = [("accept", "text/html")]
    encoded = "%22%3E%3Csigra-attack%20onload%3Dx%3E"
    answers = [
        await visitor.page(f"/login?next={encoded}&email={encoded}&error={encoded}"),
        await visitor.page(f"/{encoded}"),
        await visitor.page(f"/account?next={encoded}"),
        await visitor.page(f"/email/verify?token={encoded}&email={encoded}"),
        await visitor.page("/login", headers=[("accept-language", word), ("referer", word), ("user-agent", word)]),
        await visitor.send("POST", "/login", form={"email": word, "password": word, "next": word}, headers=html),
        await visitor.send("POST", "/signup", form={"email": word, "name": word}, headers=html),
        await visitor.send("POST", "/password/forgot", form={"email": word}, headers=html),
        await visitor.send("POST", "/email/verify", form={"token": word, "email": word, "code": word}, headers=html),
    ]
    for answer in answers:
        if "<sigra-attack" in answer.text:
            raise Broken(f"{answer.request.method} {answer.request.url.path} shows markup of the request as its own.")
    return f"{len(answers)} pages, none with our markup"


@attack(
    "The development mailbox is for this machine alone.",
    "SIGRA_DEVELOPMENT is off where others come: docs/settings.md.",
)
async def mailbox_elsewhere(target: Target) -> str:
    """Reads the mailbox as somebody does who comes through a proxy, a tunnel or a turned host name."""
    visitor = target.visitor()
    tries: dict[str, list[Header]] = {
        name: [(name, "203.0.113.7")] for name in ("x-forwarded-for", "x-real-ip", "forwarded", "via")
    }
    tries |= {"x-forwarded-host": [("x-forwarded-host", "evil.example")], "host": [("host", "evil.example")]}
    for name, headers in tries.items():
        if (await visitor.get("/mailbox", headers=headers)).status_code == 200:
            raise Broken(f"The mails of everybody are shown to a request with {name}.")
    if not is_loopback(target.host) and await target.has_mailbox():
        raise Broken("The mails of everybody are shown to other machines.")
    return f"{len(tries)} ways from elsewhere, none shows it"
