"""Magic links: where they let whom in, how often, and what they never spare."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from sigra.plugins.magic_link import MagicLink
from sigra.plugins.magic_link.plugin import NOT_HERE, Proof
from sigra.testing import PASSWORD, Client, FrozenClock, make_api_key, make_user
from tests.apps import Postbox, running
from tests.plugins.answers import Answers
from tests.plugins.racers import Racers
from tests.policies import Factor, Meeting, Recorder
from tests.test_failing_database import Cable, is_unavailable

MEMORY = "sqlite:///:memory:"
PAGE = {"accept": "text/html"}


def browser(client: Client) -> Client:
    """Another browser of the same application."""
    return Client(client.app, client.sigra)


async def ask(client: Client, email: str = "ada@example.com", **fields: Any) -> str:
    """Have the mail sent, the last one; the `login_token` of the asking browser."""
    await client.sigra.worker.work()
    asked = await client.post("/auth/magic-link", json={"email": email, **fields})
    assert asked.status_code == 202
    await client.sigra.worker.work()
    return str(asked.json()["login_token"])


async def verify(client: Client, **proof: str) -> Any:
    return await client.post("/auth/magic-link/verify", json=proof)


async def rows(client: Client, table: str) -> int:
    async with client.sigra.db.connect() as tx:
        return await tx.scalar(select(func.count()).select_from(client.sigra.metadata.tables[table])) or 0


# In the browser that asked


async def test_the_link_signs_in_where_it_was_asked_for(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        await ask(client)
        signed_in = await verify(client, token=box.token())
        session = await client.get("/auth/session")

        assert signed_in.json()["user"] == user.public()
        assert session.json()["identity"] == {
            "method": "session",
            "scopes": [],
            "amr": ["email"],
            "assurance": "aal1",
        }
        assert "sigra-magic-link" not in client.cookies
        assert await rows(client, "sigra_magic_links") == await rows(client, "sigra_tokens") == 0


@pytest.mark.parametrize("typed", ["{}", " {} ", "{:.4}-{}"], ids=["plain", "with spaces", "in groups"])
async def test_the_code_signs_in_where_it_was_asked_for(typed: str, database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        await make_user(client.sigra)
        await ask(client)
        code = box.code()
        signed_in = await verify(client, code=typed.format(code, code[4:]) if "-" in typed else typed.format(code))

    assert signed_in.json()["status"] == "signed_in"


@pytest.mark.parametrize("proof", ["token", "code"])
async def test_a_program_keeps_the_login_token_in_place_of_the_cookie(proof: str) -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        await make_user(client.sigra)
        login_token = await ask(client)
        client.cookies.clear()
        given = {"token": box.token(), "code": box.code()}[proof]
        without = await verify(client, **{proof: given})
        with_it = await verify(client, **{proof: given}, login_token=login_token)

    assert (without.status_code, with_it.status_code) == (400, 200)


@pytest.mark.parametrize("proof", ["token", "code"])
async def test_hc20_in_another_browser_nothing_is_signed_in_or_spent(proof: str, database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client, browser(client) as thief, browser(client) as third:
        await make_user(client.sigra)
        await ask(client)
        given = {"token": box.token(), "code": box.code()}[proof]
        nobody = await verify(third, **{proof: given})
        await thief.post("/auth/magic-link", json={"email": "eve@example.com"})
        other = await verify(thief, **{proof: given})

        assert [(one.status_code, one.json().get("code")) for one in (nobody, other)] == [(400, "invalid_token")] * 2
        assert "type the code of the mail where you asked for it" in other.json()["detail"]
        assert not thief.signed_in
        assert (await verify(client, **{proof: given})).status_code == 200


async def test_hc20_the_link_of_another_browser_for_the_same_address_is_not_taken(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client, browser(client) as thief:
        await make_user(client.sigra)
        await ask(thief)
        await ask(client)
        refused = await verify(thief, token=box.token())

        assert refused.status_code == 400
        assert (await verify(client, token=box.token())).status_code == 200


# How often


@pytest.mark.parametrize("proof", ["token", "code"])
async def test_hc14_a_mail_signs_in_once(proof: str, database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client, browser(client) as again:
        await make_user(client.sigra)
        login_token = await ask(client)
        given = {"token": box.token(), "code": box.code()}
        first = await verify(client, **{proof: given[proof]})
        rest = [await verify(again, **{name: text}, login_token=login_token) for name, text in given.items()]

    assert first.status_code == 200
    assert [(one.status_code, one.json().get("code")) for one in rest] == [(400, "invalid_token")] * 2


async def test_hc14_of_two_uses_at_once_one_wins(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", Meeting("magic_link", 2), box]) as client:
        await make_user(client.sigra)
        login_token = await ask(client)
        proof = {"token": box.token(), "login_token": login_token}
        answers = await asyncio.gather(*(verify(browser(client), **proof) for _ in range(2)))

    assert sorted(answer.status_code for answer in answers) == [200, 400]


async def test_hc14_of_64_uses_at_once_by_two_processes_one_wins(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client, Racers(database) as racers:
        await make_user(client.sigra)
        login_token = await ask(client)
        statuses = await racers.post("/auth/magic-link/verify", {"token": box.token(), "login_token": login_token})
        sessions = await rows(client, "sigra_sessions")

    assert len(statuses) == 64
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 400, 503}
    assert sessions == 1


async def test_hc13_a_code_bears_five_tries_however_many_at_once(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        await make_user(client.sigra)
        login_token = await ask(client)
        code = box.code()
        wrong = f"{(int(code) + 1) % 10**8:08}"
        tries = await asyncio.gather(*(verify(client, code=wrong, login_token=login_token) for _ in range(5)))
        late = await verify(client, code=code)
        by_link = await verify(client, token=box.token())

    assert [answer.status_code for answer in tries] == [400] * 5
    assert late.status_code == 400
    assert by_link.status_code == 200


async def test_nothing_is_no_try(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        await make_user(client.sigra)
        await ask(client)
        nothing = [await verify(client, **proof) for proof in ({}, {"code": ""}, {"code": " - "}, {"token": ""}) * 2]

        assert [(one.status_code, one.json().get("code")) for one in nothing] == [(422, "validation_failed")] * 8
        assert (await verify(client, code=box.code())).status_code == 200


async def test_the_fifth_try_may_be_the_right_one(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        await make_user(client.sigra)
        await ask(client)
        for _ in range(4):
            await verify(client, code="none")

        assert (await verify(client, code=box.code())).status_code == 200


async def test_hc20_a_new_mail_ends_the_older_one(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client, browser(client) as older:
        await make_user(client.sigra)
        await ask(older)
        proofs = {"token": box.token()}, {"code": box.code()}
        await ask(client, "ADA@example.com")
        dead = [await verify(older, **proof) for proof in proofs]

        assert [answer.status_code for answer in dead] == [400, 400]
        assert (await verify(client, code=box.code())).status_code == 200


@pytest.mark.parametrize(("minutes", "options"), [(10, {}), (2, {"magic_link": {"lifetime": "PT2M"}})])
@pytest.mark.parametrize("proof", ["token", "code"])
async def test_a_mail_is_good_for_ten_minutes_or_as_long_as_is_set(proof: str, minutes: int, options: Any) -> None:
    box, clock = Postbox(), FrozenClock()

    def given() -> dict[str, str]:
        return {proof: box.token() if proof == "token" else box.code()}

    async with running(MEMORY, ["defaults", box], clock=clock, **options) as client:
        await make_user(client.sigra)
        await ask(client)
        clock.tick(timedelta(minutes=minutes))
        late = await verify(client, **given())
        await ask(client)
        clock.tick(timedelta(minutes=minutes, microseconds=-1))
        in_time = await verify(client, **given())

    assert f"within {minutes} minutes" in box.messages[0].text
    assert [late.status_code, in_time.status_code] == [400, 200]


# What it never spares


async def test_hc10_a_second_factor_is_asked_for(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", Factor(), box]) as client:
        await make_user(client.sigra)
        await ask(client, remember=True)
        owing = await verify(client, token=box.token())
        before = await client.get("/auth/session")
        signed_in = await client.post("/auth/login/factor", json={"code": "right"})

    assert owing.status_code == 202
    assert owing.json()["challenges"] == [{"kind": "mfa", "methods": ["factor"]}]
    assert before.status_code == 401
    assert "Max-Age=2592000" in signed_in.headers["set-cookie"]


async def test_hc10_with_a_password_it_is_still_level_1() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", Factor(amr="pwd"), box]) as client:
        await make_user(client.sigra)
        await ask(client)
        await verify(client, token=box.token())
        await client.post("/auth/login/factor", json={"code": "right"})
        identity = (await client.get("/auth/session")).json()["identity"]

    assert (identity["amr"], identity["assurance"]) == (["email", "pwd"], "aal1")


async def test_hc01_the_first_proof_ends_what_was_set_before_it(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client, browser(client) as attacker:
        victim = await make_user(client.sigra, email_verified=False)
        key = {"authorization": f"Bearer {await make_api_key(client.sigra, victim)}"}
        await attacker.sign_in_as(victim, met=frozenset({"email_verification"}))
        await ask(client)
        signed_in = await verify(client, token=box.token())
        program = await browser(client).get("/private", headers=key)

        assert signed_in.json()["user"]["email_verified"] is True
        assert (await client.get("/auth/session")).status_code == 200
        assert (await attacker.get("/auth/session")).status_code == 401
        assert program.status_code == 401
        assert (await attacker.sign_in(victim)).status_code == 401


async def test_hc33_a_link_does_not_outlive_what_ends_proofs(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        auth = client.sigra
        user = await make_user(auth)
        await ask(client)
        await auth.db.transaction(lambda tx: auth.revoke(tx, user, "password_reset"))

        assert [(await verify(client, **proof)).status_code for proof in proofs(box)] == [400, 400]


async def test_hc06_a_link_sent_to_an_old_address_is_dead(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        auth = client.sigra
        user = await make_user(auth)
        await ask(client)
        await auth.db.transaction(lambda tx: auth.users.move(tx, user, "countess@example.com"))

        assert [(await verify(client, **proof)).status_code for proof in proofs(box)] == [400, 400]


def proofs(box: Postbox) -> list[dict[str, str]]:
    return [{"token": box.token()}, {"code": box.code()}]


async def test_hc08_a_disabled_account_is_told_so_by_the_link_alone(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        auth = client.sigra
        user = await make_user(auth)
        await ask(client)
        await auth.db.transaction(lambda tx: auth.users.set_status(tx, user, "disabled"))
        by_code = await verify(client, code=box.code())
        by_link = await verify(client, token=box.token())

    assert (by_code.status_code, by_code.json()["code"]) == (400, "invalid_token")
    assert (by_link.status_code, by_link.json()["code"]) == (403, "account_disabled")
    assert not client.signed_in


async def test_mail_goes_to_the_stored_address_of_active_accounts_alone(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        auth = client.sigra
        await make_user(auth, "ada@example.com")
        disabled = await make_user(auth, "disabled@example.com")
        await auth.db.transaction(lambda tx: auth.users.set_status(tx, disabled, "disabled"))
        for name in ("disabled", "nobody", "ADA"):
            await ask(client, f"{name}@example.com")

    assert [(message.kind, message.recipient) for message in box.messages] == [("magic_link", "ada@example.com")]


# Who only signed up

SIGN_UP = {"email": "ada@example.com", "password": PASSWORD, "name": "Mallory"}


async def test_hc01_who_only_signed_up_is_let_in_with_nothing_of_any_sign_up(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client, browser(client) as attacker:
        await attacker.post("/auth/signup", json=SIGN_UP)
        login_token = await ask(client)
        token, users = box.token(), await rows(client, "sigra_users")
        signed_in = await verify(client, token=token)
        again = await verify(client, token=token, login_token=login_token)
        by_password = await attacker.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORD})

        assert box.messages[-1].kind == "magic_link"
        assert users == 0
        user = signed_in.json()["user"]
        assert (user["email"], user["email_verified"], user["name"]) == ("ada@example.com", True, None)
        assert again.status_code == 400
        assert by_password.status_code == 401
        assert await rows(client, "sigra_passwords") == await rows(client, "sigra_signups") == 0


async def test_hc19_a_mail_makes_no_account_of_who_only_signed_up(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        await client.post("/auth/signup", json=SIGN_UP)
        await ask(client)
        await client.get("/auth/magic-link/verify", headers=PAGE)
        refused = await verify(browser(client), token=box.token())

        assert refused.status_code == 400
        assert await rows(client, "sigra_users") == 0


async def test_hc20_who_only_signed_up_is_another_than_who_is_signed_in(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        await browser(client).post("/auth/signup", json=SIGN_UP)
        await client.sign_in(await make_user(client.sigra, "eve@example.com"))
        await ask(client)
        refused = await verify(client, token=box.token())

        assert (refused.status_code, refused.json()["code"]) == (409, "other_account")
        assert await rows(client, "sigra_users") == 1


async def test_hc14_of_two_first_uses_at_once_one_wins(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", Meeting("magic_link", 2), box]) as client:
        await client.post("/auth/signup", json=SIGN_UP)
        login_token = await ask(client)
        proof = {"token": box.token(), "login_token": login_token}
        answers = await asyncio.gather(*(verify(browser(client), **proof) for _ in range(2)))

        assert sorted(answer.status_code for answer in answers) == [200, 400]
        assert await rows(client, "sigra_users") == 1


async def test_without_sign_up_there_is_nobody_to_let_in() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", "-signup", "-email_verification", box]) as client:
        await ask(client)

    assert box.kinds == []


# While somebody is signed in


async def test_hc20_while_somebody_else_is_signed_in_nothing_is_spent(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        await make_user(client.sigra)
        await client.sign_in(await make_user(client.sigra, "eve@example.com"))
        await ask(client)
        refused = await verify(client, token=box.token())
        await client.sign_out()
        good = await verify(client, token=box.token())

    assert (refused.status_code, refused.json()["code"]) == (409, "other_account")
    assert good.status_code == 200


async def test_hc32_who_is_signed_in_already_goes_on_in_a_new_session(database: str) -> None:
    box, clock = Postbox(), FrozenClock()
    async with running(database, ["defaults", box], clock=clock) as client, browser(client) as thief:
        await client.sign_in(await make_user(client.sigra))
        thief.cookies.update(client.cookies)
        clock.tick(timedelta(minutes=50))
        await ask(client)
        await verify(client, token=box.token())
        fresh = await client.post("/auth/api-keys", json={"name": "ci", "scopes": []})

        assert (await thief.get("/auth/session")).status_code == 401
        assert fresh.status_code == 201
        assert await rows(client, "sigra_sessions") == 1


async def test_the_page_that_asks_again_offers_a_mail() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        await client.sign_in_as(await make_user(client.sigra, password=None))
        page = await client.get("/auth/reauthenticate?next=/auth/account", headers=PAGE)
        form = re.search(r'<form method="post" action="(/auth/magic-link[^"]*)">', page.text)
        assert form
        asked = await client.post(form[1], data={"email": "ada@example.com"})
        await client.sigra.worker.work()
        done = await client.post("/auth/magic-link/verify", data={"code": box.code()})

    assert asked.headers["location"] == "/auth/magic-link/verify"
    assert done.headers["location"] == "/auth/account"


# What nobody learns


async def test_hc18_no_other_token_is_taken(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", Factor(), box]) as client:
        user = await make_user(client.sigra)
        await client.post("/auth/password/forgot", json={"email": user.email})
        await client.sigra.worker.work()
        of_reset = box.token()
        waiting = (await client.sign_in(user)).json()["login_token"]
        login_token = await ask(client)
        token = box.token()
        others = [of_reset, waiting, await make_api_key(client.sigra, user), token[:-1], "é"]
        as_token = [(await verify(client, token=other)).status_code for other in (*others, login_token)]
        as_browser = [
            (await verify(browser(client), token=token, login_token=other)).status_code for other in (*others, token)
        ]
        as_reset = await client.post("/auth/password/reset", json={"token": token, "new_password": PASSWORD})
        as_factor = await browser(client).post("/auth/login/factor", json={"code": "right", "login_token": login_token})

        assert as_token == as_browser == [400] * (len(others) + 1)
        assert as_reset.status_code == 400
        assert as_factor.status_code == 401
        assert (await verify(client, token=token)).status_code == 202


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_hc19_looking_at_the_link_consumes_and_signs_in_nothing(method: str, database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        await make_user(client.sigra)
        await ask(client)
        token = box.token()
        for query in ("", f"?token={token}", f"?code={box.code()}"):
            page = await client.request(method, f"/auth/magic-link/verify{query}", headers=PAGE)
            assert page.status_code == 200
            assert token not in page.text
            assert box.code() not in page.text

        assert not client.signed_in
        assert (await verify(client, token=token)).status_code == 200


async def test_hc21_its_secrets_are_in_no_table_and_in_no_repr(database: str) -> None:
    box, recorder = Postbox(), Recorder()
    async with running(database, ["defaults", box, recorder]) as client:
        await make_user(client.sigra)
        login_token = await ask(client)
        await verify(client, code="00000000")
        async with client.sigra.db.connect() as tx:
            held = [str((await tx.execute(select(table))).all()) for table in client.sigra.metadata.sorted_tables]

    for secret in (box.token(), box.code(), login_token):
        proof = Proof(token=secret, code=secret[:8], login_token=secret)
        assert not [text for text in held if secret in text or secret.encode().hex() in text]
        assert secret[:8] not in repr((box.messages, recorder, proof))


async def test_hc39_asking_answers_and_costs_the_same_for_every_address(database: str) -> None:
    async with running(database, ["defaults", Postbox()]) as client:
        auth = client.sigra
        await make_user(auth, "known@example.com")
        await make_user(auth, "unproven@example.com", email_verified=False)
        disabled = await make_user(auth, "disabled@example.com")
        await auth.db.transaction(lambda tx: auth.users.set_status(tx, disabled, "disabled"))
        answers = Answers(auth)
        for name in ("known@example.com", "unknown@example.com", "unproven@example.com", "disabled@example.com", "x"):
            await answers.add(await browser(client).post("/auth/magic-link", json={"email": name}))
        waiting = await rows(client, "sigra_outbox"), await rows(client, "sigra_magic_links")

    assert answers.first.status == 202
    assert answers.first.content == b'{"status":"sent","login_token":"SECRET"}'
    assert answers.differing == []
    assert waiting == (5, 5)


async def test_hc39_the_form_goes_to_the_same_page_for_every_address(database: str) -> None:
    async with running(database, ["defaults", Postbox()]) as client:
        await make_user(client.sigra)
        answers = Answers(client.sigra)
        for name in ("ada", "zoe"):
            await answers.add(await browser(client).post("/auth/magic-link", data={"email": f"{name}@example.com"}))

    assert answers.first.status == 303
    assert ("location", "/auth/magic-link/verify") in answers.first.headers
    assert answers.differing == []


async def test_hc39_a_wrong_code_answers_and_costs_the_same_for_every_address(database: str) -> None:
    async with running(database, ["defaults", Postbox()]) as client:
        auth = client.sigra
        await make_user(auth, "known@example.com")
        disabled = await make_user(auth, "disabled@example.com")
        await auth.db.transaction(lambda tx: auth.users.set_status(tx, disabled, "disabled"))
        browsers = []
        for name in ("known@example.com", "unknown@example.com", "disabled@example.com", "x"):
            browsers.append(browser(client))
            await ask(browsers[-1], name)
        answers = Answers(auth)
        for one in browsers:
            await answers.add(await verify(one, code="00000000"))

    assert answers.first.status == 400
    assert json.loads(answers.first.content)["detail"] == NOT_HERE
    assert answers.differing == []


async def test_a_wrong_code_is_a_failure_that_is_recorded_for_whoever_was_meant() -> None:
    box, recorder = Postbox(), Recorder()
    async with running(MEMORY, ["defaults", box, recorder]) as client:
        await make_user(client.sigra)
        await ask(client, "ADA@example.com")
        recorder.attempts.clear()
        recorder.recorded.clear()
        await verify(client, code="00000000")
        [failed] = recorder.recorded
        await verify(client, token=box.token())

    assert [(attempt.method, attempt.email) for attempt in recorder.attempts] == [("magic_link", "ada@example.com")] * 2
    assert (failed.name, failed.metadata) == ("sign_in.failed", {"method": "magic_link", "email": "ada@example.com"})
    assert recorder.names[-1] == "sign_in.succeeded"


# Where it goes


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "https://evil.example/", "/\tx", "javascript:x"]
)
async def test_hc36_nobody_is_sent_elsewhere(target: str, database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        await make_user(client.sigra)
        await ask(client, next=target)
        done = await client.post("/auth/magic-link/verify", data={"token": box.token()})

    assert (done.status_code, done.headers["location"]) == (303, "/auth/account")


@pytest.mark.parametrize("where", ["body", "address"])
async def test_a_person_goes_on_where_they_wanted(where: str) -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        await make_user(client.sigra)
        query, more = ("", {"next": "/private"}) if where == "body" else ("?next=/private", {})
        login = await client.get("/auth/login?next=/private", headers=PAGE)
        page = await client.get("/auth/magic-link?next=/private", headers=PAGE)
        await client.post(f"/auth/magic-link{query}", data={"email": "ada@example.com", **more})
        await client.sigra.worker.work()
        done = await client.post("/auth/magic-link/verify", data={"code": box.code()})

    assert 'href="/auth/magic-link?next=/private"' in login.text
    assert 'action="/auth/magic-link?next=/private"' in page.text
    assert done.headers["location"] == "/private"


async def test_hc43_no_target_is_too_much_for_a_row(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        await make_user(client.sigra)
        for query in ("%00", "%0a", "%ff", "/" + "x" * 2048, "&next=/", "/%F0%9F%98%80" * 400):
            asked = await client.post(f"/auth/magic-link?next={query}", data={"email": "ada@example.com"})
            assert asked.status_code == 303, query
        too_long = await client.post("/auth/magic-link", json={"email": "ada@example.com", "next": "/" + "x" * 2048})

    assert too_long.status_code == 422


# Pages


async def test_hc38_the_page_of_the_link_runs_its_script_alone_and_escapes() -> None:
    async with running(MEMORY) as client:
        elsewhere = await client.get("/auth/magic-link/verify", headers=PAGE)
        await client.post("/auth/magic-link", data={"email": "ada@example.com"})
        page = await client.get("/auth/magic-link/verify", headers=PAGE)
        ask = await client.get('/auth/magic-link?next="><script>x</script>', headers=PAGE)

    for one in (elsewhere, page):
        assert re.search(r"; script-src 'sha256-[A-Za-z0-9+/]{43}='$", one.headers["content-security-policy"])
    assert "<form" not in elsewhere.text
    assert "Type the code of the mail there." in elsewhere.text
    assert 'name="token"' in page.text
    assert 'name="code"' in page.text
    assert "<script>x" not in ask.text


async def test_a_wrong_code_shows_the_page_again_and_says_what_to_do() -> None:
    async with running(MEMORY) as client:
        await client.post("/auth/magic-link", data={"email": "ada@example.com"})
        page = await client.post("/auth/magic-link/verify", data={"code": "12345678"})
        long = await client.post("/auth/magic-link", data={"email": "x" * 300})

    assert page.status_code == 400
    assert NOT_HERE in page.text
    assert "12345678" not in page.text
    assert page.text.count('role="alert"') == long.text.count('role="alert"') == 1
    assert long.status_code == 422


# Failure


async def test_hc45_a_sign_in_that_is_cut_anywhere_lets_nobody_in_and_can_be_repeated(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, cable = Postbox(), Cable()
    async with running(database, ["defaults", box]) as client:
        await make_user(client.sigra)
        cable.lay(client, monkeypatch)
        login_token = await ask(client)
        cable.mend()
        await verify(browser(client), token=box.token(), login_token=login_token)
        whole = list(cable.told)
        cable.mend()
        login_token = await ask(client)
        for at in range(len(whole)):
            cable.cut(at)
            cut = await verify(browser(client), token=box.token(), login_token=login_token)
            cable.mend()
            assert is_unavailable(cut), (at, whole[at])

        assert await rows(client, "sigra_sessions") == 1
        assert (await verify(browser(client), token=box.token(), login_token=login_token)).status_code == 200


# Rows


async def test_what_has_expired_is_deleted(database: str) -> None:
    clock = FrozenClock()
    async with running(database, ["defaults", Postbox()], clock=clock) as client:
        await ask(client)
        clock.tick(timedelta(minutes=9))
        await ask(client)
        clock.tick(timedelta(hours=1))
        await ask(client)

        assert await rows(client, "sigra_magic_links") == 1


async def test_export_and_erasure_have_the_links_of_the_address(database: str) -> None:
    async with running(database, ["defaults", Postbox()]) as client:
        auth = client.sigra
        user = await make_user(auth)
        nobody = await make_user(auth, None)
        plugin = auth.plugin(MagicLink)
        for name in ("ADA", "zoe"):
            await client.post("/auth/magic-link", json={"email": f"{name}@example.com"})
        exported = await plugin.export_user(auth, user), await plugin.export_user(auth, nobody)
        await auth.db.transaction(lambda tx: plugin.erase_user(tx, nobody))
        before = await rows(client, "sigra_magic_links")
        await auth.db.transaction(lambda tx: plugin.erase_user(tx, user))

        assert exported == (
            {"magic_link": [{"created_at": "2026-01-01T12:00:00Z", "expires_at": "2026-01-01T12:10:00Z"}]},
            {"magic_link": []},
        )
        assert (before, await rows(client, "sigra_magic_links")) == (2, 1)


def test_a_link_lives_a_minute_to_an_hour() -> None:
    assert MagicLink().settings.lifetime == timedelta(minutes=10)
    for lifetime in (timedelta(seconds=59), timedelta(hours=2)):
        with pytest.raises(ValueError, match="lifetime"):
            MagicLink(lifetime=lifetime)
