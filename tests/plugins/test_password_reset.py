"""A password reset by mail: who gets a link, what it does once, what ends with it, and what tells nobody anything."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import argon2
import pytest
from sqlalchemy import func, select

from sigra import Action, Event, Refused, hookimpl
from sigra.models import User
from sigra.plugins.password_reset import PasswordReset, PasswordWasReset, Reset, ResetPassword
from sigra.testing import PASSWORD, Client, FrozenClock, make_api_key, make_user
from tests.apps import Postbox, running
from tests.plugins.answers import Answers
from tests.plugins.racers import Racers
from tests.policies import Factor, Meeting, Recorder
from tests.test_failing_database import Cable, is_unavailable

MEMORY = "sqlite:///:memory:"
NEW = "a train of thought leaves at nine"
PAGE = {"accept": "text/html"}


def browser(client: Client) -> Client:
    """Another browser of the same application."""
    return Client(client.app, client.sigra)


async def ask(client: Client, box: Postbox, email: str = "ada@example.com") -> str:
    """The token of a mail that was asked for."""
    await client.post("/auth/password/forgot", json={"email": email})
    await client.sigra.worker.work()
    return box.token()


async def reset(client: Client, token: str, password: str = NEW) -> Any:
    return await client.post("/auth/password/reset", json={"token": token, "new_password": password})


async def can_sign_in(client: Client, user: User, password: str) -> bool:
    return (await browser(client).sign_in(user, password)).status_code == 200


async def rows(client: Client, table: str) -> int:
    async with client.sigra.db.connect() as tx:
        return await tx.scalar(select(func.count()).select_from(client.sigra.metadata.tables[table])) or 0


# What it does


async def test_a_reset_sets_the_password_and_signs_nobody_in(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        done = await reset(client, await ask(client, box))

        assert (done.status_code, done.content) == (204, b"")
        assert "set-cookie" not in done.headers
        assert await can_sign_in(client, user, NEW)
        assert not await can_sign_in(client, user, PASSWORD)


async def test_hc33_a_reset_ends_sessions_and_sign_ins_under_way_and_leaves_keys(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", Factor(), box]) as client, browser(client) as thief:
        user = await make_user(client.sigra)
        key = {"authorization": f"Bearer {await make_api_key(client.sigra, user)}"}
        await client.sign_in(user)
        await client.post("/auth/login/factor", json={"code": "right"})
        await thief.sign_in(user)
        done = await reset(client, await ask(client, box))
        session = await client.get("/auth/session")
        late = await thief.post("/auth/login/factor", json={"code": "right"})
        program = await browser(client).get("/private", headers=key)
        await client.sigra.worker.work()

    assert done.status_code == 204
    assert session.status_code == 401
    assert (late.status_code, late.json()["code"]) == (401, "login_expired")
    assert program.status_code == 200
    assert box.kinds[-1] == "password_changed"
    assert "1 API key" in box.messages[-1].text


async def test_an_account_without_a_password_gets_one(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        user = await make_user(client.sigra, password=None)
        await reset(client, await ask(client, box))

        assert await can_sign_in(client, user, NEW)


async def test_hc10_a_second_factor_is_asked_for_after_a_reset(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", Factor(), box]) as client:
        user = await make_user(client.sigra)
        await reset(client, await ask(client, box))
        signed_in = await client.sign_in(user, NEW)

    assert signed_in.status_code == 202
    assert signed_in.json()["challenges"] == [{"kind": "mfa", "methods": ["factor"]}]


async def test_hc01_the_first_proof_ends_what_was_set_before_it(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        victim = await make_user(client.sigra, email_verified=False)
        key = {"authorization": f"Bearer {await make_api_key(client.sigra, victim)}"}
        done = await reset(client, await ask(client, box))
        program = await client.get("/private", headers=key)

        assert done.status_code == 204
        assert program.status_code == 401
        assert (await client.sigra.users.by_id(victim.id)).email_verified  # type: ignore[union-attr]  # it is there
        assert await can_sign_in(client, victim, NEW)
        assert not await can_sign_in(client, victim, PASSWORD)


async def test_a_reset_is_an_action_and_a_fact_and_names_no_secret() -> None:
    box, recorder = Postbox(), Recorder()
    async with running(MEMORY, ["defaults", box, recorder]) as client:
        user = await make_user(client.sigra)
        token = await ask(client, box)
        recorder.attempts.clear()
        recorder.recorded.clear()
        await reset(client, token)

    assert [attempt.method for attempt in recorder.attempts] == ["password_reset"]
    assert recorder.names == ["credentials.revoked", "password_reset.done"]
    assert recorder.recorded[-1].user_id == user.id
    assert isinstance(recorder.recorded[-1], PasswordWasReset)
    assert token not in repr(recorder)
    assert NEW not in repr(recorder)


@dataclass
class Refusing:
    """Refuses at one point of a reset."""

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


@pytest.mark.parametrize("at", [ResetPassword.name, "credentials.revoked", PasswordWasReset.name])
async def test_hc46_a_reset_that_is_refused_spends_and_changes_nothing(at: str, database: str) -> None:
    box, refusing = Postbox(), Refusing(at)
    async with running(database, ["defaults", box, refusing]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        token = await ask(client, box)
        refused = await reset(browser(client), token)

        assert refused.status_code == 403
        assert (await client.get("/auth/session")).status_code == 200
        refusing.at = "nothing"
        assert (await reset(client, token)).status_code == 204
        assert await can_sign_in(client, user, NEW)


# The link


async def test_hc14_a_link_works_once(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        token = await ask(client, box)
        first = await reset(client, token)
        again = await reset(client, token, NEW + "!")

        assert first.status_code == 204
        assert (again.status_code, again.json().get("code")) == (400, "invalid_token")
        assert await can_sign_in(client, user, NEW)


async def test_hc14_of_two_uses_at_once_one_wins(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", Meeting("password_reset", 2), box]) as client:
        await make_user(client.sigra)
        token = await ask(client, box)
        answers = await asyncio.gather(*(reset(browser(client), token, f"{NEW} {n}") for n in range(2)))

    assert sorted(answer.status_code for answer in answers) == [204, 400]


async def test_hc14_of_64_uses_at_once_by_two_processes_one_wins(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client, Racers(database) as racers:
        await make_user(client.sigra)
        token = await ask(client, box)
        statuses = await racers.post("/auth/password/reset", {"token": token, "new_password": NEW})

    assert len(statuses) == 64
    assert statuses.count(204) == 1
    assert set(statuses) <= {204, 400, 503}


async def test_hc20_a_new_link_ends_the_older_one(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        await make_user(client.sigra)
        older = await ask(client, box)
        newer = await ask(client, box)

        assert (await reset(client, older)).status_code == 400
        assert (await reset(client, newer)).status_code == 204


async def test_hc20_a_link_ends_with_what_it_was_asked_for(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        auth = client.sigra
        user = await make_user(auth)
        token = await ask(client, box)
        await auth.db.transaction(lambda tx: auth.revoke(tx, user, "password_changed"))

        assert (await reset(client, token)).status_code == 400
        assert await can_sign_in(client, user, PASSWORD)


async def test_hc06_a_link_sent_to_an_old_address_is_dead(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        auth = client.sigra
        user = await make_user(auth)
        token = await ask(client, box)
        await auth.db.transaction(lambda tx: auth.users.move(tx, user, "countess@example.com"))

        assert (await reset(client, token)).status_code == 400


async def test_hc08_a_disabled_account_is_told_so_and_gets_no_password(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        auth = client.sigra
        user = await make_user(auth)
        token = await ask(client, box)
        disabled = await auth.db.transaction(lambda tx: auth.users.set_status(tx, user, "disabled"))
        refused = await reset(client, token)
        await auth.db.transaction(lambda tx: auth.users.set_status(tx, disabled, "active"))

        assert (refused.status_code, refused.json()["code"]) == (403, "account_disabled")
        assert (await reset(client, token)).status_code == 400
        assert await can_sign_in(client, user, PASSWORD)


async def test_hc08_an_account_that_was_disabled_meanwhile_gets_no_password(database: str) -> None:
    box = Postbox()

    class Disabling:
        """Disables the account after the link was found good."""

        name, api = "disabling", 1
        user: User | None = None

        @hookimpl
        async def check_password(self, auth: Any) -> None:
            user = self.user
            if user is not None:
                await auth.db.transaction(lambda tx: auth.users.set_status(tx, user, "disabled"))

    disabling = Disabling()
    async with running(database, ["defaults", box, disabling]) as client:
        user = await make_user(client.sigra)
        token = await ask(client, box)
        disabling.user = user
        refused = await reset(client, token)

        assert (refused.status_code, refused.json()["code"]) == (403, "account_disabled")
        assert await rows(client, "sigra_tokens") == 1


@pytest.mark.parametrize(("minutes", "options"), [(30, {}), (5, {"password_reset": {"lifetime": "PT5M"}})])
async def test_a_link_lives_half_an_hour_or_as_long_as_is_set(minutes: int, options: Any) -> None:
    box, clock = Postbox(), FrozenClock()
    async with running(MEMORY, ["defaults", box], clock=clock, **options) as client:
        await make_user(client.sigra)
        token = await ask(client, box)
        clock.tick(timedelta(minutes=minutes))
        late = await reset(client, token)
        good = await ask(client, box)
        clock.tick(timedelta(minutes=minutes, microseconds=-1))
        in_time = await reset(client, good)

    assert f"within {minutes} minutes" in box.messages[0].text
    assert [late.status_code, in_time.status_code] == [400, 204]


async def test_a_weak_password_is_refused_and_the_link_stays_good() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        await make_user(client.sigra)
        token = await ask(client, box)
        weak = await reset(client, token, "short")
        good = await reset(client, token)

    assert (weak.status_code, weak.json()["code"]) == (422, "weak_password")
    assert [error["field"] for error in weak.json()["errors"]] == ["new_password"]
    assert good.status_code == 204


async def test_a_bad_link_costs_no_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(MEMORY) as client:
        hashes = count_hashes(monkeypatch)
        bad = await reset(client, "x" * 43)

    assert (bad.status_code, bad.json()["code"]) == (400, "invalid_token")
    assert hashes == []


def count_hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is hashed or verified from now on."""
    done: list[str] = []
    for deed in ("hash", "verify"):
        did = getattr(argon2.PasswordHasher, deed)

        def counting(*args: Any, _deed: str = deed, _did: Any = did, **more: Any) -> Any:
            done.append(_deed)
            return _did(*args, **more)

        monkeypatch.setattr(argon2.PasswordHasher, deed, counting)
    return done


async def test_hc18_no_other_token_is_taken(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", Factor(), box]) as client:
        user = await make_user(client.sigra)
        token = await ask(client, box)
        waiting = (await client.sign_in(user)).json()["login_token"]
        await client.post("/auth/login/factor", json={"code": "right"})
        asked = (await client.post("/auth/magic-link", json={"email": user.email})).json()["login_token"]
        await client.sigra.worker.work()
        key = await make_api_key(client.sigra, user)
        others = [box.token(), waiting, asked, key, client.cookies["sigra"], token[:-1], token + "A", token.lower()]
        statuses = [(await reset(browser(client), other)).status_code for other in others]
        as_link = await client.post("/auth/magic-link/verify", json={"token": token})

        assert statuses == [400] * len(others)
        assert as_link.status_code == 400
        assert (await reset(client, token)).status_code == 204


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_hc19_looking_at_the_link_consumes_nothing(method: str, database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        token = await ask(client, box)
        for path in ("/auth/password/reset", f"/auth/password/reset?token={token}&new_password={NEW}"):
            page = await client.request(method, path, headers=PAGE)
            assert page.status_code == 200
            assert token not in page.text

        assert await can_sign_in(client, user, PASSWORD)
        assert (await reset(client, token)).status_code == 204


async def test_hc21_a_token_is_in_no_table_and_in_no_repr(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        await make_user(client.sigra)
        await client.post("/auth/password/forgot", json={"email": "ada@example.com"})
        await client.sigra.worker.work()
        token = box.token()
        async with client.sigra.db.connect() as tx:
            held = [str((await tx.execute(select(table))).all()) for table in client.sigra.metadata.sorted_tables]

    assert not [text for text in held if token in text or token.encode().hex() in text]
    assert token not in repr(box.messages)
    assert token not in repr(Reset(token=token, new_password=NEW))
    assert f"#token={token}" in box.messages[0].text


# The mail


async def test_mail_goes_to_the_stored_address_and_only_where_there_is_an_active_account(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        auth = client.sigra
        await make_user(auth, "ada@example.com")
        disabled, closing = [await make_user(auth, f"{name}@example.com") for name in ("disabled", "closing")]
        await auth.db.transaction(lambda tx: auth.users.set_status(tx, disabled, "disabled"))
        await auth.db.transaction(lambda tx: auth.users.set_status(tx, closing, "closing"))
        for name in ("disabled", "closing", "nobody", "ADA"):
            await client.post("/auth/password/forgot", json={"email": f"{name}@example.com"})
        await auth.worker.work()

    assert [(message.kind, message.recipient) for message in box.messages] == [("reset_password", "ada@example.com")]


async def test_who_only_signed_up_is_asked_to_prove_the_address(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        await client.post("/auth/signup", json={"email": "ada@example.com", "password": PASSWORD})
        await client.sigra.worker.work()
        first = box.token()
        await browser(client).post("/auth/password/forgot", json={"email": "ADA@example.com"})
        await client.sigra.worker.work()

        assert box.kinds == ["verify_email", "verify_email"]
        assert {message.recipient for message in box.messages} == {"ada@example.com"}
        assert box.token() != first
        assert (await reset(client, box.token())).status_code == 400


async def test_hc39_forgetting_answers_and_costs_the_same_for_every_address(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(database, ["defaults", Postbox()]) as client:
        auth = client.sigra
        await make_user(auth, "known@example.com")
        await make_user(auth, "unproven@example.com", email_verified=False)
        await make_user(auth, "keyless@example.com", None)
        disabled = await make_user(auth, "disabled@example.com")
        await auth.db.transaction(lambda tx: auth.users.set_status(tx, disabled, "disabled"))
        hashes, answers = count_hashes(monkeypatch), Answers(auth)
        for name in ("known@example.com", "unknown@example.com", "unproven@example.com", "keyless@example.com"):
            await answers.add(await client.post("/auth/password/forgot", json={"email": name}))
        for name in ("disabled@example.com", "no address", ""):
            await answers.add(await client.post("/auth/password/forgot", json={"email": name}))
        waiting = await rows(client, "sigra_outbox")

    assert answers.first.status == 202
    assert answers.first.content == b'{"status":"sent"}'
    assert answers.differing == []
    assert hashes == []
    assert waiting == 7


async def test_hc39_the_form_goes_to_the_same_page_for_every_address(database: str) -> None:
    async with running(database, ["defaults", Postbox()]) as client:
        await make_user(client.sigra)
        answers = Answers(client.sigra)
        for name in ("ada", "zoe"):
            await answers.add(await client.post("/auth/password/forgot", data={"email": f"{name}@example.com"}))

    assert answers.first.status == 303
    assert ("location", "/auth/password/forgot/sent") in answers.first.headers
    assert answers.differing == []


async def test_without_a_sender_nothing_waits_and_the_answer_is_the_same() -> None:
    async with running(MEMORY, ["defaults", "-mail"]) as client:
        asked = await client.post("/auth/password/forgot", json={"email": "ada@example.com"})

        assert asked.status_code == 202
        assert await rows(client, "sigra_outbox") == 0


async def test_without_pages_a_form_goes_on_where_it_says_and_the_link_is_made_all_the_same() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", "-pages", box]) as client:
        user = await make_user(client.sigra)
        asked = await client.post("/auth/password/forgot?next=/sent", data={"email": user.email})
        await client.sigra.worker.work()
        page = await client.get("/auth/password/reset", headers=PAGE)

    assert (asked.status_code, asked.headers["location"]) == (303, "/sent")
    assert "http://localhost/auth/password/reset#token=" in box.messages[0].text
    assert page.status_code == 405


# Failure


async def test_hc45_a_reset_that_is_cut_anywhere_changes_nothing_and_can_be_repeated(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, cable = Postbox(), Cable()
    async with running(database, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        first = await ask(client, box)
        cable.lay(client, monkeypatch)
        assert (await reset(client, first, PASSWORD)).status_code == 204
        whole = list(cable.told)
        cable.mend()
        token = await ask(client, box)
        for at in range(len(whole)):
            cable.cut(at)
            cut = await reset(client, token)
            cable.mend()
            assert is_unavailable(cut), (at, whole[at])

        assert await can_sign_in(client, user, PASSWORD)
        assert (await reset(client, token)).status_code == 204
        assert await can_sign_in(client, user, NEW)


# Pages


async def test_a_person_resets_by_forms() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        login = await client.get("/auth/login", headers=PAGE)
        forgot = await client.get("/auth/password/forgot", headers=PAGE)
        asked = await client.post("/auth/password/forgot", data={"email": user.email})
        sent = await client.get(asked.headers["location"], headers=PAGE)
        await client.sigra.worker.work()
        page = await client.get("/auth/password/reset", headers=PAGE)
        action = re.search(r'<form method="post" action="([^"]+)"', page.text)
        assert action
        done = await client.post(action[1], data={"token": box.token(), "new_password": NEW})
        back = await client.get(done.headers["location"], headers=PAGE)

    assert 'href="/auth/password/forgot"' in login.text
    assert 'action="/auth/password/forgot"' in forgot.text
    assert "Check your mail" in sent.text
    assert (done.status_code, done.headers["location"]) == (303, "/auth/login?done=password_reset.done")
    assert "Your password was set. Sign in with it." in back.text


async def test_hc38_a_refused_form_says_why_and_keeps_the_unspent_token_alone() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        await make_user(client.sigra)
        token = await ask(client, box)
        weak = await client.post("/auth/password/reset", data={"token": token, "new_password": "zq"})
        bad = await client.post("/auth/password/reset", data={"token": "x" * 43, "new_password": NEW})
        odd = await client.post("/auth/password/reset", data={"token": "<b>", "new_password": ""})

    assert weak.status_code == 422
    assert f'<input name="token" type="hidden" value="{token}">' in weak.text
    assert "zq" not in weak.text
    assert weak.text.count('role="alert"') == bad.text.count('role="alert"') == 1
    assert bad.status_code == 400
    assert "x" * 43 not in bad.text
    assert "The token is not valid." in bad.text
    assert "<b>" not in odd.text


async def test_hc38_the_page_of_the_link_runs_its_script_alone() -> None:
    async with running(MEMORY) as client:
        page = await client.get("/auth/password/reset", headers=PAGE)
        other = await client.get("/auth/password/forgot", headers=PAGE)

    policy = page.headers["content-security-policy"]
    assert re.search(r"; script-src 'sha256-[A-Za-z0-9+/]{43}='$", policy)
    assert page.headers["cache-control"] == "no-store"
    assert "script-src" not in other.headers["content-security-policy"]


async def test_hc38_what_was_typed_is_escaped() -> None:
    async with running(MEMORY) as client:
        page = await client.post("/auth/password/forgot", data={"email": '"><script>x</script>' * 20})

    assert page.status_code == 422
    assert "<script>x" not in page.text


def test_a_link_lives_a_minute_to_a_day() -> None:
    assert PasswordReset().settings.lifetime == timedelta(minutes=30)
    for lifetime in (timedelta(seconds=59), timedelta(days=2)):
        with pytest.raises(ValueError, match="lifetime"):
            PasswordReset(lifetime=lifetime)
