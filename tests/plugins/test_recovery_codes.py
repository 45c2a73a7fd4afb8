"""Recovery codes: they come with the first factor, each stands in for one once, and they go with the last."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from sigra import Action, AddAuthenticator, Conflict, Refused, Sigra, hookimpl
from sigra.plugins.recovery_codes import RecoveryCodes
from sigra.plugins.recovery_codes.codes import BYTES, canonical, written
from sigra.plugins.recovery_codes.plugin import Proof
from sigra.testing import Client, FrozenClock, cheap_settings, make_user
from tests.apps import Postbox, running
from tests.plugins.racers import PROCESSES, TRIES, Racers
from tests.plugins.tags import Tag, add_tag, challenged
from tests.policies import Recorder

MEMORY = "sqlite:///:memory:"
PAGE = {"accept": "text/html"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
NEW = "a train of thought leaves at nine"


def another(client: Client, **options: Any) -> Client:
    """Another browser."""
    return Client(client.app, client.sigra, **options)


async def use(client: Client, code: str, **fields: Any) -> Any:
    return await client.post("/auth/login/recovery-code", json={"code": code, **fields})


async def by_code(client: Client, user: Any, code: str, **fields: Any) -> Any:
    """A whole sign-in by password and code."""
    await challenged(client, user)
    return await use(client, code, **fields)


async def left(client: Client, user: Any) -> int:
    async with client.sigra.db.connect() as tx:
        return await client.sigra.plugin(RecoveryCodes).codes.remaining(tx, user)


# What a code is


@given(st.binary(min_size=BYTES, max_size=BYTES))
def test_a_code_is_six_groups_of_four_and_reads_back(random: bytes) -> None:
    code = written(random)

    assert re.fullmatch(r"([A-Z2-7]{4}-){5}[A-Z2-7]{4}", code)
    assert canonical(code) == code.replace("-", "")


@given(st.text(st.characters(max_codepoint=0x7F), max_size=128))
def test_whatever_is_typed_in_ascii_has_one_form(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


@pytest.mark.parametrize(
    "typed",
    [
        "abcd-efgh-ijkl-mnop-qrst-ob27",
        "ABCDEFGHIJKLMNOPQRSTOB27",
        " abcd efgh ijkl mnop qrst ob27\n",
        "ABCD\N{EN DASH}EFGH\N{EM DASH}IJKL\N{MINUS SIGN}MNOP\N{NON-BREAKING HYPHEN}QRST\N{NO-BREAK SPACE}OB27",
        "ABCD\N{ZERO WIDTH SPACE}EFGH\N{SOFT HYPHEN}IJKL-MNOP-QRST-OB27",
        "\N{FULLWIDTH LATIN CAPITAL LETTER A}BCD-EFGH-IJKL-MNOP-QRST-OB27",
        "ABCD-EFGH-1JKL-MN0P-QRST-0827",
    ],
)
def test_a_code_is_read_as_people_type_it(typed: str) -> None:
    assert canonical(typed) == "ABCDEFGHIJKLMNOPQRSTOB27"


# How they come


async def test_ten_codes_come_with_the_first_factor_and_none_with_the_next() -> None:
    recorder = Recorder()
    async with running(MEMORY, ["defaults", Tag(), recorder]) as client:
        user = await make_user(client.sigra)
        codes = await add_tag(client, user)
        second = await client.post("/auth/tags/green", json={})
        listed = await client.get("/auth/recovery-codes")

    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"([A-Z2-7]{4}-){5}[A-Z2-7]{4}", code) for code in codes)
    assert "recovery_codes" not in second.json()
    assert listed.json() == {"remaining": 10}
    assert [event.user_id for event in recorder.recorded if event.name == "recovery_codes.made"] == [user.id]


async def test_an_authenticator_that_only_begins_a_sign_in_brings_none() -> None:
    async with running(MEMORY, ["defaults", Tag()]) as client:
        await client.sign_in(await make_user(client.sigra))
        listed = await client.get("/auth/recovery-codes")

    assert listed.json() == {"remaining": 0}


async def test_hc14_new_codes_end_the_old_ones_and_are_told_to_the_mailbox(database: str) -> None:
    box, recorder = Postbox(), Recorder()
    async with running(database, ["defaults", Tag(), box, recorder]) as client:
        user = await make_user(client.sigra)
        old = await add_tag(client, user)
        made = await client.post("/auth/recovery-codes", json={})
        new = made.json()["codes"]
        with_old, with_new = await by_code(client, user, old[0]), await by_code(client, user, new[0])
        for _ in range(3):
            await client.sigra.worker.work()

    assert (made.status_code, len(set(new)), set(old) & set(new)) == (201, 10, set())
    assert (with_old.status_code, with_new.status_code) == (401, 200)
    assert recorder.names.count("recovery_codes.made") == 2
    assert sum("recovery codes" in one.text for one in box.messages if one.kind == "factor_added") == 1


async def test_hc16_new_codes_need_a_fresh_sign_in(database: str) -> None:
    clock = FrozenClock()
    async with running(database, ["defaults", Tag()], clock=clock) as client:
        await add_tag(client, await make_user(client.sigra))
        clock.tick(timedelta(minutes=6))
        late = await client.post("/auth/recovery-codes", json={})
        anonymous = await another(client).post("/auth/recovery-codes", json={})

    assert late.status_code == 403
    assert late.json()["code"] == "reauthentication_required"
    assert anonymous.status_code == 401


async def test_hc32_new_codes_give_the_session_a_new_id_and_the_old_one_is_dead(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        await add_tag(client, await make_user(client.sigra))
        old = {"cookie": f"sigra={client.cookies['sigra']}"}
        await client.post("/auth/recovery-codes", json={})
        dead, alive = await another(client).get("/private", headers=old), await client.get("/private")

    assert (dead.status_code, alive.status_code) == (401, 200)


async def test_hc16_there_are_no_codes_without_a_factor_that_they_could_stand_in_for(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        await client.sign_in(await make_user(client.sigra))
        refused = await client.post("/auth/recovery-codes", json={})
        page = await client.get("/auth/recovery-codes", headers=PAGE)
        account = await client.get("/auth/account", headers=PAGE)

    assert refused.status_code == 409
    assert refused.json()["code"] == Conflict.code
    assert "Add one first." in page.text and "Make ten new codes" not in page.text
    assert 'id="recovery-codes"' not in account.text


async def test_who_may_refuse_a_new_authenticator_may_refuse_new_codes_and_the_old_ones_stay() -> None:
    class Refusing:
        name, api = "refusing", 1

        @hookimpl
        async def before_action(self, action: Action) -> None:
            if isinstance(action, AddAuthenticator) and action.authenticator.method == "recovery_code":
                raise Refused("Not today.")

    async with running(MEMORY, ["defaults", Tag(), Refusing()]) as client:
        user = await make_user(client.sigra)
        codes = await add_tag(client, user)
        refused = await client.post("/auth/recovery-codes", json={})
        still = await by_code(client, user, codes[0])

    assert (refused.status_code, refused.json()["detail"]) == (403, "Not today.")
    assert still.status_code == 200


# The sign-in


async def test_a_code_completes_a_sign_in_at_level_2_and_says_how_many_are_left() -> None:
    box, recorder = Postbox(), Recorder()
    async with running(MEMORY, ["defaults", Tag(), box, recorder]) as client:
        user = await make_user(client.sigra)
        codes = await add_tag(client, user)
        asked = await challenged(client, user)
        signed_in = await use(client, codes[3].lower())
        session = (await client.get("/auth/session")).json()
        for _ in range(3):
            await client.sigra.worker.work()

    assert asked.json()["challenges"] == [{"kind": "mfa", "methods": ["tag", "recovery_code"]}]
    assert (signed_in.status_code, signed_in.json()["recovery_codes_remaining"]) == (200, 9)
    assert (session["identity"]["assurance"], session["identity"]["amr"]) == ("aal2", ["pwd", "otp"])
    [used] = [event for event in recorder.recorded if event.name == "recovery_code.used"]
    assert (used.user_id, used.metadata) == (user.id, {"remaining": 9})
    [mail] = [one for one in box.messages if one.kind == "recovery_code_used"]
    assert mail.recipient == "ada@example.com"
    assert "9 codes are left." in mail.text and "/auth/recovery-codes" in mail.text


async def test_the_mail_warns_when_few_are_left_and_when_it_was_the_last() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", Tag(), box]) as client:
        user = await make_user(client.sigra)
        codes = await add_tag(client, user)
        answers = [await by_code(client, user, code) for code in codes]
        for _ in range(20):
            await client.sigra.worker.work()
        asked = await challenged(client, user)
        page = await client.get("/auth/login/challenge", headers=PAGE)

    texts = [one.text for one in box.messages if one.kind == "recovery_code_used"]
    assert [answer.json()["recovery_codes_remaining"] for answer in answers] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert sum("Make new codes before they run out." in text for text in texts) == 2
    assert sum("1 code is left." in text for text in texts) == 1
    assert sum("It was the last one" in text for text in texts) == 1
    assert asked.json()["challenges"] == [{"kind": "mfa", "methods": ["tag"]}]
    assert "Use a recovery code" not in page.text


async def test_the_mail_is_german_for_who_reads_german() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", Tag(), box]) as client:
        user = await make_user(client.sigra)
        codes = await add_tag(client, user)
        await challenged(client, user)
        body = {"code": codes[0]}
        await client.post("/auth/login/recovery-code", json=body, headers={"accept-language": "de"})
        for _ in range(3):
            await client.sigra.worker.work()

    [mail] = [one for one in box.messages if one.kind == "recovery_code_used"]
    assert mail.subject == "Ein Wiederherstellungscode wurde benutzt"
    assert "Noch 9 Codes sind übrig." in mail.text


async def test_an_account_without_an_address_uses_codes_too() -> None:
    async with running(MEMORY, ["defaults", Tag()]) as client:
        auth = client.sigra
        user = await auth.db.transaction(lambda tx: auth.users.create(tx, email=None))
        await client.sign_in_as(user)
        codes = (await client.post("/auth/tags/blue", json={})).json()["recovery_codes"]
        await client.sign_out()
        await client.sign_in_as(await auth.users.by_id(user.id))
        answer = await use(client, codes[0])

    assert answer.status_code == 200


@pytest.mark.parametrize("code", ["", "wrong", "AAAA-AAAA-AAAA-AAAA-AAAA-AAAA", "\0", "\ud800", "\ufdfa" * 128])
async def test_what_is_no_code_of_the_user_is_a_wrong_proof(code: str) -> None:
    async with running(MEMORY, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        await challenged(client, user)
        content = b'{"code": "' + code.encode("unicode_escape").replace(b"\\x", b"\\u00") + b'"}'
        answer = await client.post(
            "/auth/login/recovery-code", content=content, headers={"content-type": "application/json"}
        )

    assert answer.status_code in (401, 400)
    assert answer.json()["code"] in ("invalid_proof", "malformed")


@pytest.mark.parametrize("body", [{}, {"code": "A" * 129}, {"code": 5}, {"code": None}])
async def test_a_body_of_another_form_is_no_try(body: dict[str, Any]) -> None:
    recorder = Recorder()
    async with running(MEMORY, ["defaults", Tag(), recorder]) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        await challenged(client, user)
        answer = await client.post("/auth/login/recovery-code", json=body)

    assert answer.status_code == 422
    assert "recovery_code" not in [attempt.method for attempt in recorder.attempts]


# Hard cases


async def test_hc10_a_code_is_no_way_in_by_itself(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        codes = await add_tag(client, user)
        alone = await use(another(client), codes[0])
        signed_in = await use(client, codes[0])
        remaining = await left(client, user)

    assert (alone.status_code, alone.json()["code"]) == (401, "login_expired")
    assert (signed_in.status_code, remaining) == (401, 10)


async def test_hc14_a_code_works_once(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        codes = await add_tag(client, user)
        first, again = await by_code(client, user, codes[0]), await by_code(client, user, codes[0])
        other = await by_code(client, user, codes[1])

    assert [answer.status_code for answer in (first, again, other)] == [200, 401, 200]
    assert again.json()["code"] == "invalid_proof"


async def test_hc14_of_64_uses_of_one_code_at_once_by_two_processes_one_wins(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client, Racers(database) as racers:
        user = await make_user(client.sigra)
        code = (await add_tag(client, user))[0]
        tokens = [(await another(client).sign_in(user)).json()["login_token"] for _ in range(PROCESSES * TRIES)]
        bodies = [{"code": code, "login_token": token} for token in tokens]
        statuses = await racers.post("/auth/login/recovery-code", bodies)
        remaining = await left(client, user)

    assert len(statuses) == 64
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 401, 503}
    assert remaining == 9


async def test_hc14_a_sign_in_that_is_refused_uses_no_code_up(database: str) -> None:
    class Closed:
        name, api = "closed", 1
        closed = False

        @hookimpl
        async def before_action(self, action: Action) -> None:
            if self.closed and action.name == "sign_in":
                raise Refused("Closed.")

    door = Closed()
    async with running(database, ["defaults", Tag(), door]) as client:
        user = await make_user(client.sigra)
        codes = await add_tag(client, user)
        await challenged(client, user)
        door.closed = True
        refused = await use(client, codes[0])
        remaining = await left(client, user)

    assert (refused.status_code, remaining) == (403, 10)


async def test_hc18_a_code_of_another_user_is_none(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        ada, bob = await make_user(client.sigra), await make_user(client.sigra, "bob@example.com")
        await add_tag(client, ada)
        of_bob = await add_tag(another(client), bob)
        answer = await by_code(client, ada, of_bob[0])
        remaining = await left(client, bob)

    assert (answer.status_code, remaining) == (401, 10)


async def test_hc13_wrong_codes_share_one_budget_with_every_factor(database: str) -> None:
    async with running(database, ["defaults", Tag()], limits={}) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        answers = []
        for number in range(12):
            browser = another(client, address=(f"198.51.100.{number}", 1))
            await browser.sign_in(user)
            path = ("recovery-code", "tag")[number % 2]
            answers.append(await browser.post(f"/auth/login/{path}", json={"code": "wrong"}))

    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2


async def test_hc13_five_wrong_codes_end_a_sign_in(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        codes = await add_tag(client, user)
        await challenged(client, user)
        wrong = [await use(client, "wrong") for _ in range(5)]
        late = await use(client, codes[0])

    assert [answer.json()["code"] for answer in wrong] == ["invalid_proof"] * 5
    assert (late.status_code, late.json()["code"]) == (401, "login_expired")


async def test_hc16_codes_end_with_the_last_factor_and_not_before(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        await client.post("/auth/tags/green", json={})
        await client.delete("/auth/tags/blue")
        with_one = await left(client, user)
        await client.delete("/auth/tags/green")
        with_none = await left(client, user)

    assert (with_one, with_none) == (10, 0)


async def test_hc16_who_lost_the_factor_gets_a_new_one_by_a_code_and_nobody_by_mail_alone(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", Tag(), box]) as client:
        user = await make_user(client.sigra)
        codes = await add_tag(client, user)
        await client.sign_out()
        await client.post("/auth/password/forgot", json={"email": user.email})
        for _ in range(3):
            await client.sigra.worker.work()
        await client.post("/auth/password/reset", json={"token": box.token(), "new_password": NEW})
        after_reset = await client.sign_in(user, NEW)
        by_mail = (await client.post("/auth/magic-link", json={"email": user.email})).json()
        for _ in range(3):
            await client.sigra.worker.work()
        link = {"token": box.token(), "login_token": by_mail["login_token"]}
        mailed = await another(client).post("/auth/magic-link/verify", json=link)
        kept = await left(client, user)
        await client.sign_in(user, NEW)
        recovered = await use(client, codes[0])
        replaced = await client.post("/auth/tags/new", json={})
        removed = await client.delete("/auth/tags/blue")

    assert (after_reset.status_code, mailed.status_code, kept) == (202, 202, 10)
    assert [one["kind"] for one in after_reset.json()["challenges"] + mailed.json()["challenges"]] == ["mfa", "mfa"]
    assert [answer.status_code for answer in (recovered, replaced, removed)] == [200, 201, 204]


async def test_hc10_a_mailed_link_and_a_code_are_no_level_2(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", Tag(), box]) as client:
        user = await make_user(client.sigra)
        codes = await add_tag(client, user)
        browser = another(client)
        await browser.post("/auth/magic-link", json={"email": user.email})
        for _ in range(3):
            await client.sigra.worker.work()
        await browser.post("/auth/magic-link/verify", json={"token": box.token()})
        await use(browser, codes[0])
        session = (await browser.get("/auth/session")).json()

    assert (session["identity"]["amr"], session["identity"]["assurance"]) == (["email", "otp"], "aal1")


async def test_hc01_the_first_proof_of_an_address_ends_codes_that_others_made(database: str) -> None:
    async with running(database, ["sessions", "password", "recovery_codes", Tag()]) as client:
        auth = client.sigra
        user = await auth.db.transaction(lambda tx: auth.users.create(tx, email="eve@example.com"))
        await client.sign_in_as(user)
        await client.post("/auth/tags/blue", json={})
        before = await left(client, user)
        await auth.db.transaction(lambda tx: auth.prove_email(tx, user, same_person=False))

        assert (before, await left(client, user)) == (10, 0)


async def test_hc16_codes_go_with_the_factors_that_their_user_lost(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        auth = client.sigra
        user = await make_user(auth)
        await add_tag(client, user)
        plugin = auth.plugin(RecoveryCodes)
        await auth.db.transaction(lambda tx: plugin.forget_factors(tx, user))

        assert await left(client, user) == 0


async def test_hc22_what_is_stored_of_a_code_is_no_code(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        codes = await add_tag(client, user)
        async with client.sigra.db.connect() as tx:
            table = client.sigra.plugin(RecoveryCodes).codes.table
            rows = (await tx.execute(select(table))).mappings().all()
        presented = [await by_code(client, user, row["digest"].hex()) for row in rows[:1]]

    digests = {row["digest"] for row in rows}
    assert len(digests) == 10
    assert not digests & {canonical(code).encode() for code in codes}
    assert client.sigra.tokens.text_digests("recovery_code", canonical(codes[0]))[0] in digests
    assert [answer.status_code for answer in presented] == [401]


async def test_hc23_codes_of_an_older_key_work_until_it_is_retired(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        codes = await add_tag(client, user)
    old, new, tag = client.sigra.settings.secret_keys, ("n" * 40,), Tag()
    tag.of[user.id].add("blue")
    answers = []
    for keys, code in [((*new, *old), codes[0]), (new, codes[1])]:
        settings = cheap_settings(database, secret_keys=keys)
        async with Sigra(settings, ["defaults", tag], clock=FrozenClock()) as auth:
            browser = Client(auth.wrap(client.app), auth)
            answers.append(await by_code(browser, user, code))

    assert [answer.status_code for answer in answers] == [200, 401]


async def test_hc24_a_code_that_was_used_after_a_backup_does_not_come_back(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        ended = await client.sigra.db.transaction(client.sigra.plugin(RecoveryCodes).end_restored)

        assert (ended, await left(client, user)) == ({"recovery codes": 10}, 0)


async def test_hc21_no_log_event_row_or_repr_has_a_code(database: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "sigra")
    caplog.set_level(logging.DEBUG, "sqlalchemy")
    recorder = Recorder()
    async with running(database, ["defaults", Tag(), recorder]) as client:
        user = await make_user(client.sigra)
        codes = await add_tag(client, user)
        await by_code(client, user, codes[0])
        async with client.sigra.db.connect() as tx:
            rows = repr([(await tx.execute(select(one))).all() for one in client.sigra.metadata.sorted_tables])

    told = repr([(event, event.metadata) for event in recorder.recorded]) + repr(recorder.attempts)
    for place in (caplog.text, rows, told, repr(Proof(code=codes[0]))):
        for code in codes:
            assert code not in place and canonical(code) not in place


# The user's data


async def test_codes_are_exported_by_their_dates_and_erased() -> None:
    async with running(MEMORY, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        plugin = client.sigra.plugin(RecoveryCodes)
        held = await plugin.export_user(client.sigra, user)
        await client.sigra.db.transaction(lambda tx: plugin.erase_user(tx, user))

        assert held == {"recovery_codes": [{"created_at": "2026-01-01T12:00:00Z"}] * 10}
        assert await left(client, user) == 0


# Pages


async def test_a_form_gets_the_page_on_which_the_codes_are_this_once() -> None:
    async with running(MEMORY, ["defaults", Tag()]) as client:
        await add_tag(client, await make_user(client.sigra))
        made = await client.as_browser().post("/auth/recovery-codes", headers=FORM)
        codes = re.findall(r"(?:[A-Z2-7]{4}-){5}[A-Z2-7]{4}", made.text)
        later = await client.get("/auth/recovery-codes", headers=PAGE)

    assert (made.status_code, len(set(codes))) == (201, 10)
    assert made.headers["cache-control"] == "no-store"
    assert "script-src 'sha256-" in made.headers["content-security-policy"]
    assert "They are not shown again" in made.text
    assert not [code for code in codes if code in later.text]
    assert (
        "You have 10 recovery codes left." in later.text
        and "script-src" not in later.headers["content-security-policy"]
    )


async def test_codes_that_come_with_a_factor_are_shown_in_the_account() -> None:
    async with running(MEMORY, ["defaults", Tag()]) as client:
        await client.sign_in(await make_user(client.sigra))
        page = await client.as_browser().post("/auth/tags/blue", headers=FORM)

    assert page.status_code == 201
    assert "<h1>Your account</h1>" in page.text and page.text.count("This browser") == 1
    assert len(set(re.findall(r"(?:[A-Z2-7]{4}-){5}[A-Z2-7]{4}", page.text))) == 10


async def test_the_account_says_how_many_are_left_and_asks_for_a_proof_before_new_ones() -> None:
    clock = FrozenClock()
    async with running(MEMORY, ["defaults", Tag()], clock=clock) as client:
        user = await make_user(client.sigra)
        codes = await add_tag(client, user)
        fresh = await client.get("/auth/account", headers=PAGE)
        for code in codes[:9]:
            await by_code(client, user, code)
        few = await client.get("/auth/account", headers=PAGE)
        clock.tick(timedelta(minutes=6))
        stale = await client.get("/auth/account", headers=PAGE)
        page = await client.get("/auth/recovery-codes", headers=PAGE)

    assert "You have 10 recovery codes left." in fresh.text and "Make ten new codes" in fresh.text
    assert "You have only 1 recovery code left. Make new ones." in few.text
    assert "Make ten new codes" not in stale.text + page.text
    assert "to make new recovery codes" in stale.text and "to make new recovery codes" in page.text


async def test_who_has_none_left_is_told_what_that_means() -> None:
    async with running(MEMORY, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        for code in await add_tag(client, user):
            await by_code(client, user, code)
        page = await client.get("/auth/recovery-codes", headers=PAGE)

    assert "You have no recovery codes." in page.text and "You get ten codes." in page.text


async def test_the_page_of_the_next_step_takes_a_code_and_says_what_is_wrong_with_it() -> None:
    async with running(MEMORY, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        codes = await add_tag(client, user)
        await challenged(client, user)
        shown = await client.get("/auth/login/challenge", headers=PAGE)
        wrong = await client.as_browser().post("/auth/login/recovery-code", data={"code": "typed wrong"})
        right = await client.as_browser().post("/auth/login/recovery-code", data={"code": codes[0]})

    assert "<summary>Use a recovery code</summary>" in shown.text and "<details>" in shown.text
    assert 'name="trust_browser"' in shown.text
    assert wrong.status_code == 401
    assert "<details open>" in wrong.text and 'role="alert"' in wrong.text and "typed wrong" not in wrong.text
    assert (right.status_code, right.headers["location"]) == (303, "/auth/account")


async def test_without_pages_everything_is_json() -> None:
    box = Postbox()
    plugins = ["sessions", "password", "recovery_codes", "mail", Tag(), box]
    async with running(MEMORY, plugins) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        codes = (await client.post("/auth/tags/blue", json={})).json()["recovery_codes"]
        listed = await client.get("/auth/recovery-codes", headers=PAGE)
        await by_code(client, user, codes[0])
        for _ in range(3):
            await client.sigra.worker.work()

    assert listed.json() == {"remaining": 10}
    assert "/auth/recovery-codes" not in box.messages[-1].text


async def test_a_form_for_new_codes_from_a_session_that_is_not_fresh_goes_to_prove_it_again() -> None:
    clock = FrozenClock()
    async with running(MEMORY, ["defaults", Tag()], clock=clock) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await client.post("/auth/tags/blue", json={})
        clock.tick(timedelta(minutes=30))
        answer = await client.as_browser().post("/auth/recovery-codes", data={"again": "yes"})

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/auth/reauthenticate?next=")
