"""A database that goes away, hangs, or is cut off in the middle of a commit: nobody gets in, nothing is half done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select

from sigra import Action, SignIn, hookimpl
from sigra.testing import PASSWORD, Client, make_user
from tests.apps import running
from tests.policies import Factor, Recorder

NEW = "a train of thought leaves at nine"
CHANGE = {"current_password": PASSWORD, "new_password": NEW}


@dataclass
class Cable:
    """What the driver is told goes over it; it is cut at the statement or commit of number `at`.

    Args:
        late: Whether the database has done what it was told, and only the answer is lost.
    """

    at: int | None = None
    late: bool = False
    told: list[str] = field(default_factory=list)

    def lay(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        dialect = client.sigra.db._engine.sync_engine.dialect
        for deed in ("do_execute", "do_commit"):
            monkeypatch.setattr(dialect, deed, self._through(deed, getattr(dialect, deed)))

    def _through(self, deed: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def told(*args: Any, **more: Any) -> Any:
            cut = len(self.told) == self.at
            self.told.append(deed)
            if cut and not self.late:
                raise ConnectionResetError("the cable is cut")
            result = do(*args, **more)
            if cut:
                raise ConnectionResetError("the cable is cut")
            return result

        return told

    def cut(self, at: int | None, *, late: bool = False) -> None:
        self.at, self.late = at, late
        self.told.clear()

    def mend(self) -> None:
        self.cut(None)


def in_a_browser(client: Client) -> Client:
    """Another browser of the same application."""
    return Client(client.app, client.sigra)


def is_unavailable(response: httpx2.Response) -> bool:
    """Told to come back, and given nothing."""
    later = int(response.headers.get("retry-after", 0)) > 0
    return response.status_code == 503 and later and "set-cookie" not in response.headers


async def sessions(client: Client) -> int:
    async with client.sigra.db.connect() as tx:
        return await tx.scalar(select(func.count()).select_from(client.sigra.metadata.tables["sigra_sessions"])) or 0


async def test_hc45_a_sign_in_that_is_cut_anywhere_lets_nobody_in_and_can_be_repeated(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cable, recorder = Cable(), Recorder()
    async with running(database, ["defaults", recorder]) as client:
        user = await make_user(client.sigra)
        cable.lay(client, monkeypatch)
        await in_a_browser(client).sign_in(user)
        whole = list(cable.told)
        await client.sigra._background.drain()
        recorder.handled.clear()
        for at in range(len(whole)):
            cable.cut(at)
            refused = await in_a_browser(client).sign_in(user)
            cable.mend()
            assert is_unavailable(refused), (at, whole[at])
        await client.sigra._background.drain()

        assert "do_commit" in whole
        assert recorder.handled == []
        assert await sessions(client) == 1
        assert (await client.sign_in(user)).status_code == 200


async def test_hc45_a_sign_in_whose_last_word_is_lost_is_not_told_and_can_be_repeated(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cable, recorder = Cable(), Recorder()
    async with running(database, ["defaults", recorder]) as client:
        user = await make_user(client.sigra)
        cable.lay(client, monkeypatch)
        await in_a_browser(client).sign_in(user)
        await client.sigra._background.drain()
        recorder.handled.clear()
        cable.cut(len(cable.told) - 1, late=True)
        refused = await client.sign_in(user)
        cable.mend()
        await client.sigra._background.drain()

        assert is_unavailable(refused)
        assert recorder.handled == []
        assert not client.signed_in
        assert (await client.sign_in(user)).status_code == 200


async def test_hc45_a_second_step_that_is_cut_anywhere_can_be_repeated(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cable = Cable()
    async with running(database, ["defaults", Factor()]) as client:
        user = await make_user(client.sigra)
        cable.lay(client, monkeypatch)
        await client.sign_in(user)
        cable.mend()
        await client.post("/auth/login/factor", json={"code": "right"})
        steps = len(cable.told)
        for at in range(steps):
            browser = in_a_browser(client)
            await browser.sign_in(user)
            cable.cut(at)
            refused = await browser.post("/auth/login/factor", json={"code": "right"})
            cable.mend()
            again = await browser.post("/auth/login/factor", json={"code": "right"})
            assert is_unavailable(refused), at
            assert again.status_code == 200

        assert await sessions(client) == 1 + steps


@pytest.mark.parametrize("late", [False, True])
async def test_hc45_a_change_that_is_cut_anywhere_is_whole_or_not_at_all(
    late: bool, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cable = Cable()
    async with running(database) as client:
        user = await make_user(client.sigra)
        cable.lay(client, monkeypatch)
        await client.sign_in(user)
        cable.mend()
        changed = await client.post("/auth/password/change", json={**CHANGE, "new_password": PASSWORD})
        assert changed.status_code == 204
        for at in range(len(cable.told)):
            mine, other = in_a_browser(client), in_a_browser(client)
            await mine.sign_in(user)
            await other.sign_in(user)
            cable.cut(at, late=late)
            refused = await mine.post("/auth/password/change", json=CHANGE)
            cable.mend()
            works = [(await in_a_browser(client).sign_in(user, word)).status_code for word in (PASSWORD, NEW)]
            known = [(await browser.get("/auth/session")).status_code for browser in (mine, other)]
            assert is_unavailable(refused), at
            if works == [401, 200]:
                assert known == [401, 401]
                back = {"current_password": NEW, "new_password": PASSWORD}
                assert (await mine.sign_in(user, NEW)).status_code == 200
                assert (await mine.post("/auth/password/change", json=back)).status_code == 204
                continue
            assert works == [200, 401]
            assert known == [200, 200]


async def test_hc45_a_database_that_hangs_is_given_up_and_leaves_nothing(database: str) -> None:
    @dataclass
    class Hanging:
        """Stands for a statement that does not come back."""

        hangs: bool = True
        name: str = "hanging"
        api: int = 1

        @hookimpl
        async def before_action(self, action: Action) -> None:
            if self.hangs and isinstance(action, SignIn):
                await asyncio.Event().wait()

    hanging = Hanging()
    async with running(database, ["defaults", hanging]) as client:
        user = await make_user(client.sigra)
        client.sigra.db._time_limit = 0.3
        signing_in = asyncio.create_task(client.sign_in(user))
        await asyncio.wait({signing_in}, timeout=5)
        given_up = signing_in.done()
        signing_in.cancel()
        hanging.hangs = False

        assert given_up
        assert is_unavailable(await signing_in)
        assert await sessions(client) == 0
        client.sigra.db._time_limit = 10
        assert (await client.sign_in(user)).status_code == 200


async def test_hc45_what_cannot_be_looked_up_is_neither_anonymous_nor_let_in() -> None:
    url = "postgresql+asyncpg://nobody:secret@127.0.0.1:9/none"
    from sigra import Sigra
    from sigra.testing import cheap_settings
    from tests.apps import application

    auth = Sigra(cheap_settings(url))
    async with Client(auth.wrap(application), auth) as client:
        session = {"cookie": "sigra=" + "A" * 43}
        answers = [await client.get(path, headers=session) for path in ("/", "/private", "/auth/session")]
        key = await client.get(
            "/", headers={"authorization": f"Bearer {auth.tokens.mint('api_key', 'sigra_sk_').text}"}
        )
    await auth.aclose()

    assert all(is_unavailable(answer) for answer in (*answers, key))
