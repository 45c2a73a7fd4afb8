import asyncio
import uuid
from datetime import timedelta

import pytest
from sqlalchemy import select

from sigra.errors import Conflict, Unavailable, ValidationFailed


async def create(db, users, email, **more):
    return await db.transaction(lambda tx: users.create(tx, email=email, **more))


async def test_a_user_is_found_by_id_and_by_any_spelling_of_its_address(db, users):
    user = await create(db, users, "Anna@Example.com", name="Anna")

    assert (user.email, user.name, user.status, user.security_version) == ("Anna@Example.com", "Anna", "active", 0)
    assert await users.by_id(user.id) == user
    assert await users.by_email(" ANNA\uff20example.COM") == user


async def test_absent_is_none(db, users, clock):
    await create(db, users, "anna@example.com")

    assert await users.by_email("eve@example.com") is None
    assert await users.by_email("no address") is None
    assert await users.by_id(uuid.UUID(int=1)) is None


async def test_a_user_is_found_inside_the_transaction_that_made_it(db, users):
    async def body(tx):
        user = await users.create(tx, email="anna@example.com")
        return user, await users.by_email("anna@example.com", tx), await users.by_email("anna@example.com")

    user, inside, outside = await db.transaction(body)

    assert (inside, outside) == (user, None)


async def test_making_a_user_is_an_event(db, users, emitted):
    user = await create(db, users, "anna@example.com")

    assert [(event.name, event.user_id) for event in emitted.events] == [("user.created", user.id)]


@pytest.mark.parametrize("address", ["ANNA@example.com", " anna@EXAMPLE.com ", "ann\uff41@example.com"])
async def test_hc07_an_address_that_looks_the_same_has_an_account_already(db, users, address):
    await create(db, users, "anna@example.com")

    with pytest.raises(Conflict):
        await create(db, users, address)


async def test_a_refused_address_leaves_the_transaction_intact(db, users):
    await create(db, users, "anna@example.com")

    async def body(tx):
        with pytest.raises(Conflict):
            await users.create(tx, email="anna@example.com")
        return await users.create(tx, email="eve@example.com")

    assert await users.by_id((await db.transaction(body)).id) is not None


async def test_hc07_one_of_many_at_once_gets_the_address(db, users):
    spellings = ["anna@example.com", "ANNA@example.com", "Anna@EXAMPLE.com", "aNNa@example.com"] * 3

    results = await asyncio.gather(*(create(db, users, one) for one in spellings), return_exceptions=True)

    assert sum(isinstance(result, Conflict) for result in results) == len(spellings) - 1
    assert len(await users.list()) == 1


async def test_many_users_have_no_address(db, users):
    assert await create(db, users, None) != await create(db, users, None)


async def test_what_is_no_address_names_the_field_and_does_not_repeat_it(db, users):
    with pytest.raises(ValidationFailed) as refused:
        await create(db, users, "eve\uff20example.com")

    [error] = refused.value.errors
    assert (error.field, error.code) == ("email", "invalid_email")
    assert "eve" not in error.message


async def test_an_address_is_verified_when_it_is_said_to_be(db, users, tables, clock):
    verified = await create(db, users, "anna@example.com", email_verified=True)
    unverified = await create(db, users, "eve@example.com")

    assert (verified.email_verified, unverified.email_verified) == (True, False)
    async with db.connect() as tx:
        at = await tx.scalar(select(tables.users.c.email_verified_at).where(tables.users.c.id == verified.id))
    assert at == clock()


async def test_no_address_is_never_verified(db, users):
    assert not (await create(db, users, None, email_verified=True)).email_verified


async def test_users_are_listed_the_oldest_first(db, users, clock):
    first = await create(db, users, "b@example.com")
    clock.advance(timedelta(seconds=1))
    second = await create(db, users, "a@example.com")

    assert await users.list() == [first, second]


async def test_the_security_version_moves_by_one(db, users, clock, tables):
    user = await create(db, users, "anna@example.com")
    clock.advance(timedelta(seconds=1))

    moved = await db.transaction(lambda tx: users.bump_security_version(tx, user))

    assert moved.security_version == 1
    assert await users.by_id(user.id) == moved
    async with db.connect() as tx:
        assert await tx.scalar(select(tables.users.c.updated_at)) == clock()


async def test_security_versions_moved_at_once_are_all_counted(db, users):
    user = await create(db, users, "anna@example.com")

    await asyncio.gather(*(db.transaction(lambda tx: users.bump_security_version(tx, user)) for _ in range(8)))

    assert (await users.by_id(user.id)).security_version == 8


async def test_hc08_disabling_is_an_event_and_ends_proofs_under_way(db, users, emitted):
    user = await create(db, users, "anna@example.com")

    disabled = await db.transaction(lambda tx: users.set_status(tx, user, "disabled"))
    enabled = await db.transaction(lambda tx: users.set_status(tx, user, "active"))
    await db.transaction(lambda tx: users.set_status(tx, user, "closing"))

    assert (disabled.status, disabled.security_version) == ("disabled", 1)
    assert (enabled.status, enabled.security_version) == ("active", 2)
    assert [event.name for event in emitted.events] == ["user.created", "user.disabled", "user.enabled"]


async def test_a_locked_user_is_changed_by_one_at_a_time(db, users):
    user = await create(db, users, "anna@example.com")
    versions = []

    async def body(tx):
        locked = await users.lock(tx, user.id)
        versions.append(locked.security_version)
        await asyncio.sleep(0)
        await users.bump_security_version(tx, locked)

    await asyncio.gather(*(db.transaction(body) for _ in range(6)))

    assert versions == list(range(6))


async def test_there_is_nobody_to_lock(db, users):
    await create(db, users, "anna@example.com")

    assert await db.transaction(lambda tx: users.lock(tx, uuid.UUID(int=1))) is None


async def test_hc46_an_event_that_cannot_be_recorded_undoes_the_user(db, users):
    async def refuse(_, event):
        raise Unavailable(detail=event.name)

    users._emit = refuse
    with pytest.raises(Unavailable):
        await create(db, users, "anna@example.com")

    assert await users.by_email("anna@example.com") is None
