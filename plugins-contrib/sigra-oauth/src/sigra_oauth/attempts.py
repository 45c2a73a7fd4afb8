"""Attempts: somebody is on the way to a provider and back, in one browser, for one purpose.

The row is found by `state` and belongs to the browser that holds the attempt's cookie. `nonce` and code verifier are
derived from that cookie's secret and stored nowhere: whoever has the database, or the callback's address alone, can
finish nothing (RFC 9700, sections 2.1.1 and 4.7.1).
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Boolean, Column, MetaData, RowMapping, String, Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from sigra import Auth, Cookie, Identity, User, canonical_email
from sigra.db import Digest, Id, Sealed, UTCDateTime, delete_batch, user_ref
from sigra_oauth.errors import OAuthExpired
from sigra_oauth.provider import Answer, Asked, Claims, Provider, Tokens
from sigra_oauth.shapes import Start

COOKIE = "sigra-oauth"

LIFETIME = timedelta(minutes=10)
"""Of the way there and back, and of the proof that is asked for then."""

PROOFS = "email_verification"
"""The section that says how long a mail is good that proves an address."""

MOST = 5
"""Attempts that one browser has under way; a new one ends the oldest."""

NEXT_LENGTH = 2048

STATE, BROWSER = "oauth.state", "oauth.browser"
"""Purposes of the two secrets."""

WAITED_FOR = "oauth.address"
"""Purpose of the digests of addresses."""

MARK = 12
"""Characters at the beginning of `state` that name the attempt's cookie: its time in seconds, and a little chance."""

_STATE = re.compile(r"[0-9a-f]{12}[A-Za-z0-9_-]{43}")
_NAME = re.compile(r"[0-9a-f]{12}")

ACCOUNT, ADDRESS, MAIL = "account", "address", "mail"
"""What an answered attempt waits for: the proof of an account, an address, a mail that proves one."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One row, with the secret of its browser.

    Args:
        user_id: Who is signed in where it began; once it is answered, whose account is to be proven.
        session_id: The session that began it.
        answer: What the provider has said, while that waits for something.
        address: Where the mail went that it waits for.
    """

    id: uuid.UUID
    provider: str
    intent: str
    user_id: uuid.UUID | None
    session_id: uuid.UUID | None
    next: str | None
    remember: bool
    begun_at: datetime
    waits_for: str | None
    expires_at: datetime
    mark: str
    secret: str = field(repr=False)
    answer: Answer | None = field(default=None, repr=False)
    address: str | None = field(default=None, repr=False)

    def asked(self, redirect_uri: str, state: str) -> Asked:
        """What the provider was asked with."""
        # Also where somebody signs in who is: what comes of it is a fresh session, too.
        again = self.session_id is not None and self.intent != "link"
        return Asked(redirect_uri, state, self._derived("nonce"), self._derived("pkce"), again, self.begun_at)

    def _derived(self, label: str) -> str:
        digest = hmac.digest(self.secret.encode(), f"sigra oauth {label}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


_SAME = (
    "id",
    "provider",
    "intent",
    "user_id",
    "session_id",
    "next",
    "remember",
    "begun_at",
    "waits_for",
    "expires_at",
)


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt that begins, and its `state`."""

    attempt: Attempt
    state: str = field(repr=False)
    state_digest: bytes = field(repr=False)
    browser_digest: bytes = field(repr=False)


class Attempts:
    """`sigra_oauth_attempts`."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "sigra_oauth_attempts",
            metadata,
            Column("id", Id(), primary_key=True),
            Column("state_digest", Digest(), nullable=False, unique=True),
            Column("browser_digest", Digest(), nullable=False, unique=True),
            Column("provider", String(32), nullable=False),
            Column("intent", String(16), nullable=False),
            user_ref(nullable=True),
            Column("session_id", Id(), index=True),
            Column("next", String(NEXT_LENGTH)),
            Column("remember", Boolean, nullable=False),
            Column("begun_at", UTCDateTime, nullable=False),
            Column("claimed_at", UTCDateTime),
            Column("waits_for", String(16)),
            Column("address_digest", Digest(), index=True),
            Column("answer", Sealed()),
            Column("expires_at", UTCDateTime, nullable=False, index=True),
        )

    # There

    def new(self, auth: Auth, request: Request, provider: Provider, body: Start) -> Begun:
        """One that is to begin, for the browser that asks."""
        identity: Identity | None = request.scope["sigra.identity"]
        state, browser, now = auth.tokens.mint(STATE), auth.tokens.mint(BROWSER), auth.clock()
        mark = f"{int(now.timestamp()) & 0xFFFFFFFF:08x}{auth.random(2).hex()}"
        onward = body.next or request.query_params.get("next")
        attempt = Attempt(
            id=uuid.UUID(bytes=auth.random(16), version=4),
            provider=provider.name,
            intent=body.intent,
            user_id=None if identity is None else identity.user.id,
            session_id=None if identity is None else identity.session_id,
            next=None if onward is None or len(onward) > NEXT_LENGTH else onward,
            remember=body.remember,
            begun_at=now,
            waits_for=None,
            expires_at=now + LIFETIME,
            mark=mark,
            secret=browser.text,
        )
        return Begun(attempt, f"{mark}{state.text}", state.digest, browser.digest)

    async def begin(self, tx: AsyncConnection, begun: Begun) -> None:
        """Keep it."""
        values = {name: getattr(begun.attempt, name) for name in _SAME}
        digests = {"state_digest": begun.state_digest, "browser_digest": begun.browser_digest}
        await tx.execute(insert(self.table).values({**values, **digests}))

    def hold(self, auth: Auth, request: Request, response: Response, attempt: Attempt, provider: Provider) -> None:
        """Give the browser the attempt's cookie, and take the oldest where it has too many."""
        for mark in sorted(set(_marks(auth, request)) - {attempt.mark})[: -(MOST - 1)]:
            auth.set_cookie(response, Cookie(f"{COOKIE}-{mark}", "", 0))
        seconds = int((attempt.expires_at - auth.clock()).total_seconds())
        # A form that a provider's page posts brings no other cookie.
        by_post = provider.response_mode == "form_post" and attempt.waits_for is None
        auth.set_cookie(response, Cookie(f"{COOKIE}-{attempt.mark}", attempt.secret, seconds, by_post))

    def dropped(self, auth: Auth, response: Response, attempt: Attempt) -> Response:
        """The same answer, which takes the attempt's cookie, if it does not say that something still waits."""
        its = f"{auth.settings.cookie_name(f'{COOKIE}-{attempt.mark}')}="
        if attempt.mark and not any(line.startswith(its) for line in response.headers.getlist("set-cookie")):
            auth.set_cookie(response, Cookie(f"{COOKIE}-{attempt.mark}", "", 0))
        return response

    # Back

    async def find(self, auth: Auth, request: Request, provider: Provider, states: Sequence[str]) -> Attempt:
        """The attempt that a callback is for, while it is under way, in the browser that began it.

        Args:
            states: The values of `state`.

        Raises:
            OAuthExpired: There is none.
        """
        if len(states) != 1 or not _STATE.fullmatch(states[0]):
            raise OAuthExpired
        mark, text = states[0][:MARK], states[0][MARK:]
        found = await self._by_secret(
            auth, request, mark, self.table.c.state_digest.in_(auth.tokens.digests(STATE, text))
        )
        if found is None or found.provider != provider.name:
            raise OAuthExpired
        return found

    async def claim(self, auth: Auth, tx: AsyncConnection, attempt: Attempt) -> None:
        """Take the one answer that an attempt may have.

        Raises:
            OAuthExpired: It was taken, or came too late.
        """
        now = auth.clock()
        open = (self.table.c.id == attempt.id) & self.table.c.claimed_at.is_(None) & (self.table.c.expires_at > now)
        if (await tx.execute(update(self.table).where(open).values(claimed_at=now))).rowcount != 1:
            raise OAuthExpired

    async def finish(self, tx: AsyncConnection, attempt: Attempt) -> None:
        """End it, in the transaction of its effect.

        Raises:
            OAuthExpired: Somebody else was first.
        """
        mine = (self.table.c.id == attempt.id) & self.table.c.claimed_at.is_not(None)
        if (await tx.execute(delete(self.table).where(mine))).rowcount != 1:
            raise OAuthExpired

    async def discard(self, tx: AsyncConnection, attempt: Attempt) -> None:
        """End one whose effect another one has had, if it is there still."""
        await tx.execute(delete(self.table).where(self.table.c.id == attempt.id))

    async def session_of(self, auth: Auth, attempt: Attempt) -> uuid.UUID | None:
        """The session that began it, by its id as of now."""
        async with auth.db.connect() as tx:
            found: uuid.UUID | None = await tx.scalar(
                select(self.table.c.session_id).where(self.table.c.id == attempt.id)
            )
        return found

    # What waits

    async def keep(
        self,
        auth: Auth,
        tx: AsyncConnection,
        attempt: Attempt,
        waits_for: str,
        answer: Answer | None,
        user_id: uuid.UUID | None,
        address: str | None = None,
    ) -> Attempt:
        """Note what an answered attempt waits for; the attempt as of now.

        Raises:
            OAuthExpired: It has ended.
        """
        sealed = None
        if answer is not None:
            packed = json.dumps({**_packed(answer), "address": address})
            sealed = auth.vault.seal(self.table.c.answer, attempt.id, packed.encode())
        expires_at = auth.clock() + LIFETIME
        if waits_for == MAIL:
            # As long as the mail is good for an address that was given in time, and not longer for another one.
            expires_at = attempt.begun_at + 2 * LIFETIME + mail_lifetime(auth)
        now: dict[str, Any] = {"waits_for": waits_for, "user_id": user_id, "expires_at": expires_at}
        digest = None if address is None else auth.tokens.digest(WAITED_FOR, canonical_email(address))
        mine = (self.table.c.id == attempt.id) & self.table.c.claimed_at.is_not(None)
        kept = update(self.table).where(mine).values(**now, answer=sealed, address_digest=digest)
        if (await tx.execute(kept)).rowcount != 1:
            raise OAuthExpired
        return replace(attempt, **now, answer=answer, address=address)

    async def waiting(
        self,
        auth: Auth,
        request: Request,
        waits_for: Sequence[str],
        presented: str | None = None,
        tx: AsyncConnection | None = None,
    ) -> list[Attempt]:
        """The attempts of this browser that wait for something, the newest first.

        Args:
            waits_for: Any of these.
            presented: The secret of one, in place of its cookie (`login_token`).
        """
        marks = sorted(_marks(auth, request), reverse=True)[:MOST]
        secrets = {mark: auth.cookie(request, f"{COOKIE}-{mark}") for mark in marks}
        if presented is not None:
            secrets = {"": presented}
        digests = {
            digest: mark for mark, secret in secrets.items() for digest in auth.tokens.digests(BROWSER, secret or "")
        }
        if not digests:
            return []
        live = self.table.c.browser_digest.in_(list(digests)), self.table.c.expires_at > auth.clock()
        query = select(self.table).where(*live, self.table.c.waits_for.in_(waits_for))
        async with nullcontext(tx) if tx is not None else auth.db.connect() as connection:
            rows = (await connection.execute(query.order_by(self.table.c.begun_at.desc()))).mappings().all()
        marked = [(row, digests[bytes(row["browser_digest"])]) for row in rows]
        return [self._attempt(auth, row, mark, secrets[mark] or "") for row, mark in marked]

    async def address(self, auth: Auth, tx: AsyncConnection, address: str) -> str | None:
        """Where the mails go that somebody waits for who gave that address, in some spelling; None for nobody."""
        digests = auth.tokens.text_digests(WAITED_FOR, canonical_email(address))
        live = self.table.c.address_digest.in_(digests), self.table.c.expires_at > auth.clock()
        newest = select(self.table).where(*live, self.table.c.waits_for == MAIL).order_by(self.table.c.begun_at.desc())
        rows = (await tx.execute(newest.limit(MOST))).mappings()
        found = [attempt.address for row in rows if (attempt := self._attempt(auth, row, "", "")).address is not None]
        return address if address in found else next(iter(found), None)

    async def by_id(self, auth: Auth, tx: AsyncConnection, id: uuid.UUID) -> Attempt | None:
        """An attempt that waits, for who was told of it by its id; it has no secret."""
        query = select(self.table).where(self.table.c.id == id, self.table.c.expires_at > auth.clock())
        row = (await tx.execute(query)).mappings().first()
        return None if row is None else self._attempt(auth, row, "", "")

    async def moved(self, tx: AsyncConnection, old: uuid.UUID, new: uuid.UUID) -> None:
        """The session that began some has a new id."""
        await tx.execute(update(self.table).where(self.table.c.session_id == old).values(session_id=new))

    async def clear(self, tx: AsyncConnection, user: User) -> None:
        """End all that are about a user."""
        await tx.execute(delete(self.table).where(self.table.c.user_id == user.id))

    async def clear_all(self, tx: AsyncConnection) -> int:
        """End everybody's; how many."""
        return (await tx.execute(delete(self.table))).rowcount

    async def sweep(self, auth: Auth, tx: AsyncConnection) -> bool:
        """Delete a batch of what has expired; whether more may be left."""
        return await delete_batch(tx, self.table, self.table.c.expires_at <= auth.clock())

    async def _by_secret(self, auth: Auth, request: Request, mark: str, condition: Any) -> Attempt | None:
        secret = auth.cookie(request, f"{COOKIE}-{mark}")
        if secret is None:
            return None
        query = select(self.table).where(
            self.table.c.browser_digest.in_(auth.tokens.digests(BROWSER, secret)),
            self.table.c.expires_at > auth.clock(),
            condition,
        )
        async with auth.db.connect() as tx:
            row = (await tx.execute(query)).mappings().first()
        return None if row is None else self._attempt(auth, row, mark, secret)

    def _attempt(self, auth: Auth, row: RowMapping, mark: str, secret: str) -> Attempt:
        its: dict[str, Any] = {name: row[name] for name in _SAME}
        if row["answer"] is not None:
            packed = json.loads(auth.vault.open(self.table.c.answer, row["id"], row["answer"]))
            its |= {"answer": _unpacked(packed), "address": packed["address"]}
        return Attempt(**its, mark=mark, secret=secret)


def mail_lifetime(auth: Auth) -> timedelta:
    """How long a mail is good that proves an address."""
    lifetime: timedelta = getattr(auth.settings, PROOFS).lifetime
    return lifetime


def _marks(auth: Auth, request: Request) -> Iterator[str]:
    """Of the attempts whose cookies the browser holds."""
    prefix = auth.settings.cookie_name(f"{COOKIE}-")
    for name in request.cookies:
        mark = name.removeprefix(prefix)
        if name.startswith(prefix) and _NAME.fullmatch(mark):
            yield mark


def _packed(answer: Answer) -> dict[str, Any]:
    expires_at = answer.tokens.expires_at
    tokens = {**asdict(answer.tokens), "expires_at": expires_at and expires_at.isoformat()}
    return {"claims": asdict(answer.claims), "tokens": tokens, "session": answer.session}


def _unpacked(packed: Mapping[str, Any]) -> Answer:
    tokens = dict(packed["tokens"])
    if tokens["expires_at"] is not None:
        tokens["expires_at"] = datetime.fromisoformat(tokens["expires_at"])
    return Answer(Claims(**packed["claims"]), Tokens(**tokens), packed["session"])
