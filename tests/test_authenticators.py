"""What follows when a user gets a way to prove who they are, or loses one."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request

from sigra import Action, AddAuthenticator, Authenticator, Refused, RemoveAuthenticator, User, hookimpl
from sigra.errors import LastAuthenticator
from sigra.testing import Client, make_user
from tests.apps import Postbox, running
from tests.policies import Door, Recorder
from tests.safes import Safes

PLUGINS = ("sessions", "password", "reauthentication")


@dataclass
class House:
    """An application whose users have safes, and what it told."""

    client: Client
    safes: Safes
    box: Postbox
    told: Recorder

    async def user(self, safes: int = 0, **options: Any) -> tuple[User, list[uuid.UUID]]:
        """An account and its safes."""
        user = await make_user(self.client.sigra, **options)
        fill = partial(self.safes.fill, self.client.sigra, user=user, content=b"gold")
        return user, [await self.client.sigra.db.transaction(fill) for _ in range(safes)]

    async def another_browser(self, user: User) -> Client:
        """One in which the user is signed in."""
        client = Client(self.client.app, self.client.sigra)
        await client.sign_in(user)
        return client

    async def mails(self) -> list[str]:
        """The kinds of what was sent."""
        await self.client.sigra.worker.work()
        return self.box.kinds

    def what_was_done(self) -> list[str]:
        """The events of adding and removing."""
        return [name for name in self.told.names if name.startswith(("authenticator", "credentials"))]

    def recorded(self, name: str) -> list[tuple[uuid.UUID | None, Mapping[str, Any]]]:
        """The events of a name."""
        return [(event.user_id, event.metadata) for event in self.told.recorded if event.name == name]

    async def left(self, user: User) -> set[str]:
        """The ids of the user's authenticators."""
        async with self.client.sigra.db.connect() as tx:
            return {one.id for one in await self.client.sigra.authenticators.of(tx, user) if one.method == "safe"}

    async def forget_password(self) -> None:
        """Nobody has one any more."""
        passwords = self.client.sigra.metadata.tables["sigra_passwords"]
        await self.client.sigra.db.transaction(lambda tx: tx.execute(passwords.delete()))

    async def remove(self, user: User, id: uuid.UUID) -> None:
        """As the command line does."""
        remove = partial(self.safes.remove, self.client.sigra, id, None, user=user)
        await self.client.sigra.db.transaction(remove)


@asynccontextmanager
async def house(database: str, *more: Any, alone: bool = True) -> AsyncIterator[House]:
    """The application."""
    safes, box, told = Safes(alone=alone), Postbox(), Recorder()
    async with running(database, [*PLUGINS, safes, box, told, *more]) as client:
        yield House(client, safes, box, told)


def described(id: object) -> dict[str, Any]:
    return {"kind": "primary", "method": "safe", "id": str(id), "name": "The safe in the cellar"}


# Adding


async def test_hc46_what_is_added_is_recorded_and_told_to_the_mailbox(database: str) -> None:
    async with house(database) as at:
        user, _ = await at.user()
        await at.client.sign_in(user)
        answer = await at.client.post("/auth/safes")
        mails = await at.mails()

    assert answer.status_code == 201
    assert at.recorded("authenticator.added") == [(user.id, described(answer.json()["id"]))]
    assert mails == ["factor_added"]
    assert "This was added to your account at localhost: safe." in at.box.messages[0].text


async def test_hc46_what_is_told_otherwise_is_recorded_all_the_same(database: str) -> None:
    async with house(database) as at:
        user, [id] = await at.user(1)
        auth = at.client.sigra
        its = {"user": user, "authenticator": at.safes.described(id), "tell": False}
        await auth.db.transaction(partial(auth.authenticators.added, **its))
        await auth.db.transaction(partial(auth.authenticators.removed, **its))

        assert await at.mails() == []
    for fact in ("added", "removed"):
        assert at.recorded(f"authenticator.{fact}") == [(user.id, described(id))]


async def test_hc33_a_removal_that_is_told_otherwise_ends_every_session(database: str) -> None:
    async with house(database) as at:
        user, [id] = await at.user(1)
        another = await at.another_browser(user)
        auth = at.client.sigra
        remove = partial(auth.authenticators.removed, user=user, authenticator=at.safes.described(id), tell=False)
        await auth.db.transaction(remove)

        assert (await another.get("/auth/session")).status_code == 401


class Spare:
    """Gives out something once, whenever there is another way to prove who one is."""

    name = "spare"
    api = 1

    @hookimpl
    async def authenticator_added(self, user: User, authenticator: Authenticator) -> Mapping[str, Any]:
        return {"recovery_codes": [f"for {user.email} and {authenticator.method}"]}


async def test_what_others_say_to_it_is_in_the_answer_once(database: str) -> None:
    async with house(database, Spare()) as at:
        await at.client.sign_in((await at.user())[0])
        answer = await at.client.post("/auth/safes")

    assert answer.json()["recovery_codes"] == ["for ada@example.com and safe"]


@dataclass
class Warden:
    """Is asked about everything, and refuses what it was told to."""

    refuses: type[Action] | None = None
    name: str = "warden"
    api: int = 1
    asked: list[Action] = field(default_factory=list)

    @hookimpl
    async def before_action(self, action: Action) -> None:
        self.asked.append(action)
        if self.refuses is not None and isinstance(action, self.refuses):
            raise Refused("Not here.")


async def test_who_is_asked_knows_the_user_the_request_and_what_it_is(database: str) -> None:
    warden = Warden()
    async with house(database, warden) as at:
        user, _ = await at.user()
        await at.client.sign_in(user)
        id = (await at.client.post("/auth/safes")).json()["id"]
        await at.client.delete(f"/auth/safes/{id}")

    added, removed = [one for one in warden.asked if isinstance(one, AddAuthenticator | RemoveAuthenticator)]
    assert (added.name, removed.name) == ("add_authenticator", "remove_authenticator")
    assert {one.user.id for one in (added, removed)} == {user.id}
    assert {one.authenticator.id for one in (added, removed)} == {id}
    assert [one.request and one.request.url.path for one in (added, removed)] == ["/auth/safes", f"/auth/safes/{id}"]


@pytest.mark.parametrize("refuses", [AddAuthenticator, RemoveAuthenticator])
async def test_hc47_what_is_refused_leaves_nothing_behind(database: str, refuses: type[Action]) -> None:
    async with house(database, Warden(refuses)) as at:
        user, safes = await at.user(safes=2)
        await at.client.sign_in(user)
        if refuses is AddAuthenticator:
            answer = await at.client.post("/auth/safes")
        else:
            answer = await at.client.delete(f"/auth/safes/{safes[0]}")
        left, mails = await at.left(user), await at.mails()
        still = await at.client.get("/auth/session")

    assert (answer.status_code, still.status_code) == (403, 200)
    assert left == {str(id) for id in safes}
    assert (mails, at.what_was_done()) == ([], [])


# Removing


async def test_hc33_what_is_removed_ends_every_other_session_and_is_told(database: str) -> None:
    async with house(database) as at:
        user, [safe] = await at.user(safes=1)
        await at.client.sign_in(user)
        other = await at.another_browser(user)
        before = at.client.cookies["sigra"]
        answer = await at.client.delete(f"/auth/safes/{safe}")
        after = [await at.client.get("/auth/session"), await other.get("/auth/session")]
        old = await at.client.get("/auth/session", headers={"cookie": f"sigra={before}"})
        mails = await at.mails()

    assert answer.status_code == 204
    assert [one.status_code for one in (*after, old)] == [200, 401, 401]
    assert at.told.names.count("credentials.revoked") == 1
    assert mails == ["factor_removed"]
    assert "This was removed from your account at localhost: safe." in at.box.messages[0].text


@pytest.mark.parametrize(
    ("method", "languages", "said"),
    [
        ("totp", "en", "This was added to your account at localhost: an authenticator app."),
        ("passkey", "en", "This was added to your account at localhost: a passkey."),
        ("recovery_code", "en", "This was added to your account at localhost: recovery codes."),
        ("totp", "de", "hinzugefügt: eine Authenticator-App."),
        ("passkey", "de", "hinzugefügt: ein Passkey."),
        ("safe", "de", "hinzugefügt: safe."),
    ],
)
async def test_hc38_the_mailbox_is_told_what_it_is_and_never_the_name_that_somebody_chose(
    method: str, languages: str, said: str
) -> None:
    async with house("sqlite:///:memory:") as at:
        user, _ = await at.user()
        describe = partial(at.client.sigra.users.describe, user=user, name=None, locale=languages)
        await at.client.sigra.db.transaction(describe)
        new = Authenticator("mfa", method, "1", "Call 0190 12345 at once")
        add = partial(at.client.sigra.authenticators.added, user=user, authenticator=new)
        await at.client.sigra.db.transaction(add)
        await at.mails()

    [mail] = at.box.messages
    text = " ".join(mail.text.split())
    assert said in text
    assert "0190" not in f"{mail.subject}{mail.text}{mail.html}"


async def test_hc46_what_is_removed_is_recorded_with_what_it_ends(database: str) -> None:
    async with house(database) as at:
        user, [safe] = await at.user(safes=1)
        await at.remove(user, safe)

    assert at.recorded("authenticator.removed") == [(user.id, described(safe))]
    assert at.what_was_done() == ["authenticator.removed", "credentials.revoked"]


async def test_hc33_what_was_proven_before_a_removal_counts_no_more(database: str) -> None:
    """What was proven before counts no more, also where it only waits."""
    async with house(database) as at:
        user, [safe] = await at.user(safes=1)
        before = await at.client.sigra.users.by_id(user.id)
        await at.remove(user, safe)
        after = await at.client.sigra.users.by_id(user.id)

    assert before is not None and after is not None
    assert after.security_version > before.security_version


async def test_from_the_command_line_every_session_ends(database: str) -> None:
    async with house(database) as at:
        user, [safe] = await at.user(safes=1)
        await at.client.sign_in(user)
        await at.remove(user, safe)
        answer = await at.client.get("/auth/session")
        mails = await at.mails()

    assert answer.status_code == 401
    assert mails == ["factor_removed"]


async def test_by_somebody_else_every_session_of_the_user_ends(database: str) -> None:
    """The session of an administrator is no session of the user's to be kept."""
    door = Door(lambda auth, request: auth.renew(request, partial(take, request)))
    async with house(database, door) as at:
        user, [safe] = await at.user(safes=1)

        async def take(request: Request, tx: AsyncConnection, _: User) -> None:
            await at.safes.remove(at.client.sigra, safe, request, tx, user)

        theirs = await at.another_browser(user)
        await at.client.sign_in(await make_user(at.client.sigra, "grace@example.com"))
        answers = [await at.client.post("/auth/door")]
        answers += [await at.client.get("/auth/session"), await theirs.get("/auth/session")]

    assert [one.status_code for one in answers] == [204, 200, 401]


async def test_an_account_without_an_address_is_told_nothing(database: str) -> None:
    async with house(database) as at:
        user, safes = await at.user(safes=2, email=None)
        await at.remove(user, safes[0])

        assert await at.mails() == []


# The last way in


async def test_hc5_the_last_way_in_stays(database: str) -> None:
    async with house(database) as at:
        user, [safe] = await at.user(safes=1, password=None)
        with pytest.raises(LastAuthenticator):
            await at.remove(user, safe)
        left, mails = await at.left(user), await at.mails()

    assert left == {str(safe)}
    assert (mails, at.what_was_done()) == ([], [])


async def test_hc5_a_password_is_a_way_in(database: str) -> None:
    async with house(database) as at:
        user, [safe] = await at.user(safes=1)
        await at.client.sign_in(user)
        answer = await at.client.delete(f"/auth/safes/{safe}")

    assert answer.status_code == 204


async def test_hc5_the_refusal_is_a_conflict_with_its_code(database: str) -> None:
    async with house(database) as at:
        user, [safe] = await at.user(safes=1)
        await at.client.sign_in(user)
        await at.forget_password()
        answer = await at.client.delete(f"/auth/safes/{safe}")

    assert answer.status_code == 409
    assert answer.json()["code"] == "last_authenticator"


async def test_hc5_a_second_factor_is_no_way_in(database: str) -> None:
    """What is left meets `mfa`, and nobody gets as far as that."""

    class Codes:
        name, api = "codes", 1

        @hookimpl
        async def authenticators_for_user(self) -> list[Authenticator]:
            return [Authenticator("mfa", "code", "1", "Codes")]

    async with house(database, Codes()) as at:
        user, [safe] = await at.user(safes=1, password=None)
        with pytest.raises(LastAuthenticator):
            await at.remove(user, safe)


async def test_what_lets_nobody_in_alone_may_always_go(database: str) -> None:
    async with house(database, alone=False) as at:
        user, [safe] = await at.user(safes=1, password=None)
        await at.remove(user, safe)

        assert await at.left(user) == set()


@dataclass
class Slow:
    """Lets two removals be asked about at the same time, if they can be."""

    name: str = "slow"
    api: int = 1
    both: asyncio.Barrier = field(default_factory=lambda: asyncio.Barrier(2))

    @hookimpl(tryfirst=True)
    async def before_action(self, action: Action) -> None:
        if isinstance(action, RemoveAuthenticator):
            # Where one waits for the other, as it should be, they do not meet.
            try:
                await asyncio.wait_for(self.both.wait(), 0.5)
            except (TimeoutError, asyncio.BrokenBarrierError):
                return


async def test_hc5_two_removals_at_once_leave_one_way_in(database: str) -> None:
    async with house(database, Slow()) as at:
        user, safes = await at.user(safes=2, password=None)
        ended = await asyncio.gather(*(at.remove(user, safe) for safe in safes), return_exceptions=True)
        left = await at.left(user)

    assert sorted(map(str, map(type, ended))) == sorted(map(str, (type(None), LastAuthenticator)))
    assert len(left) == 1


async def test_hc5_two_browsers_at_once_leave_one_way_in(database: str) -> None:
    async with house(database, Slow()) as at:
        user, safes = await at.user(safes=2)
        browsers = [await at.another_browser(user) for _ in safes]
        await at.forget_password()
        pairs = zip(browsers, safes, strict=True)
        answers = await asyncio.gather(*(browser.delete(f"/auth/safes/{safe}") for browser, safe in pairs))
        left = await at.left(user)

    assert len(left) == 1
    assert sorted(answer.status_code for answer in answers) in ([204, 401], [204, 409])
