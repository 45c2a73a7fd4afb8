"""Password hashing with argon2id, at the same price for an account that exists and for one that does not."""

from __future__ import annotations

import logging
import secrets
import unicodedata
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import HashingError, InvalidHashError, VerificationError, VerifyMismatchError

from sigra.crypto.pool import Pool, usable_cores
from sigra.errors import ConfigurationError, Unavailable

T = TypeVar("T")

MINIMUM_MEMORY_KIB = 19_456
MINIMUM_TIME = 2
"""19 MiB and two passes, the least that is advised (OWASP Password Storage Cheat Sheet, "Argon2id")."""

LANE_KIB = 8
"""Memory that a lane needs (RFC 9106, section 3.1)."""

MAXIMUM_PASSWORD_BYTES = 1_024
"""Enough for every passphrase (NIST SP 800-63B, section 5.1.1.2 asks for 64 characters at least)."""

SALT_BYTES = 16
TAG_BYTES = 32
"""A salt of 128 bits and a tag of 256 (RFC 9106, section 4)."""

_log = logging.getLogger("sigra.crypto")


class Hasher:
    """Argon2id (RFC 9106) in one bounded queue: at most one hash a core at once.

    Args:
        memory_kib: Memory of one hash, in KiB.
        time: Passes over the memory.
        parallelism: Lanes; a hash takes so many cores.
        queue: Hashes that may wait; the next is refused.
        allow_weak: Takes parameters that no production may have, for tests.
        cores: Cores to keep busy; all that this process may use when omitted.
        random: So many unpredictable bytes.

    Raises:
        ConfigurationError: The parameters are below 19 MiB and two passes, or none that argon2 can use.
    """

    def __init__(
        self,
        memory_kib: int,
        time: int,
        parallelism: int,
        queue: int,
        *,
        allow_weak: bool = False,
        cores: int | None = None,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        if not allow_weak:
            _refuse_weak(memory_kib, time)
        _refuse_impossible(memory_kib, parallelism)
        self._argon2 = PasswordHasher(
            time_cost=time,
            memory_cost=memory_kib,
            parallelism=parallelism,
            hash_len=TAG_BYTES,
            salt_len=SALT_BYTES,
            type=Type.ID,
        )
        self._random = random
        self._dummy = self._nobodys(memory_kib)
        self._pool = Pool(max(1, (cores or usable_cores()) // parallelism), queue)

    async def hash(self, text: str) -> str:
        """The hash of a new password, with its parameters and salt (PHC string).

        Raises:
            ValueError: It is no password; see `password_bytes`, by which callers refuse it first.
            Unavailable: The queue is full.
        """
        secret = password_bytes(text)
        if secret is None:
            raise ValueError("the password is too long, or holds characters that no password may have")
        return await self._run(lambda: self._argon2.hash(secret, salt=self._random(SALT_BYTES)))

    async def verify(self, hash: str | None, text: str) -> bool:
        """Whether `text` is the password behind `hash`; the work is that of a hash made today, whatever the two are.

        A stored hash of weaker parameters is made up for; one of stronger parameters costs what it costs.
        None (no account, no password), a text that is no password and a hash that cannot be read are all False. The
        last is a fault of the database, which is logged without the hash.

        Raises:
            Unavailable: The queue is full.
        """
        return await self._run(partial(self._verify, hash, text))

    def outdated(self, hash: str) -> bool:
        """Whether the hash was made with other parameters than today's, or cannot be read at all."""
        try:
            return self._argon2.check_needs_rehash(hash)
        except InvalidHashError:
            return True

    async def aclose(self) -> None:
        """Let finish what is in line, and end the threads; the hasher can be used again."""
        await self._pool.aclose()

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await self._pool.run(work)
        except (HashingError, VerificationError) as error:
            # Argon2 could not get its memory.
            raise Unavailable from error

    def _verify(self, hash: str | None, text: str) -> bool:
        secret = password_bytes(text)
        known = hash is not None and secret is not None
        try:
            matches = self._matches(self._dummy if hash is None else hash, secret or b"")
        except (InvalidHashError, UnicodeEncodeError, VerificationError):
            # Argon2 gave up before it began, so the work is still owed.
            self._matches(self._dummy, b"")
            _log.error("A stored password hash cannot be read; its account cannot sign in with a password.")
            return False
        if hash is not None:
            self._make_up_for(hash)
        return matches and known

    def _make_up_for(self, hash: str) -> None:
        """Pay what a hash of weaker parameters has spared: time tells nobody whose owner has not signed in since."""
        today, stored = self._argon2, extract_parameters(hash)
        memory_kib = today.memory_cost - stored.memory_cost * stored.time_cost // today.time_cost
        if memory_kib >= LANE_KIB * today.parallelism:
            self._matches(self._nobodys(memory_kib), b"")

    def _nobodys(self, memory_kib: int) -> str:
        """Written, not computed: verifying against it costs what any other costs, and no password is known to fit."""
        return (
            f"$argon2id$v=19$m={memory_kib},t={self._argon2.time_cost},p={self._argon2.parallelism}"
            f"${_base64(self._random(SALT_BYTES))}${_base64(self._random(TAG_BYTES))}"
        )

    def _matches(self, hash: str, secret: bytes) -> bool:
        try:
            return self._argon2.verify(hash, secret)
        except VerifyMismatchError:
            return False


def password_bytes(text: str) -> bytes | None:
    """The password as it is hashed: UTF-8 after NFC (RFC 8265, section 4.2), so that every keyboard gives the same.

    None when it is no password: above 1,024 bytes, with a NUL (at which some older hashes end) or a lone surrogate.
    """
    # NFC leaves at least a third as many bytes as there were characters (Unicode Normalization FAQ, "maximum expansion
    # factors"), and sorts a long run of accents in quadratic time.
    if len(text) > 3 * MAXIMUM_PASSWORD_BYTES or "\0" in text:
        return None
    try:
        secret = unicodedata.normalize("NFC", text).encode()
    except UnicodeEncodeError:
        return None
    return secret if len(secret) <= MAXIMUM_PASSWORD_BYTES else None


def _refuse_weak(memory_kib: int, time: int) -> None:
    if memory_kib < MINIMUM_MEMORY_KIB:
        raise ConfigurationError(
            f"SIGRA_PASSWORD__MEMORY_KIB is {memory_kib}, too little to protect passwords: "
            f"set it to {MINIMUM_MEMORY_KIB} or more, or leave it out."
        )
    if time < MINIMUM_TIME:
        raise ConfigurationError(
            f"SIGRA_PASSWORD__TIME is {time}, too little to protect passwords: "
            f"set it to {MINIMUM_TIME} or more, or leave it out."
        )


def _refuse_impossible(memory_kib: int, parallelism: int) -> None:
    """RFC 9106, section 3.1: at least 8 KiB a lane, and a number of 32 bits."""
    if not LANE_KIB * parallelism <= memory_kib < 2**32:
        raise ConfigurationError(
            f"SIGRA_PASSWORD__MEMORY_KIB is {memory_kib}, which argon2 cannot use: set it to {LANE_KIB} for each of "
            f"SIGRA_PASSWORD__PARALLELISM or more, and below {2**32}, or leave it out."
        )


def _base64(data: bytes) -> str:
    """Base64 without padding, as in PHC strings."""
    return b64encode(data).rstrip(b"=").decode("ascii")
