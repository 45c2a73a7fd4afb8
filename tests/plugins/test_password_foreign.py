"""Hashes of other libraries in a running application: switched on by a setting, upgraded at sign-in, alike for all."""

from collections import Counter
from typing import Any

import pytest

from sigra import ConfigurationError, Sigra
from sigra.plugins.password import Password
from sigra.testing import PASSWORD, cheap_settings, make_user
from tests.apps import running
from tests.crypto.test_foreign import BCRYPT, BUDGETS, DJANGO, PASSLIB, PWDLIB, work

__all__ = ["work"]


def options(*foreign: str) -> dict[str, Any]:
    return {"memory_kib": 8, "time": 1, "foreign_hashes": foreign, "foreign_costs": BUDGETS}


async def store(auth: Sigra, email: str, stored: str) -> Any:
    user = await make_user(auth, email, None)
    plugin = auth.plugin(Password)
    await auth.db.transaction(lambda tx: plugin.set(auth, tx, user, stored))
    return user


@pytest.mark.parametrize(
    "stored",
    [*DJANGO.values(), *BCRYPT.values(), *PASSLIB.values(), *PWDLIB.values()],
)
async def test_a_foreign_hash_signs_in_and_is_ours_afterwards(stored: str) -> None:
    async with running("sqlite:///:memory:", password=options("django", "passlib")) as client:
        user = await store(client.sigra, "ada@example.com", stored)
        wrong = await client.sign_in(user, "wrong")
        right = await client.sign_in(user)
        upgraded = await client.sigra.plugin(Password)._stored(client.sigra, user.id)
        again = await client.sign_in(user)

    assert [answer.status_code for answer in (wrong, right, again)] == [401, 200, 200]
    assert upgraded is not None
    assert upgraded.startswith("$argon2id$v=19$m=8,t=1,p=1$")


async def test_hc39_legacy_accounts_answer_and_cost_like_all_others(work: Counter[str], database: str) -> None:
    seen = {}
    async with running(database, password=options("django", "passlib")) as client:
        await make_user(client.sigra, "ours@example.com")
        disabled = await store(client.sigra, "disabled@example.com", DJANGO["pbkdf2_sha256"])
        await client.sigra.db.transaction(lambda tx: client.sigra.users.set_status(tx, disabled, "disabled"))
        await store(client.sigra, "django@example.com", DJANGO["pbkdf2_sha256"])
        await store(client.sigra, "bcrypt@example.com", BCRYPT["bcrypt 2b"])
        for name in ("ours", "unknown", "django", "bcrypt", "disabled"):
            work.clear()
            password = PASSWORD if name == "disabled" else "wrong"
            answer = await client.post("/auth/login", json={"email": f"{name}@example.com", "password": password})
            headers = [item for item in answer.headers.items() if item[0] != "date"]
            seen[name] = (answer.status_code, answer.content, headers, dict(work))

    assert seen["unknown"][0] == 401
    assert seen["unknown"][3] == {**BUDGETS, "bcrypt": 2**5, "own": 1}
    assert all(one == seen["unknown"] for one in seen.values())


async def test_hc43_a_password_above_72_bytes_is_never_500() -> None:
    async with running("sqlite:///:memory:", password=options("passlib", "django")) as client:
        user = await store(client.sigra, "ada@example.com", BCRYPT["bcrypt 2b"])
        known = await client.sign_in(user, "\u00e9" * 500)
        unknown = await client.post("/auth/login", json={"email": "x@example.com", "password": "\u00e9" * 500})

    assert known.status_code == unknown.status_code == 401
    assert known.json() == unknown.json()


def test_hc49_a_wrong_name_ends_the_start() -> None:
    with pytest.raises(ConfigurationError, match=r"SIGRA_PASSWORD__FOREIGN_HASHES has djagno.*did you mean django"):
        Sigra(cheap_settings(password={"memory_kib": 8, "time": 1, "foreign_hashes": ["djagno"]}))
