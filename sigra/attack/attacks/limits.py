"""Attacks by many tries: one client at many accounts, many clients at one. They come last, since they use limits up."""

from __future__ import annotations

import asyncio
import time

import httpx2

from sigra.attack.attack import attack
from sigra.attack.attacks.sessions import is_signed_in
from sigra.attack.outcome import Broken, NotTested
from sigra.attack.target import Target
from sigra.attack.visitor import Header, Visitor

CURE = "SIGRA_LIMITS__ENABLED and SIGRA_LIMITS__RULES: docs/limits.md."

PROOFS = 10
"""Of one client in a minute, evaluated."""

AT_ONCE = 200

FAILURES = 5
"""At one account until it is locked."""

HOURLY = 100
"""At one account in an hour, without a lock (NIST SP 800-63B-4, section 3.2.2)."""

WRONG = "certainly not the password"


WINDOW = 58.0
"""Seconds after which the minute of the first proof may be over."""


class Minute:
    """The window of a client's limit, from its first proof."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def broken(self, evidence: str) -> Broken | NotTested:
        """What too many proofs mean: nothing, when they took longer than the window."""
        taken = time.monotonic() - self._begun
        return (
            Broken(evidence) if taken < WINDOW else NotTested(f"The server took {taken:.0f} s, more than the window.")
        )


def _is_evaluated(answer: httpx2.Response) -> bool:
    """Whether a proof was looked at: it was found wrong, or right."""
    return answer.status_code in (200, 202, 400, 401)


async def _new_window(target: Target) -> Minute:
    """Wait until nothing that was done before counts: where one address is all there is."""
    if not target.many:
        target.progress("    waiting 61 s for a new window")
        await asyncio.sleep(61)
    return Minute()


@attack(f"{AT_ONCE} at once pass exactly the limit of a client.", CURE)
async def at_once(target: Target) -> str:
    """Sends wrong proofs for as many addresses, all at the same instant."""
    visitor, minute = target.visitor(patient=False), await _new_window(target)
    bodies = [{"email": target.stranger(), "password": WRONG} for _ in range(AT_ONCE)]
    answers = await asyncio.gather(*(visitor.post("/login", body) for body in bodies))
    evaluated = sum(map(_is_evaluated, answers))
    busy = sum(answer.status_code == 503 for answer in answers)
    if evaluated > PROOFS:
        raise minute.broken(f"Of {AT_ONCE} at once, {evaluated} proofs were evaluated.")
    if evaluated < PROOFS and not busy and target.many:
        raise Broken(
            f"Of {AT_ONCE} at once, no more than {evaluated} proofs were evaluated: the owner is kept out, too."
        )
    return f"{evaluated} evaluated, {AT_ONCE - evaluated - busy} told to come back" + (f", {busy} busy" if busy else "")


@attack(f"One client gets at most {PROOFS} evaluated proofs a minute, over all accounts and routes.", CURE)
async def one_client(target: Target) -> str:
    """Guesses at many accounts by every route that takes a proof."""
    visitor, minute = target.visitor(patient=False), await _new_window(target)
    bodies = {
        "/login": {"password": WRONG},
        "/magic-link/verify": {"code": "12345678", "login_token": "x" * 43},
        "/email/verify": {"code": "12345678"},
    }
    evaluated = 0
    for _ in range(PROOFS):
        for path, body in bodies.items():
            evaluated += _is_evaluated(await visitor.post(path, {"email": target.stranger(), **body}))
    if evaluated > PROOFS:
        raise minute.broken(f"Of {3 * PROOFS} proofs by one client within a minute, {evaluated} were evaluated.")
    return f"of {3 * PROOFS} by {len(bodies)} routes, {evaluated} were evaluated"


FORGED = (
    "x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip", "true-client-ip", "x-client-ip",
    "x-cluster-client-ip", "fastly-client-ip", "x-originating-ip", "x-remote-ip", "client-ip", "fly-client-ip",
)  # fmt: skip


@attack(
    "A client is who connects: headers that it makes up change nothing.",
    "SIGRA_TRUSTED_PROXIES names your proxies alone, and the server's own proxy headers are off: docs/deployment.md.",
)
async def forged_addresses(target: Target) -> str:
    """Uses up the limit, and then says to be somebody else."""
    visitor, minute, number = target.visitor(patient=False), await _new_window(target), 0
    while (await _guess(target, visitor)).status_code != 429:
        number += 1
        if number > 3 * PROOFS:
            raise NotTested(f"No limit was met within {number} proofs.")
    for name in FORGED:
        for address in ("203.0.113.9", "127.0.0.1", "2001:db8::9", "203.0.113.9, 198.51.100.7"):
            value = f"for={address}" if name == "forwarded" else address
            if (await _guess(target, visitor, (name, value))).status_code != 429:
                raise minute.broken(f"With a forged {name} the limit began anew.")
    return f"{len(FORGED)} headers with 4 addresses each: the limit held"


async def _guess(target: Target, visitor: Visitor, *headers: Header) -> httpx2.Response:
    return await visitor.post("/login", {"email": target.stranger(), "password": WRONG}, headers=headers)


@attack("One address gets at most 3 mails in a quarter of an hour, whoever asks.", CURE)
async def mails_to_one_address(target: Target) -> str:
    """Asks for mails to an address without an account, by several routes and from a new client each time."""
    target.need_many()
    email, paths = target.stranger(), ("/password/forgot", "/magic-link", "/email/verify/resend")
    spellings = [email, email.upper(), f" {email}", email]
    answers = []
    for number in range(12):
        body = {"email": spellings[number % len(spellings)]}
        answers.append(await target.visitor(patient=False).post(paths[number % len(paths)], body))
    taken = sum(answer.status_code < 400 for answer in answers)
    if taken > 3:
        raise Broken(f"Of 12 requests for a mail to one address, {taken} were taken.")
    return f"of 12 requests from 12 clients in 3 spellings, {taken} were taken"


@attack(
    "One account gets few proofs however many clients guess, and its owner still gets in.",
    "Switch on sigra-lockout and known_browsers: docs/limits.md.",
)
async def one_account(target: Target) -> str:
    """Guesses from as many clients as an attacker has; then the owner comes. Locks the test account's address."""
    target.need_many()
    owner = await target.signed_in()
    await owner.post("/logout", {})
    link = await _magic_link(target)
    for _ in range(FAILURES):
        await _try(target, WRONG)
    sixth = (await _try(target, target.account.password)).status_code
    if sixth == 429:
        raise NotTested("The test account's own limit is used up: try again in an hour.")
    locked = sixth == 401
    if not locked and "/unlock" in target.kept["openapi"]["paths"]:
        raise Broken(f"After {FAILURES} wrong passwords by as many clients the account is not locked.")
    answers = await _flood(target)
    evaluated = sum(map(_is_evaluated, answers))
    last = await _try(target, target.account.password)
    if not locked:
        if evaluated > HOURLY:
            raise Broken(f"Of {len(answers)} guesses at one account by as many clients, {evaluated} were evaluated.")
        return f"no lock is switched on; of {len(answers)} guesses by as many clients {evaluated} were evaluated"
    if last.status_code == 200:
        raise Broken("The right password, by a client that is not known, ended the lock.")
    return f"locked after {FAILURES}, none of {len(answers)} further clients was let in" + await _owner(
        target, owner, link
    )


async def _try(target: Target, password: str) -> httpx2.Response:
    visitor = target.visitor(patient=False)
    answer = await visitor.post("/login", {"email": target.account.email, "password": password})
    await visitor.aclose()
    return answer


async def _flood(target: Target) -> list[httpx2.Response]:
    target.progress(f"    {target.clients} clients guess at the test account")
    few = asyncio.Semaphore(8)

    async def one() -> httpx2.Response:
        async with few:
            return await _try(target, WRONG)

    return list(await asyncio.gather(*(one() for _ in range(target.clients))))


async def _magic_link(target: Target) -> tuple[Visitor, str] | None:
    """Who asked for a link to sign in, before the lock."""
    if not await target.has_mailbox():
        return None
    if "magic_link" not in target.kept:
        visitor = target.visitor(patient=False)
        answer = await visitor.post("/magic-link", {"email": target.account.email})
        if answer.status_code != 202:
            return None
        target.kept["magic_link"] = (visitor, answer.json()["login_token"])
    found: tuple[Visitor, str] = target.kept["magic_link"]
    return found


async def _owner(target: Target, owner: Visitor, link: tuple[Visitor, str] | None) -> str:
    """How the owner gets in while the account is locked."""
    account = target.account
    answer = await owner.post("/login", {"email": account.email, "password": account.password})
    if answer.status_code != 200 and any(name.endswith("sigra-browser") for name in owner.cookies):
        raise Broken(f"While it is locked, its owner is kept out in a known browser, too ({answer.status_code}).")
    told = "; a known browser was let in" if answer.status_code == 200 else "; no known browser was let in"
    if link is None:
        return f"{told}; a link by mail was not tested"
    visitor, login_token = link
    token = (await target.mail(account.email, "magic_link"))["token"]
    answer = await visitor.post("/magic-link/verify", {"token": token, "login_token": login_token})
    if answer.status_code != 200 or not await is_signed_in(visitor):
        raise Broken(f"While it is locked, its owner is kept out by a link by mail, too ({answer.status_code}).")
    return f"{told}, and so was a link by mail"
