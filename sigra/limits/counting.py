"""Counting an action against the limits on it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from limits import RateLimitItem

from sigra.crypto import KeyRing
from sigra.errors import TooManyAttempts
from sigra.limits.rules import Rule
from sigra.limits.stores import Store
from sigra.limits.subjects import Counted, clients


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits that hold here.

    Args:
        by_action: The rules of each action; empty when limits are switched off.
        keys: Subjects are stored as digests: a store is no list of who has an account.
    """

    by_action: Mapping[str, tuple[Rule, ...]]
    store: Store
    keys: KeyRing

    async def count(
        self, action: str, *, client: str, account: str | None = None, recipient: str | None = None
    ) -> None:
        """Count an action for everybody whom a rule on it names.

        Raises:
            TooManyAttempts: A limit is used up; what was counted before stays counted.
        """
        for rule in self.by_action.get(action, ()):
            for counted in _subjects(rule, client, account, recipient):
                await self._take(rule, counted)

    async def _take(self, rule: Rule, counted: Counted) -> None:
        key = self.keys.digest(f"limit {rule.limit.name}", counted.key).hex()
        seconds = await self.store.take(f"{rule.limit.name}/{key}", _times(rule.rate, counted.times))
        if seconds is not None:
            raise TooManyAttempts(math.ceil(seconds))


def _subjects(rule: Rule, client: str, account: str | None, recipient: str | None) -> Iterator[Counted]:
    match rule.limit.subject:
        case "client":
            yield from clients(client)
        case "account" if account is not None:
            yield Counted(f"account {account}")
        case "client_and_account" if account is not None:
            for one in clients(client):
                yield Counted(f"{one.key} account {account}", one.times)
        case "recipient" if recipient is not None:
            yield Counted(f"recipient {recipient}")


def _times(rate: RateLimitItem, times: int) -> RateLimitItem:
    return rate if times == 1 else type(rate)(rate.amount * times, rate.multiples, rate.namespace)
