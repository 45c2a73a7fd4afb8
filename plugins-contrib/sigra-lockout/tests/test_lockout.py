"""Locks: after how many proofs, for whom, until when; who still gets in, and what nobody learns."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from sigra.testing import PASSWORD, FrozenClock, make_user
from sigra_lockout import Lockout
from tests.apps import Postbox, running
from tests.policies import Factor, Recorder

WRONG = "not the password"
MINUTE = timedelta(minutes=1)
PLUGINS = ["defaults", "lockout"]
SILENT = ["defaults", "-known_browsers", "lockout"]


# How many tries


async def test_hc40_the_sixth_proof_is_not_looked_at_even_if_it_is_right(
    crowd: Any, database: str, looked_at: Counter[str]
) -> None:
    async with running(database, PLUGINS) as client:
        user = await make_user(client.sigra)
        stored = await crowd(client).hash_of(user)
        for _ in range(5):
            await crowd(client).guess()
        after = [await crowd(client).guess(password=PASSWORD) for _ in range(3)]

    assert looked_at[stored] == 5
    assert [(one.status_code, one.json()["code"]) for one in after] == [(401, "invalid_credentials")] * 3


async def test_the_fifth_proof_is_looked_at_and_lifts_the_lock_when_it_is_right(crowd: Any, database: str) -> None:
    box = Postbox()
    async with running(database, [*PLUGINS, box]) as client:
        await make_user(client.sigra)
        for _ in range(4):
            await crowd(client).guess()
        fifth, sixth = [await crowd(client).guess(password=PASSWORD) for _ in range(2)]
        await client.sigra.worker.work()

    assert (fifth.status_code, sixth.status_code) == (200, 200)
    assert "account_locked" not in box.kinds


async def test_a_sign_in_forgets_the_tries_before_it(crowd: Any, database: str) -> None:
    async with running(database, PLUGINS) as client:
        await make_user(client.sigra)
        for _ in range(3):
            for _ in range(4):
                await crowd(client).guess()
            assert (await crowd(client).guess(password=PASSWORD)).status_code == 200
        left = await crowd(client).rows()

    assert left == 0


async def test_hc40_a_lock_ends_by_time(crowd: Any, database: str) -> None:
    clock = FrozenClock()
    async with running(database, PLUGINS, clock=clock) as client:
        await make_user(client.sigra)
        await crowd(client).lock()
        clock.tick(15 * MINUTE - timedelta(microseconds=1))
        before = await crowd(client).guess(password=PASSWORD)
        clock.tick(timedelta(microseconds=1))
        after = await crowd(client).guess(password=PASSWORD)

    assert (before.status_code, after.status_code) == (401, 200)


async def test_hc40_tries_during_a_lock_do_not_prolong_it(crowd: Any, database: str) -> None:
    clock = FrozenClock()
    async with running(database, PLUGINS, clock=clock) as client:
        await make_user(client.sigra)
        await crowd(client).lock()
        for _ in range(14):
            clock.tick(MINUTE)
            await crowd(client).guess()
        clock.tick(MINUTE)
        after = await crowd(client).guess(password=PASSWORD)

    assert after.status_code == 200


async def test_a_second_lock_in_a_row_is_twice_as_long(crowd: Any, database: str) -> None:
    clock = FrozenClock()
    async with running(database, PLUGINS, clock=clock) as client:
        await make_user(client.sigra)
        await crowd(client).lock()
        clock.tick(15 * MINUTE)
        await crowd(client).lock()
        clock.tick(29 * MINUTE)
        before = await crowd(client).guess(password=PASSWORD)
        clock.tick(MINUTE)
        after = await crowd(client).guess(password=PASSWORD)

    assert (before.status_code, after.status_code) == (401, 200)


async def test_the_options_are_heeded(crowd: Any) -> None:
    clock = FrozenClock()
    plugin = Lockout(failures=2, first=60, longest=60)
    async with running("sqlite:///:memory:", ["defaults", plugin], clock=clock) as client:
        await make_user(client.sigra)
        for _ in range(2):
            for _ in range(2):
                await crowd(client).guess()
            locked = await crowd(client).guess(password=PASSWORD)
            clock.tick(MINUTE)

    assert locked.status_code == 401


@pytest.mark.parametrize("spelling", ["ADA@example.com", "ada@EXAMPLE.com", " ada@example.com", "\uff41da@example.com"])
async def test_hc07_no_spelling_of_an_address_has_tries_of_its_own(crowd: Any, database: str, spelling: str) -> None:
    async with running(database, PLUGINS) as client:
        await make_user(client.sigra)
        await crowd(client).lock(spelling)

        assert (await crowd(client).guess(password=PASSWORD)).status_code == 401
        assert await crowd(client).rows() == 1


async def test_what_is_no_address_is_nobodys_and_not_kept(crowd: Any) -> None:
    async with running("sqlite:///:memory:", PLUGINS) as client:
        await crowd(client).lock("not an address")

        assert await crowd(client).rows() == 0


# Every way


async def test_hc40_wrong_factors_count_with_wrong_passwords(crowd: Any, database: str) -> None:
    async with running(database, [*PLUGINS, Factor()]) as client:
        user = await make_user(client.sigra)
        for _ in range(4):
            await crowd(client).guess()
        asked = await client.sign_in(user)
        wrong = await client.post("/auth/login/factor", json={"code": "wrong"})
        right = await client.post("/auth/login/factor", json={"code": "right"})

    assert asked.status_code == 202
    assert (wrong.status_code, right.status_code) == (401, 401)


async def test_hc40_a_challenge_is_no_sign_in_and_forgets_nothing(crowd: Any, database: str) -> None:
    async with running(database, [*PLUGINS, Factor()]) as client:
        await make_user(client.sigra)
        for _ in range(4):
            await crowd(client).guess()
        asked = await crowd(client).guess(password=PASSWORD)
        await crowd(client).guess()
        after = await crowd(client).guess(password=PASSWORD)

    assert (asked.status_code, after.status_code) == (202, 401)


async def test_hc40_a_right_password_locks_nobody_out_whose_factor_is_still_owed(crowd: Any, database: str) -> None:
    """Its owner's phone was elsewhere, or the browser was closed."""
    box = Postbox()
    async with running(database, [*PLUGINS, Factor(), box]) as client:
        user = await make_user(client.sigra)
        asked = [(await crowd(client).guess(password=PASSWORD)).status_code for _ in range(7)]
        await client.sign_in(user)
        right = await client.post("/auth/login/factor", json={"code": "right"})
        await client.sigra.worker.work()

    assert (asked, right.status_code) == ([202] * 7, 200)
    assert "account_locked" not in box.kinds


async def test_hc40_whoever_has_the_password_has_five_codes(crowd: Any, database: str) -> None:
    factor, recorder = Factor(), Recorder()
    async with running(database, [*PLUGINS, factor, recorder]) as client:
        user = await make_user(client.sigra)
        for _ in range(7):
            thief = crowd(client).browser()
            await thief.sign_in(user)
            await thief.post("/auth/login/factor", json={"code": "wrong"})
        after = await client.sign_in(user)

    assert factor.tried == ["wrong"] * 5
    assert recorder.names.count("lockout.locked") == 1
    assert after.status_code == 401


async def test_a_single_wrong_proof_that_would_lock_leaves_room_for_the_factor(crowd: Any) -> None:
    async with running("sqlite:///:memory:", ["defaults", Lockout(failures=1), Factor()]) as client:
        user = await make_user(client.sigra)
        asked = await client.sign_in(user)
        right = await client.post("/auth/login/factor", json={"code": "right"})

    assert (asked.status_code, right.status_code) == (202, 200)


async def test_a_factor_that_is_right_forgets_the_tries_of_both_steps(crowd: Any, database: str) -> None:
    async with running(database, [*PLUGINS, Factor()]) as client:
        user = await make_user(client.sigra)
        for _ in range(3):
            await crowd(client).guess()
        await client.sign_in(user)
        right = await client.post("/auth/login/factor", json={"code": "right"})
        kept = await crowd(client).rows()

    assert right.status_code == 200
    assert kept == 0


async def test_hc40_a_thief_of_a_session_guesses_no_more_than_anybody(database: str) -> None:
    """Proving it again and changing the password are proofs like any other."""
    async with running(database, SILENT) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        for _ in range(3):
            await client.post("/auth/reauthenticate", json={"password": WRONG})
        change = {"new_password": "a train of thought leaves at nine"}
        for _ in range(2):
            await client.post("/auth/password/change", json={"current_password": WRONG, **change})
        again = await client.post("/auth/reauthenticate", json={"password": PASSWORD})
        changed = await client.post("/auth/password/change", json={"current_password": PASSWORD, **change})

    assert (again.status_code, changed.status_code) == (401, 401)


async def test_hc40_a_lock_of_one_account_is_no_lock_of_another(crowd: Any, database: str) -> None:
    async with running(database, SILENT) as client:
        await make_user(client.sigra)
        other = await make_user(client.sigra, "eve@example.com")
        await crowd(client).lock()

        assert (await client.sign_in(other)).status_code == 200


async def test_hc40_an_attackers_own_sign_ins_reset_nothing_of_the_victims(
    crowd: Any, database: str, looked_at: Counter[str]
) -> None:
    async with running(database, PLUGINS) as client:
        ada = await make_user(client.sigra)
        await make_user(client.sigra, "eve@example.com")
        stored = await crowd(client).hash_of(ada)
        thief = crowd(client).browser()
        for _ in range(12):
            await thief.post("/auth/login", json={"email": "ada@example.com", "password": WRONG})
            await thief.post("/auth/login", json={"email": "eve@example.com", "password": PASSWORD})
            await thief.post("/auth/logout")

    assert looked_at[stored] == 5


# Who still gets in


async def test_hc40_the_owner_gets_in_by_a_known_browser_while_hundreds_guess(
    crowd: Any, database: str, looked_at: Counter[str]
) -> None:
    async with running(database, PLUGINS) as client:
        user = await make_user(client.sigra)
        stored = await crowd(client).hash_of(user)
        await client.sign_in(user)
        await client.sign_out()
        looked_at.clear()
        for number in range(120):
            await crowd(client).guess(number=number)
        guesses = looked_at[stored]
        unknown = await crowd(client).guess(password=PASSWORD)
        known = await client.sign_in(user)

    assert guesses == 5
    assert (unknown.status_code, known.status_code) == (401, 200)


async def test_hc40_a_sign_in_by_a_known_browser_gives_others_no_new_tries(
    crowd: Any, database: str, looked_at: Counter[str]
) -> None:
    async with running(database, PLUGINS) as client:
        user = await make_user(client.sigra)
        stored = await crowd(client).hash_of(user)
        await client.sign_in(user)
        looked_at.clear()
        for _ in range(4):
            for _ in range(3):
                await crowd(client).guess()
            await client.sign_out()
            await client.sign_in(user)

    assert looked_at[stored] == 5 + 4


async def test_hc40_a_thief_of_a_known_browser_is_locked_out_like_anybody(crowd: Any, database: str) -> None:
    async with running(database, PLUGINS) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await client.sign_out()
        for _ in range(5):
            await client.sign_in(user, WRONG)
        locked = await client.sign_in(user)
        elsewhere = await crowd(client).guess(password=PASSWORD)

    assert (locked.status_code, elsewhere.status_code) == (401, 200)


async def test_hc40_the_owner_gets_in_by_a_magic_link_during_a_lock(crowd: Any, database: str) -> None:
    box = Postbox()
    async with running(database, [*PLUGINS, box]) as client:
        await make_user(client.sigra)
        await crowd(client).lock()
        await client.sigra.worker.work()
        await client.post("/auth/magic-link", json={"email": "ada@example.com"})
        await client.sigra.worker.work()
        signed_in = await client.post("/auth/magic-link/verify", json={"token": box.token()})
        still = await crowd(client).guess(password=PASSWORD)

    assert signed_in.status_code == 200
    assert still.status_code == 401


async def test_an_account_without_an_address_is_locked_by_its_id(crowd: Any, database: str) -> None:
    recorder = Recorder()
    async with running(database, [*SILENT, Factor(), recorder]) as client:
        user = await make_user(client.sigra, None)
        for _ in range(6):
            thief = crowd(client).browser()
            await thief.sign_in_as(user)
            await thief.post("/auth/login/factor", json={"code": "wrong"})

        assert await crowd(client).rows() == 1
        assert recorder.names.count("lockout.locked") == 1
