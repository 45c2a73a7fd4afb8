"""Access tokens for the application, refreshed by one worker at a time.

A provider takes a refresh token that is used twice for a stolen one, and ends the grant (RFC 9700, section 4.14.2).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import Auth, SigraError, User
from sigra_oauth.errors import GrantLost, OAuthFailed, OAuthUnavailable
from sigra_oauth.identities import Identities
from sigra_oauth.provider import Provider
from sigra_oauth.tokens import Held, KeptTokens

_log = logging.getLogger("sigra.oauth")

MARGIN = timedelta(seconds=60)
"""A token that is given out is good for longer than this, where it can be refreshed."""

LEASE = timedelta(seconds=15)
"""After which the lease of a worker that was killed ends."""

SECONDS = 12.0
"""For the provider; less than a lease."""

PATIENCE = 10.0
"""Seconds in which somebody else may have refreshed it."""

PAUSE = 0.1
"""Seconds between two looks, at least; at most twice that."""


STORING = (0.1, 0.5, 2.0)
"""Seconds between two tries to store what a refresh gave."""


@dataclass(frozen=True)
class Access:
    """Gives out access tokens.

    Args:
        providers: By name.
    """

    auth: Auth
    providers: Mapping[str, Provider]
    identities: Identities
    tokens: KeptTokens
    running: set[asyncio.Task[None]] = field(default_factory=set, repr=False)

    async def token(self, user: User, name: str, identity: uuid.UUID | None = None) -> str:
        """An access token of a user at a provider.

        Args:
            name: The provider's.
            identity: Which of the user's linked accounts there; the one that was used last when omitted.

        Raises:
            GrantLost: None was granted, it has ended, or the account is not active.
            OAuthUnavailable: The provider cannot be asked now.
            OAuthFailed: Its answer is an error, or cannot be trusted.
            LookupError: No provider of that name keeps tokens.
        """
        provider = self._provider(name)
        first = held = await self._held(user, name, identity)
        loop = asyncio.get_running_loop()
        ends = loop.time() + PATIENCE
        while held.version == first.version and _is_due(held, now := self.auth.clock()):
            until = now + LEASE
            if await self.auth.db.transaction(partial(self.tokens.lease, held=held, now=now, until=until)):
                await self._to_the_end(self._refresh(provider, held, until))
            elif loop.time() >= ends:
                raise OAuthUnavailable(f"no worker has refreshed a token of {name} within {PATIENCE:.0f} seconds")
            else:
                await asyncio.sleep(self._pause())
            held = await self._held(user, name, identity)
        return held.tokens.access_token

    def _provider(self, name: str) -> Provider:
        found = self.providers.get(name)
        if found is None or not found.keeps_tokens:
            raise LookupError(
                f"no provider {name} keeps tokens: set keep_tokens in its entry of SIGRA_OAUTH__PROVIDERS"
            )
        return found

    async def _held(self, user: User, name: str, identity: uuid.UUID | None) -> Held:
        async with self.auth.db.connect() as tx:
            account = await self.auth.users.by_id(user.id, tx)
            if account is None or account.status != "active":
                raise GrantLost
            its = [one for one in await self.identities.of(tx, account) if one.provider == name]
            wanted = sorted((one for one in its if identity in (None, one.id)), key=lambda one: one.last_used_at)
            held = await self.tokens.find(self.auth, tx, wanted[-1]) if wanted else None
        if held is None:
            raise GrantLost
        return held

    async def _refresh(self, provider: Provider, held: Held, until: datetime) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                new = await provider.refresh(held.tokens)
        except GrantLost:
            await self.auth.db.transaction(partial(self.tokens.lose, held=held))
            raise
        except (OAuthFailed, OAuthUnavailable, TimeoutError) as error:
            await self.auth.db.transaction(partial(self.tokens.release, held=held, until=until))
            if isinstance(error, TimeoutError):
                raise OAuthUnavailable(
                    f"{provider.name} did not refresh a token within {SECONDS:.0f} seconds"
                ) from None
            raise
        await self._store(partial(self.tokens.renew, self.auth, held=held, tokens=new))

    async def _store(self, storing: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        """Try more than once: with rotation, what has come is the only refresh token that is left."""
        for pause in STORING:
            try:
                return await self.auth.db.transaction(storing)
            except SigraError:
                await asyncio.sleep(pause)
        return await self.auth.db.transaction(storing)

    async def _to_the_end(self, work: Coroutine[Any, Any, None]) -> None:
        """Go on when whoever waits goes away: what the provider has answered by then is the only token that is left."""
        task = asyncio.create_task(work)
        self.running.add(task)
        task.add_done_callback(self._left)
        await asyncio.shield(task)

    def _left(self, task: asyncio.Task[None]) -> None:
        self.running.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), OAuthFailed | OAuthUnavailable):
            _log.warning("refreshing a token: %s", error.reason)

    def _pause(self) -> float:
        return PAUSE * (1 + int.from_bytes(self.auth.random(2), "big") / 0xFFFF)


def _is_due(held: Held, now: datetime) -> bool:
    """Whether it must be refreshed before it is given out.

    Raises:
        GrantLost: It has expired, and there is nothing to refresh it by.
    """
    expires_at = held.tokens.expires_at
    if expires_at is None:
        return False
    if held.tokens.refresh_token is None and expires_at <= now:
        raise GrantLost
    return held.tokens.refresh_token is not None and expires_at - now <= MARGIN
