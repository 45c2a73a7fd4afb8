"""Taking an app away: by its owner, by an administrator, and with all that ends; never by mail alone."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import update

from sigra import Refused, RemoveAuthenticator, Sigra, hookimpl, hookspecs
from sigra.cli.shell import Shell
from sigra.events import Action
from sigra.testing import PASSWORD, Client, FrozenClock, make_user, migrate
from sigra_totp import TOTP
from tests.apps import Postbox, application, running
from tests.cli.conftest import SETTINGS
from tests.policies import Recorder

MEMORY = "sqlite:///:memory:"
PLUGINS = ["defaults", "totp"]
MINUTE, STEP = timedelta(minutes=1), timedelta(seconds=30)


def elsewhere(client: Client, number: int = 9) -> Client:
    """Another browser."""
    return Client(client.app, client.sigra, address=(f"198.51.100.{number}", 50_000))


async def with_app(phones: Any, client: Client, clock: FrozenClock) -> tuple[Any, Any]:
    """An account with an app, signed in by password and code."""
    user = await make_user(client.sigra)
    await client.sign_in(user)
    phone = await phones.add(client)
    await client.sign_out()
    clock.tick(STEP)
    await client.sign_in(user)
    assert (await phone.prove(client)).status_code == 200
    clock.tick(STEP)
    return user, phone


class Keeper:
    """Refuses that anything is removed."""

    name, api = "keeper", 1

    @hookimpl
    async def before_action(self, action: Action) -> None:
        if isinstance(action, RemoveAuthenticator):
            raise Refused("Not here.")


# Its owner


async def test_an_app_that_is_removed_is_asked_for_no_more(phones: Any, database: str, kept: Any) -> None:
    clock, box, recorder = FrozenClock(), Postbox(), Recorder()
    async with running(database, [*PLUGINS, box, recorder], clock=clock) as client:
        user, _ = await with_app(phones, client, clock)
        removed = await client.delete("/auth/totp")
        again = await client.delete("/auth/totp")
        row = await kept(client, user)
        signed_in = await elsewhere(client).sign_in(user)
        await client.sigra.worker.work()

    assert (removed.status_code, again.status_code, again.json()["code"]) == (204, 404, "not_found")
    assert row is None
    assert signed_in.status_code == 200
    [told] = [event for event in recorder.recorded if event.name == "authenticator.removed"]
    assert (told.user_id, told.metadata["method"]) == (user.id, "totp")
    assert box.kinds.count("factor_removed") == 1


async def test_hc33_a_removal_ends_every_other_session_and_renews_its_own(phones: Any, database: str) -> None:
    clock = FrozenClock()
    async with running(database, PLUGINS, clock=clock) as client:
        user, phone = await with_app(phones, client, clock)
        other = elsewhere(client)
        await other.sign_in(user)
        await phone.prove(other)
        waiting = elsewhere(client, 10)
        await waiting.sign_in(user)
        old = dict(client.cookies)
        await client.delete("/auth/totp")
        stale = Client(client.app, client.sigra)
        stale.cookies.update(old)
        statuses = [(await one.get("/auth/session")).status_code for one in (client, stale, other)]
        clock.tick(STEP)
        late = await phone.prove(waiting)

    assert statuses == [200, 401, 401]
    assert late.status_code == 401
    assert late.json()["code"] == "login_expired"


async def test_hc10_a_removal_needs_a_fresh_session(phones: Any, database: str) -> None:
    clock = FrozenClock()
    async with running(database, PLUGINS, clock=clock) as client:
        _, phone = await with_app(phones, client, clock)
        nobody = await elsewhere(client).delete("/auth/totp")
        clock.tick(6 * MINUTE)
        stale = await client.delete("/auth/totp")
        await client.post("/auth/reauthenticate", json={"password": PASSWORD})
        half = await client.delete("/auth/totp")
        await phone.prove(client)
        fresh = await client.delete("/auth/totp")

    assert nobody.status_code == 401
    assert nobody.json()["code"] == "unauthenticated"
    assert [one.status_code for one in (stale, half, fresh)] == [403, 403, 204]
    assert [one.json()["code"] for one in (stale, half)] == ["reauthentication_required"] * 2


async def test_hc10_a_session_from_before_the_app_was_there_does_not_remove_it(phones: Any, database: str) -> None:
    """Whoever has the password was signed in, too, when its owner added the app."""
    clock = FrozenClock()
    async with running(database, PLUGINS, clock=clock) as client:
        user = await make_user(client.sigra)
        thief = elsewhere(client)
        for browser in (thief, client):
            await browser.sign_in(user)
        clock.tick()
        await phones.add(client)
        answer = await thief.delete("/auth/totp")
        signed_in = await elsewhere(client, 10).sign_in(user)

    assert answer.status_code == 403
    assert answer.json()["code"] == "reauthentication_required"
    assert signed_in.status_code == 202


async def test_hc16_a_recovery_code_is_a_factor_by_which_the_app_is_removed(phones: Any, database: str) -> None:
    clock = FrozenClock()
    async with running(database, PLUGINS, clock=clock) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        phone = await phones.scan(client)
        codes = (await phone.confirm(client)).json()["recovery_codes"]
        lost = elsewhere(client)
        await lost.sign_in(user)
        recovered = await lost.post("/auth/login/recovery-code", json={"code": codes[0]})
        removed = await lost.delete("/auth/totp")

    assert (recovered.status_code, removed.status_code) == (200, 204)


async def test_hc47_what_may_not_be_removed_stays(phones: Any, database: str, kept: Any) -> None:
    clock = FrozenClock()
    async with running(database, [*PLUGINS, Keeper()], clock=clock) as client:
        user, _ = await with_app(phones, client, clock)
        answer = await client.delete("/auth/totp")

        assert answer.status_code == 403
        assert answer.json()["code"] == "refused"
        assert (await kept(client, user))["confirmed_at"] is not None
        assert (await client.get("/auth/session")).status_code == 200


async def test_an_app_that_waits_for_its_first_code_is_none_to_remove(phones: Any, kept: Any) -> None:
    async with running(MEMORY, PLUGINS) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await phones.scan(client)
        answer = await client.delete("/auth/totp")

        assert answer.status_code == 404
        assert await kept(client, user) is not None


async def test_hc16_no_mail_removes_an_app(phones: Any, database: str, kept: Any) -> None:
    """A new password, a mailed link, another address: each is proven by mail."""
    clock, box = FrozenClock(), Postbox()
    async with running(database, [*PLUGINS, box], clock=clock) as client:
        user, _ = await with_app(phones, client, clock)
        await client.post("/auth/email/change", json={"new_email": "lovelace@example.com"})
        await client.sigra.worker.work()
        tokens = [one for one in box.messages if one.kind == "confirm_new_email"]
        box.messages = tokens
        changed = await client.post("/auth/email/change/confirm", json={"token": box.token()})
        await client.post("/auth/password/forgot", json={"email": "lovelace@example.com"})
        await client.sigra.worker.work()
        new = {"token": box.token(), "new_password": "a train of thought leaves at nine"}
        reset = await client.post("/auth/password/reset", json=new)
        await client.post("/auth/magic-link", json={"email": "lovelace@example.com"})
        await client.sigra.worker.work()
        linked = await client.post("/auth/magic-link/verify", json={"token": box.token()})
        row = await kept(client, user)

    assert (changed.status_code, reset.status_code, linked.status_code) == (204, 204, 202)
    assert row["confirmed_at"] is not None


# What ends it


async def test_hc01_a_first_proof_ends_an_app_that_was_set_before(phones: Any, database: str, kept: Any) -> None:
    box = Postbox()
    async with running(database, [*PLUGINS, box]) as client:
        user = await make_user(client.sigra)
        thief = elsewhere(client)
        await thief.sign_in(user)
        await phones.add(thief)
        await unproven(client, user)
        await client.post("/auth/magic-link", json={"email": "ada@example.com"})
        await client.sigra.worker.work()
        # The owner has no code, and needs none: the proof of the address has forgotten the app.
        answer = await client.post("/auth/magic-link/verify", json={"token": box.token()})
        row = await kept(client, user)

    assert answer.status_code == 200
    assert row is None


async def unproven(client: Client, user: Any) -> None:
    """As if the account had never been proven, but by whoever signed up with somebody's address."""
    users = client.sigra.metadata.tables["sigra_users"]
    nothing = update(users).where(users.c.id == user.id).values(email_verified_at=None)
    await client.sigra.db.transaction(lambda tx: tx.execute(nothing))


@pytest.mark.parametrize("hook", ["forget_factors", "forget_authenticators"])
async def test_hc16_who_has_lost_every_factor_has_none(phones: Any, hook: str, database: str, kept: Any) -> None:
    clock = FrozenClock()
    async with running(database, PLUGINS, clock=clock) as client:
        user, _ = await with_app(phones, client, clock)
        other = await make_user(client.sigra, "eve@example.com")
        thief = elsewhere(client)
        await thief.sign_in(other)
        await phones.add(thief)
        auth, spec = client.sigra, getattr(hookspecs, hook)
        await auth.db.transaction(lambda tx: auth.each(spec, tx=tx, user=user, reason="lost"))
        rows = [await kept(client, one) for one in (user, other)]

    assert rows[0] is None
    assert rows[1] is not None


async def test_an_app_goes_with_its_account(phones: Any, kept: Any) -> None:
    clock = FrozenClock()
    async with running(MEMORY, PLUGINS, clock=clock) as client:
        user, _ = await with_app(phones, client, clock)
        auth = client.sigra
        await auth.db.transaction(lambda tx: auth.each(hookspecs.erase_user, tx=tx, user=user))

        assert await kept(client, user) is None


async def test_the_export_says_since_when_and_not_the_secret(phones: Any) -> None:
    clock = FrozenClock()
    async with running(MEMORY, PLUGINS, clock=clock) as client:
        user, phone = await with_app(phones, client, clock)
        held = (await client.get("/auth/account/export")).json()
        other = await make_user(client.sigra, "eve@example.com")
        nothing = await client.sigra.plugin(TOTP).export_user(client.sigra, other)

    assert held["totp"] == {
        "algorithm": "SHA1",
        "digits": 6,
        "period": 30,
        "created_at": "2026-01-01T12:00:00Z",
        "confirmed_at": "2026-01-01T12:00:00Z",
        "last_used_at": "2026-01-01T12:00:30Z",
    }
    assert phone.secret not in str(held)
    assert nothing is None
    assert user is not None


# A restored backup


async def test_hc24_a_code_that_the_backup_has_forgotten_is_not_accepted_again(
    phones: Any, database: str, kept: Any
) -> None:
    clock = FrozenClock()
    async with running(database, PLUGINS, clock=clock) as client:
        user, phone = await with_app(phones, client, clock)
        auth, table = client.sigra, client.sigra.metadata.tables["sigra_totp"]
        spent = elsewhere(client)
        await spent.sign_in(user)
        assert (await phone.prove(spent, steps=1)).status_code == 200
        await auth.db.transaction(lambda tx: tx.execute(update(table).values(last_step=1)))
        ended = await auth.db.transaction(lambda tx: auth.each(hookspecs.end_restored, tx=tx, passwords=False))
        statuses = []
        for steps in (-1, 0, 1):
            browser = elsewhere(client, 20 + steps)
            await browser.sign_in(user)
            statuses.append((await phone.prove(browser, steps)).status_code)
        clock.tick(2 * STEP)
        browser = elsewhere(client, 30)
        await browser.sign_in(user)
        statuses.append((await phone.prove(browser)).status_code)

    assert {"codes of authenticator apps until now": 1} in ended
    assert statuses == [401, 401, 401, 200]


async def test_hc24_a_secret_that_waited_in_the_backup_waits_no_more(phones: Any, database: str, kept: Any) -> None:
    async with running(database, PLUGINS) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await phones.scan(client)
        auth = client.sigra
        await auth.db.transaction(lambda tx: auth.each(hookspecs.end_restored, tx=tx, passwords=False))

        assert await kept(client, user) is None


# The administrator


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phones: Any) -> Any:
    """The command line of an installation that was migrated, where ada has an app and eve has none."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SIGRA_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'app.sqlite3'}")
    monkeypatch.setenv("SIGRA_PLUGINS", "defaults,totp")

    async def install() -> None:
        async with Sigra.from_settings() as auth:
            await migrate(auth)
            ada = await make_user(auth)
            await make_user(auth, "eve@example.com")
            async with Client(auth.wrap(application), auth) as client:
                signed_in = await client.sign_in(ada)
                assert signed_in.status_code == 200, signed_in.text
                await phones.add(client)

    asyncio.run(install())
    return lambda *arguments: CliRunner().invoke(Shell(), list(arguments))


def test_an_administrator_removes_an_app_and_its_owner_is_told(run: Any) -> None:
    checked = run("db", "check")
    removed, again = (run("users", "remove-totp", "ada@example.com") for _ in range(2))
    mails = run("outbox", "list")

    assert (checked.exit_code, removed.exit_code, again.exit_code) == (0, 0, 1)
    assert removed.stdout == "Removed the authenticator app of ada@example.com; all sessions ended.\n"
    assert again.stderr == "Error: ada@example.com has no authenticator app.\n"
    assert "factor_removed" in mails.stdout


@pytest.mark.parametrize(
    ("email", "words"),
    [("eve@example.com", "has no authenticator app"), ("nobody@example.com", "There is no account of")],
)
def test_who_has_none_is_said_plainly(run: Any, email: str, words: str) -> None:
    answer = run("users", "remove-totp", email)

    assert answer.exit_code == 1
    assert words in answer.stderr
