"""Adding an app: by a fresh session or by a sign-in that waits for just that, and only with a first correct code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from sigra import (
    Action,
    AddAuthenticator,
    ConfigurationError,
    InvalidCredentials,
    Refused,
    Sigra,
    Unauthenticated,
    hookimpl,
)
from sigra.sources import validate
from sigra.testing import PASSWORD, Client, FrozenClock, make_api_key, make_user
from sigra_totp import TOTP
from sigra_totp.codes import Parameters
from sigra_totp.shapes import Code, Proof
from tests.apps import Postbox, running
from tests.policies import Factor, Recorder

MEMORY = "sqlite:///:memory:"
PLUGINS = ["defaults", "totp"]
PARAMETERS = Parameters("SHA1", 6, 30)
MINUTE = timedelta(minutes=1)


def elsewhere(client: Client, number: int = 9) -> Client:
    """Another browser."""
    return Client(client.app, client.sigra, address=(f"198.51.100.{number}", 50_000))


class NoApps:
    """Refuses that anything is added."""

    name, api = "no_apps", 1

    @hookimpl
    async def before_action(self, action: Action) -> None:
        if isinstance(action, AddAuthenticator):
            raise Refused("Not here.")


class Lock:
    """Has every proof count as wrong, once it is on."""

    name, api = "lock", 1
    on = False

    @hookimpl
    async def before_attempt(self) -> None:
        if self.on:
            raise InvalidCredentials


@asynccontextmanager
async def beside(client: Client, policy: Any) -> AsyncIterator[Client]:
    """Another installation on the same database, under a policy."""
    auth = Sigra(client.sigra.settings, [*PLUGINS, policy], clock=client.sigra.clock)
    async with auth, Client(auth.wrap(client.app), auth) as other:
        yield other


# What is shown


async def test_an_enrolment_shows_the_secret_in_three_ways(phones: Any) -> None:
    async with running(MEMORY, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        shown = (await client.post("/auth/totp/enroll", json={})).json()

    assert len(shown["secret"]) == 32
    assert shown["otpauth_uri"] == (
        f"otpauth://totp/localhost:ada%40example.com?secret={shown['secret']}&issuer=localhost"
    )
    assert ET.fromstring(shown["qr_svg"]).tag == "svg"


async def test_the_options_are_heeded_and_kept_with_the_enrolment(phones: Any) -> None:
    clock, plugin = FrozenClock(), TOTP(issuer="Acme", algorithm="SHA256", digits=8, period=60)
    async with running(MEMORY, ["defaults", plugin], clock=clock) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        phone = await phones.add(client)
        clock.tick(MINUTE)
        plugin.settings = TOTP().settings  # another start, other options
        await elsewhere(client).sign_in(user)
        await client.sign_out()
        await client.sign_in(user)

        assert (phone.totp.digits, phone.totp.interval, phone.totp.digest().name) == (8, 60, "sha256")
        assert (await phone.prove(client)).status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [("DIGITS", "7"), ("PERIOD", "10"), ("PERIOD", "121"), ("WINDOW", "2"), ("ALGORITHM", "MD5"), ("ISSUER", "a:b")],
)
def test_hc49_options_that_are_none_are_refused_at_start(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"SIGRA_TOTP__{name}"):
        validate(TOTP.Settings, {name.lower(): value}, "totp")


def test_options_are_read_as_the_environment_has_them() -> None:
    wanted = {"issuer": "Acme", "algorithm": "SHA512", "digits": "8", "period": "60", "window": "0"}

    assert validate(TOTP.Settings, wanted, "totp").model_dump() == {
        "issuer": "Acme",
        "algorithm": "SHA512",
        "digits": 8,
        "period": 60,
        "window": 0,
    }


async def test_who_has_no_address_is_called_by_name_or_id(phones: Any) -> None:
    async with running(MEMORY, PLUGINS) as client:
        for name in ("Ada", None):
            user = await make_user(client.sigra, None, None, name=name)
            browser = elsewhere(client)
            await browser.sign_in_as(user)
            shown = (await browser.post("/auth/totp/enroll", json={})).json()

            assert f"localhost:{name or user.id}?" in shown["otpauth_uri"]


async def test_hc21_no_repr_tells_a_seed_or_a_code(phones: Any) -> None:
    async with running(MEMORY, PLUGINS) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await phones.scan(client)
        plugin = client.sigra.plugin(TOTP)
        async with client.sigra.db.connect() as tx:
            waiting = await plugin.enrollments.waiting(client.sigra, tx, user)

    assert waiting is not None
    assert repr(waiting.sealed) not in repr(waiting)
    assert "123456" not in repr(Code(code="123456")) + repr(Proof(code="123456"))


# The first code


async def test_an_app_counts_after_its_first_code_and_not_before(phones: Any) -> None:
    box, recorder = Postbox(), Recorder()
    async with running(MEMORY, [*PLUGINS, box, recorder]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        phone = await phones.scan(client)
        before = await elsewhere(client).sign_in(user)
        confirmed = await phone.confirm(client)
        after = await elsewhere(client).sign_in(user)
        await client.sigra.worker.work()

    assert (before.status_code, after.status_code) == (200, 202)
    assert len(confirmed.json()["recovery_codes"]) == 10
    [owed] = after.json()["challenges"]
    assert (owed["kind"], sorted(owed["methods"])) == ("mfa", ["recovery_code", "totp"])
    [added] = [event for event in recorder.recorded if event.name == "authenticator.added"]
    assert (added.user_id, added.metadata["method"]) == (user.id, "totp")
    assert box.kinds.count("factor_added") == 1
    assert phone.secret not in str([recorder.recorded, box.messages])


async def test_without_recovery_codes_there_are_none_to_show(phones: Any) -> None:
    async with running(MEMORY, [*PLUGINS, "-recovery_codes"]) as client:
        await client.sign_in(await make_user(client.sigra))
        phone = await phones.scan(client)

        assert (await phone.confirm(client)).json() == {"recovery_codes": []}


async def test_hc32_the_session_gets_a_new_id_and_the_old_one_is_dead(phones: Any, database: str) -> None:
    async with running(database, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        old = dict(client.cookies)
        before = (await client.get("/auth/session")).json()["session"]["id"]
        await phones.add(client)
        after = (await client.get("/auth/session")).json()["session"]["id"]
        stale = Client(client.app, client.sigra)
        stale.cookies.update(old)

        assert before != after
        assert (await stale.get("/auth/session")).status_code == 401


async def test_a_wrong_first_code_is_told_and_counts_as_a_wrong_proof(phones: Any) -> None:
    recorder = Recorder()
    async with running(MEMORY, [*PLUGINS, recorder]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        phone = await phones.scan(client)
        wrong = await client.post("/auth/totp/confirm", json={"code": phone.wrong(client.sigra.clock())})
        right = await phone.confirm(client)

    assert wrong.status_code == 401
    assert wrong.json()["code"] == "invalid_credentials"
    assert right.status_code == 200
    [failed] = [event for event in recorder.recorded if event.name == "sign_in.failed"]
    assert (failed.user_id, failed.metadata["method"]) == (user.id, "totp")


async def test_hc12_the_first_code_is_spent_with_the_enrolment(phones: Any, database: str) -> None:
    async with running(database, PLUGINS) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        phone = await phones.add(client)
        other = elsewhere(client)
        await other.sign_in(user)

        assert (await phone.prove(other)).status_code == 401


async def test_hc11_a_blocked_first_code_adds_nothing(phones: Any, database: str, kept: Any) -> None:
    lock = Lock()
    async with running(database, [*PLUGINS, lock]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        phone = await phones.scan(client)
        lock.on = True
        answer = await phone.confirm(client)
        row = await kept(client, user)

    assert answer.status_code == 401
    assert row["confirmed_at"] is None


# What waits


async def test_hc11_a_secret_waits_ten_minutes(phones: Any, database: str) -> None:
    clock = FrozenClock()
    async with running(database, PLUGINS, clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        phone = await phones.scan(client)
        clock.tick(10 * MINUTE)
        late = await phone.confirm(client)

    assert late.status_code == 409
    assert late.json()["code"] == "conflict"


async def test_what_was_not_confirmed_is_deleted_and_the_rest_stays(phones: Any, kept: Any) -> None:
    clock = FrozenClock()
    async with running(MEMORY, PLUGINS, clock=clock) as client:
        users = [await make_user(client.sigra, f"{name}@example.com") for name in ("has", "early", "late")]
        has, early, late = users
        for user in (has, early):
            browser = elsewhere(client)
            await browser.sign_in(user)
            await (phones.add if user is has else phones.scan)(browser)
        clock.tick(5 * MINUTE)
        browser = elsewhere(client)
        await browser.sign_in(late)
        await phones.scan(browser)
        clock.tick(5 * MINUTE)
        await client.sigra.worker.work()
        left = [await kept(client, user) is not None for user in users]

    assert left == [True, False, True]


async def test_a_new_secret_takes_the_place_of_one_that_waits(phones: Any, database: str) -> None:
    async with running(database, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        first = await phones.scan(client)
        second = await phones.scan(client)
        old = await first.confirm(client)
        new = await second.confirm(client)

    assert (old.status_code, new.status_code) == (401, 200)


async def test_hc11_a_code_of_the_secret_before_does_not_confirm_the_next_one(
    phones: Any, database: str, kept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another tab begins anew between the look at the code and its effect."""
    async with running(database, PLUGINS) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        first = await phones.scan(client)
        renew = client.sigra.seam.renew

        async def later(*arguments: Any, **options: Any) -> Any:
            monkeypatch.undo()
            await phones.scan(client)
            return await renew(*arguments, **options)

        monkeypatch.setattr(type(client.sigra.seam), "renew", lambda seam, *a, **o: later(*a, **o))
        answer = await first.confirm(client)
        row = await kept(client, user)

    assert answer.status_code == 409
    assert answer.json()["code"] == "conflict"
    assert row["confirmed_at"] is None


@pytest.mark.parametrize("path", ["enroll", "confirm"])
async def test_who_has_an_app_adds_no_other(phones: Any, path: str) -> None:
    async with running(MEMORY, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        await phones.add(client)
        body = {} if path == "enroll" else {"code": "123456"}
        answer = await client.post(f"/auth/totp/{path}", json=body)

    assert answer.status_code == 409
    assert answer.json()["code"] == "conflict"


async def test_hc14_of_many_first_codes_at_once_one_adds_the_app(phones: Any, database: str) -> None:
    recorder = Recorder()
    async with running(database, [*PLUGINS, recorder]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        browsers = [elsewhere(client, number) for number in range(8)]
        for browser in browsers:
            await browser.sign_in(user)
        phone = await phones.scan(client)
        answers = await asyncio.gather(*(phone.confirm(browser) for browser in browsers))

    statuses = [answer.status_code for answer in answers]
    assert statuses.count(200) == 1
    # Who came in before the account had a factor begins anew.
    assert set(statuses) <= {200, 401, 409}
    assert recorder.names.count("authenticator.added") == 1


async def test_hc47_what_may_not_be_added_is_not(phones: Any, database: str, kept: Any) -> None:
    async with running(database, [*PLUGINS, NoApps()]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        phone = await phones.scan(client)
        answer = await phone.confirm(client)
        row = await kept(client, user)

    assert answer.status_code == 403
    assert answer.json()["code"] == "refused"
    assert row["confirmed_at"] is None


# Who may


async def test_hc10_a_new_secret_needs_a_fresh_session(phones: Any, database: str) -> None:
    clock = FrozenClock()
    async with running(database, PLUGINS, clock=clock) as client:
        user = await make_user(client.sigra)
        nobody = await client.post("/auth/totp/enroll", json={})
        await client.sign_in(user)
        clock.tick(6 * MINUTE)
        stale = await client.post("/auth/totp/enroll", json={})
        await client.post("/auth/reauthenticate", json={"password": PASSWORD})
        fresh = await client.post("/auth/totp/enroll", json={})

    assert nobody.status_code == 401
    assert nobody.json()["code"] == "unauthenticated"
    assert stale.status_code == 403
    assert stale.json()["code"] == "reauthentication_required"
    assert fresh.status_code == 200


async def test_a_key_adds_no_app(phones: Any) -> None:
    async with running(MEMORY, PLUGINS) as client:
        key = await make_api_key(client.sigra, await make_user(client.sigra))
        headers = {"authorization": f"Bearer {key}"}
        answers = [
            await client.post("/auth/totp/enroll", json={}, headers=headers),
            await client.post("/auth/totp/confirm", json={"code": "123456"}, headers=headers),
        ]

    assert [answer.json()["code"] for answer in answers] == ["session_required"] * 2


async def test_hc09_a_body_names_nobody(phones: Any, kept: Any) -> None:
    async with running(MEMORY, PLUGINS) as client:
        user, other = await make_user(client.sigra), await make_user(client.sigra, "eve@example.com")
        await client.sign_in(user)
        body = {"user_id": str(other.id), "secret": "A" * 32}
        await client.post("/auth/totp/enroll", json=body)
        rows = [await kept(client, one) for one in (user, other)]

    assert rows[1] is None
    assert rows[0] is not None


async def test_hc01_a_request_that_is_overtaken_by_a_first_proof_leaves_no_secret(
    phones: Any, database: str, kept: Any
) -> None:
    """Whoever signed up with somebody's address begins, and its owner proves it at that moment."""
    async with running(database, PLUGINS) as client:
        user = await make_user(client.sigra)
        auth, plugin = client.sigra, client.sigra.plugin(TOTP)
        await auth.db.transaction(lambda tx: auth.forget(tx, user, "first_proof"))
        with pytest.raises(Unauthenticated):
            await auth.db.transaction(lambda tx: plugin.enrollments.begin(auth, tx, user, PARAMETERS))

        assert await kept(client, user) is None


# A sign-in that waits for a second factor to be added


async def test_hc10_a_sign_in_that_owes_a_factor_adds_one_and_is_complete(
    phones: Any, database: str, demand: Any
) -> None:
    async with running(database, [*PLUGINS, demand]) as client:
        user = await make_user(client.sigra)
        asked = (await client.sign_in(user)).json()
        phone = await phones.scan(client)
        confirmed = (await phone.confirm(client)).json()
        who = (await client.get("/auth/session")).json()

    assert asked["challenges"] == [{"kind": "enrollment", "methods": ["totp"]}]
    assert (confirmed["status"], len(confirmed["recovery_codes"])) == ("signed_in", 10)
    assert (who["identity"]["assurance"], who["identity"]["amr"]) == ("aal2", ["pwd", "otp"])


async def test_a_sign_in_that_waits_is_named_by_its_token_too(phones: Any, demand: Any) -> None:
    async with running(MEMORY, [*PLUGINS, demand]) as client:
        token = (await client.sign_in(await make_user(client.sigra))).json()["login_token"]
        program = elsewhere(client)
        phone = await phones.scan(program, login_token=token)
        confirmed = await phone.confirm(program, login_token=token)

    assert confirmed.json()["status"] == "signed_in"


async def test_a_sign_in_that_owes_more_adds_an_app_last(phones: Any, demand: Any) -> None:
    letter = Factor("letter", kind="letter")
    async with running(MEMORY, [*PLUGINS, demand, letter]) as client:
        await client.sign_in(await make_user(client.sigra))
        early = await client.post("/auth/totp/enroll", json={})
        await client.post("/auth/login/letter", json={"code": "right"})
        phone = await phones.scan(client)
        confirmed = await phone.confirm(client)

    assert early.status_code == 401
    assert confirmed.json()["status"] == "signed_in"
    assert len(confirmed.json()["recovery_codes"]) == 10


async def test_hc01_nobody_adds_an_app_while_the_address_is_owed(phones: Any, database: str, demand: Any) -> None:
    """Its owner proves the address later, with the password that is known to both, and would be locked out."""
    async with running(database, [*PLUGINS, demand]) as client:
        waiting = await client.sign_in(await make_user(client.sigra, email_verified=False))
        answers = [await client.post(f"/auth/{path}", json={}) for path in ("totp/enroll", "totp/confirm")]

    assert {one["kind"] for one in waiting.json()["challenges"]} == {"email_verification", "enrollment"}
    assert [answer.status_code for answer in answers] == [401, 401]


async def test_hc11_a_sign_in_that_waits_for_a_factor_adds_none_of_its_own(
    phones: Any, database: str, kept: Any, demand: Any
) -> None:
    """Whoever has the password would go round the owner's other factor."""
    async with running(database, [*PLUGINS, demand, Factor()]) as client:
        user = await make_user(client.sigra)
        asked = (await client.sign_in(user)).json()
        begun = await client.post("/auth/totp/enroll", json={})
        row = await kept(client, user)

    assert {one["kind"] for one in asked["challenges"]} == {"mfa", "enrollment"}
    assert begun.status_code == 401
    assert begun.json()["code"] == "unauthenticated"
    assert row is None


async def test_hc11_a_sign_in_that_waits_for_a_factor_confirms_none(phones: Any, database: str, demand: Any) -> None:
    async with running(database, [*PLUGINS, demand, Factor()]) as client:
        user = await make_user(client.sigra)
        auth, plugin = client.sigra, client.sigra.plugin(TOTP)
        seed = await auth.db.transaction(lambda tx: plugin.enrollments.begin(auth, tx, user, PARAMETERS))
        code = PARAMETERS.code(seed, PARAMETERS.step(auth.clock()))
        await client.sign_in(user)
        confirmed = await client.post("/auth/totp/confirm", json={"code": code})

    assert confirmed.status_code == 401
    assert confirmed.json()["code"] == "unauthenticated"


async def test_hc11_a_first_code_is_not_given_as_a_second_factor(phones: Any, database: str, demand: Any) -> None:
    """What waits counts nowhere: `/login/totp` does not know it."""
    async with running(database, [*PLUGINS, demand]) as client:
        await client.sign_in(await make_user(client.sigra))
        phone = await phones.scan(client)
        answer = await phone.prove(client)

    assert answer.status_code == 401
    assert answer.json()["code"] == "invalid_proof"
    assert not client.signed_in


async def test_hc11_nobody_who_has_only_proven_an_address_begins_with_a_code(
    phones: Any, database: str, demand: Any, kept: Any
) -> None:
    """The first authenticator of an account lets its owner in alone; a code does not."""
    box = Postbox()
    async with running(database, [*PLUGINS, demand, box]) as client:
        await client.post("/auth/signup", json={"email": "ada@example.com"})
        await client.sigra.worker.work()
        proven = await client.post("/auth/email/verify", json={"token": box.token()})
        begun = await client.post("/auth/totp/enroll", json={})

    assert proven.json()["challenges"] == [{"kind": "enrollment", "methods": ["password"]}]
    assert begun.status_code == 401
    assert begun.json()["code"] == "unauthenticated"


async def test_hc11_somebody_elses_sign_in_adds_nothing_to_whoever_is_signed_in(
    phones: Any, database: str, demand: Any, kept: Any
) -> None:
    async with running(database, [*PLUGINS]) as client:
        ada, eve = await make_user(client.sigra), await make_user(client.sigra, "eve@example.com")
        await client.sign_in(ada)
        async with beside(client, demand) as other:
            token = (await other.sign_in(eve)).json()["login_token"]
        phone = await phones.scan(client, login_token=token)
        rows = [await kept(client, one) for one in (ada, eve)]

    assert phone is not None
    assert [row is not None for row in rows] == [True, False]


async def test_who_is_signed_in_and_proves_it_again_may_be_asked_to_add_a_factor(
    phones: Any, database: str, demand: Any
) -> None:
    """The policy is newer than the session, which is not fresh."""
    clock = FrozenClock()
    async with running(database, PLUGINS, clock=clock) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        clock.tick(6 * MINUTE)
        async with beside(client, demand) as strict:
            strict.cookies.update(dict(client.cookies))
            asked = await strict.post("/auth/reauthenticate", json={"password": PASSWORD})
            phone = await phones.scan(strict)
            confirmed = await phone.confirm(strict)

    assert asked.json()["challenges"] == [{"kind": "enrollment", "methods": ["totp"]}]
    assert confirmed.json()["status"] == "signed_in"


async def test_hc11_five_wrong_first_codes_end_a_sign_in(phones: Any, database: str, demand: Any) -> None:
    async with running(database, [*PLUGINS, demand]) as client:
        await client.sign_in(await make_user(client.sigra))
        phone = await phones.scan(client)
        code = phone.wrong(client.sigra.clock())
        wrong = [await client.post("/auth/totp/confirm", json={"code": code}) for _ in range(5)]
        right = await phone.confirm(client)

    assert [answer.json()["code"] for answer in wrong] == ["invalid_proof"] * 5
    assert right.status_code == 401
    assert not client.signed_in
