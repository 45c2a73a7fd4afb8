"""Counting an action against the limits on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sigra.crypto import KeyRing
from sigra.errors import TooManyAttempts
from sigra.limits.rules import Rule
from sigra.limits.stores import Store
from sigra.limits.subjects import Counted, clients
from sigra.limits.windows import Window


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits that hold here.

    Args:
        actions: Those that a limit is on, also when limits are switched off.
        by_action: The rules of each action, in the order in which all count them; empty when limits are switched off.
        keys: Subjects are stored as digests: a store is no list of who has an account.
    """

    actions: frozenset[str]
    by_action: Mapping[str, tuple[Rule, ...]]
    store: Store
    keys: KeyRing

    async def count(
        self, action: str, *, client: str, account: str | None = None, recipient: str | None = None
    ) -> None:
        """Count an action, in one step, for everybody whom a rule on it names.

        Raises:
            TooManyAttempts: A limit is used up; what was counted before stays counted.
        """
        windows = [
            self._window(rule, counted)
            for rule in self.by_action.get(action, ())
            for counted in _subjects(rule, client, account, recipient)
        ]
        seconds = await self.store.take(windows) if windows else None
        if seconds is not None:
            raise TooManyAttempts(seconds)

    def _window(self, rule: Rule, counted: Counted) -> Window:
        key = self.keys.digest(f"limit {rule.limit.name}", counted.key)
        return Window(key, rule.amount * counted.times, rule.seconds)


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
