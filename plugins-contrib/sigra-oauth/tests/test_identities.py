"""Linked accounts: shown, removed but never as the last way in, proven again, and gone with their user."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pyotp
import pytest

from sigra import User
from sigra.hookspecs import end_restored, export_user
from sigra.testing import PASSWORD, Client, FrozenClock, make_api_key, make_user
from tests.oauth.cases import (
    ADA,
    BROWSER,
    EVE,
    code_of,
    come,
    installed,
    kinds_of,
    mails,
    other,
    owners,
    rows,
    says,
    who,
)
from tests.oauth.dancing import answered, come_back, dance, outcome, start
from tests.oauth.hostile import Hostile

NOBODY = "00000000-0000-4000-8000-000000000000"


async def linked(client: Client, provider: Hostile, *subjects: str, password: str | None = PASSWORD) -> User:
    """Ada's account with these, in whose session the client goes on."""
    user = await make_user(client.sigra, password=password)
    await client.sign_in_as(user)
    for sub in subjects:
        says(provider, sub, ADA, name="Ada Lovelace")
        assert (await dance(client, intent="link")).status_code == 204
    return user


async def listed(client: Client) -> dict[str, str]:
    """The ids of what is linked, by subject."""
    return {row.subject: str(row.id) for row in await rows(client, "sigra_oauth_identities")}


# Shown and removed


async def test_what_is_linked_is_shown_to_its_user_alone(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider, entries={"label": "Somewhere"}) as client:
        await linked(client, provider, "sub-1")
        await come(client, provider, "sub-of-eve", EVE)
        shown = (await client.get("/auth/identities")).json()["identities"]
        nobody = await other(client).get("/auth/identities")

    assert [sorted(one) for one in shown] == [
        ["created_at", "email", "id", "label", "last_used_at", "name", "provider"]
    ]
    assert (shown[0]["provider"], shown[0]["label"], shown[0]["email"]) == ("hostile", "Somewhere", ADA)
    assert (shown[0]["name"], shown[0]["created_at"]) == ("Ada Lovelace", shown[0]["last_used_at"])
    assert nobody.status_code == 401


async def test_hc33_what_is_removed_lets_nobody_in_and_every_other_session_ends(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider, entries={"label": "Somewhere"}) as client:
        await linked(client, provider, "sub-1")
        elsewhere, _ = await come(client, provider, "sub-1", ADA)
        begun = other(client)
        callback = await answered(await start(begun))
        old = other(client)
        old.cookies.update(client.cookies)
        response = await client.delete(f"/auth/identities/{(await listed(client))['sub-1']}")
        asked = [await who(one) for one in (client, elsewhere, old)]
        late = await come_back(begun, callback)
        await mails(client)
        box = await mails(client)

    assert response.status_code == 204
    assert asked == [ADA, None, None]
    assert kinds_of(late) == ["link"]
    told = {one.kind: one.text for one in box.messages if one.recipient == ADA}
    assert "Somewhere" in told["identity_linked"]
    assert "Somewhere" in told["identity_unlinked"]


async def test_a_form_removes_it_and_comes_back(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        await linked(client, provider, "sub-1")
        path = f"/auth/identities/{(await listed(client))['sub-1']}"
        response = await client.post(path, data={"_method": "DELETE", "next": "/auth/account"})
        left = await listed(client)

    assert (response.status_code, response.headers["location"], left) == (303, "/auth/account", {})


async def test_hc05_the_last_way_in_stays(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        await linked(client, provider, "sub-1", password=None)
        response = await client.delete(f"/auth/identities/{(await listed(client))['sub-1']}")
        left, asked, box = await listed(client), await who(client), await mails(client)

    assert (response.status_code, code_of(response)) == (409, "last_authenticator")
    assert (list(left), asked) == (["sub-1"], ADA)
    assert "identity_unlinked" not in box.kinds


async def test_hc05_of_two_that_are_removed_at_once_one_stays(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        user = await linked(client, provider, "sub-1", "sub-2", password=None)
        second = other(client)
        await second.sign_in_as(user)
        ids = await listed(client)
        answers = await asyncio.gather(
            client.delete(f"/auth/identities/{ids['sub-1']}"), second.delete(f"/auth/identities/{ids['sub-2']}")
        )
        left = await listed(client)

    assert len(left) == 1
    # The second is the last way in, or its session has ended with the first.
    assert min(one.status_code for one in answers) == 204
    assert max(one.status_code for one in answers) in (401, 409)


async def test_hc05_what_is_linked_at_a_provider_of_before_is_no_way_in(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    """Nobody can sign in by it any more, so that what can is the last."""
    async with installed(database, clock, provider) as client:
        user = await linked(client, provider, "sub-1", "sub-2", password=None)
        ids = await listed(client)
        table = client.sigra.metadata.tables["sigra_oauth_identities"]
        renamed = table.update().where(table.c.subject == "sub-2").values(provider="of-before")
        await client.sigra.db.transaction(lambda tx: tx.execute(renamed))
        await client.sign_in_as(user)
        last = await client.delete(f"/auth/identities/{ids['sub-1']}")
        gone = await client.delete(f"/auth/identities/{ids['sub-2']}")
        left = list(await listed(client))

    assert (last.status_code, code_of(last)) == (409, "last_authenticator")
    assert (gone.status_code, left) == (204, ["sub-1"])


async def test_what_a_provider_is_called_now_is_noted_when_somebody_comes(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        await linked(client, provider, "sub-1")
        table = client.sigra.metadata.tables["sigra_oauth_identities"]
        await client.sigra.db.transaction(lambda tx: tx.execute(table.update().values(provider="of-before")))
        _, response = await come(client, provider, "sub-1", ADA)
        found = [row.provider for row in await rows(client, "sigra_oauth_identities")]

    assert (outcome(response), found) == ("accepted", ["hostile"])


async def test_hc08_what_is_anothers_or_absent_is_not_found(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        await come(client, provider, "sub-of-eve", EVE)
        await linked(client, provider, "sub-1")
        ids = await listed(client)
        answers = [await client.delete(f"/auth/identities/{one}") for one in (ids["sub-of-eve"], NOBODY)]
        left = await owners(client)

    assert [(one.status_code, code_of(one)) for one in answers] == [(404, "not_found")] * 2
    assert left == {"sub-1": ADA, "sub-of-eve": EVE}


async def test_hc32_removing_takes_a_fresh_session(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        user = await linked(client, provider, "sub-1")
        path = f"/auth/identities/{(await listed(client))['sub-1']}"
        clock.tick(timedelta(minutes=6))
        stale = await client.delete(path)
        key = await make_api_key(client.sigra, user)
        by_key = await other(client).delete(path, headers={"authorization": f"Bearer {key}"})
        left = list(await listed(client))

    assert [(one.status_code, code_of(one)) for one in (stale, by_key)] == [
        (403, "reauthentication_required"),
        (403, "session_required"),
    ]
    assert left == ["sub-1"]


# Proven again


async def test_hc32_who_proves_it_again_by_a_provider_is_fresh_under_a_new_id(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        await linked(client, provider, "sub-1")
        old = other(client)
        old.cookies.update(client.cookies)
        clock.tick(timedelta(minutes=6))
        before = await client.post("/auth/oauth/hostile/start", json={"intent": "link"})
        proven = await dance(client, intent="reauthenticate")
        after = await client.post("/auth/oauth/hostile/start", json={"intent": "link"})
        asked = [await who(client), await who(old)]

    assert (before.status_code, outcome(proven), after.status_code) == (403, "accepted", 200)
    assert asked == [ADA, None]


async def test_hc32_an_old_sign_in_there_proves_nothing_again(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    """A provider that lets pass who is signed in there is believed only with a time (`auth_time`) after the start."""
    async with installed(database, clock, provider) as client:
        await linked(client, provider, "sub-1")
        clock.tick(timedelta(minutes=6))
        answers = []
        for told in ({"auth_time": provider.now - 300}, {"auth_time": None}, {"auth_time": "now"}):
            provider.person = {**provider.person, **told}
            answers.append(await dance(client, intent="reauthenticate"))
        stale = await client.post("/auth/oauth/hostile/start", json={"intent": "link"})
        asked = await who(client)

    assert [outcome(one) for one in answers] == ["oauth_failed"] * 3
    assert (stale.status_code, asked) == (403, ADA)


@pytest.mark.parametrize("intent", ["reauthenticate", "login"])
@pytest.mark.parametrize("known", [True, False], ids=["another", "unknown"])
async def test_hc04_who_is_somebody_else_there_proves_nothing_again(
    database: str, clock: FrozenClock, provider: Hostile, intent: str, known: bool
) -> None:
    async with installed(database, clock, provider) as client:
        if known:
            await come(client, provider, "sub-eve", EVE)
        await linked(client, provider, "sub-1")
        clock.tick(timedelta(minutes=6))
        says(provider, "sub-eve", EVE)
        response = await dance(client, intent=intent)
        stale = await client.post("/auth/oauth/hostile/start", json={"intent": "link"})
        asked, owned = await who(client), await owners(client)

    assert (response.status_code, outcome(response)) == (409, "other_account")
    assert (stale.status_code, asked) == (403, ADA)
    assert owned == {"sub-1": ADA} | ({"sub-eve": EVE} if known else {})


async def test_hc32_proving_it_again_ends_with_the_session_that_began_it(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        await linked(client, provider, "sub-1")
        callback = await answered(await start(client, intent="reauthenticate"))
        await client.sign_out()
        response = await come_back(client, callback)

    assert (outcome(response), client.signed_in) == ("oauth_expired", False)


async def test_hc10_proving_it_again_by_a_provider_asks_for_the_factor_too(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider, plugins=["totp"]) as client:
        await linked(client, provider, "sub-1")
        secret = (await client.post("/auth/totp/enroll")).json()["secret"]
        app = pyotp.TOTP(secret)
        await client.post("/auth/totp/confirm", json={"code": app.at(clock())})
        clock.tick(timedelta(minutes=6))
        proven = await dance(client, intent="reauthenticate")
        stale = await client.post("/auth/oauth/hostile/start", json={"intent": "link"})
        factor = await client.post("/auth/login/totp", json={"code": app.at(clock())})
        fresh = await client.post("/auth/oauth/hostile/start", json={"intent": "link"})

    assert [one.status_code for one in (proven, stale, factor, fresh)] == [202, 403, 200, 200]


# The user's data


async def test_what_is_linked_is_exported_and_goes_with_the_account(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider, entries={"keep_tokens": True}) as client:
        user = await linked(client, provider, "sub-1")
        auth = client.sigra
        [held] = [one for one in await auth.each(export_user, user=user) if "oauth_identities" in one]
        await client.post("/auth/account/delete", json={})
        clock.tick(timedelta(days=31))
        await mails(client)
        left = {name: len(await rows(client, name)) for name in ("sigra_oauth_identities", "sigra_oauth_tokens")}

    [one] = held["oauth_identities"]
    assert (one["issuer"], one["subject"], one["email"]) == (provider.issuer, "sub-1", ADA)
    assert one["scopes"] == ["openid", "email", "profile"]
    assert left == {"sigra_oauth_identities": 0, "sigra_oauth_tokens": 0}


@pytest.mark.parametrize("passwords", [False, True])
async def test_hc24_after_a_backup_nothing_of_before_goes_on(
    database: str, clock: FrozenClock, provider: Hostile, passwords: bool
) -> None:
    async with installed(database, clock, provider) as client:
        await come(client, provider, "sub-ada", ADA)
        callback = await answered(await start(client))
        ended = await client.sigra.db.transaction(
            lambda tx: client.sigra.each(end_restored, tx=tx, passwords=passwords)
        )
        response = await come_back(client, callback)
        left = await owners(client)

    [own] = [one for one in ended if "oauth_attempts" in one]
    assert (own["oauth_attempts"], own["oauth_grants"]) == (1, 1)
    assert outcome(response) == "oauth_expired"
    assert left == ({} if passwords else {"sub-ada": ADA})


async def test_the_account_page_shows_what_is_linked(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        await linked(client, provider, "sub-1")
        page = await client.get("/auth/identities", headers=BROWSER)

    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
