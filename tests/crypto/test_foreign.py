"""Hashes of other libraries: what they made is verified, at one price for everybody.

The vectors were made by the libraries themselves at their least cost: Django 5.2.19 (`hashers`), libpass 1.9.4 (the
maintained passlib, `passlib.hash`), pwdlib 0.3.1 and bcrypt 5.0.0, each of the password below.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import argon2
import bcrypt
import pytest

from sigra.crypto.foreign import read_hash
from sigra.crypto.migrating import ORIGINS, MigratingHasher
from sigra.errors import ConfigurationError

PASSWORD = "correct horse battery staple"
LONG = "x" * 71 + "yz and more"
DECOMPOSED = "cafe\u0301 au lait"

DJANGO = {
    "pbkdf2_sha256": "pbkdf2_sha256$1000$P0ETOk2GSN3yOJ3VC5J2Ds$Bal7EgSvjXxyMP5BFndc/EjFyykDoxG0UlmcZKrfnX8=",
    "pbkdf2_sha1": "pbkdf2_sha1$1000$NvpLyrWJxvmV36pT1UU1QD$OF3fTwHSafHZBHGdz6Mg1jwGbu4=",
    "argon2": "argon2$argon2id$v=19$m=64,t=1,p=2$OVp6SmFLZWNacUVCenNWbEc4bnRuRw"
    "$fc/Yavcabs064/LBkv+nPbaSZLMaqfx34UlWLXBoJ/0",
    "scrypt": "scrypt$16$TLbMPq8v9x3d4bJrmOlFx3$8$5$7KgqRmv0mEZqjrN1M2wj8qGZtQQxd1iHHQxs0XxImQbUyxyThA/vdg1Q/5YJCEjBq2"
    "XoxvrzSr7exwpB8nVOcg==",
}
BCRYPT = {
    "bcrypt 2a": "$2a$04$aMX1t8jPaqRrFHy/E.VKvuXo8KyuiWqT7JWc44i/ebJRSt5QEuWSu",
    "bcrypt 2b": "$2b$04$eTgy20c1WSMCNt0SbAmTIefvuEDjoLk3A.Bn15cR2obdWOd/wWhrG",
    "bcrypt 2y": "$2y$04$vIgc4j0IhI9WqTh38Z7WtuGKyHA7.QZx7YUEN0GOJ54tBsGXbiWvu",
    "Django bcrypt": "bcrypt$$2b$04$NHxg0KU3dtgtlW/n3G6WM.HuTX2HF0EmT2AMf7jGmBcCk0c9gq3Hq",
    "Django bcrypt_sha256": "bcrypt_sha256$$2b$04$BMRUEWc3igcNBs4ECmkwmepMmyKHETkz9V3yl2gVJ71p5o/ywcSuu",
    "passlib bcrypt_sha256": "$bcrypt-sha256$v=2,t=2b,r=4$2TOhVTRg.dQoet3ajxCTgu$gVZpwo4YeZTzqCDxi9wuUZ1tKvDkHru",
    "passlib bcrypt_sha256 of old": "$bcrypt-sha256$2b,4$b3STGvaIU9kpntBjniGBxu$UH91436gv6weLIxje5MipinM7adpzfC",
}
PASSLIB = {
    "bcrypt": "$2b$04$89BiYIQz48I2MmP4WKUQtukUZv780.zuEygH28BDFuQYcv7Y8ET92",
    "pbkdf2_sha1": "$pbkdf2$1000$J8Q4Z2zt/V9rrTXmPGdMCQ$JmARzXX2Ro4kUyco6enYHa.A.Io",
    "pbkdf2_sha256": "$pbkdf2-sha256$1000$/5/z3vt/z3lv7V2LkbI2Bg$u3W.QYyX93XFN6y/CqoppwWhq.61ROAFQeIlYiFD4XM",
    "pbkdf2_sha512": "$pbkdf2-sha512$1000$szaG8N5bqzXGWCvF2JsTwg$Bmh02q4e6AxgAzYV/9p0mnlv/IINmKVtN2f5J/DUfQZ4kctA8dVTQ"
    ".SGNjkLEU1IROovtq0l.uZAKOigPSFTow",
    "scrypt": "$scrypt$ln=4,r=8,p=1$s7aWEuJcyznHGMMYIyQEIA$l6U49cnUTzX69TmG5xL/Gg4paKDsgJZzuabOXkCMYQ8",
    "argon2": "$argon2id$v=19$m=64,t=1,p=2$aA0hRAjB2HsvBeAcQ0gJAQ$wIqfN0cTwPV9BrIjO3wUZTBU2ZFzW5PZVDSJzAfn9u8",
}
PWDLIB = {
    "argon2": "$argon2id$v=19$m=64,t=1,p=4$/lE+iZqJkwfr+n3AlAYCVA$lqcBDsevi4umiU6MiDkX/ln3hihtQdkUm84dgATee54",
    "bcrypt": "$2b$04$wstukNzWN4MqUnkrgl7PbeBDdU.WXzKbcLjA17QFbTlCwnJhvKXn.",
}
LONG_BCRYPT = "$2b$04$Cr4NfYECG1FihGCTm2Uftunqu4JGfowq3Aw375y.LScVLetzLNEI6"
LONG_DJANGO = "bcrypt_sha256$$2b$04$k5jz7Gf52YtFoNGL2yURbuWSxzVRjIi1gFbCWweC7pPbqln/sTOZO"
LONG_PASSLIB = "$bcrypt-sha256$v=2,t=2b,r=4$amcHYtIkJxvBXXvGR//kue$59gONlDdcOOT1wgSAx4ZsYfffcD2MYy"
DECOMPOSED_DJANGO = "pbkdf2_sha256$1000$eaRpbgKMwuuQSxyQcgdLSD$8nbAzGqHvfIVGmEqncDZ/xbp2pUZqpL9qAk1vDk5ZfM="

BUDGETS = {
    "bcrypt": 5,
    "pbkdf2_sha1": 1_500,
    "pbkdf2_sha256": 1_500,
    "pbkdf2_sha512": 1_500,
    "scrypt": 768,
    "argon2": 256,
}
IN_FULL = {**BUDGETS, "bcrypt": 2**5}

VECTORS = [
    *((origin, hash) for origin, its in (("django", DJANGO), ("passlib", PASSLIB)) for hash in its.values()),
    *(("bcrypt", hash) for hash in BCRYPT.values()),
    *((origin, hash) for origin in ("pwdlib", "fastapi-users") for hash in PWDLIB.values()),
]
each_vector = pytest.mark.parametrize(("origin", "stored"), VECTORS)


def migrating(*origins: str, **costs: int) -> MigratingHasher:
    schemes = {scheme for origin in origins for scheme in ORIGINS[origin.replace("-", "_")]}
    budgets = {scheme: cost for scheme, cost in {**BUDGETS, **costs}.items() if scheme in schemes}
    return MigratingHasher(8, 1, 1, 128, allow_weak=True, cores=2, foreign=origins, costs=budgets)


@pytest.fixture
async def hasher() -> AsyncIterator[MigratingHasher]:
    """With everything switched on."""
    hasher = migrating("django", "passlib")
    yield hasher
    await hasher.aclose()


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What the libraries were asked to compute, by scheme, in its unit; our own hash as `own`, in hashes."""
    work: Counter[str] = Counter()

    def spy(where: Any, name: str, price: Callable[..., tuple[str, int]]) -> None:
        real = getattr(where, name)

        def spied(*args: Any, **more: Any) -> Any:
            scheme, cost = price(*args, **more)
            work[scheme] += cost
            return real(*args, **more)

        monkeypatch.setattr(where, name, spied)

    spy(bcrypt, "checkpw", lambda secret, stored: ("bcrypt", 2 ** int(stored[4:6])))
    spy(bcrypt, "hashpw", lambda secret, salt: ("bcrypt", 2 ** int(salt[4:6])))
    spy(hashlib, "pbkdf2_hmac", lambda digest, secret, salt, times: (f"pbkdf2_{digest}", times))
    spy(hashlib, "scrypt", lambda secret, *, n, r, p, **more: ("scrypt", n * r * p))
    spy(argon2.PasswordHasher, "verify", lambda hasher, stored, secret: ("own", 1))
    monkeypatch.setattr("sigra.crypto.foreign.core", _counted_core(work))
    return work


def _counted_core(work: Counter[str]) -> Callable[[Any, int], int]:
    def core(context: Any, kind: int) -> int:
        work["argon2"] += context.m_cost * context.t_cost
        assert context.threads == 1
        return argon2.low_level.core(context, kind)

    return core


@each_vector
async def test_hash_of_another_library_is_verified(origin: str, stored: str) -> None:
    hasher = migrating(origin)

    assert await hasher.verify(stored, PASSWORD)
    assert not await hasher.verify(stored, PASSWORD + "r")
    assert hasher.outdated(stored)
    await hasher.aclose()


@pytest.mark.parametrize("stored", [*DJANGO.values(), *BCRYPT.values(), PASSLIB["scrypt"]])
async def test_hash_of_another_library_is_broken_unless_it_was_switched_on(stored: str) -> None:
    hasher = migrating()

    assert not await hasher.verify(stored, PASSWORD)
    await hasher.aclose()


async def test_hash_of_our_own_is_verified_beside_foreign_ones(hasher: MigratingHasher) -> None:
    stored = await hasher.hash(PASSWORD)

    assert stored.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert await hasher.verify(stored, PASSWORD)
    assert not await hasher.verify(stored, "wrong")
    assert not hasher.outdated(stored)


@pytest.mark.parametrize(
    "password", [PASSWORD, "wrong", "", "\0", "x" * 5_000], ids=["right", "wrong", "", "NUL", "long"]
)
@each_vector
async def test_hc39_legacy_account_costs_what_an_unknown_one_costs(
    origin: str, stored: str, password: str, hasher: MigratingHasher, work: Counter[str]
) -> None:
    await hasher.verify(None, password)
    unknown = dict(work)
    work.clear()
    await hasher.verify(stored, password)

    assert unknown == {**IN_FULL, "own": 1}
    assert work == unknown


async def test_hc39_account_of_our_own_pays_for_every_scheme_too(hasher: MigratingHasher, work: Counter[str]) -> None:
    stored = await hasher.hash(PASSWORD)

    for password in (PASSWORD, "wrong"):
        work.clear()
        await hasher.verify(stored, password)
        assert work == {**IN_FULL, "own": 1}


@pytest.mark.parametrize("stored", [None, DJANGO["pbkdf2_sha256"], DECOMPOSED_DJANGO, PASSLIB["bcrypt"], "nonsense"])
async def test_hc39_text_that_normalises_costs_twice_for_everybody(
    stored: str | None, hasher: MigratingHasher, work: Counter[str]
) -> None:
    await hasher.verify(stored, DECOMPOSED)

    assert work.pop("own") in (1, 2)
    assert work == {scheme: 2 * cost for scheme, cost in IN_FULL.items()}


async def test_only_what_is_switched_on_is_paid_for(work: Counter[str]) -> None:
    hasher = migrating("bcrypt")

    await hasher.verify(None, PASSWORD)

    assert work == {"own": 1, "bcrypt": 2**5}
    await hasher.aclose()


async def test_without_foreign_hashes_nothing_else_is_paid_for(work: Counter[str]) -> None:
    hasher = migrating()

    await hasher.verify(None, PASSWORD)

    assert work == {"own": 1}
    await hasher.aclose()


async def test_text_is_tried_as_typed_and_then_normalised(hasher: MigratingHasher) -> None:
    composed = "pbkdf2_sha256$1000$salt$" + _pbkdf2("caf\u00e9 au lait")

    assert await hasher.verify(DECOMPOSED_DJANGO, DECOMPOSED)
    assert await hasher.verify(composed, DECOMPOSED)
    assert await hasher.verify(composed, "caf\u00e9 au lait")
    assert not await hasher.verify(DECOMPOSED_DJANGO, "caf\u00e9 au lait")


def _pbkdf2(text: str) -> str:
    from base64 import b64encode

    return b64encode(hashlib.pbkdf2_hmac("sha256", text.encode(), b"salt", 1_000)).decode()


async def test_hc43_bcrypt_takes_72_bytes_as_it_always_did(hasher: MigratingHasher) -> None:
    assert await hasher.verify(LONG_BCRYPT, LONG)
    assert await hasher.verify(LONG_BCRYPT, LONG[:72])
    assert not await hasher.verify(LONG_BCRYPT, LONG[:71])
    assert not await hasher.verify(LONG_BCRYPT, "\u00e9" * 400)


@pytest.mark.parametrize("stored", [LONG_DJANGO, LONG_PASSLIB], ids=["Django", "passlib"])
async def test_hc43_bcrypt_of_a_digest_takes_every_byte(stored: str, hasher: MigratingHasher) -> None:
    assert await hasher.verify(stored, LONG)
    assert not await hasher.verify(stored, LONG[:72])


SALTED = "$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
HOSTILE = {
    "bcrypt cost": "$2b$31$eTgy20c1WSMCNt0SbAmTIefvuEDjoLk3A.Bn15cR2obdWOd/wWhrG",
    "bcrypt no cost": "$2b$03$eTgy20c1WSMCNt0SbAmTIefvuEDjoLk3A.Bn15cR2obdWOd/wWhrG",
    "bcrypt salt": "$2b$04$eTgy20c1WSMCNt0SbAmTIzfvuEDjoLk3A.Bn15cR2obdWOd/wWhrG",
    "bcrypt 2x": "$2x$04$eTgy20c1WSMCNt0SbAmTIefvuEDjoLk3A.Bn15cR2obdWOd/wWhrG",
    "pbkdf2 iterations": "pbkdf2_sha256$9999999999$salt$Bal7EgSvjXxyMP5BFndc/EjFyykDoxG0UlmcZKrfnX8=",
    "pbkdf2 above the greatest": "pbkdf2_sha256$6001$salt$Bal7EgSvjXxyMP5BFndc/EjFyykDoxG0UlmcZKrfnX8=",
    "bcrypt above the greatest": "$2b$08$eTgy20c1WSMCNt0SbAmTIefvuEDjoLk3A.Bn15cR2obdWOd/wWhrG",
    "pbkdf2 none": "pbkdf2_sha256$0$salt$Bal7EgSvjXxyMP5BFndc/EjFyykDoxG0UlmcZKrfnX8=",
    "pbkdf2 tag": "pbkdf2_sha256$1000$salt$Bal7",
    "pbkdf2 base64": "pbkdf2_sha256$1000$salt$Bal7EgSvjXxyMP5BFndc/EjFyykDoxG0UlmcZKrfnX8x",
    "pbkdf2 digits": "pbkdf2_sha256$\u0661\u0660$salt$Bal7EgSvjXxyMP5BFndc/EjFyykDoxG0UlmcZKrfnX8=",
    "scrypt memory": f"$scrypt$ln=30,r=8,p=1{SALTED}",
    "scrypt ln": f"$scrypt$ln=99,r=8,p=1{SALTED}",
    "scrypt p": f"$scrypt$ln=4,r=8,p=999999{SALTED}",
    "scrypt r": f"$scrypt$ln=4,r=999999,p=1{SALTED}",
    "scrypt zero": f"$scrypt$ln=4,r=0,p=0{SALTED}",
    "scrypt n": "scrypt$17$salt$8$1$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "argon2 memory": f"argon2$argon2id$v=19$m=4194304,t=1,p=1{SALTED}",
    "argon2 time": f"argon2$argon2id$v=19$m=64,t=4294967295,p=1{SALTED}",
    "argon2 lanes": f"argon2$argon2id$v=19$m=64,t=1,p=64{SALTED}",
    "argon2 none": f"argon2$argon2id$v=19$m=64,t=0,p=1{SALTED}",
    "argon2 version": f"argon2$argon2id$v=42$m=64,t=1,p=1{SALTED}",
    "argon2 salt": "argon2$argon2id$v=19$m=64,t=1,p=1$c2E$MDEyMzQ1Njc4OWFiY2RlZg",
}


@pytest.mark.parametrize("stored", HOSTILE.values(), ids=HOSTILE.keys())
async def test_hc43_hash_of_absurd_cost_is_broken_at_the_usual_price(
    stored: str, hasher: MigratingHasher, work: Counter[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        assert await hasher.verify(stored, PASSWORD) is False

    assert work.pop("own") in (1, 2)
    assert {scheme: cost for scheme, cost in work.items() if cost != IN_FULL[scheme]} in ({}, {"bcrypt": 2**5 + 2**4})
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert stored not in caplog.text
    assert PASSWORD not in caplog.text


async def test_hash_above_the_budget_is_verified_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    hasher = migrating("django", pbkdf2_sha256=500)

    assert await hasher.verify(DJANGO["pbkdf2_sha256"], PASSWORD)
    assert "raise SIGRA_PASSWORD__FOREIGN_COSTS" in caplog.text
    await hasher.aclose()


@pytest.mark.parametrize("cost", [4, 20])
async def test_cost_of_bcrypt_is_written_as_its_hashes_show_it(cost: int) -> None:
    hasher = migrating("bcrypt", bcrypt=cost)

    assert hasher._budgets == {"bcrypt": 2**cost}
    await hasher.aclose()


async def test_what_two_libraries_cost_is_the_dearer_one() -> None:
    hasher = MigratingHasher(8, 1, 1, 1, allow_weak=True, foreign=["passlib", "django"])

    assert hasher._budgets["pbkdf2_sha256"] == 1_000_000
    assert hasher._budgets["argon2"] == 204_800
    assert hasher._budgets["bcrypt"] == 2**12


@pytest.mark.parametrize(
    ("foreign", "costs", "reason"),
    [
        (["djang"], {}, "did you mean django?"),
        (["md5"], {}, "take any of django, fastapi_users"),
        (["bcrypt"], {"scrypt": 1}, "SIGRA_PASSWORD__FOREIGN_COSTS has scrypt"),
        (["bcrypt"], {"bcrypt": 4_096}, "write a cost that its hashes have"),
        (["scrypt"], {"scrypt": 0}, "write a cost that its hashes have"),
    ],
)
def test_hc49_unknown_name_is_refused_with_the_cure(foreign: list[str], costs: dict[str, int], reason: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        MigratingHasher(8, 1, 1, 1, allow_weak=True, foreign=foreign, costs=costs)

    assert reason in str(refusal.value)


@pytest.mark.parametrize("name", ["bcrypt", "passlib", "pwdlib", "fastapi-users"])
def test_hc49_scheme_without_its_library_is_refused_naming_the_extra(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sigra.crypto.migrating.find_spec", {"argon2": object()}.get)

    with pytest.raises(ConfigurationError, match=r"install sigra\[bcrypt\]"):
        MigratingHasher(8, 1, 1, 1, allow_weak=True, foreign=[name])


def test_django_needs_no_further_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sigra.crypto.migrating.find_spec", {"argon2": object()}.get)

    assert MigratingHasher(8, 1, 1, 1, allow_weak=True, foreign=["django"])


@pytest.mark.parametrize(
    "text", ["", "$", "$2b$", "pbkdf2_sha256$", "x" * 255, "\ud800", "$1$salt$hash", "a\n", "scrypt$16$\ud800$8$1$aaaa"]
)
def test_text_of_no_form_is_no_hash(text: str) -> None:
    assert read_hash(text) is None


def test_hash_shows_nothing_of_itself() -> None:
    read = read_hash(DJANGO["pbkdf2_sha256"])

    assert repr(read) == "ForeignHash(scheme='pbkdf2_sha256', cost=1000)"
