"""Passkeys as their users have them: made, listed, named, removed; to sign in with, alone or after a password."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from sigra import ConfigurationError, Sigra
from sigra.testing import PASSWORD, Client, FrozenClock, cheap_settings, make_user
from sigra_passkeys import Passkeys
from sigra_passkeys.configuring import relying_party
from sigra_passkeys.shapes import Options
from tests.apps import Postbox, running
from tests.passkeys.authenticator import Authenticator, decoded, encoded
from tests.passkeys.browsing import code_of, options_for, register, use
from tests.policies import Recorder
from tests.signing_up import mailed, verify

PLUGINS = ["defaults", "passkeys"]
HTML = {"accept": "text/html"}


async def session(client: Client) -> dict[str, Any]:
    return dict((await client.get("/auth/session")).json()["identity"])


async def listed(client: Client) -> list[dict[str, Any]]:
    return list((await client.get("/auth/passkeys")).json()["passkeys"])


# Making


async def test_a_passkey_is_made_listed_and_told_by_mail(database: str) -> None:
    box, recorder = Postbox(), Recorder()
    async with running(database, [*PLUGINS, box, recorder]) as client:
        await client.sign_in(await make_user(client.sigra))
        options = (await client.post("/auth/passkeys/register/options", json={})).json()
        made = await client.post(
            "/auth/passkeys/register",
            json={"credential": Authenticator(origin="http://localhost").create(options), "name": " Phone "},
        )
        own = await listed(client)
        await client.sigra.worker.work()

    answer = made.json()
    codes = answer.pop("recovery_codes")
    assert (made.status_code, len(codes), own) == (201, 10, [answer])
    assert answer == {
        "id": answer["id"],
        "name": "Phone",
        "created_at": "2026-01-01T12:00:00Z",
        "last_used_at": None,
        "transports": ["hybrid", "internal"],
        "backed_up": False,
    }
    assert "factor_added" in box.kinds
    assert "authenticator.added" in recorder.names


async def test_the_options_name_the_party_the_user_and_what_is_there(database: str) -> None:
    async with running(database, ["defaults", Passkeys(rp_name="Acme")]) as client:
        user = await make_user(client.sigra, name="Ada")
        await client.sign_in(user)
        first = (await client.post("/auth/passkeys/register/options", json={})).json()
        one = await register(client)
        second = (await client.post("/auth/passkeys/register/options", json={})).json()

    assert first["rp"] == {"id": "localhost", "name": "Acme"}
    assert (first["user"]["name"], first["user"]["displayName"]) == ("ada@example.com", "Ada")
    assert first["attestation"] == "none"
    assert [one["alg"] for one in first["pubKeyCredParams"]] == [-8, -7, -257]
    assert first["excludeCredentials"] == []
    assert [one["id"] for one in second["excludeCredentials"]] == [encoded(one.credential_id)]
    assert first["user"]["id"] == second["user"]["id"] != encoded(user.id.bytes)
    assert len(first["challenge"]) == 43 and first["challenge"] != second["challenge"]


async def test_a_passkey_of_the_same_id_is_a_conflict(database: str) -> None:
    async with running(database, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        await register(client)
        options = (await client.post("/auth/passkeys/register/options", json={})).json()
        again = Authenticator(origin="http://localhost").create(options)
        answer = await client.post("/auth/passkeys/register", json={"credential": again})
        own = await listed(client)

    assert (answer.status_code, code_of(answer), len(own)) == (409, "conflict", 1)


async def test_an_account_has_ten_at_most(database: str) -> None:
    async with running(database, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        for number in range(9):
            await register(client, credential_id=bytes([number]) * 16)
        options = (await client.post("/auth/passkeys/register/options", json={})).json()
        last = await register(client, credential_id=b"z" * 16)
        late = Authenticator(origin="http://localhost", credential_id=b"y" * 16).create(options)
        kept = await client.post("/auth/passkeys/register", json={"credential": late})
        more = await client.post("/auth/passkeys/register/options", json={})

    assert last.handle is not None
    # Asked for by another tab before.
    assert (kept.status_code, code_of(kept)) == (409, "conflict")
    assert (more.status_code, code_of(more)) == (409, "conflict")


async def test_a_change_needs_a_fresh_sign_in(database: str) -> None:
    clock = FrozenClock()
    async with running(database, PLUGINS, clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        await register(client)
        [one] = await listed(client)
        clock.tick(timedelta(minutes=6))
        answers = [
            await client.post("/auth/passkeys/register/options", json={}),
            await client.patch(f"/auth/passkeys/{one['id']}", json={"name": "Mine"}),
            await client.delete(f"/auth/passkeys/{one['id']}"),
        ]

    assert {(one.status_code, code_of(one)) for one in answers} == {(403, "reauthentication_required")}


async def test_a_passkey_is_renamed_and_removed(database: str) -> None:
    box = Postbox()
    async with running(database, [*PLUGINS, box]) as client:
        await client.sign_in(await make_user(client.sigra))
        await register(client)
        [one] = await listed(client)
        renamed = await client.patch(f"/auth/passkeys/{one['id']}", json={"name": " Key ring "})
        blank = await client.patch(f"/auth/passkeys/{one['id']}", json={"name": "  "})
        removed = await client.delete(f"/auth/passkeys/{one['id']}")
        again = await client.delete(f"/auth/passkeys/{one['id']}")
        unknown = await client.patch(f"/auth/passkeys/{one['id']}", json={"name": "x"})
        left = await listed(client)
        await client.sigra.worker.work()

    assert (renamed.status_code, renamed.json()["name"]) == (200, "Key ring")
    assert (blank.status_code, removed.status_code, again.status_code, unknown.status_code) == (422, 204, 404, 404)
    assert left == []
    assert "factor_removed" in box.kinds


async def test_nobody_sees_or_changes_the_passkeys_of_others(database: str) -> None:
    async with running(database, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        await register(client)
        [one] = await listed(client)
        await client.post("/auth/logout")
        await client.sign_in(await make_user(client.sigra, "eve@example.com"))
        own = await listed(client)
        answers = [
            await client.patch(f"/auth/passkeys/{one['id']}", json={"name": "Mine"}),
            await client.delete(f"/auth/passkeys/{one['id']}"),
        ]

    assert own == []
    assert {(one.status_code, code_of(one)) for one in answers} == {(404, "not_found")}


# Signing in


async def test_a_verified_passkey_alone_is_level_2(database: str) -> None:
    async with running(database, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        one = await register(client)
        await client.post("/auth/logout")
        answer = await use(client, one, remember=True, next="/private")
        identity = await session(client)
        [shown] = await listed(client)

    assert (answer.status_code, answer.json()["status"]) == (200, "signed_in")
    assert (identity["amr"], identity["assurance"]) == (["hwk", "user", "mfa"], "aal2")
    assert shown["last_used_at"] == "2026-01-01T12:00:00Z"


async def test_a_passkey_after_a_password_is_the_second_factor(database: str) -> None:
    async with running(database, PLUGINS) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        one = await register(client, verified=False)
        await client.post("/auth/logout")
        waiting = await client.sign_in(user)
        options = await options_for(client)
        answer = await client.post("/auth/login/passkey", json={"credential": one.get(options)})
        identity = await session(client)

    assert waiting.status_code == 202
    assert waiting.json()["challenges"] == [{"kind": "mfa", "methods": ["passkey", "recovery_code"]}]
    assert (options["userVerification"], len(options["allowCredentials"])) == ("preferred", 1)
    assert (answer.status_code, identity["amr"], identity["assurance"]) == (200, ["pwd", "hwk"], "aal2")


async def test_hc15_an_unverified_passkey_alone_is_refused_where_verification_is_required(database: str) -> None:
    async with running(database, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        one = await register(client, verified=False)
        await client.post("/auth/logout")
        answer = await use(client, one)

    assert (answer.status_code, code_of(answer)) == (401, "invalid_credentials")


async def test_hc10_the_same_passkey_once_more_is_no_second_factor(database: str) -> None:
    async with running(database, ["defaults", Passkeys(user_verification="preferred")]) as client:
        await client.sign_in(await make_user(client.sigra))
        one = await register(client)
        await client.post("/auth/logout")
        one.verified = False
        first = await use(client, one)
        options = await options_for(client)
        same = await client.post("/auth/login/passkey", json={"credential": one.get(options)})
        one.verified = True
        verified = await use(client, one)
        identity = await session(client)

    assert first.status_code == 202
    assert first.json()["challenges"] == [{"kind": "mfa", "methods": ["passkey", "recovery_code"]}]
    assert options["userVerification"] == "required"
    assert (same.status_code, code_of(same)) == (401, "invalid_proof")
    assert (verified.status_code, identity["assurance"]) == (200, "aal2")


async def test_whoever_is_signed_in_proves_it_again_by_passkey(database: str) -> None:
    clock = FrozenClock()
    async with running(database, PLUGINS, clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        one = await register(client)
        before = (await client.get("/auth/session")).json()["session"]["id"]
        clock.tick(timedelta(minutes=6))
        stale = await client.post("/auth/recovery-codes", json={})
        again = await use(client, one)
        fresh = await client.post("/auth/recovery-codes", json={})
        after = (await client.get("/auth/session")).json()["session"]["id"]

    assert (stale.status_code, again.status_code, fresh.status_code) == (403, 200, 201)
    assert before != after


async def test_hc04_the_passkey_of_another_while_signed_in_is_refused(database: str) -> None:
    async with running(database, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        one = await register(client)
        await client.post("/auth/logout")
        await client.sign_in(await make_user(client.sigra, "eve@example.com"))
        answer = await use(client, one)

    assert (answer.status_code, code_of(answer)) == (409, "other_account")


async def test_a_disabled_account_is_told_so_by_its_passkey_alone(database: str) -> None:
    async with running(database, PLUGINS) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        one = await register(client)
        await client.post("/auth/logout")
        await client.sigra.db.transaction(lambda tx: client.sigra.users.set_status(tx, user, "disabled"))
        answer = await use(client, one)

    assert (answer.status_code, code_of(answer)) == (403, "account_disabled")


async def test_a_sign_up_without_a_password_ends_in_a_passkey(database: str) -> None:
    box = Postbox()
    async with running(database, [*PLUGINS, box]) as client:
        proven = await verify(client, await mailed(client, box, password=None))
        options = (await client.post("/auth/passkeys/register/options", json={})).json()
        one = Authenticator(origin="http://localhost")
        made = await client.post("/auth/passkeys/register", json={"credential": one.create(options)})
        identity = await session(client)
        await client.post("/auth/logout")
        again = await use(client, one)

    assert proven.status_code == 202
    assert {"kind": "enrollment", "methods": ["password", "passkey"]} in proven.json()["challenges"]
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert (made.status_code, made.json()["status"], len(made.json()["recovery_codes"])) == (200, "signed_in", 10)
    assert identity["assurance"] == "aal2"
    assert again.status_code == 200


async def test_hc15_a_sign_up_needs_a_passkey_that_verifies_its_user(database: str) -> None:
    box = Postbox()
    async with running(database, [*PLUGINS, box]) as client:
        await verify(client, await mailed(client, box, password=None))
        options = (await client.post("/auth/passkeys/register/options", json={})).json()
        made = Authenticator(origin="http://localhost", verified=False).create(options)
        answer = await client.post("/auth/passkeys/register", json={"credential": made})

    assert (answer.status_code, code_of(answer)) == (401, "invalid_proof")


async def test_hc22_authenticators_know_no_user_id(database: str) -> None:
    async with running(database, PLUGINS) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        one = await register(client)

    assert one.handle is not None
    handle = decoded(one.handle)
    assert len(handle) == 32
    assert user.id.bytes not in handle and str(user.id).encode() not in handle


async def test_two_tabs_that_ask_for_options_at_once_are_each_answered(database: str) -> None:
    async with running(database, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        one = await register(client)
        await client.post("/auth/logout")
        first, second = (Client(client.app, client.sigra) for _ in range(2))
        given = [await options_for(first), await options_for(second)]
        answers = [
            await browser.post("/auth/login/passkey", json={"credential": one.get(options)})
            for browser, options in zip((first, second), given, strict=True)
        ]

    assert [answer.status_code for answer in answers] == [200, 200]


# The counter


async def going_back(client: Client) -> tuple[Authenticator, httpx2.Response]:
    await client.sign_in(await make_user(client.sigra))
    one = await register(client, count=100)
    await client.post("/auth/logout")
    one.count = 7
    return one, await use(client, one)


async def test_a_counter_that_goes_back_is_recorded(database: str, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    with caplog.at_level(logging.WARNING):
        async with running(database, [*PLUGINS, recorder]) as client:
            one, answer = await going_back(client)
            again = await use(client, one)

    assert (answer.status_code, again.status_code) == (200, 200)
    assert recorder.names.count("passkey.counter_went_back") == 2
    assert "went back" in caplog.text


async def test_hc15_a_counter_that_goes_back_refuses_the_passkey_where_that_is_the_policy(database: str) -> None:
    async with running(database, ["defaults", Passkeys(counter="reauthenticate")]) as client:
        one, answer = await going_back(client)
        waiting = await client.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORD})
        one.count = 200
        later = await use(client, one)

    assert (answer.status_code, code_of(answer)) == (401, "invalid_credentials")
    assert (waiting.status_code, later.status_code) == (202, 200)


async def test_hc15_a_counter_that_goes_back_removes_the_passkey_where_that_is_the_policy(database: str) -> None:
    box, recorder = Postbox(), Recorder()
    async with running(database, ["defaults", Passkeys(counter="revoke"), box, recorder]) as client:
        one, answer = await going_back(client)
        one.count = 200
        later = await use(client, one)
        password = await client.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORD})
        await client.sigra.worker.work()

    assert [answer.status_code, later.status_code, password.status_code] == [401, 401, 200]
    assert {"passkey.counter_went_back", "authenticator.removed"} <= set(recorder.names)
    assert "factor_removed" in box.kinds


async def test_hc15_the_last_way_in_stays_and_is_refused_while_its_counter_goes_back(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", Passkeys(counter="revoke"), box]) as client:
        await verify(client, await mailed(client, box, password=None))
        one = await register(client, count=100)
        await client.post("/auth/logout")
        one.count = 7
        answer = await use(client, one)
        one.count = 200
        later = await use(client, one)

    assert (answer.status_code, later.status_code) == (401, 200)


async def test_hc15_the_last_factor_of_who_must_have_one_stays_and_is_refused(database: str) -> None:
    demanded = {"second_factor": {"demand": "required"}}
    async with running(database, ["defaults", Passkeys(counter="revoke")], **demanded) as client:
        await client.sign_in_as(await make_user(client.sigra), met=frozenset({"mfa", "enrollment"}))
        one = await register(client, count=100)
        await client.post("/auth/logout")
        one.count = 7
        answer = await use(client, one)
        one.count = 200
        later = await use(client, one)

    assert (answer.status_code, later.status_code) == (401, 200)


async def test_synced_passkeys_stay_at_zero(database: str) -> None:
    recorder = Recorder()
    async with running(database, ["defaults", Passkeys(counter="revoke"), recorder]) as client:
        await client.sign_in(await make_user(client.sigra))
        one = await register(client, counts=False, eligible=True)
        await client.post("/auth/logout")
        one.backed_up = True
        answers = [await use(client, one), await use(client, one)]
        [shown] = await listed(client)

    assert [answer.status_code for answer in answers] == [200, 200]
    assert shown["backed_up"] is True
    assert "passkey.counter_went_back" not in recorder.names


# Options of the operator


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rp_id": "other.example"}, "SIGRA_PASSKEYS__RP_ID"),
        ({"rp_id": "ost"}, "SIGRA_PASSKEYS__RP_ID"),
        ({"origins": ["http://app.example.com"]}, "SIGRA_PASSKEYS__ORIGINS"),
        ({"origins": ["https://app.example.com/path"]}, "SIGRA_PASSKEYS__ORIGINS"),
        ({"origins": ["app.example.com"]}, "SIGRA_PASSKEYS__ORIGINS"),
    ],
    ids=["foreign", "half a label", "in the clear", "with a path", "without a scheme"],
)
def test_hc49_what_no_browser_would_use_refuses_to_start(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Sigra(cheap_settings(), ["defaults", Passkeys(**options)])


def test_hc49_a_whole_suffix_of_domains_refuses_to_start() -> None:
    with pytest.raises(ConfigurationError, match="suffix"):
        relying_party(Options(rp_id="example"), "https://app.example")


async def test_related_origins_are_announced_and_accepted(database: str) -> None:
    plugin = Passkeys(origins=["http://localhost", "https://shop.example.org"])
    async with running(database, ["defaults", plugin]) as client:
        announced = await client.get("/.well-known/webauthn")
        other = await client.post("/.well-known/webauthn")
        await client.sign_in(await make_user(client.sigra))
        one = await register(client)
        await client.post("/auth/logout")
        one.origin = "https://shop.example.org"
        answer = await use(client, one)

    assert announced.json() == {"origins": ["http://localhost", "https://shop.example.org"]}
    assert other.status_code == 404
    assert answer.status_code == 200


async def test_one_origin_is_not_announced(database: str) -> None:
    async with running(database, PLUGINS) as client:
        assert (await client.get("/.well-known/webauthn")).status_code == 404


def test_a_domain_above_the_host_can_own_the_passkeys() -> None:
    party = relying_party(Options(rp_id="example.com"), "https://app.example.com")

    assert (party.id, party.origins) == ("example.com", ("https://app.example.com",))


@pytest.mark.parametrize(
    ("base_url", "origin"),
    [
        ("https://app.example.com:443", "https://app.example.com"),
        ("https://app.example.com:8443", "https://app.example.com:8443"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ],
)
def test_the_base_url_is_the_origin_as_browsers_write_it(base_url: str, origin: str) -> None:
    assert relying_party(Options(), base_url).origins == (origin,)


async def test_options_are_limited_by_client(database: str) -> None:
    async with running(database, PLUGINS, limits={"rules": {"passkeys_options": "2/minute"}}) as client:
        statuses = [(await client.post("/auth/login/passkey/options", json={})).status_code for _ in range(3)]

    assert statuses == [200, 200, 429]


# The user's data


async def test_export_and_erasure(database: str) -> None:
    async with running(database, PLUGINS) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await register(client)
        held = (await client.get("/auth/account/export")).json()["passkeys"]
        await client.sigra.db.transaction(lambda tx: client.sigra.plugin(Passkeys).erase_user(tx, user))
        left = await listed(client)

    assert [set(one) for one in held] == [{"id", "name", "created_at", "last_used_at", "transports", "backed_up"}]
    assert left == []


# Pages


async def test_the_account_page_shows_names_and_forms(database: str) -> None:
    async with running(database, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        await register(client)
        [one] = await listed(client)
        page = (await client.get("/auth/account", headers=HTML)).text
        renamed = await client.post(
            f"/auth/passkeys/{one['id']}?next=/auth/account", data={"_method": "PATCH", "name": "<b>Key</b>"}
        )
        shown = (await client.get("/auth/account", headers=HTML)).text
        removed = await client.post(f"/auth/passkeys/{one['id']}?next=/auth/account", data={"_method": "DELETE"})

    assert f"/auth/passkeys/{one['id']}" in page
    assert (renamed.status_code, removed.status_code) == (303, 303)
    assert "&lt;b&gt;Key&lt;/b&gt;" in shown and "<b>Key" not in shown


async def test_a_form_is_answered_by_a_page_that_shows_the_codes(database: str) -> None:
    async with running(database, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        options = (await client.post("/auth/passkeys/register/options", json={})).json()
        made = Authenticator(origin="http://localhost").create(options)
        page = await client.post("/auth/passkeys/register", data={"credential": _text(made), "name": "Phone"})
        bad = await client.post("/auth/passkeys/register", data={"credential": "{", "name": "Phone"})

    assert page.status_code == 201
    assert page.text.count("-") > 50 and "Phone" in page.text
    assert (bad.status_code, bad.headers["content-type"][:9]) == (422, "text/html")


async def test_a_form_signs_in_and_goes_on(database: str) -> None:
    async with running(database, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        one = await register(client)
        await client.post("/auth/logout")
        login = (await client.get("/auth/login", headers=HTML)).text
        given = one.get(await options_for(client, intent="sign_in"))
        answer = await client.post("/auth/login/passkey?next=/private", data={"credential": _text(given)})
        again = await client.post("/auth/login/passkey", data={"credential": _text(given)})
        await client.post("/auth/logout")
        refused = await client.post("/auth/login/passkey?next=/private", data={"credential": _text(given)})

    assert 'data-intent="sign_in"' in login
    assert (answer.status_code, answer.headers["location"]) == (303, "/private")
    assert again.status_code == 401 and "<h1>Confirm that it is you</h1>" in again.text
    assert refused.status_code == 401 and "<h1>Sign in</h1>" in refused.text
    assert "data-refused" in refused.text and 'action="/auth/login/passkey?next=/private"' in refused.text


def _text(credential: Any) -> str:
    return json.dumps(credential)
