import asyncio
import secrets
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from sigra.crypto import KeyRing
from sigra.db.pending import PendingSignIns
from sigra.models import Login
from tests.db.conftest import KEYS

LIFETIME = timedelta(minutes=10)
TRIES = 5


@pytest.fixture
def pendings(tables, users, clock):
    return PendingSignIns(tables.pending_sign_ins, users, KeyRing(KEYS), clock=clock, random=secrets.token_bytes)


@pytest.fixture
async def login(db, users):
    user = await db.transaction(lambda tx: users.create(tx, email="anna@example.com"))
    return Login(
        user=user,
        amr=("pwd",),
        carrier="tokens",
        remember=True,
        next="/x?y=\u00e9",
        methods=("password",),
        met=frozenset({"email_verification"}),
        level=2,
        guessable=False,
        replaces=uuid.uuid4(),
    )


async def begin(db, pendings, login):
    token, _ = await db.transaction(lambda tx: pendings.create(tx, login, LIFETIME))
    return token


async def find(db, pendings, token):
    async with db.connect() as tx:
        return await pendings.find(tx, token, TRIES)


async def count(db, pendings, found):
    return await db.transaction(lambda tx: pendings.count_try(tx, found.pending, TRIES))


async def spend(db, pendings, found):
    return await db.transaction(lambda tx: pendings.spend(tx, found.pending, found.user.id))


async def test_what_was_passed_waits_behind_the_token(db, pendings, login):
    found = await find(db, pendings, await begin(db, pendings, login))

    assert found.pending is not None
    assert replace(found, pending=None) == login


async def test_it_says_when_it_ends(db, pendings, login, clock):
    token, expires_at = await db.transaction(lambda tx: pendings.create(tx, login, LIFETIME))

    assert expires_at == clock() + LIFETIME
    clock.advance(LIFETIME - timedelta(microseconds=1))
    assert await find(db, pendings, token) is not None
    clock.advance(timedelta(microseconds=1))
    assert await find(db, pendings, token) is None


@pytest.mark.parametrize("token", ["", "x" * 43, "\ud800", "x" * 10_000])
async def test_an_unknown_token_is_none(db, pendings, token):
    assert await find(db, pendings, token) is None


async def test_hc22_the_token_is_not_stored(db, pendings, tables, login):
    token = await begin(db, pendings, login)

    async with db.connect() as tx:
        row = (await tx.execute(select(tables.pending_sign_ins))).one()
    assert all(token not in repr(value) for value in row)


async def test_hc14_it_goes_on_once(db, pendings, login):
    found = await find(db, pendings, await begin(db, pendings, login))

    results = await asyncio.gather(*(spend(db, pendings, found) for _ in range(8)))

    assert sorted(results) == [False] * 7 + [True]


async def test_hc11_it_does_not_go_on_for_another_user(db, pendings, login):
    found = await find(db, pendings, await begin(db, pendings, login))
    other = replace(found, user=replace(found.user, id=uuid.uuid4()))

    assert not await spend(db, pendings, other)


async def test_hc11_it_does_not_go_on_after_its_time(db, pendings, login, clock):
    found = await find(db, pendings, await begin(db, pendings, login))
    clock.advance(LIFETIME)

    assert not await spend(db, pendings, found)
    assert not await count(db, pendings, found)


async def test_hc13_tries_at_once_share_one_budget(db, pendings, login):
    found = await find(db, pendings, await begin(db, pendings, login))

    results = await asyncio.gather(*(count(db, pendings, found) for _ in range(12)))

    assert sum(results) == TRIES


async def test_hc11_after_the_last_try_it_is_dead(db, pendings, login):
    token = await begin(db, pendings, login)
    found = await find(db, pendings, token)
    for _ in range(TRIES):
        assert await count(db, pendings, found)

    assert not await count(db, pendings, found)
    assert await find(db, pendings, token) is None


async def test_hc08_it_ends_when_the_user_is_disabled(db, pendings, users, login):
    token = await begin(db, pendings, login)

    await db.transaction(lambda tx: users.set_status(tx, login.user, "disabled"))

    assert await find(db, pendings, token) is None


@pytest.mark.parametrize("status", ["disabled", "closing"])
async def test_hc08_it_ends_when_the_status_is_changed_by_hand(db, pendings, tables, login, status):
    token = await begin(db, pendings, login)

    await db.transaction(lambda tx: tx.execute(update(tables.users).values(status=status)))

    assert await find(db, pendings, token) is None


async def test_hc33_it_ends_when_the_security_version_moves(db, pendings, users, login):
    token = await begin(db, pendings, login)

    await db.transaction(lambda tx: users.bump_security_version(tx, login.user))

    assert await find(db, pendings, token) is None


async def test_all_of_a_users_can_be_ended(db, pendings, login):
    tokens = [await begin(db, pendings, login) for _ in range(2)]

    await db.transaction(lambda tx: pendings.end(tx, login.user.id))

    assert [await find(db, pendings, token) for token in tokens] == [None, None]
