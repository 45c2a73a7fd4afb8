"""Attacks that find out who has an account: by answers, by limits and by time."""

from __future__ import annotations

import random
import statistics
import time

import httpx2

from sigra.attack.attack import attack
from sigra.attack.comparing import difference, differs, resolution
from sigra.attack.outcome import Broken, NotTested
from sigra.attack.target import Target
from sigra.attack.visitor import Visitor

CURE = "docs/threat-model.md."

WRONG = "certainly not the password"

PAIRS = 24
BETWEEN = 3
"""Wrong passwords between two right ones: fewer than lock an account."""


def _alike(known: httpx2.Response, unknown: httpx2.Response, what: str) -> str:
    if found := difference(known, unknown):
        raise Broken(f"{what}: an address with an account and one without are told apart by {found}.")
    return f"{what}: both {known.status_code}, alike to the byte"


@attack("A wrong password does not tell whether there is an account.", CURE)
async def enumeration_by_sign_in(target: Target) -> str:
    """Compares the answers to a wrong password, by JSON and by form."""
    account, stranger = target.account, target.stranger()
    told = ""
    for kind in ("json", "form"):
        bodies = [{"email": email, "password": WRONG} for email in (account.email, stranger)]
        one, other = [await target.visitor().send("POST", "/login", **{kind: body}) for body in bodies]  # type: ignore[arg-type]
        told = _alike(one, _less(other, stranger, account.email), f"POST /login by {kind}")
    return told


def _less(answer: httpx2.Response, typed: str, instead: str) -> httpx2.Response:
    """The answer, with what was typed in it (a form shows it again) as the other one typed it."""
    text = answer.text.replace(typed.replace("+", "&#43;"), instead).replace(typed, instead)
    headers = [(name, value) for name, value in answer.headers.multi_items() if name != "content-encoding"]
    return httpx2.Response(answer.status_code, headers=headers, content=text.encode(), request=answer.request)


async def _asked(target: Target, path: str, **more: str) -> tuple[httpx2.Response, httpx2.Response, Visitor]:
    """The answers to who asks for a mail for a known and for an unknown address, and who asked for the known one."""
    visitor = target.visitor()
    known = await visitor.post(path, {"email": target.account.email, **more})
    unknown = await target.visitor().post(path, {"email": target.stranger(), **more})
    return known, unknown, visitor


@attack("Signing up does not tell whether there is an account.", CURE)
async def enumeration_by_sign_up(target: Target) -> str:
    """Signs up with both addresses."""
    known, unknown, _ = await _asked(target, "/signup", password="quite a long pass phrase of nobody")  # noqa: S106
    return _alike(known, unknown, "POST /signup")


@attack("Asking for a link to sign in does not tell whether there is an account.", CURE)
async def enumeration_by_magic_link(target: Target) -> str:
    """Asks for both; the link of the test account is kept for the attack on its lock."""
    known, unknown, visitor = await _asked(target, "/magic-link")
    if known.status_code == 202:
        target.kept["magic_link"] = (visitor, known.json()["login_token"])
    return _alike(known, unknown, "POST /magic-link")


@attack("Asking for a new password does not tell whether there is an account.", CURE)
async def enumeration_by_forgotten_password(target: Target) -> str:
    """Asks for both."""
    known, unknown, _ = await _asked(target, "/password/forgot")
    return _alike(known, unknown, "POST /password/forgot")


@attack("Asking for another mail to verify does not tell whether there is an account.", CURE)
async def enumeration_by_verification(target: Target) -> str:
    """Asks for both: for an account of its own, since an address gets three mails in a quarter of an hour."""
    email = (await target.other()).email
    known = await target.visitor().post("/email/verify/resend", {"email": email})
    unknown = await target.visitor().post("/email/verify/resend", {"email": target.stranger()})
    return _alike(known, unknown, "POST /email/verify/resend")


@attack("A used-up limit does not tell whether there is an account.", "docs/limits.md.")
async def enumeration_by_limits(target: Target) -> str:
    """Asks for mails until a limit answers, for both, from a new client each time."""
    target.need_many()
    email, stranger = (await target.other()).email, target.stranger()
    counts, last = [], []
    for address in (email, stranger):
        # As many mails as the account of its own has had already.
        answers = [await target.visitor(patient=False).post("/password/forgot", {"email": address}) for _ in range(6)]
        counts.append(sum(answer.status_code != 429 for answer in answers))
        last.append(answers[-1])
    if last[0].status_code != 429 and last[1].status_code != 429:
        raise NotTested("No limit was met within 6 requests for a mail.")
    return _alike(last[0], last[1], "429 of POST /password/forgot")


@attack("The time of a wrong password does not tell whether there is an account.", CURE)
async def enumeration_by_time(target: Target) -> str:
    """Times wrong passwords for both in pairs, each in an order by chance; a difference must show twice."""
    target.need_many()
    for _ in range(2):
        pairs = await _timed(target)
        least = resolution(pairs)
        if least is None:
            raise NotTested("The times differ too much among themselves: not even 100 ms would have been seen.")
        if not differs(pairs):
            median = statistics.median(pairs)
            return f"{PAIRS} pairs differ by {median:+.2f} ms in the middle; {least:.0f} ms would have been seen"
    raise Broken(f"An address with an account takes {statistics.median(pairs):+.1f} ms more, twice in {PAIRS} pairs.")


async def _timed(target: Target) -> list[float]:
    """Milliseconds that the known address takes longer, pair by pair."""
    account, stranger, found = target.account, target.stranger(), []
    for number in range(PAIRS):
        if number % BETWEEN == 0:
            await (await target.signed_in()).aclose()  # ends the count of failures
        taken = {}
        for email in random.sample([account.email, stranger], 2):
            taken[email] = await _milliseconds(target.visitor(), email)
        found.append(taken[account.email] - taken[stranger])
    return found


async def _milliseconds(visitor: Visitor, email: str) -> float:
    await visitor.get("/login")  # the connection is there
    begun = time.perf_counter()
    answer = await visitor.post("/login", {"email": email, "password": WRONG})
    taken = (time.perf_counter() - begun) * 1000
    await visitor.aclose()
    if answer.status_code != 401:
        raise NotTested(f"A wrong password was answered {answer.status_code}.")
    return taken
