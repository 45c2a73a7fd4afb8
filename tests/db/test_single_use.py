import asyncio
import secrets
from datetime import timedelta

import pytest
from sqlalchemy import select

from sigra.crypto import KeyRing
from sigra.db.single_use import SingleUseTokens
from tests.db.conftest import KEYS
from tests.db.racers import Racers

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def user(db, users):
    return await db.transaction(lambda tx: users.create(tx, email="anna@example.com"))


async def issue(db, tokens, purpose="reset", user=None, payload=None, lifetime=MINUTE):
    return await db.transaction(lambda tx: tokens.issue(tx, purpose, user, payload or {}, lifetime))


async def spend(db, tokens, token, purpose="reset"):
    return await db.transaction(lambda tx: tokens.spend(tx, purpose, token))


async def test_hc14_a_token_works_once(db, tokens, user):
    token = await issue(db, tokens, user=user, payload={"a": ["\u00e9", 1]})

    assert await spend(db, tokens, token) == {"a": ["\u00e9", 1]}
    assert await spend(db, tokens, token) is None


async def test_a_token_without_a_user_works_once(db, tokens):
    token = await issue(db, tokens, payload={"a": 1})

    assert await spend(db, tokens, token) == {"a": 1}
    assert await spend(db, tokens, token) is None


async def test_an_empty_payload_is_not_none(db, tokens):
    assert await spend(db, tokens, await issue(db, tokens)) == {}


async def test_hc46_a_token_is_not_spent_by_a_transaction_that_is_undone(db, tokens):
    token = await issue(db, tokens)

    async def body(tx):
        assert await tokens.spend(tx, "reset", token) == {}
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await db.transaction(body)

    assert await spend(db, tokens, token) == {}


async def test_hc18_a_token_of_one_purpose_is_none_for_another(db, tokens):
    token = await issue(db, tokens, "reset")

    assert await spend(db, tokens, token, "verify") is None
    assert await spend(db, tokens, token, "Reset") is None
    assert await spend(db, tokens, token, "reset") == {}


@pytest.mark.parametrize("text", ["", "x", "x" * 43, "x" * 100_000, "\ud800" * 43, "\x00" * 43, "\u00e9" * 43])
async def test_what_is_no_token_is_none(db, tokens, text):
    assert await spend(db, tokens, text) is None


async def test_hc14_a_token_ends_exactly_at_its_time(db, tokens, clock):
    early, late = await issue(db, tokens), await issue(db, tokens)

    clock.advance(MINUTE - timedelta(microseconds=1))
    assert await spend(db, tokens, early) == {}
    clock.advance(timedelta(microseconds=1))
    assert await spend(db, tokens, late) is None


async def test_hc20_a_new_token_ends_the_older_of_its_purpose_and_user(db, tokens, users, user):
    other = await db.transaction(lambda tx: users.create(tx, email="eve@example.com"))
    old = await issue(db, tokens, user=user)
    kept = [await issue(db, tokens, "verify", user=user), await issue(db, tokens, user=other)]
    new = await issue(db, tokens, user=user)

    assert await spend(db, tokens, old) is None
    assert await spend(db, tokens, kept[0], "verify") == {}
    assert await spend(db, tokens, kept[1]) == {}
    assert await spend(db, tokens, new) == {}


async def test_hc20_of_tokens_issued_at_once_one_lives(db, tokens, tables, user):
    await asyncio.gather(*(issue(db, tokens, user=user) for _ in range(10)))

    async with db.connect() as tx:
        assert len((await tx.execute(select(tables.tokens.c.id))).all()) == 1


async def test_issuing_and_spending_at_once_ends_well(db, tokens, user):
    token = await issue(db, tokens, user=user)

    results = await asyncio.gather(
        *(issue(db, tokens, user=user) for _ in range(10)), *(spend(db, tokens, token) for _ in range(10))
    )

    assert sum(result == {} for result in results[10:]) <= 1


async def test_hc22_what_is_stored_cannot_be_presented(db, tokens, tables):
    token = await issue(db, tokens)

    async with db.connect() as tx:
        row = (await tx.execute(select(tables.tokens))).one()
    assert all(token not in repr(value) and token.encode() != value for value in row)
    assert await spend(db, tokens, bytes(row.digest).hex()) is None


async def test_hc23_tokens_live_while_their_key_is_in_the_ring(db, tables, clock):
    def ring(*keys):
        return SingleUseTokens(tables.tokens, KeyRing(keys), clock=clock, random=secrets.token_bytes)

    kept, retired = [await issue(db, ring("o" * 32)) for _ in range(2)]

    assert await spend(db, ring("n" * 32, "o" * 32), kept) == {}
    assert await spend(db, ring("n" * 32), retired) is None


async def test_a_minted_secret_is_found_by_one_of_its_digests(tokens):

    plain, prefixed = tokens.mint("x"), tokens.mint("x", "sigra_sk_")

    assert plain.digest in tokens.digests("x", plain.text)
    assert prefixed.text.startswith("sigra_sk_")
    assert prefixed.digest == tokens.digests("x", prefixed.text, "sigra_sk_")[0]
    assert len(tokens.digests("x", plain.text)) == len(KEYS)
    assert prefixed.text not in repr(prefixed)


async def test_a_wrong_form_has_no_digests(tokens):
    prefixed = tokens.mint("x", "sigra_sk_").text

    assert not tokens.digests("x", prefixed)
    assert not tokens.digests("x", prefixed[:-1] + ("A" if prefixed[-1] != "A" else "B"), "sigra_sk_")
    assert not tokens.digests("x", tokens.mint("x").text, "sigra_sk_")
    assert not tokens.digests("x", tokens.mint("x").text + "\n")


async def races(db, database, tokens, users, rounds):
    """How often a token worked in each round, tried 64 times at once by two processes."""
    user = await db.transaction(lambda tx: users.create(tx, email="race@example.com"))
    async with Racers("spend", database, 2) as racers:
        return [
            sum(await racers.round(await issue(db, tokens, "race", user if n % 2 else None))) for n in range(rounds)
        ]


async def test_hc14_of_64_uses_at_once_by_two_processes_one_wins(db, database, tokens, users, clock):
    clock.advance(timedelta(days=36_500))

    assert await races(db, database, tokens, users, 3) == [1] * 3


@pytest.mark.soak
async def test_hc14_of_64_uses_at_once_by_two_processes_one_wins_a_hundred_times(db, database, tokens, users, clock):
    clock.advance(timedelta(days=36_500))

    assert await races(db, database, tokens, users, 100) == [1] * 100
