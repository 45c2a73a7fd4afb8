"""A hasher that takes other libraries' hashes too, for the time of a move: every attempt pays for every scheme."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

from argon2.exceptions import HashingError

from sigra.crypto.foreign import BrokenHash, ForeignHash, read_hash, spend
from sigra.crypto.passwords import Hasher, password_bytes
from sigra.errors import ConfigurationError

ORIGINS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "django": {"pbkdf2_sha256": 1_000_000, "pbkdf2_sha1": 1_000_000, "scrypt": 655_360, "argon2": 204_800},
        "fastapi_users": {"argon2": 196_608, "bcrypt": 12},
        "pwdlib": {"argon2": 196_608, "bcrypt": 12},
        "passlib": {
            "bcrypt": 12,
            "argon2": 196_608,
            "pbkdf2_sha256": 29_000,
            "pbkdf2_sha512": 25_000,
            "pbkdf2_sha1": 131_000,
            "scrypt": 524_288,
        },
        "bcrypt": {"bcrypt": 12},
        "argon2": {"argon2": 204_800},
        "scrypt": {"scrypt": 655_360},
        "pbkdf2_sha1": {"pbkdf2_sha1": 1_000_000},
        "pbkdf2_sha256": {"pbkdf2_sha256": 1_000_000},
        "pbkdf2_sha512": {"pbkdf2_sha512": 25_000},
    }
)
"""What a name switches on, and what each scheme costs by the defaults of Django 5.2, passlib 1.7 and pwdlib 0.3."""

GREATEST = 4
"""A stored hash may cost so many times its scheme's budget; beyond it is broken, not computed."""

_HASHES, _COSTS = "SIGRA_PASSWORD__FOREIGN_HASHES", "SIGRA_PASSWORD__FOREIGN_COSTS"

_log = logging.getLogger("sigra.crypto")


class MigratingHasher(Hasher):
    """A `Hasher` that verifies hashes of other libraries; without any switched on, it is a `Hasher`.

    Every attempt pays the budget of every scheme that is on, whatever is stored and whether or not anything is, in one
    place of the queue: work tells neither who has an account nor who has signed in since the move. A stored hash that
    is cheaper than its scheme's budget is made up for.

    Args:
        foreign: Names: where the hashes come from, or single schemes (the keys of `ORIGINS`).
        costs: Budgets by scheme in place of those of `ORIGINS`; bcrypt's as the power of two that its hashes show.

    Raises:
        ConfigurationError: A name that is none, or a scheme whose library is not installed.
    """

    def __init__(
        self,
        memory_kib: int,
        time: int,
        parallelism: int,
        queue: int,
        *,
        foreign: Collection[str] = (),
        costs: Mapping[str, int] = MappingProxyType({}),
        **more: Any,
    ) -> None:
        super().__init__(memory_kib, time, parallelism, queue, **more)
        self._budgets = budgets(foreign, costs)

    def _verify(self, hash: str | None, text: str) -> bool:
        stored = None if hash is None else self._read(hash)
        own = None if isinstance(stored, ForeignHash | BrokenHash) else hash
        found = super()._verify(own, text)
        for scheme, budget in self._budgets.items():
            here = stored if isinstance(stored, ForeignHash) and stored.scheme == scheme else None
            # Never less work after a match.
            found = _spent(scheme, budget, here, text) or found
        return found

    def _read(self, hash: str) -> ForeignHash | BrokenHash | None:
        """A hash of a scheme that is on; None for one of our own making, or that nobody can read."""
        try:
            stored = read_hash(hash)
        except BrokenHash as broken:
            _log.error("A stored password hash cannot be read; its account cannot sign in with a password.")
            return broken
        # Ours are Argon2 too: those of today's parameters need no second look.
        if stored is None or stored.scheme not in self._budgets or not self.outdated(hash):
            return None
        return self._within(stored)

    def _within(self, stored: ForeignHash) -> ForeignHash | BrokenHash:
        budget = self._budgets[stored.scheme]
        if stored.cost > GREATEST * budget:
            _log.error("A stored %s hash costs more than %d times what %s allows for.", stored.scheme, GREATEST, _COSTS)
            return BrokenHash()
        if stored.cost > budget:
            _log.warning("A stored %s hash costs more than others pay: raise %s.", stored.scheme, _COSTS)
        return stored


def budgets(names: Collection[str], costs: Mapping[str, int]) -> dict[str, int]:
    """What every attempt pays, by scheme, in the scheme's unit.

    Raises:
        ConfigurationError: A name or scheme that is none, or one whose library is not installed.
    """
    found: dict[str, int] = {}
    for name in names:
        for scheme, cost in ORIGINS[_known(name, _HASHES, ORIGINS)].items():
            found[scheme] = max(cost, found.get(scheme, 0))
    for name, cost in costs.items():
        scheme = _known(name, _COSTS, found)
        if cost < 1 or (scheme == "bcrypt" and not 4 <= cost <= 20):
            raise ConfigurationError(f"{_COSTS} has {cost} for {scheme}: write a cost that its hashes have.")
        found[scheme] = cost
    if "bcrypt" in found:
        _demand_bcrypt()
        found["bcrypt"] = 2 ** found["bcrypt"]
    return found


def _known(name: str, option: str, names: Collection[str]) -> str:
    plain = name.lower().replace("-", "_")
    if plain in names:
        return plain
    nearest = difflib.get_close_matches(plain, names, n=1)
    cure = (
        f"did you mean {nearest[0]}?" if nearest else f"take any of {', '.join(names) or 'those that are switched on'}."
    )
    raise ConfigurationError(f"{option} has {name}, which is none: {cure}")


def _demand_bcrypt() -> None:
    if find_spec("bcrypt") is None:
        raise ConfigurationError(
            f"{_HASHES} switches bcrypt on, which is not installed: install sigra[bcrypt], or leave the name out."
        )


def _spent(scheme: str, budget: int, stored: ForeignHash | None, text: str) -> bool:
    """Pay the budget of a scheme for each form of the text, and say whether one of them is the password."""
    secrets, known = _forms(text)
    found = False
    try:
        for secret in secrets:
            found = (stored is not None and stored.matches(secret)) or found
            spend(scheme, budget - (stored.cost if stored is not None else 0))
    except MemoryError as error:
        raise HashingError("no memory for a hash") from error
    except ValueError:
        # The library refused before it began.
        _log.error("A stored password hash cannot be computed; its account cannot sign in with a password.")
        spend(scheme, budget * len(secrets))
        return False
    return found and known


def _forms(text: str) -> tuple[tuple[bytes, ...], bool]:
    """As typed, since most libraries took it so, then after NFC; how many there are is told by the text alone."""
    normal = password_bytes(text)
    if normal is None:
        return (b"",), False
    return tuple(dict.fromkeys((text.encode(), normal))), True
