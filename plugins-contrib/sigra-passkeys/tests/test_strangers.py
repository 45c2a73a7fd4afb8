"""What strangers try who have a key, a foreign id, an address or a second tab, and what people do by mistake."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from typing import Any

import httpx2
import pytest

from sigra import ConfigurationError, Conflict, RemoveAuthenticator, hookimpl, hookspecs
from sigra.events import Action
from sigra.testing import PASSWORD, Client, make_user
from sigra_passkeys import Passkeys
from sigra_passkeys.configuring import relying_party
from sigra_passkeys.shapes import Options
from tests.apps import Postbox, running
from tests.passkeys.authenticator import Authenticator, decoded, encoded
from tests.passkeys.browsing import code_of, options_for, register, use
from tests.policies import Recorder
from tests.signing_up import browser, mailed, seen, verify, watched

PLUGINS = ["defaults", "passkeys"]
ORIGIN = "http://localhost"


async def owner(client: Client, email: str = "ada@example.com", **traits: Any) -> Authenticator:
    """Somebody with a password and a passkey, signed out again."""
    await client.sign_in(await make_user(client.sigra, email))
    one = await register(client, **traits)
    await client.post("/auth/logout")
    return one


async def listed(client: Client) -> list[dict[str, Any]]:
    return list((await client.get("/auth/passkeys")).json()["passkeys"])


# Keys that were found


async def test_hc15_a_found_key_that_is_given_a_pin_signs_nobody_in(database: str) -> None:
    """One that verified nobody when it was registered was a second factor alone: its finder verifies nobody either."""
    async with running(database, PLUGINS) as client:
        one = await owner(client, verified=False)
        one.verified = True
        alone = await use(client, one)
        named = await use(client, one, wanted={"email": "ada@example.com"})

    assert [(one.status_code, code_of(one)) for one in (alone, named)] == [(401, "invalid_credentials")] * 2


async def test_hc10_a_found_key_that_is_given_a_pin_is_one_factor_where_verification_is_preferred(
    database: str,
) -> None:
    async with running(database, ["defaults", Passkeys(user_verification="preferred")]) as client:
        one = await owner(client, verified=False)
        one.verified = True
        begun = await use(client, one)
        again = await use(client, one)

    assert begun.status_code == 202
    assert (again.status_code, code_of(again)) == (401, "invalid_proof")


async def test_hc10_a_found_key_is_held_after_a_password_and_verifies_nobody(database: str) -> None:
    async with running(database, PLUGINS) as client:
        one = await owner(client, verified=False)
        one.verified = True
        await client.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORD})
        await use(client, one)
        identity = (await client.get("/auth/session")).json()["identity"]

    assert (identity["amr"], identity["assurance"]) == (["pwd", "hwk"], "aal2")


async def test_hc05_a_sign_up_ends_in_a_passkey_that_signs_in_alone_also_where_verification_is_preferred(
    database: str,
) -> None:
    box = Postbox()
    async with running(database, ["defaults", Passkeys(user_verification="preferred"), box]) as client:
        await verify(client, await mailed(client, box, password=None))
        options = (await client.post("/auth/passkeys/register/options", json={})).json()
        bare = Authenticator(origin=ORIGIN, verified=False).create(options)
        refused = await client.post("/auth/passkeys/register", json={"credential": bare})
        one = await register(client)
        await client.post("/auth/logout")
        answer = await use(client, one)

    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert (refused.status_code, answer.status_code) == (401, 200)


# Twice, and in tabs


class Overtaking:
    """Has something done once, when a challenge was found and the passkey is not read yet."""

    name, api = "overtaking", 1

    def __init__(self) -> None:
        self.deed: Callable[[], Awaitable[httpx2.Response]] | None = None
        self.answer: httpx2.Response | None = None

    @hookimpl
    async def before_attempt(self) -> None:
        if self.deed is not None:
            deed, self.deed = self.deed, None
            self.answer = await deed()


@pytest.mark.parametrize("policy", ["warn", "reauthenticate", "revoke"])
async def test_hc15_what_is_sent_twice_at_once_is_no_copy(database: str, policy: Any) -> None:
    """The second finds the counter of the first: only an answer that nobody gave before tells of a copy."""
    recorder, overtaking = Recorder(), Overtaking()
    async with running(database, ["defaults", Passkeys(counter=policy), recorder, overtaking]) as client:
        one = await owner(client)
        given = {"credential": one.get(await options_for(client))}
        cookies = {"cookie": f"sigra-passkey={client.cookies['sigra-passkey']}"}
        overtaking.deed = partial(browser(client).post, "/auth/login/passkey", json=given, headers=cookies)
        second = await browser(client).post("/auth/login/passkey", json=given, headers=cookies)
        later = await use(client, one)

    assert overtaking.answer is not None
    assert (overtaking.answer.status_code, second.status_code, later.status_code) == (200, 401, 200)
    assert "passkey.counter_went_back" not in recorder.names


async def test_an_older_tab_still_signs_in(database: str) -> None:
    async with running(database, PLUGINS) as client:
        one = await owner(client)
        tabs = [await options_for(client) for _ in range(4)]
        answer = await client.post("/auth/login/passkey", json={"credential": one.get(tabs[0])})
        await client.post("/auth/logout")
        other = await client.post("/auth/login/passkey", json={"credential": one.get(tabs[3])})
        again = await client.post("/auth/login/passkey", json={"credential": one.get(tabs[0])})

    assert [answer.status_code, other.status_code, again.status_code] == [200, 200, 401]


async def test_hc34_a_browser_holds_four_challenges_at_most_and_none_that_is_no_token(database: str) -> None:
    async with running(database, PLUGINS) as client:
        one = await owner(client)
        junk = ".".join(["x" * 1200, "y" * 1200, "", "z", "w" * 1200])
        asked = await browser(client).post(
            "/auth/login/passkey/options", json={}, headers={"cookie": f"sigra-passkey={junk}"}
        )
        tabs = [await options_for(client) for _ in range(5)]
        held = client.cookies["sigra-passkey"]
        oldest = await client.post("/auth/login/passkey", json={"credential": one.get(tabs[0])})

    assert asked.status_code == 200
    assert len(asked.headers["set-cookie"]) < 200
    assert held.count(".") == 3
    assert oldest.status_code == 401


# Ids and addresses of others


async def test_hc39_the_id_of_anothers_passkey_is_registered_like_one_of_nobodys(database: str) -> None:
    """A conflict would tell which of the ids that options name are real."""
    async with running(database, PLUGINS) as client:
        ada = await owner(client)
        ids = {
            email: (await options_for(client, email=email))["allowCredentials"][0]["id"]
            for email in ("ada@example.com", "nobody@example.com")
        }
        await client.sign_in(await make_user(client.sigra, "eve@example.com"))
        answers = []
        for id in ids.values():
            options = (await client.post("/auth/passkeys/register/options", json={})).json()
            made = Authenticator(origin=ORIGIN, credential_id=decoded(id)).create(options)
            answers.append(await client.post("/auth/passkeys/register", json={"credential": made}))
        await client.post("/auth/logout")
        still = await use(client, ada)
        whose = (await client.get("/auth/session")).json()["user"]["email"]

    assert ids["ada@example.com"] == encoded(ada.credential_id)
    assert [answer.status_code for answer in answers] == [201, 201]
    assert (still.status_code, whose) == (200, "ada@example.com")


async def test_hc15_an_id_that_two_have_is_of_whom_the_authenticator_means(database: str) -> None:
    async with running(database, PLUGINS) as client:
        ada, eve = await owner(client), await owner(client, "eve@example.com")
        signed_in = []
        for one in (ada, eve):
            await use(client, one)
            signed_in.append((await client.get("/auth/session")).json()["user"]["email"])
            await client.post("/auth/logout")
        eve.handle = ada.handle
        as_ada = await use(client, eve)

    assert ada.credential_id == eve.credential_id
    assert signed_in == ["ada@example.com", "eve@example.com"]
    assert as_ada.status_code == 401


async def test_hc15_options_for_one_address_are_not_answered_by_anothers_passkey(database: str) -> None:
    async with running(database, PLUGINS) as client:
        await owner(client)
        eve = await owner(client, "eve@example.com", credential_id=b"that of eve 1234")
        answers = []
        for handle in (eve.handle, None):
            eve.handle = handle
            answers.append(await use(client, eve, wanted={"email": "ada@example.com"}))

    assert [answer.status_code for answer in answers] == [401, 401]


async def test_hc15_another_users_passkey_is_no_factor_also_where_it_says_not_whose_it_is(database: str) -> None:
    async with running(database, PLUGINS) as client:
        await owner(client)
        eve = await owner(client, "eve@example.com", credential_id=b"that of eve 1234")
        eve.handle = None
        await client.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORD})
        answer = await use(client, eve)

    assert (answer.status_code, code_of(answer)) == (401, "invalid_proof")


async def test_hc15_an_authenticator_that_means_another_is_refused_where_the_user_is_known(database: str) -> None:
    async with running(database, PLUGINS) as client:
        one = await owner(client)
        one.handle = encoded(b"\x01" * 32)
        named = await use(client, one, wanted={"email": "ada@example.com"})
        await client.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORD})
        factor = await use(client, one)

    assert (named.status_code, factor.status_code) == (401, 401)


async def test_hc39_a_wrong_answer_costs_the_same_for_real_ids_and_for_others(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(database, PLUGINS) as client:
        await owner(client)
        await make_user(client.sigra, "without@example.com")
        addresses = [f"{name}@example.com" for name in ("ada", "without", "nobody")]
        checked: list[bytes] = []
        _note_checks(monkeypatch, checked)
        answers, work, checks = [], [], []
        with watched(client, monkeypatch) as watch:
            for email in addresses:
                visitor = browser(client)
                options = await options_for(visitor, email=email)
                id = decoded(options["allowCredentials"][0]["id"])
                given = Authenticator(origin=ORIGIN, credential_id=id).get(options)
                watch.take()
                checked.clear()
                answers.append(seen(await visitor.post("/auth/login/passkey", json={"credential": given})))
                work.append(watch.take())
                checks.append(len(checked))

    assert answers[1:] == answers[:1] * 2
    assert work[1:] == work[:1] * 2
    assert checks == [1, 1, 1]


def _note_checks(monkeypatch: pytest.MonkeyPatch, checked: list[bytes]) -> None:
    """Note every signature that is checked."""
    library = import_module("webauthn.authentication.verify_authentication_response")
    verify_signature = library.verify_signature

    def noted(**given: Any) -> None:
        checked.append(given["signature"])
        verify_signature(**given)

    monkeypatch.setattr(library, "verify_signature", noted)


async def test_hc22_an_account_without_a_name_is_not_called_by_its_id(database: str) -> None:
    async with running(database, PLUGINS) as client:
        user = await make_user(client.sigra, None)
        await client.sign_in_as(user, "pwd")
        options = await client.post("/auth/passkeys/register/options", json={})

    assert options.status_code == 200
    assert str(user.id) not in options.text


async def test_registrations_are_under_the_limit_of_options(database: str) -> None:
    async with running(database, PLUGINS, limits={"rules": {"passkeys_options": "2/minute"}}) as client:
        await client.sign_in(await make_user(client.sigra))
        statuses = [(await client.post("/auth/passkeys/register/options", json={})).status_code for _ in range(3)]

    assert statuses == [200, 200, 429]


# Whoever is known already


async def test_whoever_is_signed_in_proves_it_again_by_a_passkey_that_says_not_whose_it_is(database: str) -> None:
    """A key that keeps no passkeys cannot say it, and is found by its id alone."""
    async with running(database, PLUGINS) as client:
        eve = await owner(client, "eve@example.com", credential_id=b"that of eve 1234")
        await client.sign_in(await make_user(client.sigra))
        one = await register(client)
        one.handle = eve.handle = None
        options = await options_for(client)
        again = await client.post("/auth/login/passkey", json={"credential": one.get(options)})
        other = await use(client, eve)

    assert [its["id"] for its in options["allowCredentials"]] == [encoded(one.credential_id)]
    assert (again.status_code, other.status_code) == (200, 401)


async def test_a_client_without_a_cookie_of_the_sign_in_names_it_in_the_body(database: str) -> None:
    async with running(database, PLUGINS) as client:
        one = await owner(client)
        waiting = await client.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORD})
        token = waiting.json()["login_token"]
        other = browser(client)
        options = await options_for(other, login_token=token)
        body = {"credential": one.get(options), "login_token": token}
        answer = await other.post("/auth/login/passkey", json=body)

    assert (waiting.status_code, answer.status_code) == (202, 200)


async def test_hc16_lost_passkeys_let_nobody_in(database: str) -> None:
    async with running(database, PLUGINS) as client:
        auth = client.sigra
        one = await owner(client)
        user = await auth.users.by_email("ada@example.com")
        await auth.db.transaction(
            lambda tx: auth.each(hookspecs.forget_factors, tx=tx, user=user, reason="factors_lost")
        )
        found = await use(client, one)
        begun = await client.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORD})

    assert (found.status_code, begun.status_code) == (401, 200)


# A restored backup


async def test_hc24_passkeys_of_a_backup_that_is_not_trusted_end_with_the_passwords(database: str) -> None:
    async with running(database, PLUGINS) as client:
        auth = client.sigra
        one = await owner(client)
        ended = [
            await auth.db.transaction(lambda tx: auth.plugin(Passkeys).end_restored(tx, passwords=False)),
            await auth.db.transaction(lambda tx: auth.plugin(Passkeys).end_restored(tx, passwords=True)),
        ]
        answer = await use(client, one)

    assert (ended, answer.status_code) == ([None, {"passkeys": 1}], 401)


# A copy that cannot be removed


class Keeper:
    """Lets nobody remove anything."""

    name, api = "keeper", 1

    @hookimpl
    async def before_action(self, action: Action) -> None:
        if isinstance(action, RemoveAuthenticator):
            raise Conflict("This stays.")


async def test_hc15_a_copy_that_must_not_be_removed_is_refused_like_any_wrong_proof(database: str) -> None:
    recorder = Recorder()
    async with running(database, ["defaults", Passkeys(counter="revoke"), recorder, Keeper()]) as client:
        one = await owner(client, count=100)
        one.count = 7
        answer = await use(client, one)
        one.count = 200
        later = await use(client, one)
        left = await listed(client)

    assert (answer.status_code, code_of(answer)) == (401, "invalid_credentials")
    assert (later.status_code, len(left)) == (200, 1)
    assert recorder.names.count("passkey.counter_went_back") == 1


# Without passwords


async def test_a_sign_up_ends_in_a_passkey_where_no_passwords_are_used(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", "-password", "-password_reset", "passkeys", box]) as client:
        proven = await verify(client, await mailed(client, box, password=None))
        one = await register(client)
        await client.post("/auth/logout")
        answer = await use(client, one)

    assert proven.status_code == 202
    assert {"kind": "enrollment", "methods": ["passkey"]} in proven.json()["challenges"]
    assert answer.status_code == 200


# Origins


@pytest.mark.parametrize("origin", ["https://bücher.example", "https://app.example:99999", "https://[::1", "https://"])
def test_hc49_an_origin_that_no_browser_writes_refuses_to_start(origin: str) -> None:
    with pytest.raises(ConfigurationError, match="SIGRA_PASSKEYS__ORIGINS"):
        relying_party(Options(origins=(origin,)), "https://app.example")
