import asyncio
import re
import secrets
import uuid
from datetime import timedelta
from types import NoneType

import pytest
from sqlalchemy import select

from sigra.crypto import KeyRing
from sigra.db.single_use import CODE_TRIES, SingleUseTokens
from sigra.errors import Unavailable
from sigra.messages import Mint
from sigra.models import HeldToken
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


async def make_good(db, tokens, clock, subject="a@example.com", user=None, seed=None, asked_at=None, **mint):
    """The secrets of a message."""
    mint = Mint("reset", "page", mint.pop("lifetime", MINUTE), {"for": subject}, subject, code=True)
    given = (mint, user and user.id, seed or uuid.uuid4(), asked_at or clock())
    return await db.transaction(lambda tx: tokens.issue_derived(tx, *given))


async def try_code(db, tokens, code, subject="a@example.com", *, counted=True):
    if counted:
        await db.transaction(lambda tx: tokens.count_code(tx, "reset", subject))
    async with db.connect() as tx:
        return await tokens.find_by_code(tx, "reset", subject, code)


async def test_hc20_a_message_that_was_asked_for_earlier_does_not_end_the_token_of_a_later_one(
    db, tokens, clock, tables
):
    before = clock()
    clock.advance(MINUTE / 2)
    newer = await make_good(db, tokens, clock)

    assert await make_good(db, tokens, clock, asked_at=before) is None
    assert await spend(db, tokens, newer.token) == {"for": "a@example.com"}


async def test_a_later_message_ends_the_token_of_an_earlier_one(db, tokens, clock):
    older = await make_good(db, tokens, clock)
    clock.advance(MINUTE / 2)
    newer = await make_good(db, tokens, clock)

    assert await spend(db, tokens, older.token) is None
    assert await spend(db, tokens, newer.token) == {"for": "a@example.com"}


async def test_a_token_that_has_expired_is_in_no_messages_way(db, tokens, clock):
    before = clock()
    clock.advance(MINUTE / 2)
    await make_good(db, tokens, clock)
    clock.advance(MINUTE)

    assert await make_good(db, tokens, clock, asked_at=before) is not None


@pytest.mark.parametrize("known", [True, False])
async def test_hc20_of_messages_rendered_at_once_one_token_lives(db, tokens, clock, tables, user, known):
    made = await asyncio.gather(*(make_good(db, tokens, clock, user=user if known else None) for _ in range(3)))

    async with db.connect() as tx:
        assert len((await tx.execute(select(tables.tokens.c.id))).all()) == 1
    spent = [await spend(db, tokens, one.token) for one in made if one is not None]
    assert [one for one in spent if one is not None] == [{"for": "a@example.com"}]


async def test_a_message_of_an_account_that_is_gone_has_no_token(db, tokens, clock, users, user):
    await db.transaction(lambda tx: users.delete(tx, user))

    assert await make_good(db, tokens, clock, user=user) is None


async def test_hc22_the_secrets_of_a_message_are_made_by_the_keys_alone(db, tokens, tables, clock):
    seed = uuid.uuid4()
    other = SingleUseTokens(tables.tokens, KeyRing(["another" * 5]), clock=clock, random=secrets.token_bytes)
    mine = await make_good(db, tokens, clock, seed=seed)
    again = await make_good(db, tokens, clock, seed=seed)
    theirs = await make_good(db, other, clock, seed=seed)

    assert (mine.token, mine.code) == (again.token, again.code)
    assert mine.token != theirs.token and mine.code != theirs.code
    assert mine.token not in repr(mine) and mine.code not in repr(mine)


async def test_the_secrets_of_two_messages_and_two_purposes_differ(tokens):
    one, other = uuid.uuid4(), uuid.uuid4()
    made = [tokens._derived(purpose, seed)[0] for purpose in ("reset", "verify") for seed in (one, other)]

    assert len({each.token for each in made}) == 4
    assert all(re.fullmatch("[0-9]{8}", each.code) for each in made)


# Codes


async def test_a_code_finds_its_token_and_is_spent_with_it(db, tokens, clock):
    made = await make_good(db, tokens, clock)
    held = await try_code(db, tokens, made.code)

    assert held.payload == {"for": "a@example.com"}
    assert await db.transaction(lambda tx: tokens.take(tx, held))
    assert await try_code(db, tokens, made.code) is None
    assert await spend(db, tokens, made.token) is None


async def test_hc18_a_code_is_for_its_subject_and_purpose(db, tokens, clock):
    made = await make_good(db, tokens, clock)
    await make_good(db, tokens, clock, "eve@example.com")

    assert await try_code(db, tokens, made.code, "eve@example.com") is None
    async with db.connect() as tx:
        assert await tokens.find_by_code(tx, "verify", "a@example.com", made.code) is None


async def test_hc13_after_five_tries_a_code_is_dead_and_its_link_lives(db, tokens, clock):
    made = await make_good(db, tokens, clock)
    wrong = [await try_code(db, tokens, "00000000") for _ in range(4)]
    fifth = await try_code(db, tokens, made.code)
    sixth = await try_code(db, tokens, made.code)

    assert wrong == [None] * 4
    assert fifth is not None
    assert sixth is None
    assert await spend(db, tokens, made.token) == {"for": "a@example.com"}


async def test_hc13_a_code_that_nobody_counted_finds_nothing(db, tokens, clock):
    made = await make_good(db, tokens, clock)

    assert await try_code(db, tokens, made.code, counted=False) is None


async def test_hc13_of_200_tries_at_once_at_most_five_are_looked_at(db, tokens, clock):
    made = await make_good(db, tokens, clock)
    tries = (try_code(db, tokens, made.code) for _ in range(200))
    found = await asyncio.gather(*tries, return_exceptions=True)

    # A busy machine tells some to come back.
    assert {type(one) for one in found} <= {NoneType, HeldToken, Unavailable}
    assert sum(isinstance(one, HeldToken) for one in found) <= CODE_TRIES


async def test_an_absent_code_is_counted_by_nobody(db, tokens):
    assert not await db.transaction(lambda tx: tokens.count_code(tx, "reset", "a@example.com"))
    assert await try_code(db, tokens, "00000000") is None


@pytest.mark.parametrize("text", ["", "0", "\x00", "\ud800", "\u0661" * 8, "0" * 100_000])
async def test_what_is_no_code_finds_nothing(db, tokens, clock, text):
    await make_good(db, tokens, clock)

    assert await try_code(db, tokens, text) is None


# Ending


async def test_what_was_issued_to_a_user_or_about_a_subject_is_ended(db, tokens, clock, users, user):
    own, about = await issue(db, tokens, user=user), await make_good(db, tokens, clock)
    kept = await issue(db, tokens, "verify", user=user)
    await db.transaction(lambda tx: tokens.end(tx, "reset", user=user, subject="a@example.com"))

    assert [await spend(db, tokens, own), await spend(db, tokens, about.token)] == [None, None]
    assert await spend(db, tokens, kept, "verify") == {}


async def test_nobodys_end_ends_nothing(db, tokens, clock):
    token = await issue(db, tokens)
    await db.transaction(lambda tx: tokens.end(tx, "reset"))

    assert await spend(db, tokens, token) == {}


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
