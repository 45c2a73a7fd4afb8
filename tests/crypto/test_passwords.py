"""Password hashing: the same work for everybody, in one bounded queue."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from time import thread_time
from typing import Any

import argon2
import pytest
from argon2.exceptions import HashingError, VerificationError
from argon2.low_level import hash_secret_raw

from sigra import protocols
from sigra.crypto import MAXIMUM_PASSWORD_BYTES, Hasher, password_bytes
from sigra.errors import ConfigurationError, Unavailable

PASSWORD = "correct horse battery staple"


def cheap(queue: int = 128, *, memory_kib: int = 8, time: int = 1, cores: int = 2, **more: Any) -> Hasher:
    return Hasher(memory_kib, time, 1, queue, allow_weak=True, cores=cores, **more)


@dataclass
class Computations:
    """What argon2 was asked to compute: its parameters, and how much of it at once."""

    parameters: list[argon2.Parameters] = field(default_factory=list)
    running: int = 0
    peak: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def spy(self, verify: Callable[..., bool]) -> Callable[..., bool]:
        def spied(hasher: argon2.PasswordHasher, hash: str, secret: bytes) -> bool:
            with self.lock:
                self.running += 1
                self.peak = max(self.peak, self.running)
            try:
                return self._counted(lambda: verify(hasher, hash, secret), hash)
            finally:
                with self.lock:
                    self.running -= 1

        return spied

    def _counted(self, compute: Callable[[], bool], hash: str) -> bool:
        try:
            result = compute()
        except argon2.exceptions.VerifyMismatchError:
            self.parameters.append(argon2.extract_parameters(hash))
            raise
        self.parameters.append(argon2.extract_parameters(hash))
        return result


@pytest.fixture
def computations(monkeypatch: pytest.MonkeyPatch) -> Computations:
    computations = Computations()
    monkeypatch.setattr(argon2.PasswordHasher, "verify", computations.spy(argon2.PasswordHasher.verify))
    return computations


@pytest.fixture
async def hasher() -> AsyncIterator[Hasher]:
    hasher = cheap()
    yield hasher
    await hasher.aclose()


async def test_password_verifies_against_its_hash(hasher: protocols.Hasher) -> None:
    stored = await hasher.hash(PASSWORD)

    assert await hasher.verify(stored, PASSWORD)
    assert not await hasher.verify(stored, PASSWORD + "r")


async def test_hash_is_argon2id_with_the_parameters_and_a_salt_of_its_own(hasher: Hasher) -> None:
    one, other = await hasher.hash(PASSWORD), await hasher.hash(PASSWORD)

    assert one != other
    assert one.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    parameters = argon2.extract_parameters(one)
    assert (parameters.salt_len, parameters.hash_len) == (16, 32)


async def test_hc39_unknown_account_costs_what_a_known_one_costs(hasher: Hasher, computations: Computations) -> None:
    stored = await hasher.hash(PASSWORD)

    answers = [
        await hasher.verify(hash, text) for hash, text in ((stored, PASSWORD), (stored, "wrong"), (None, PASSWORD))
    ]

    assert answers == [True, False, False]
    assert computations.parameters == [argon2.extract_parameters(stored)] * 3


def cost(made: argon2.Parameters) -> int:
    return made.memory_cost * made.time_cost


@pytest.mark.parametrize(("memory_kib", "time"), [(8, 1), (64, 1), (90, 2), (8, 24), (63, 3), (64, 3)])
async def test_hc39_account_of_weaker_parameters_costs_what_an_unknown_one_costs(
    memory_kib: int, time: int, computations: Computations
) -> None:
    before, today = cheap(memory_kib=memory_kib, time=time), cheap(memory_kib=64, time=3)
    stored = await before.hash(PASSWORD)

    answers = [await today.verify(stored, text) for text in ("wrong", PASSWORD)]

    assert answers == [False, True]
    spent = sum(map(cost, computations.parameters)) / 2
    # A step of memory less than today's, where the rest is too little for argon2.
    assert 64 * 3 - 8 * 3 < spent <= 64 * 3 + 3
    assert max(made.memory_cost for made in computations.parameters) <= max(64, memory_kib)
    for hasher in (before, today):
        await hasher.aclose()


async def test_hc39_account_of_stronger_parameters_costs_no_more_than_its_hash(computations: Computations) -> None:
    before, today = cheap(memory_kib=128, time=3), cheap(memory_kib=64, time=3)
    stored = await before.hash(PASSWORD)

    assert await today.verify(stored, PASSWORD)
    assert [cost(made) for made in computations.parameters] == [128 * 3]
    for hasher in (before, today):
        await hasher.aclose()


async def test_hc39_unknown_account_is_never_let_in() -> None:
    salt = b"s" * 16
    tag = hash_secret_raw(PASSWORD.encode(), salt, 1, 8, 1, 32, argon2.Type.ID)
    hasher = cheap(random=in_turn(salt, tag))

    assert not await hasher.verify(None, PASSWORD)
    await hasher.aclose()


def in_turn(*values: bytes) -> Callable[[int], bytes]:
    left = iter(values)
    return lambda count: next(left)


BROKEN = {
    "empty": "",
    "no hash": "x",
    "other scheme": "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
    "cut": "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA",
    "no parameters": "$argon2id$v=19$m=x,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$c2FsdHNhbHRzYWx0c2FsdA",
    "memory below 8 p": "$argon2id$v=19$m=1,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$c2FsdHNhbHRzYWx0c2FsdA",
    "bad base64": "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$####",
    "not ascii": "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$\u00e9",
    "surrogate": "\ud800",
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
async def test_hc39_broken_hash_is_a_wrong_password_at_the_same_price(
    broken: str, hasher: Hasher, computations: Computations
) -> None:
    answer = await hasher.verify(broken, PASSWORD)

    assert answer is False
    assert [(made.memory_cost, made.time_cost) for made in computations.parameters] == [(8, 1)]


async def test_hc21_broken_hash_is_logged_without_the_hash_and_the_password(
    hasher: Hasher, caplog: pytest.LogCaptureFixture
) -> None:
    await hasher.verify("$argon2id$broken", PASSWORD)

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("sigra.crypto", logging.ERROR)
    assert "broken" not in caplog.text
    assert PASSWORD not in caplog.text


async def test_wrong_password_is_not_logged(hasher: Hasher, caplog: pytest.LogCaptureFixture) -> None:
    await hasher.verify(await hasher.hash(PASSWORD), "wrong")

    assert not caplog.records


@pytest.mark.parametrize(
    ("memory_kib", "time", "outdated"), [(8, 1, False), (16, 1, True), (8, 2, True)], ids=["same", "memory", "time"]
)
async def test_outdated_tells_other_parameters(memory_kib: int, time: int, outdated: bool, hasher: Hasher) -> None:
    other = cheap(memory_kib=memory_kib, time=time)

    stored = await other.hash(PASSWORD)

    assert hasher.outdated(stored) is outdated
    assert await hasher.verify(stored, PASSWORD)
    await other.aclose()


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_broken_hash_is_outdated(broken: str) -> None:
    assert cheap().outdated(broken)


UNFIT = {
    "too long": "x" * (MAXIMUM_PASSWORD_BYTES + 1),
    "too long in bytes": "\u00e9" * (MAXIMUM_PASSWORD_BYTES // 2) + "x",
    "enormous": "x" * 10_000_000,
    "NUL": "\0",
    "NUL inside": "correct\0horse",
    "surrogate": "\ud800",
    "surrogate inside": "correct\udfffhorse",
}


@pytest.mark.parametrize("text", UNFIT.values(), ids=UNFIT.keys())
async def test_hc43_unfit_password_is_a_wrong_one_at_the_same_price(
    text: str, hasher: Hasher, computations: Computations
) -> None:
    # The hash of nothing, which is what is hashed in place of an unfit password.
    stored = await hasher.hash("")

    answers = [await hasher.verify(stored, text), await hasher.verify(None, text)]

    assert answers == [False, False]
    assert computations.parameters == [argon2.extract_parameters(stored)] * 2


@pytest.mark.parametrize("text", UNFIT.values(), ids=UNFIT.keys())
async def test_hc43_unfit_password_is_not_hashed(text: str, hasher: Hasher) -> None:
    with pytest.raises(ValueError, match=r"^the password is too long, or holds characters that no password may have$"):
        await hasher.hash(text)


async def test_password_is_the_same_from_every_keyboard(hasher: Hasher) -> None:
    stored = await hasher.hash("caf\u00e9")

    assert await hasher.verify(stored, "cafe\u0301")


@pytest.mark.parametrize(
    "text",
    ["x" * 1_024, "\u00e9" * 512, "e\u0301" * 512, "U\u0308\u0304" * 512, "\U0001f600" * 256, "\uac01" * 341 + "x"],
)
def test_hc43_limit_is_counted_in_bytes_after_normalising(text: str) -> None:
    assert len(password_bytes(text) or b"") == MAXIMUM_PASSWORD_BYTES
    assert password_bytes(text + "x") is None


def test_hc43_decomposed_hangul_within_the_limit_is_a_password() -> None:
    assert password_bytes("\u1100\u1161\u11a8" * 341) == ("\uac01" * 341).encode()


def test_hc43_endless_accents_are_refused_before_they_are_sorted() -> None:
    before = thread_time()

    assert password_bytes("a" + "\u0301\u0327" * 30_000) is None
    assert thread_time() - before < 0.5


async def test_hc44_never_more_hashes_at_once_than_cores(computations: Computations) -> None:
    hasher = cheap(queue=128, memory_kib=1_024, cores=2)

    answers = await asyncio.gather(*[hasher.verify(None, PASSWORD) for _ in range(256)], return_exceptions=True)

    refused = sum(isinstance(answer, Unavailable) for answer in answers)
    # Of the 256, two run and 128 wait; a few more get in where one has finished meanwhile.
    assert 0 < refused <= 126
    assert answers.count(False) == len(computations.parameters) == 256 - refused
    assert computations.peak <= 2
    await hasher.aclose()


async def test_hc44_hash_with_lanes_takes_as_many_cores(computations: Computations) -> None:
    hasher = Hasher(1_024, 1, 4, 64, allow_weak=True, cores=4)

    await asyncio.gather(*[hasher.verify(None, PASSWORD) for _ in range(64)])

    assert computations.peak == 1
    await hasher.aclose()


async def test_hc44_event_loop_lives_while_hashes_run() -> None:
    hasher = cheap(memory_kib=19_456, time=2, cores=1)
    hashing = asyncio.gather(*[hasher.hash(PASSWORD) for _ in range(3)])

    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1

    assert turns > 100
    await hasher.aclose()


async def test_hc45_argon2_without_memory_lets_nobody_in(hasher: Hasher, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = await hasher.hash(PASSWORD)

    def starved(*args: Any, **more: Any) -> Any:
        raise (VerificationError if len(args) == 3 else HashingError)("Memory allocation error")

    monkeypatch.setattr(argon2.PasswordHasher, "verify", starved)
    monkeypatch.setattr(argon2.PasswordHasher, "hash", starved)

    for call in (hasher.verify(stored, PASSWORD), hasher.verify(None, PASSWORD), hasher.hash(PASSWORD)):
        with pytest.raises(Unavailable):
            await call


@pytest.mark.parametrize(
    ("memory_kib", "time", "option"),
    [
        (19_455, 2, "SIGRA_PASSWORD__MEMORY_KIB"),
        (65_536, 1, "SIGRA_PASSWORD__TIME"),
        (8, 1, "SIGRA_PASSWORD__MEMORY_KIB"),
    ],
)
def test_hc49_weak_parameters_are_refused_with_the_option_and_the_cure(memory_kib: int, time: int, option: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        Hasher(memory_kib, time, 1, 1)

    assert option in str(refusal.value)
    assert "set it to" in str(refusal.value)


@pytest.mark.parametrize(("memory_kib", "parallelism"), [(31, 4), (2**32, 1)])
def test_hc49_parameters_that_argon2_cannot_use_are_refused_at_start(memory_kib: int, parallelism: int) -> None:
    with pytest.raises(ConfigurationError, match="SIGRA_PASSWORD__MEMORY_KIB"):
        Hasher(memory_kib, 1, parallelism, 1, allow_weak=True)


async def test_least_parameters_are_taken() -> None:
    hasher = Hasher(19_456, 2, 1, 1)

    assert (await hasher.hash(PASSWORD)).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    await hasher.aclose()


async def test_hasher_works_after_it_was_closed(hasher: Hasher) -> None:
    await hasher.aclose()

    assert await hasher.verify(await hasher.hash(PASSWORD), PASSWORD)


def test_one_hasher_serves_several_event_loops() -> None:
    hasher = cheap(cores=1)
    stored = asyncio.run(hasher.hash(PASSWORD))

    async def burst() -> list[bool]:
        return await asyncio.gather(*[hasher.verify(stored, PASSWORD) for _ in range(8)])

    assert [asyncio.run(burst()) for _ in range(2)] == [[True] * 8] * 2
    asyncio.run(hasher.aclose())
