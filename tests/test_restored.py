"""A backup is restored under an application that went on after it: nothing that was used or ended since is good again.

The snapshot is real: SQLite's file is copied back, other databases are emptied and filled row by row.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select
from sqlalchemy.engine import make_url

from sigra import Sigra, hookimpl
from sigra.cli.restored import end_all, unknown_tables
from sigra.db.restored import step
from sigra.errors import HookFailed
from sigra.testing import PASSWORD, Client, FrozenClock, make_api_key, make_user
from tests.apps import Postbox, running
from tests.policies import Factor, Recorder

NEW = "a train of thought leaves at nine"

Snapshot = Path | Mapping[str, list[Any]]


async def snapshot(auth: Sigra) -> Snapshot:
    """A backup of the database."""
    url = make_url(auth.settings.database_url.get_secret_value())
    if url.get_backend_name() == "sqlite":
        await auth.db.aclose()
        assert url.database
        return Path(shutil.copy(url.database, f"{url.database}.backup"))
    async with auth.db.connect() as tx:
        tables = auth.metadata.sorted_tables
        return {one.name: [dict(row) for row in (await tx.execute(select(one))).mappings()] for one in tables}


async def restore(auth: Sigra, backup: Snapshot) -> None:
    """Put a backup back in place of what is there."""
    if isinstance(backup, Path):
        await auth.db.aclose()
        _copy_back(backup)
        return

    async def fill(tx: Any) -> None:
        for table in reversed(auth.metadata.sorted_tables):
            await tx.execute(delete(table))
        for table in auth.metadata.sorted_tables:
            for row in backup[table.name]:
                await tx.execute(insert(table).values(row))

    await auth.db.transaction(fill)


def _copy_back(backup: Path) -> None:
    file = backup.with_suffix("")
    for beside in ("-wal", "-shm"):
        Path(f"{file}{beside}").unlink(missing_ok=True)
    shutil.copy(backup, file)


class Life:
    """What an application has issued, one user for each, so that the end of one is not the end of another."""

    def __init__(self, client: Client, box: Postbox, recorder: Recorder) -> None:
        self.client, self.auth, self.box, self.recorder = client, client.sigra, box, recorder
        self.held: dict[str, Any] = {}

    async def issue(self) -> None:
        auth = self.auth
        ada = await make_user(auth)
        signed_in, _ = await self._signed_in(ada)
        self.held["session"], self.held["browser"] = signed_in.cookies["sigra"], signed_in.cookies["sigra-browser"]
        self.held["key"] = await make_api_key(auth, await make_user(auth, "bob@example.com"))
        carl = await make_user(auth, "carl@example.com")
        self.held["pending"] = (await self._browser().sign_in(carl)).json()["login_token"]
        await self._mailed("/password/forgot", "dora@example.com", "reset", "reset_password")
        asked = await self._mailed("/magic-link", "emma@example.com", "magic", "magic_link")
        self.held["asked"] = asked["login_token"]
        await self._change()
        await self._sign_up()
        await self._close()
        await make_user(auth, "iris@example.com")
        await self._browser().post("/auth/password/forgot", json={"email": "iris@example.com"})

    async def use(self) -> dict[str, Any]:
        """How each is answered; what is not spent by that is ended."""
        browser = self._browser()
        post, held = browser.post, self.held
        cookie = {"cookie": f"sigra={held['session']}"}
        found: dict[str, Any] = {
            "session": (await browser.get("/private", headers=cookie)).status_code,
            "key": (await browser.get("/private", headers={"authorization": f"Bearer {held['key']}"})).status_code,
            "browser": await self._is_known(),
            "pending": await _status(post, "/login/factor", code="right", login_token=held["pending"]),
            "reset": await _status(self._browser().post, "/password/reset", token=held["reset"], new_password=NEW),
            "magic": await _status(
                self._browser().post, "/magic-link/verify", token=held["magic"], login_token=held["asked"]
            ),
            "change": await _status(self._browser().post, "/email/change/confirm", token=held["change"]),
            "sign-up": await _status(
                self._browser().post,
                "/email/verify",
                token=held["sign-up"],
                password=PASSWORD,
                signup_token=held["signup_token"],
            ),
            "deletion": await _status(self._browser().post, "/account/delete/cancel", token=held["deletion"]),
            "mail": await self._delivered("iris@example.com"),
        }
        for email in ("ada@example.com", "bob@example.com"):
            user = await self.auth.users.by_email(email)
            assert user is not None
            await self.auth.db.transaction(lambda tx, one=user: self.auth.revoke(tx, one, "compromised"))
        return found

    def _browser(self) -> Client:
        return Client(self.client.app, self.auth)

    async def _signed_in(self, user: Any) -> tuple[Client, Any]:
        browser = self._browser()
        await browser.sign_in(user)
        return browser, await browser.post("/auth/login/factor", json={"code": "right"})

    async def _mailed(self, path: str, email: str, what: str, kind: str) -> Any:
        await make_user(self.auth, email)
        answer = await self._browser().post(f"/auth{path}", json={"email": email})
        self.held[what] = await self._token(kind)
        return answer.json()

    async def _change(self) -> None:
        browser, _ = await self._signed_in(await make_user(self.auth, "fred@example.com"))
        await browser.post("/auth/email/change", json={"new_email": "fred@elsewhere.example"})
        self.held["change"] = await self._token("confirm_new_email")

    async def _sign_up(self) -> None:
        asked = await self._browser().post("/auth/signup", json={"email": "gina@example.com", "password": PASSWORD})
        self.held["signup_token"] = asked.json()["signup_token"]
        self.held["sign-up"] = await self._token("verify_email")

    async def _close(self) -> None:
        browser, _ = await self._signed_in(await make_user(self.auth, "hugo@example.com"))
        await browser.post("/auth/account/delete", json={})
        self.held["deletion"] = await self._token("deletion_scheduled")

    async def _token(self, kind: str) -> str:
        for _ in range(3):
            await self.auth.worker.work()
        text = [message.text for message in self.box.messages if message.kind == kind][-1]
        found = re.search(r"#token=([A-Za-z0-9_-]{43})", text)
        assert found
        return found[1]

    async def _is_known(self) -> bool:
        headers = {"cookie": f"sigra-browser={self.held['browser']}"}
        wrong = {"email": "ada@example.com", "password": "wrong"}
        await self._browser().post("/auth/login", json=wrong, headers=headers)
        return str(self.recorder.attempts[-1].subject).startswith("browser")

    async def _delivered(self, recipient: str) -> int:
        """How many mails came that had not been sent."""
        self.box.messages.clear()
        for _ in range(3):
            await self.auth.worker.work()
        return sum(message.recipient == recipient for message in self.box.messages)


async def _status(post: Any, path: str, **body: str) -> int:
    return int((await post(f"/auth{path}", json=body)).status_code)


GOOD = {
    "session": 200,
    "key": 200,
    "browser": True,
    "pending": 200,
    "reset": 204,
    "magic": 202,
    "change": 204,
    "sign-up": 204,
    "deletion": 204,
    "mail": 1,
}
REFUSED = {
    "session": 401,
    "key": 401,
    "browser": False,
    "pending": 401,
    "reset": 400,
    "magic": 400,
    "change": 400,
    "sign-up": 400,
    "deletion": 400,
    "mail": 0,
}


async def test_hc24_nothing_that_was_used_or_ended_after_a_backup_comes_back_to_life(database: str) -> None:
    box, recorder = Postbox(), Recorder()
    async with running(database, ["defaults", box, recorder, Factor()]) as client:
        life, auth = Life(client, box, recorder), client.sigra
        await life.issue()
        backup = await snapshot(auth)
        good, spent = await life.use(), await life.use()
        await restore(auth, backup)
        risen = await life.use()
        await restore(auth, backup)
        ended = await end_all(auth, passwords=False)
        dead = await life.use()

    assert good == GOOD
    assert spent == REFUSED
    assert risen == GOOD  # what a backup does unless somebody sees to it
    assert dead == REFUSED
    assert ended == {
        "API keys": 1,
        "accounts whose earlier proofs ended": 8,
        "changes of address": 1,
        "deletions begun again": 1,
        "known browsers": 2,
        "limits": 0,
        "magic links": 1,
        "mailed tokens": 6,
        "mails that wait": 1,
        "recovery codes": 0,
        "removals of second factors": 0,
        "sessions": 2,
        "sign-ins under way": 1,
        "sign-ups that wait": 1,
        "trusted browsers": 0,
    }
    assert [one.metadata for one in recorder.recorded if one.name == "database.restored"] == [
        {"ended": ended, "passwords": False}
    ]


async def test_hc24_no_version_of_the_time_that_is_lost_is_given_out_again(database: str) -> None:
    async with running(database) as client:
        auth = client.sigra
        user = await make_user(auth)
        backup = await snapshot(auth)
        seen = []
        for _ in range(3):
            for _ in range(3):
                await auth.db.transaction(lambda tx: auth.revoke(tx, user, "compromised"))
                now = await auth.users.by_id(user.id)
                assert now is not None
                seen.append(now.security_version)
            await restore(auth, backup)
            await end_all(auth, passwords=False)

    assert len(set(seen)) == len(seen)
    assert min(seen[3:]) - max(seen[:3]) > 1_000_000 * 86400 * 365 * 8
    assert step(lambda size: b"\0" * size) == 2**48 and step(lambda size: b"\xff" * size) < 2**49


async def test_passwords_stay_unless_they_are_to_end_and_then_people_come_back_by_mail(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        await end_all(client.sigra, passwords=False)
        stayed = await client.sign_in(user)
        ended = await end_all(client.sigra, passwords=True)
        gone = await client.sign_in(user)
        await client.post("/auth/password/forgot", json={"email": user.email})
        await client.sigra.worker.work()
        await client.post("/auth/password/reset", json={"token": box.token(), "new_password": NEW})
        back = await client.sign_in(user, NEW)

    assert (stayed.status_code, gone.status_code, back.status_code) == (200, 401, 200)
    assert ended["passwords"] == 1


async def test_who_had_thought_better_of_leaving_is_not_erased_and_can_say_so_again() -> None:
    clock, box = FrozenClock(), Postbox()
    async with running("sqlite:///:memory:", ["defaults", box], clock=clock) as client:
        auth = client.sigra
        user = await make_user(auth)
        await client.sign_in(user)
        await client.post("/auth/account/delete", json={})
        clock.tick(timedelta(days=20))
        await end_all(auth, passwords=False)
        while await auth.worker.work():
            pass
        closing = await auth.users.by_id(user.id)
        answer = await client.post("/auth/account/delete/cancel", json={"token": box.token()})

    assert closing is not None and closing.status == "closing"
    assert box.kinds == ["deletion_scheduled"]
    assert answer.status_code == 204


async def test_locks_of_limits_are_lifted(database: str) -> None:
    async with running(database, limits={"rules": {"sign_in_client": "2/hour"}}) as client:
        user = await make_user(client.sigra)
        full = [(await client.sign_in(user, "wrong")).status_code for _ in range(3)]
        await end_all(client.sigra, passwords=False)
        after = await client.sign_in(user)

    assert full[-1] == 429
    assert after.status_code == 200


async def test_what_cannot_be_ended_as_a_whole_is_not_ended_at_all(database: str) -> None:
    class Broken:
        name, api = "broken", 1

        @hookimpl
        async def end_restored(self) -> None:
            raise OSError("a bug")

    async with running(database, ["defaults", Broken()]) as client:
        await client.sign_in(await make_user(client.sigra))
        with pytest.raises(HookFailed):
            await end_all(client.sigra, passwords=True)
        still = await client.get("/auth/session")

    assert still.status_code == 200


async def test_tables_of_plugins_that_are_not_active_are_named(database: str) -> None:
    async with running(database) as client:
        everything = await unknown_tables(client.sigra)
    async with Sigra(client.sigra.settings.model_copy(update={"plugins": ["sessions"]}), ["sessions"]) as auth:
        left = await unknown_tables(auth)

    assert everything == []
    assert "sigra_api_keys" in left and "sigra_sessions" not in left
