"""A password changed or set: what ends with it, what stays, and that nothing is half done."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from http.cookiejar import CookieJar
from typing import Any

import pytest
from sqlalchemy import func, select

from sigra import Action, Auth, Event, Refused, WeakPassword, hookimpl
from sigra.models import User
from sigra.plugins.password import ChangePassword, Password, SetPassword
from sigra.testing import PASSWORD, Client, FrozenClock, cheap_settings, make_api_key, make_user
from tests.apps import Postbox, running
from tests.policies import Factor, Recorder

NEW = "a train of thought leaves at nine"
CHANGE = {"current_password": PASSWORD, "new_password": NEW}


def browser(client: Client) -> Client:
    """Another browser of the same application."""
    return Client(client.app, client.sigra)


async def is_known(client: Client) -> bool:
    return (await client.get("/auth/session")).status_code == 200


async def change(client: Client, **fields: Any) -> Any:
    return await client.post("/auth/password/change", json={**CHANGE, **fields})


async def test_hc33_a_change_ends_every_other_session_and_renews_this_one(database: str) -> None:
    async with running(database, https=True) as client, browser(client) as other, browser(client) as thief:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await other.sign_in(user)
        thief.cookies.update(client.cookies)
        before = (await client.get("/auth/session")).json()["session"]["id"]
        changed = await change(client)

        assert changed.status_code == 204
        assert changed.content == b""
        assert any(cookie.startswith("__Host-sigra=") for cookie in changed.headers.get_list("set-cookie"))
        assert (await client.get("/auth/session")).json()["session"]["id"] != before
        assert not await is_known(other)
        assert not await is_known(thief)
        assert len((await client.get("/auth/sessions")).json()["sessions"]) == 1
        assert (await other.sign_in(user)).status_code == 401
        assert (await other.sign_in(user, NEW)).status_code == 200


@pytest.mark.parametrize("asked", [False, True])
async def test_hc33_api_keys_end_when_that_is_asked_for(asked: bool, database: str) -> None:
    async with running(database) as client:
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user)
        await client.sign_in(user)
        await change(client, revoke_api_keys=asked)
        async with browser(client) as program:
            answer = await program.get("/private", headers={"authorization": f"Bearer {key}"})

    assert answer.status_code == (401 if asked else 200)


async def test_hc33_a_sign_in_that_was_under_way_ends_with_the_old_password(database: str) -> None:
    async with running(database, ["defaults", Factor()]) as client, browser(client) as other:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await client.post("/auth/login/factor", json={"code": "right"})
        await other.sign_in(user)
        await change(client)
        late = await other.post("/auth/login/factor", json={"code": "right"})

    assert late.status_code == 401
    assert late.json()["code"] == "login_expired"


@dataclass
class Refusing:
    """Refuses at one point of a change."""

    at: str
    name: str = "refusing"
    api: int = 1

    @hookimpl
    async def before_action(self, action: Action) -> None:
        if action.name == self.at:
            raise Refused

    @hookimpl
    async def record_event(self, event: Event) -> None:
        if event.name == self.at:
            raise Refused


@pytest.mark.parametrize("at", ["change_password", "credentials.revoked", "password.changed", "session.renewed"])
async def test_hc33_the_change_and_what_ends_with_it_are_one_transaction(at: str, database: str) -> None:
    async with running(database, ["defaults", Refusing(at)]) as client, browser(client) as other:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await other.sign_in(user)
        refused = await change(client)

        assert refused.status_code == 403
        assert await is_known(client)
        assert await is_known(other)
        assert (await other.sign_in(user)).status_code == 200
        assert (await other.sign_in(user, NEW)).status_code == 401


async def test_hc33_of_two_changes_at_once_one_wins(database: str) -> None:
    async with running(database) as client, browser(client) as other:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await other.sign_in(user)
        answers = await asyncio.gather(change(client), change(other, new_password=NEW + "!"))

        assert sorted(answer.status_code for answer in answers) == [204, 401]
        assert sorted([await is_known(client), await is_known(other)]) == [False, True]


async def test_a_wrong_present_password_changes_nothing_and_is_counted() -> None:
    recorder = Recorder()
    async with running("sqlite:///:memory:", ["defaults", recorder]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        recorder.attempts.clear()
        wrong = await change(client, current_password="wrong")
        [attempt], failed = recorder.attempts, recorder.recorded[-1]

        assert (wrong.status_code, wrong.json()["code"]) == (401, "invalid_credentials")
        assert (attempt.method, attempt.email, attempt.user) == ("password", "ada@example.com", user)
        assert (failed.name, failed.user_id) == ("sign_in.failed", user.id)
        assert await is_known(client)
        assert (await client.sign_in(user)).status_code == 200


async def test_a_change_is_one_attempt_and_is_recorded() -> None:
    recorder = Recorder()
    async with running("sqlite:///:memory:", ["defaults", recorder]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        recorder.attempts.clear()
        recorder.recorded.clear()
        await change(client)

    assert len(recorder.attempts) == 1
    assert recorder.names == ["credentials.revoked", "password.changed", "session.renewed"]
    event = recorder.recorded[1]
    assert (event.user_id, event.actor_id, event.metadata) == (user.id, user.id, {"api_keys": False})
    assert NEW not in repr(recorder.recorded)


async def test_a_change_needs_no_fresh_sign_in_and_is_none() -> None:
    clock = FrozenClock()
    async with running("sqlite:///:memory:", clock=clock) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        clock.tick(timedelta(minutes=50))
        stale = await client.post("/auth/api-keys", json={"name": "ci", "scopes": []})
        changed = await change(client)
        still = await client.post("/auth/api-keys", json={"name": "ci", "scopes": []})

    assert [answer.status_code for answer in (stale, changed, still)] == [403, 204, 403]


async def test_nobody_and_a_key_change_nothing() -> None:
    async with running("sqlite:///:memory:") as client:
        user = await make_user(client.sigra)
        bearer = {"authorization": f"Bearer {await make_api_key(client.sigra, user)}"}
        nobody = await change(client)
        program = await client.post("/auth/password/change", json=CHANGE, headers=bearer)

    assert (nobody.status_code, nobody.json()["code"]) == (401, "unauthenticated")
    assert (program.status_code, program.json()["code"]) == (403, "session_required")


async def test_a_second_factor_is_not_asked_for_again_and_stays_proven() -> None:
    async with running("sqlite:///:memory:", ["defaults", Factor()]) as client, browser(client) as other:
        user = await make_user(client.sigra)
        for one in (client, other):
            await one.sign_in(user)
            await one.post("/auth/login/factor", json={"code": "right"})
        before = (await client.get("/auth/session")).json()
        changed = await change(client)
        after = (await client.get("/auth/session")).json()

        assert changed.status_code == 204
        assert after["identity"] == before["identity"]
        assert after["identity"]["assurance"] == "aal2"
        assert not await is_known(other)
        assert len((await client.get("/auth/sessions")).json()["sessions"]) == 1


async def test_a_remembered_session_is_remembered_as_long_as_before(database: str) -> None:
    clock = FrozenClock()
    async with running(database, clock=clock) as client:
        await client.sign_in(await make_user(client.sigra), remember=True)
        before = (await client.get("/auth/session")).json()["session"]
        clock.tick(timedelta(days=3))
        changed = await change(client)
        after = (await client.get("/auth/session")).json()["session"]
        clock.tick(timedelta(days=13))

        assert changed.headers["set-cookie"].endswith(f"Max-Age={27 * 24 * 3600}")
        assert after["id"] != before["id"]
        assert after["expires_at"] == before["expires_at"]
        assert await is_known(client)


async def test_hc32_a_change_does_not_bring_back_a_session_that_was_signed_out(database: str) -> None:
    @dataclass
    class Slow:
        """Signs the session out while its request is under way."""

        name: str = "slow"
        api: int = 1

        @hookimpl
        async def check_password(self) -> None:
            async with Client(self.app, self.auth, cookies=self.jar) as elsewhere:
                assert (await elsewhere.sign_out()).status_code == 204

    slow = Slow()
    async with running(database, ["defaults", slow]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        jar = CookieJar()
        for cookie in client.cookies.jar:
            jar.set_cookie(cookie)
        slow.app, slow.auth, slow.jar = client.app, client.sigra, jar
        answer = await change(client)

        assert answer.status_code == 401
        assert not await is_known(client)
        assert (await client.sign_in(user, NEW)).status_code == 401
        assert (await client.sign_in(user)).status_code == 200


@pytest.mark.parametrize("spared", [False, True])
async def test_hc32_a_slow_change_does_not_survive_a_sign_out_everywhere(spared: bool, database: str) -> None:
    @dataclass
    class Slow:
        """Lets somebody else be faster, who ends every proof, and perhaps not the session that asks."""

        keep: uuid.UUID | None = None
        name: str = "slow"
        api: int = 1

        @hookimpl
        async def check_password(self, auth: Auth, user: User | None) -> None:
            assert user is not None
            await auth.db.transaction(lambda tx: auth.revoke(tx, user, "sign_out", self.keep))

    slow = Slow()
    async with running(database, ["defaults", slow]) as client:
        user = await make_user(client.sigra)
        signed_in = await client.sign_in(user)
        slow.keep = uuid.UUID(signed_in.json()["session"]["id"]) if spared else None
        answer = await change(client)

        assert answer.status_code == 401
        assert await is_known(client) is spared
        assert (await browser(client).sign_in(user, NEW)).status_code == 401
        assert (await browser(client).sign_in(user)).status_code == 200


async def test_a_form_goes_home_with_the_new_cookie() -> None:
    async with running("sqlite:///:memory:", home="/welcome") as client:
        await client.sign_in(await make_user(client.sigra))
        changed = await client.post("/auth/password/change", data=CHANGE)

        assert (changed.status_code, changed.headers["location"]) == (303, "/welcome")
        assert await is_known(client)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"new_password": "short"}, "new_password"),
        ({"new_password": "x" * 1_025}, "new_password"),
        ({"new_password": None}, "new_password"),
        ({"current_password": "x" * 1_025}, "current_password"),
        ({"revoke_api_keys": "perhaps"}, "revoke_api_keys"),
    ],
)
async def test_hc43_a_bad_field_of_a_change_is_named_and_not_counted(fields: dict[str, Any], field: str) -> None:
    recorder = Recorder()
    async with running("sqlite:///:memory:", ["defaults", recorder]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        answer = await change(client, **fields)

        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [field]
        assert "sign_in.failed" not in recorder.names
        assert (await client.sign_in(user)).status_code == 200


# The first password


async def set_first(client: Client, password: str = NEW) -> Any:
    return await client.post("/auth/password/set", json={"new_password": password})


async def test_an_account_without_a_password_gets_one(database: str) -> None:
    recorder = Recorder()
    async with running(database, ["defaults", recorder]) as client, browser(client) as other:
        user = await make_user(client.sigra, password=None)
        await client.sign_in_as(user, "hwk")
        await other.sign_in_as(user, "hwk")
        answer = await set_first(client)

        assert (answer.status_code, answer.content) == (204, b"")
        assert recorder.names[-2:] == ["password.set", "session.renewed"]
        assert await is_known(client)
        assert await is_known(other)
        assert (await other.sign_in(user, NEW)).status_code == 200


async def test_an_account_with_a_password_is_told_to_change_it() -> None:
    async with running("sqlite:///:memory:") as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        answer = await set_first(client)

        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert (await client.sign_in(user)).status_code == 200


async def test_setting_a_password_needs_a_fresh_sign_in() -> None:
    clock = FrozenClock()
    async with running("sqlite:///:memory:", clock=clock) as client:
        user = await make_user(client.sigra, password=None)
        await client.sign_in_as(user, "hwk")
        clock.tick(timedelta(minutes=6))
        answer = await set_first(client)

    assert (answer.status_code, answer.json()["code"]) == (403, "reauthentication_required")


async def test_of_two_first_passwords_at_once_one_wins(database: str) -> None:
    async with running(database) as client, browser(client) as other:
        user = await make_user(client.sigra, password=None)
        await client.sign_in_as(user, "hwk")
        await other.sign_in_as(user, "hwk")
        answers = await asyncio.gather(set_first(client), set_first(other, NEW + "!"))
        async with client.sigra.db.connect() as tx:
            count = await tx.scalar(select(func.count()).select_from(client.sigra.plugin(Password).table))

    assert sorted(answer.status_code for answer in answers) == [204, 409]
    assert count == 1


async def test_a_weak_first_password_is_refused_in_its_field() -> None:
    async with running("sqlite:///:memory:") as client:
        await client.sign_in_as(await make_user(client.sigra, password=None), "hwk")
        answer = await set_first(client, "password1")

    assert (answer.status_code, answer.json()["code"]) == (422, "weak_password")
    assert answer.json()["errors"][0]["field"] == "new_password"


async def test_a_form_that_sets_a_password_goes_home() -> None:
    async with running("sqlite:///:memory:", home="/welcome") as client:
        await client.sign_in_as(await make_user(client.sigra, password=None), "hwk")
        answer = await client.post("/auth/password/set", data={"new_password": NEW})

    assert (answer.status_code, answer.headers["location"]) == (303, "/welcome")


@dataclass
class Tenant:
    """A policy of a stranger: which actions it saw, and a rule about new passwords."""

    seen: list[str]
    name: str = "tenant"
    api: int = 1

    @hookimpl
    async def before_action(self, action: Action) -> None:
        if isinstance(action, ChangePassword | SetPassword):
            self.seen.append(f"{action.name} of {action.user.email}")

    @hookimpl
    async def check_password(self, auth: Auth, password: str) -> None:
        # A transaction can begin here: none is open.
        await auth.db.transaction(self._nothing)
        if "train" not in password:
            raise WeakPassword("Name a train.", "tenant_train")

    async def _nothing(self, tx: Any) -> Sequence[Any]:
        return ()


async def test_a_plugin_may_refuse_a_password_and_sees_the_action() -> None:
    tenant = Tenant([])
    async with running("sqlite:///:memory:", ["defaults", tenant]) as client:
        await client.sign_in(await make_user(client.sigra))
        refused = await change(client, new_password="a bus of thought leaves at nine")
        await change(client)

    assert refused.json()["errors"] == [{"field": "new_password", "code": "tenant_train", "message": "Name a train."}]
    assert tenant.seen == ["change_password of ada@example.com"]


async def test_a_foreign_hash_signs_in_once_and_is_ours_afterwards(database: str) -> None:
    from sigra.crypto.migrating import MigratingHasher
    from tests.crypto.test_foreign import BUDGETS, DJANGO

    async with running(database) as client:
        auth = client.sigra
        user = await make_user(auth, password=None)
        plugin = auth.plugin(Password)
        await auth.db.transaction(lambda tx: plugin.set(auth, tx, user, DJANGO["pbkdf2_sha256"]))
        without = await client.sign_in(user)
        await auth.hasher.aclose()
        costs = {"pbkdf2_sha256": BUDGETS["pbkdf2_sha256"]}
        auth.hasher = MigratingHasher(8, 1, 1, 8, allow_weak=True, foreign=["pbkdf2_sha256"], costs=costs)
        wrong = await client.sign_in(user, "wrong")
        kept = await plugin._stored(auth, user.id)
        right = await client.sign_in(user)
        upgraded = await plugin._stored(auth, user.id)
        again = await client.sign_in(user)

    assert [answer.status_code for answer in (without, wrong, right, again)] == [401, 401, 200, 200]
    assert kept == DJANGO["pbkdf2_sha256"]
    assert upgraded is not None and upgraded.startswith("$argon2id$v=19$m=8,t=1,p=1$")


def test_the_settings_have_the_defaults_of_the_page() -> None:
    options = cheap_settings().password

    assert (options.min_length, options.preset, options.foreign_hashes, options.breach_url) == (8, None, (), None)


# Who is told


@pytest.mark.parametrize(("revoked", "told"), [(False, "2 API keys are active"), (True, "")])
async def test_the_mailbox_is_told_of_a_change_and_of_the_keys_that_go_on(
    revoked: bool, told: str, database: str
) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        for name in ("one", "two"):
            await make_api_key(client.sigra, user, name=name)
        await client.sigra.worker.work()
        box.messages.clear()
        await client.sign_in(user)
        wrong = await change(client, current_password="wrong")
        done = await change(client, revoke_api_keys=revoked)
        await client.sigra.worker.work()

    assert (wrong.status_code, done.status_code) == (401, 204)
    [message] = box.messages
    assert (message.kind, message.recipient) == ("password_changed", "ada@example.com")
    assert told in message.text and ("API keys are active" in message.text) is not revoked
    assert NEW not in message.text + message.html


async def test_the_mailbox_is_told_of_a_first_password_when_there_is_one() -> None:
    box = Postbox()
    async with running("sqlite:///:memory:", ["defaults", "-api_keys", box]) as client:
        for email in ("ada@example.com", None):
            async with browser(client) as one:
                await one.sign_in_as(await make_user(client.sigra, email, None), "hwk")
                assert (await one.post("/auth/password/set", json={"new_password": NEW})).status_code == 204
        await client.sigra.worker.work()

    assert [(message.kind, message.recipient) for message in box.messages] == [("password_changed", "ada@example.com")]


async def test_hc46_a_change_that_is_undone_is_not_told() -> None:
    box = Postbox()
    async with running("sqlite:///:memory:", ["defaults", box, Refusing("session.renewed")]) as client:
        await client.sign_in(await make_user(client.sigra))
        refused = await change(client)
        await client.sigra.worker.work()

    assert (refused.status_code, box.kinds) == (403, [])


async def test_hc01_a_password_is_forgotten_with_all_that_was_set_before_a_first_proof(database: str) -> None:
    async with running(database) as client:
        auth, user = client.sigra, await make_user(client.sigra, email_verified=False)
        key = await make_api_key(auth, user)
        proven = await auth.db.transaction(lambda tx: auth.prove_email(tx, user, same_person=False))
        answers = [
            await client.sign_in(proven),
            await client.get("/private", headers={"authorization": f"Bearer {key}"}),
        ]

    assert [one.status_code for one in answers] == [401, 401]
