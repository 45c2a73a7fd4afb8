"""Which limits there are: the core's and the plugins', at the rates that the operator wants."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from limits import RateLimitItem, parse_many

from sigra.errors import ConfigurationError
from sigra.models import Limit, Subject

OPTION = "SIGRA_LIMITS__RULES"

CORE_LIMITS: tuple[Limit, ...] = (
    # NIST SP 800-63B-4, section 3.2.2: throttle guesses, at no more than 100 in a row on one account.
    Limit("sign_in_client", "attempt", "client", "10/minute"),
    Limit("sign_in_account", "proof", "account", "100/hour"),
    Limit("factor", "factor", "account", "10/15 minutes"),
    Limit("mail_client", "mail", "client", "20/hour"),
    Limit("mail_address", "mail", "recipient", "3/15 minutes"),
    Limit("sign_up_client", "sign_up", "client", "20/hour"),
)


ORDER: tuple[Subject, ...] = ("client", "client_and_account", "account", "recipient")
"""A client that is refused uses up nothing of the accounts and mailboxes that it names: it could shut out others."""

MOST, LONGEST = 10_000, 366 * 24 * 60 * 60
"""Places, and seconds: the time of each place is stored."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A limit at the rate that holds here: so many in so many seconds."""

    limit: Limit
    amount: int
    seconds: int


def rules(brought: Iterable[tuple[str, Sequence[Limit]]], rates: Mapping[str, str]) -> dict[str, tuple[Rule, ...]]:
    """The rules of each action, in the order in which all count them.

    Args:
        brought: The limits, with the names of the plugins that bring them.
        rates: What the operator says instead, by name.

    Raises:
        ConfigurationError: Two of one name, a name that is none, or a rate that is none; with the cure.
    """
    owners, limits = dict.fromkeys((one.name for one in CORE_LIMITS), "the core"), list(CORE_LIMITS)
    for plugin, its in brought:
        for limit in its:
            _check(plugin, limit, owners)
            owners[limit.name] = f"plugin {plugin}"
            limits.append(limit)
    _check_known(rates, owners)
    by_action: dict[str, tuple[Rule, ...]] = {}
    for limit in sorted(limits, key=lambda limit: ORDER.index(limit.subject)):
        rule = _rule(limit, rates.get(limit.name))
        by_action[limit.action] = (*by_action.get(limit.action, ()), rule)
    return by_action


def _check(plugin: str, limit: Limit, owners: Mapping[str, str]) -> None:
    if limit.name in owners:
        raise ConfigurationError(
            f"Two bring the limit {limit.name}: {owners[limit.name]} and plugin {plugin}. "
            f"Switch one off in SIGRA_PLUGINS, as in -{plugin}."
        )
    if not limit.name.startswith(f"{plugin}_") and limit.name != plugin:
        raise ConfigurationError(f"Plugin {plugin} brings the limit {limit.name}: name it {plugin}_….")


def _check_known(rates: Mapping[str, str], names: Iterable[str]) -> None:
    known = list(names)
    for name in rates:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1) or sorted(known)
            raise ConfigurationError(f"{OPTION} has {name!r}, which is no limit: did you mean {nearest[0]}?")


def _rule(limit: Limit, instead: str | None) -> Rule:
    text = limit.rate if instead is None else instead
    rate = _rate(text)
    if rate is None:
        wrong = f"Limit {limit.name} has the rate" if instead is None else f"{OPTION} gives {limit.name} the rate"
        raise ConfigurationError(
            f"{wrong} {text!r}: write it as in 10/minute or 3/15 minutes, at most {MOST} and over at most a year."
        )
    return Rule(limit, rate.amount, rate.get_expiry())


def _rate(text: str) -> RateLimitItem | None:
    try:
        [rate] = parse_many(text)  # of several, one alone would hold
    except ValueError:
        return None
    return rate if 1 <= rate.amount <= MOST and 1 <= rate.get_expiry() <= LONGEST else None
