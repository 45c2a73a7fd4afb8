"""Trusted browsers: who is spared the second factor where, who never is, and what ends it."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from sigra import Challenge, ConfigurationError, Sigra, hookimpl
from sigra.plugins.trusted_browsers import COOKIE, TrustedBrowsers
from sigra.testing import PASSWORD, Client, FrozenClock, cheap_settings, make_user
from tests.apps import Postbox, running
from tests.plugins.tags import Tag, add_tag, challenged, proven
from tests.policies import Factor, Recorder

MEMORY = "sqlite:///:memory:"
PAGE = {"accept": "text/html"}
NEW = "a train of thought leaves at nine"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def another(client: Client, **options: Any) -> Client:
    """Another browser."""
    return Client(client.app, client.sigra, **options)


async def trusting(client: Client, user: Any) -> str:
    """Add a tag, sign in with it and trust the browser; the secret that it keeps then."""
    await add_tag(client, user)
    assert (await proven(client, user, trust_browser=True)).status_code == 200
    return str(client.cookies[COOKIE])


async def copied(client: Client, user: Any, secret: str) -> Any:
    """A sign-in in another browser that has nothing but this secret."""
    body = {"email": user.email, "password": PASSWORD}
    return await another(client).post("/auth/login", json=body, headers={"cookie": f"{COOKIE}={secret}"})


async def rows(client: Client) -> list[Any]:
    table = client.sigra.plugin(TrustedBrowsers).table
    async with client.sigra.db.connect() as tx:
        return list((await tx.execute(select(table))).mappings())


async def listed(client: Client) -> list[Any]:
    browsers: list[Any] = (await client.get("/auth/trusted-browsers")).json()["trusted_browsers"]
    return browsers


# Spared


async def test_a_trusted_browser_is_asked_for_the_password_alone() -> None:
    recorder = Recorder()
    async with running(MEMORY, ["defaults", Tag(), recorder]) as client:
        user = await make_user(client.sigra)
        await trusting(client, user)
        spared, elsewhere = await challenged(client, user), await another(client).sign_in(user)

    assert (spared.status_code, elsewhere.status_code) == (200, 202)
    [added] = [event for event in recorder.recorded if event.name == "trusted_browser.added"]
    assert (added.user_id, list(added.metadata)) == (user.id, ["trusted_browser_id"])


async def test_the_cookie_lasts_as_long_as_the_trust() -> None:
    async with running(MEMORY, ["defaults", Tag()], trusted_browsers={"lifetime": timedelta(days=2)}) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        answer = await proven(client, user, trust_browser=True)

    [cookie] = [one for one in answer.headers.get_list("set-cookie") if one.startswith(COOKIE)]
    assert "Max-Age=172800" in cookie and "HttpOnly" in cookie and "SameSite=Lax" in cookie


async def test_nobody_is_trusted_unasked() -> None:
    async with running(MEMORY, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        answer = await proven(client, user)

        assert (answer.status_code, await rows(client)) == (200, [])
        assert COOKIE not in client.cookies


async def test_hc17_trust_ends_after_its_time_and_is_not_prolonged_by_use(database: str) -> None:
    clock = FrozenClock()
    async with running(database, ["defaults", Tag()], clock=clock) as client:
        user = await make_user(client.sigra)
        secret = await trusting(client, user)
        clock.tick(timedelta(days=30) - timedelta(seconds=1))
        before = await copied(client, user, secret)
        clock.tick(timedelta(seconds=1))
        after = await copied(client, user, secret)
        await client.sigra.plugin(TrustedBrowsers)._sweep(client.sigra)

        assert (before.status_code, after.status_code) == (200, 202)
        assert await rows(client) == []


async def test_a_recovery_code_is_a_second_factor_too() -> None:
    async with running(MEMORY, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        codes = await add_tag(client, user)
        await challenged(client, user)
        await client.post("/auth/login/recovery-code", json={"code": codes[0], "trust_browser": True})
        spared = await challenged(client, user)

    assert spared.status_code == 200


@pytest.mark.parametrize("lifetime", [timedelta(minutes=59), timedelta(days=91)])
def test_trust_lasts_from_an_hour_to_ninety_days(lifetime: timedelta) -> None:
    with pytest.raises(ConfigurationError, match="SIGRA_TRUSTED_BROWSERS__LIFETIME"):
        Sigra(cheap_settings(trusted_browsers={"lifetime": lifetime}))


# Never spared


async def test_hc17_it_never_spares_the_first_factor(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        await trusting(client, user)
        await client.sign_out()
        wrong, nothing = await client.sign_in(user, "wrong"), await client.get("/private")

    assert (wrong.status_code, nothing.status_code) == (401, 401)


async def test_hc17_it_spares_nothing_but_a_second_factor(database: str) -> None:
    async with running(database, ["defaults", Tag(), Factor("stamp", "stamping")]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await client.post("/auth/login/stamp", json={"code": "right"})
        await client.post("/auth/tags/blue", json={})
        await proven(client, user, trust_browser=True)
        await client.post("/auth/login/stamp", json={"code": "right"})
        again = await challenged(client, user)

    assert COOKIE in client.cookies
    assert [one["kind"] for one in again.json()["challenges"]] == ["stamping"]


async def test_hc17_what_was_spared_is_no_proof(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        await trusting(client, user)
        await challenged(client, user)
        session = (await client.get("/auth/session")).json()["identity"]
        stale = await client.post("/auth/tags/green", json={})
        again = await client.post("/auth/reauthenticate", json={"password": PASSWORD})

    assert (session["assurance"], session["amr"]) == ("aal1", ["pwd"])
    assert (stale.status_code, stale.json()["code"]) == (403, "reauthentication_required")
    assert [one["kind"] for one in again.json()["challenges"]] == ["mfa"]


async def test_hc17_trust_is_not_earned_by_trust(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        secret = await trusting(client, user)
        await client.sign_out()
        await client.sign_in_as(user, trust_browser=True)
        kept, [row] = client.cookies[COOKIE], await rows(client)

    assert kept == secret
    assert row["expires_at"] - row["created_at"] == timedelta(days=30)


async def test_hc17_where_a_policy_forbids_it_nobody_is_spared_and_nothing_is_kept(database: str) -> None:
    tag = Tag()
    async with running(database, ["defaults", tag]) as client:
        user = await make_user(client.sigra)
        await trusting(client, user)
        tag.waivable = False
        asked = await challenged(client, user)
        browser = another(client)
        answer = await proven(browser, user, trust_browser=True)
        kept = await rows(client)

    assert (asked.status_code, answer.status_code) == (202, 200)
    assert COOKIE not in browser.cookies
    assert len(kept) == 1


async def test_hc17_a_policy_that_leaves_the_ways_to_others_forbids_it_too(database: str) -> None:
    class Always:
        name, api = "always", 1

        @hookimpl
        async def challenges_for_login(self) -> Sequence[Challenge]:
            return [Challenge("mfa", None, waivable=False)]

    async with running(database, ["defaults", Tag(), Always()]) as client:
        user = await make_user(client.sigra)
        client.sigra.plugin(Tag).of[user.id].add("blue")
        answer = await proven(client, user, trust_browser=True)
        again = await challenged(client, user)

    assert (answer.status_code, again.status_code) == (200, 202)
    assert COOKIE not in client.cookies


# Whose it is


async def test_hc17_a_copied_secret_is_nothing_to_another_account(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        ada, bob = await make_user(client.sigra), await make_user(client.sigra, "bob@example.com")
        secret = await trusting(client, ada)
        await add_tag(another(client), bob)
        of_bob, of_ada = await copied(client, bob, secret), await copied(client, ada, secret)

    assert (of_bob.status_code, of_ada.status_code) == (202, 200)


async def test_several_accounts_trust_one_browser() -> None:
    async with running(MEMORY, ["defaults", Tag()]) as client:
        ada, bob = await make_user(client.sigra), await make_user(client.sigra, "bob@example.com")
        await trusting(client, ada)
        await client.sign_out()
        await trusting(client, bob)
        answers = [await challenged(client, user) for user in (ada, bob, ada)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]


async def test_hc17_who_kept_a_copy_is_not_trusted_by_who_comes_later(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        ada, bob = await make_user(client.sigra), await make_user(client.sigra, "bob@example.com")
        kept = await trusting(client, ada)
        await client.sign_out()
        await trusting(client, bob)
        copy, here = await copied(client, bob, kept), await challenged(client, bob)
        old = await copied(client, ada, kept)

    assert (copy.status_code, here.status_code, old.status_code) == (202, 200, 202)


async def test_who_trusts_a_browser_anew_has_it_once_in_the_list() -> None:
    clock = FrozenClock()
    async with running(MEMORY, ["defaults", Tag()], clock=clock) as client:
        user = await make_user(client.sigra)
        old = await trusting(client, user)
        clock.tick(timedelta(days=31))
        await proven(client, user, trust_browser=True)
        again = await copied(client, user, old)
        browsers = await listed(client)

    assert client.cookies[COOKIE] != old
    assert (len(browsers), again.status_code) == (1, 202)


@pytest.mark.parametrize("secret", ["", "x", "A" * 43, "A" * 5000, '"quoted"'])
async def test_hc34_nonsense_in_the_cookie_trusts_nobody(secret: str) -> None:
    async with running(MEMORY, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        await trusting(client, user)
        answer = await copied(client, user, secret)

    assert answer.status_code == 202


async def test_hc18_a_secret_of_another_kind_trusts_nobody(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        await trusting(client, user)
        others = [client.cookies["sigra"], client.cookies["sigra-browser"]]
        answers = [await copied(client, user, secret) for secret in others]
        as_session = {"cookie": f"sigra={client.cookies[COOKIE]}"}
        session = await another(client).get("/private", headers=as_session)

    assert [answer.status_code for answer in answers] == [202, 202]
    assert session.status_code == 401


async def test_hc22_what_is_stored_of_a_secret_trusts_nobody(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        secret = await trusting(client, user)
        [row] = await rows(client)
        presented = await copied(client, user, row["digest"].hex()[:43])

    assert row["digest"] == client.sigra.tokens.digests("trusted_browser", secret)[0]
    assert secret not in repr(row)
    assert presented.status_code == 202


async def test_hc23_a_browser_that_is_used_outlives_the_key_that_it_was_trusted_under(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        secret = await trusting(client, user)
    old, new, tag = client.sigra.settings.secret_keys, ("n" * 40,), Tag()
    tag.of[user.id].add("blue")
    answers = []
    for keys in ((*new, *old), new, ("m" * 40,)):
        async with Sigra(cheap_settings(database, secret_keys=keys), ["defaults", tag], clock=FrozenClock()) as auth:
            answers.append(await copied(Client(auth.wrap(client.app), auth), user, secret))

    assert [answer.status_code for answer in answers] == [200, 200, 202]


# The list


async def test_hc17_the_browsers_are_listed_and_trusted_no_more_one_by_one(database: str) -> None:
    recorder, clock = Recorder(), FrozenClock()
    async with running(database, ["defaults", Tag(), recorder], clock=clock) as client:
        user = await make_user(client.sigra)
        await trusting(client, user)
        clock.tick(timedelta(seconds=10))
        firefox = another(client, headers={"user-agent": FIREFOX}, address=("198.51.100.9", 1))
        await proven(firefox, user, trust_browser=True)
        browsers = await listed(client)
        removed = await firefox.delete(f"/auth/trusted-browsers/{browsers[0]['id']}")
        again = await firefox.delete(f"/auth/trusted-browsers/{browsers[0]['id']}")
        answers = [await challenged(one, user) for one in (client, firefox)]

    assert [one["current"] for one in browsers] == [False, True]
    assert {**browsers[0], "id": None} == {
        "id": None,
        "created_at": "2026-01-01T12:00:10Z",
        "last_used_at": "2026-01-01T12:00:10Z",
        "expires_at": "2026-01-31T12:00:10Z",
        "user_agent": FIREFOX,
        "ip": "198.51.100.9",
        "current": False,
    }
    assert (removed.status_code, again.status_code) == (204, 404)
    assert [answer.status_code for answer in answers] == [200, 202]
    assert [one.metadata for one in recorder.recorded if one.name == "trusted_browser.removed"] == [
        {"trusted_browser_id": browsers[0]["id"]}
    ]


async def test_the_list_says_when_trust_was_last_used() -> None:
    clock = FrozenClock()
    async with running(MEMORY, ["defaults", Tag()], clock=clock) as client:
        user = await make_user(client.sigra)
        await trusting(client, user)
        clock.tick(timedelta(hours=2))
        await challenged(client, user)
        [browser] = await listed(client)

    assert browser["last_used_at"] == "2026-01-01T14:00:00Z"


async def test_hc17_a_browser_of_somebody_else_is_not_there(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        ada, bob = await make_user(client.sigra), await make_user(client.sigra, "bob@example.com")
        await trusting(client, ada)
        [browser] = await listed(client)
        other = another(client)
        await other.sign_in(bob)
        foreign = await other.delete(f"/auth/trusted-browsers/{browser['id']}")
        absent = await other.delete(f"/auth/trusted-browsers/{uuid.uuid4()}")
        anonymous = await another(client).get("/auth/trusted-browsers")
        spared = await challenged(client, ada)

    assert (foreign.status_code, absent.status_code, anonymous.status_code) == (404, 404, 401)
    assert foreign.json() == absent.json()
    assert spared.status_code == 200


async def test_the_account_page_lists_them_and_ends_one() -> None:
    async with running(MEMORY, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        without = await client.get("/auth/account", headers=PAGE)
        await add_tag(client, user)
        empty = await client.get("/auth/account", headers=PAGE)
        await proven(client, user, trust_browser=True)
        full = await client.get("/auth/trusted-browsers", headers=PAGE)
        [browser] = await listed(client)
        path = f"/auth/trusted-browsers/{browser['id']}?next=/auth/account"
        ended = await client.as_browser().post(path, data={"_method": "DELETE"})
        twice = await client.as_browser().post(path, data={"_method": "DELETE"})

    assert 'id="trusted-browsers"' not in without.text
    assert "No browser is trusted." in empty.text
    assert "Trust no more" in full.text and "until <time" in full.text
    assert (ended.status_code, ended.headers["location"]) == (303, "/auth/account")
    assert twice.status_code == 404 and 'role="alert"' in twice.text


@pytest.mark.parametrize(
    ("lifetime", "said"),
    [
        (timedelta(days=30), "for 30 days"),
        (timedelta(hours=36), "for 36 hours"),
        (timedelta(hours=1), "for 1 hour<"),
    ],
    ids=["days", "hours", "hour"],
)
async def test_the_page_says_for_how_long_a_browser_would_be_trusted(lifetime: timedelta, said: str) -> None:
    async with running(MEMORY, ["defaults", Tag()], trusted_browsers={"lifetime": lifetime}) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        await challenged(client, user)
        page = await client.get("/auth/login/challenge", headers=PAGE)

    assert said in page.text


async def test_without_the_plugin_nobody_is_asked_whether_to_trust() -> None:
    async with running(MEMORY, ["defaults", "-trusted_browsers", Tag()]) as client:
        user = await make_user(client.sigra)
        codes = await add_tag(client, user)
        await challenged(client, user)
        page = await client.get("/auth/login/challenge", headers=PAGE)
        answer = await client.post("/auth/login/recovery-code", json={"code": codes[0], "trust_browser": True})

    assert "Use a recovery code" in page.text and "trust_browser" not in page.text
    assert answer.status_code == 200


# What ends it


async def change_password(client: Client, user: Any, box: Postbox) -> None:
    await client.post("/auth/password/change", json={"current_password": PASSWORD, "new_password": NEW})


async def reset_password(client: Client, user: Any, box: Postbox) -> None:
    await client.post("/auth/password/forgot", json={"email": user.email})
    for _ in range(3):
        await client.sigra.worker.work()
    await another(client).post("/auth/password/reset", json={"token": box.token(), "new_password": NEW})


async def change_address(client: Client, user: Any, box: Postbox) -> None:
    await client.post("/auth/email/change", json={"new_email": "ada@elsewhere.example"})
    for _ in range(3):
        await client.sigra.worker.work()
    texts = {one.kind: one for one in box.messages}
    box.messages.append(texts["confirm_new_email"])
    await another(client).post("/auth/email/change/confirm", json={"token": box.token()})


async def remove_factor(client: Client, user: Any, box: Postbox) -> None:
    await client.post("/auth/tags/green", json={})
    await client.delete("/auth/tags/blue")


async def sign_out_everywhere(client: Client, user: Any, box: Postbox) -> None:
    await client.delete("/auth/sessions")


async def disable(client: Client, user: Any, box: Postbox) -> None:
    await client.sigra.db.transaction(lambda tx: client.sigra.users.set_status(tx, user, "disabled"))
    await client.sigra.db.transaction(lambda tx: client.sigra.revoke(tx, user, "disabled"))


async def first_proof(client: Client, user: Any, box: Postbox) -> None:
    await client.sigra.db.transaction(lambda tx: client.sigra.forget(tx, user, "first_proof"))


End = Callable[[Client, Any, Postbox], Awaitable[None]]


@pytest.mark.parametrize(
    "end",
    [change_password, reset_password, change_address, remove_factor, sign_out_everywhere, disable, first_proof],
    ids=lambda end: end.__name__,
)
async def test_hc33_trust_ends_in_every_browser_with_what_ends_other_sessions(database: str, end: End) -> None:
    box = Postbox()
    async with running(database, ["defaults", Tag(), box]) as client:
        user = await make_user(client.sigra)
        await trusting(client, user)
        await proven(another(client), user, trust_browser=True)
        before = await rows(client)
        await end(client, user, box)

        assert (len(before), await rows(client)) == (2, [])


async def test_hc17_a_trusted_browser_is_asked_again_after_a_new_password(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        await trusting(client, user)
        await client.post("/auth/password/change", json={"current_password": PASSWORD, "new_password": NEW})
        await client.sign_out()
        again = await client.sign_in(user, NEW)

    assert again.status_code == 202


async def test_hc16_trust_goes_with_the_factors_that_their_user_lost(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        await trusting(client, user)
        plugin = client.sigra.plugin(TrustedBrowsers)
        await client.sigra.db.transaction(lambda tx: plugin.forget_factors(tx, user))

        assert await rows(client) == []


async def test_a_sign_out_leaves_the_browser_trusted() -> None:
    async with running(MEMORY, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        await trusting(client, user)
        await client.sign_out()

        assert len(await rows(client)) == 1


async def test_hc24_trust_of_a_restored_backup_ends(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        secret = await trusting(client, user)
        ended = await client.sigra.db.transaction(client.sigra.plugin(TrustedBrowsers).end_restored)
        again = await copied(client, user, secret)

    assert (ended, again.status_code) == ({"trusted browsers": 1}, 202)


async def test_trusted_browsers_are_exported_and_erased() -> None:
    async with running(MEMORY, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        await trusting(client, user)
        plugin = client.sigra.plugin(TrustedBrowsers)
        held = await plugin.export_user(client.sigra, user)
        await client.sigra.db.transaction(lambda tx: plugin.erase_user(tx, user))

        assert [one["expires_at"] for one in held["trusted_browsers"]] == ["2026-01-31T12:00:00Z"]
        assert await rows(client) == []
