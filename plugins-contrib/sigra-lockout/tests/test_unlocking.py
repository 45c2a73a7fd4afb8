"""The mail of a lock, and what ends a lock before its time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sigra import Settings, Sigra, hookspecs
from sigra.cli.shell import Shell
from sigra.testing import PASSWORD, Client, FrozenClock, make_user, migrate
from sigra_lockout import Lockout
from tests.apps import Postbox, application, running
from tests.cli.conftest import SETTINGS
from tests.policies import Recorder

WRONG = "not the password"
MINUTE = timedelta(minutes=1)
NEW = "a train of thought leaves at nine"
PLUGINS = ["defaults", "lockout"]
MEMORY = "sqlite:///:memory:"


async def unlock(client: Client, token: str) -> Any:
    return await client.post("/auth/unlock", json={"token": token})


# The mail


async def test_one_mail_a_lock_goes_to_the_stored_address(crowd: Any, database: str) -> None:
    clock, box = FrozenClock(), Postbox()
    async with running(database, [*PLUGINS, box], clock=clock) as client:
        await make_user(client.sigra, "Ada@example.com")
        for _ in range(12):
            await crowd(client).guess("ADA@example.com")
        await client.sigra.worker.work()
        first = [(one.kind, one.recipient) for one in box.messages]
        clock.tick(15 * MINUTE)
        for _ in range(12):
            await crowd(client).guess()
        await client.sigra.worker.work()

    assert first == [("account_locked", "Ada@example.com")]
    assert box.kinds == ["account_locked"] * 2
    assert "For 15 minutes nobody" in box.messages[0].text
    assert "For 30 minutes nobody" in box.messages[1].text


@pytest.mark.parametrize(("language", "words"), [("de", "gesperrt"), ("en", "locked"), (None, "locked")])
async def test_the_mail_is_in_the_language_of_the_account_not_of_who_guesses(
    crowd: Any, language: str | None, words: str
) -> None:
    box = Postbox()
    async with running(MEMORY, [*PLUGINS, box]) as client:
        user = await make_user(client.sigra)
        await client.sigra.db.transaction(
            lambda tx: client.sigra.users.describe(tx, user, name="https://evil.example", locale=language)
        )
        german = crowd(client).browser(headers={"accept-language": "de"})
        for _ in range(5):
            await german.post("/auth/login", json={"email": "ada@example.com", "password": WRONG})
        await client.sigra.worker.work()

    assert words in box.messages[0].subject
    assert "evil" not in box.messages[0].text + box.messages[0].html


async def test_a_lock_of_hours_says_how_many(crowd: Any) -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", Lockout(first=4 * 3600), box]) as client:
        await make_user(client.sigra)
        await crowd(client).lock()
        await client.sigra.worker.work()

    assert "For 4 hours nobody" in box.messages[0].text


@pytest.mark.parametrize("name", ["unknown", "disabled", "closing"])
async def test_hc39_nobody_else_is_written_to(crowd: Any, database: str, name: str) -> None:
    box = Postbox()
    async with running(database, [*PLUGINS, box]) as client:
        for status in ("disabled", "closing"):
            user = await make_user(client.sigra, f"{status}@example.com")
            await client.sigra.db.transaction(
                lambda tx, user=user, status=status: client.sigra.users.set_status(tx, user, status)
            )
        await crowd(client).lock(f"{name}@example.com")
        waiting = await crowd(client).rows("sigra_outbox")
        await client.sigra.worker.work()

    assert waiting == 1
    assert box.kinds == []


async def test_who_has_waited_is_not_told_any_more(crowd: Any) -> None:
    clock, box = FrozenClock(), Postbox()
    async with running(MEMORY, [*PLUGINS, box], clock=clock) as client:
        await make_user(client.sigra)
        await crowd(client).lock()
        clock.tick(15 * MINUTE)
        await client.sigra.worker.work()

    assert box.kinds == []


async def test_one_event_a_lock_is_recorded_with_the_wrong_proof(crowd: Any, database: str) -> None:
    recorder = Recorder()
    async with running(database, [*PLUGINS, recorder]) as client:
        await make_user(client.sigra)
        for _ in range(7):
            await crowd(client).guess()
        await crowd(client).lock("nobody@example.com")

    told = [event for event in recorder.recorded if event.name == "lockout.locked"]
    assert [event.metadata["email"] for event in told] == ["ada@example.com", "nobody@example.com"]
    assert {event.metadata["until"] for event in told} == {"2026-01-01T12:15:00Z"}
    assert {(event.outcome, event.user_id, event.client) for event in told} == {("failure", None, "198.51.100.1")}


# Its link


async def test_the_link_ends_the_lock_once(crowd: Any, database: str) -> None:
    box, recorder = Postbox(), Recorder()
    async with running(database, [*PLUGINS, box, recorder]) as client:
        user = await make_user(client.sigra)
        await crowd(client).lock()
        await client.sigra.worker.work()
        answers = [await unlock(client, box.token()) for _ in range(2)]
        signed_in = await crowd(client).guess(password=PASSWORD)

    assert [answer.status_code for answer in answers] == [204, 400]
    assert not client.signed_in
    assert signed_in.status_code == 200
    [told] = [event for event in recorder.recorded if event.name == "lockout.unlocked"]
    assert (told.user_id, told.metadata) == (user.id, {"by": "link"})


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_hc19_opening_the_link_ends_nothing(crowd: Any, database: str, method: str) -> None:
    box = Postbox()
    async with running(database, [*PLUGINS, box]) as client:
        await make_user(client.sigra)
        await crowd(client).lock()
        await client.sigra.worker.work()
        page = await client.request(method, f"/auth/unlock?token={box.token()}", headers={"accept": "text/html"})
        locked = await crowd(client).guess(password=PASSWORD)
        ended = await unlock(client, box.token())

    assert (page.status_code, locked.status_code, ended.status_code) == (200, 401, 204)
    assert box.token() not in page.text


async def test_the_page_takes_the_token_and_says_that_it_is_done(crowd: Any) -> None:
    box = Postbox()
    async with running(MEMORY, [*PLUGINS, box]) as client:
        await make_user(client.sigra)
        await crowd(client).lock()
        await client.sigra.worker.work()
        wrong = await client.post("/auth/unlock", data={"token": "x" * 43}, headers={"accept": "text/html"})
        body, here = {"token": box.token()}, "/auth/unlock?done=lockout.unlocked"
        done = await client.post("/auth/unlock", params={"next": here}, data=body, headers={"accept": "text/html"})
        page = await client.get(done.headers["location"], headers={"accept": "text/html"})

    assert wrong.status_code == 400
    assert 'name="token"' in wrong.text
    assert (done.status_code, done.headers["location"]) == (303, here)
    assert "Your account is unlocked." in page.text


async def test_hc40_a_link_does_not_shorten_the_next_lock(crowd: Any, database: str) -> None:
    clock, box = FrozenClock(), Postbox()
    async with running(database, [*PLUGINS, box], clock=clock) as client:
        await make_user(client.sigra)
        await crowd(client).lock()
        await client.sigra.worker.work()
        await unlock(client, box.token())
        await crowd(client).lock()
        clock.tick(29 * MINUTE)

        assert (await crowd(client).guess(password=PASSWORD)).status_code == 401


async def test_hc20_the_link_of_an_older_lock_ends_no_newer_one(crowd: Any, database: str) -> None:
    """Neither before the mail of the newer one is sent, nor afterwards."""
    clock, box = FrozenClock(), Postbox()
    async with running(database, [*PLUGINS, box], clock=clock) as client:
        user = await make_user(client.sigra)
        plugin = client.sigra.plugin(Lockout)
        await crowd(client).lock()
        await client.sigra.worker.work()
        old = box.token()
        await client.sigra.db.transaction(lambda tx: plugin.locks.forget(client.sigra, tx, user))
        alone = await unlock(client, old)
        clock.tick()
        await crowd(client).lock()
        before = await unlock(client, old)
        await client.sigra.worker.work()
        after = await unlock(client, old)
        newest = await unlock(client, box.token())

    assert [answer.status_code for answer in (alone, before, after, newest)] == [400, 400, 400, 204]


async def test_the_link_ends_no_other_accounts_lock(crowd: Any, database: str) -> None:
    box = Postbox()
    async with running(database, [*PLUGINS, box]) as client:
        await make_user(client.sigra, "eve@example.com")
        await make_user(client.sigra)
        await crowd(client).lock("eve@example.com")
        await client.sigra.worker.work()
        await crowd(client).lock()
        ended = await unlock(client, box.token())
        answers = [await crowd(client).guess(f"{name}@example.com", PASSWORD) for name in ("eve", "ada")]

    assert ended.status_code == 204
    assert [answer.status_code for answer in answers] == [200, 401]


@pytest.mark.parametrize("kind", ["magic_link", "reset_password", "account_locked"])
async def test_hc18_only_its_own_token_ends_a_lock_and_does_nothing_else(crowd: Any, database: str, kind: str) -> None:
    box = Postbox()
    async with running(database, [*PLUGINS, box]) as client:
        await make_user(client.sigra)
        await crowd(client).lock()
        for path in ("magic-link", "password/forgot"):
            await client.post(f"/auth/{path}", json={"email": "ada@example.com"})
        await client.sigra.worker.work()
        box.messages.sort(key=lambda message: message.kind == kind)
        here = await unlock(client, box.token())
        reset = await client.post("/auth/password/reset", json={"token": box.token(), "new_password": NEW})
        signed_in = await client.post("/auth/magic-link/verify", json={"token": box.token()})

    assert (here.status_code == 204) == (kind == "account_locked")
    assert (reset.status_code == 204) == (kind == "reset_password")
    assert (signed_in.status_code == 200) == (kind == "magic_link")


# What else ends it


async def test_hc40_a_reset_of_the_password_ends_the_lock_and_what_was_mailed_for_it(crowd: Any, database: str) -> None:
    box = Postbox()
    async with running(database, [*PLUGINS, box]) as client:
        await make_user(client.sigra)
        await crowd(client).lock()
        await client.sigra.worker.work()
        link = box.token()
        await client.post("/auth/password/forgot", json={"email": "ada@example.com"})
        await client.sigra.worker.work()
        done = await client.post("/auth/password/reset", json={"token": box.token(), "new_password": NEW})
        again = await unlock(client, link)
        signed_in = await crowd(client).guess(password=NEW)

    assert (done.status_code, again.status_code, signed_in.status_code) == (204, 400, 200)


async def test_a_changed_password_forgets_the_guesses_at_the_old_one(crowd: Any, database: str) -> None:
    async with running(database, PLUGINS) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        for _ in range(4):
            await crowd(client).guess()
        await client.post("/auth/password/change", json={"current_password": PASSWORD, "new_password": NEW})

        assert await crowd(client).rows() == 0


async def test_revoking_what_was_issued_ends_no_lock(crowd: Any, database: str) -> None:
    async with running(database, PLUGINS) as client:
        user = await make_user(client.sigra)
        await crowd(client).lock()
        await client.sigra.db.transaction(lambda tx: client.sigra.revoke(tx, user, "sign_out"))

        assert (await crowd(client).guess(password=PASSWORD)).status_code == 401


def test_an_administrator_ends_it(crowd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'sigra.db'}"
    variables = {**SETTINGS, "SIGRA_DATABASE_URL": url, "SIGRA_PLUGINS": "defaults,lockout"}
    settings = Settings(
        secret_keys=[SETTINGS["SIGRA_SECRET_KEYS"]], base_url="http://localhost", database_url=url, worker=False,
        development=True, password={"memory_kib": 8, "time": 1}, limits={"enabled": False},
    )  # fmt: skip

    async def locked() -> None:
        async with Sigra(settings, PLUGINS) as auth, Client(auth.wrap(application), auth) as client:
            await migrate(auth)
            await make_user(auth)
            await crowd(client).lock()
            assert (await crowd(client).guess(password=PASSWORD)).status_code == 401

    async def after() -> int:
        async with Sigra(settings, PLUGINS) as auth, Client(auth.wrap(application), auth) as client:
            answer = await crowd(client).guess(password=PASSWORD)
            return int(answer.status_code)

    asyncio.run(locked())
    said = [
        CliRunner().invoke(Shell(), ["users", "unlock", email], env=variables)
        for email in ("ADA@example.com", "ada@example.com", "eve@example.com")
    ]

    assert [one.exit_code for one in said] == [0, 0, 1]
    assert [one.output for one in said] == [
        "Unlocked ADA@example.com.\n",
        "ada@example.com is not locked.\n",
        "Error: There is no account of eve@example.com.\n",
    ]
    assert asyncio.run(after()) == 200


# What is kept


async def test_what_is_kept_is_bounded_and_tells_no_address(crowd: Any) -> None:
    clock = FrozenClock()
    async with running(MEMORY, PLUGINS, clock=clock) as client:
        for number in range(30):
            await crowd(client).guess(f"nobody{number}@example.com")
        await crowd(client).lock()
        table = client.sigra.metadata.tables["sigra_lockout"]
        async with client.sigra.db.connect() as tx:
            kept = str((await tx.execute(table.select())).all())
        clock.tick(timedelta(days=1))
        await client.sigra.worker.work()
        locked_only = await crowd(client).rows()
        clock.tick(timedelta(hours=2))
        await client.sigra.worker.work()

        assert "example" not in kept
        assert (locked_only, await crowd(client).rows()) == (1, 0)


async def test_a_user_is_told_what_is_counted_and_it_goes_with_them(crowd: Any) -> None:
    async with running(MEMORY, PLUGINS) as client:
        auth = client.sigra
        user = await make_user(auth)
        plugin = auth.plugin(Lockout)
        before = await plugin.export_user(auth, user)
        await crowd(client).lock()
        await crowd(client).guess("eve@example.com")
        held = await plugin.export_user(auth, user)
        await auth.db.transaction(lambda tx: plugin.erase_user(auth, tx, user))

        assert before is None
        assert held == {"lockout": [{"failures": 5, "locked_until": "2026-01-01T12:15:00Z"}]}
        assert await crowd(client).rows() == 1


async def test_hc24_a_restored_backup_brings_no_lock_and_no_link_back(crowd: Any, database: str) -> None:
    box = Postbox()
    async with running(database, [*PLUGINS, box]) as client:
        auth = client.sigra
        await make_user(auth)
        await crowd(client).lock()
        await auth.worker.work()
        await auth.db.transaction(lambda tx: auth.each(hookspecs.end_restored, tx=tx, passwords=False))

        assert await crowd(client).rows() == 0
        assert (await unlock(client, box.token())).status_code == 400
        assert (await crowd(client).guess(password=PASSWORD)).status_code == 200
