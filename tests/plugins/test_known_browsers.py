"""Known browsers: who is told of a sign-in from elsewhere, whose tries are counted apart, and what ends it."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from datetime import timedelta
from hashlib import sha256
from http.cookies import SimpleCookie
from typing import Any

import httpx2
import pytest
from sqlalchemy import select, update

from sigra import Issued, Login, hookimpl
from sigra.plugins.known_browsers import COOKIE, MOST, KnownBrowsers
from sigra.testing import PASSWORD, Client, FrozenClock, make_user
from tests.apps import Postbox, running
from tests.plugins.answers import Answers
from tests.policies import Factor, Recorder

HOME, NEAR, FAR = ("203.0.113.7", 1), ("203.0.113.200", 1), ("198.51.100.9", 1)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
NEW = "a train of thought leaves at nine"


def at(client: Client, address: tuple[str, int] = FAR, **options: Any) -> Client:
    """Another browser, somewhere."""
    return Client(client.app, client.sigra, address=address, **options)


def browser_of(client: Client, name: str = COOKIE) -> str:
    """The secret that a browser keeps."""
    return str(client.cookies[name])


async def sign_in_with(client: Client, user: Any, browser: str, password: str = PASSWORD) -> httpx2.Response:
    """Sign in with nothing but a browser's secret."""
    body = {"email": user.email, "password": password}
    return await client.post("/auth/login", json=body, headers={"cookie": f"{COOKIE}={browser}"})


async def rows(client: Client) -> list[Any]:
    table = client.sigra.plugin(KnownBrowsers).table
    async with client.sigra.db.connect() as tx:
        return list((await tx.execute(select(table).order_by(table.c.created_at, table.c.id))).mappings())


async def live(client: Client) -> int:
    return sum(row["ended_at"] is None for row in await rows(client))


# Who is told


async def test_a_sign_in_from_a_new_browser_and_a_new_network_is_told_by_mail_event_and_mark() -> None:
    box, recorder = Postbox(), Recorder()
    async with running("sqlite:///:memory:", ["defaults", box, recorder], base_url="http://localhost") as client:
        user = await make_user(client.sigra)
        first = (await client.sign_in(user)).json()["session"]
        second = (await at(client, headers={"user-agent": FIREFOX}).sign_in(user)).json()["session"]
        listed = (await client.get("/auth/sessions")).json()["sessions"]
        page = (await client.get("/auth/account", headers={"accept": "text/html"})).text
        await client.sigra.worker.work()

    assert (first["unfamiliar"], second["unfamiliar"]) == (False, True)
    assert {one["id"]: one["unfamiliar"] for one in listed} == {first["id"]: False, second["id"]: True}
    assert page.count("New browser and network") == 1
    assert [one.user_id for one in recorder.recorded if one.name == "known_browser.unfamiliar"] == [user.id]
    [message] = box.messages
    assert (message.kind, message.recipient) == ("new_sign_in", "ada@example.com")
    assert "2026-01-01 12:00 UTC" in message.text and "198.51.100.9" in message.text
    assert "Firefox on Linux" in message.text and "Firefox on Linux" in message.html
    assert "http://localhost/auth/password/forgot" in message.text
    assert "http://localhost/auth/account#sessions" in message.text


@pytest.mark.parametrize("address", [HOME, NEAR, ("2001:db8:1:2::3", 1)])
async def test_a_known_network_is_not_told(address: tuple[str, int]) -> None:
    box = Postbox()
    async with running("sqlite:///:memory:", ["defaults", box]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await at(client, ("2001:db8:1:ffff::1", 1)).sign_in(user)
        await client.sigra.worker.work()
        box.messages.clear()
        answer = await at(client, address).sign_in(user)
        await client.sigra.worker.work()

    assert answer.json()["session"]["unfamiliar"] is False
    assert box.kinds == []


async def test_a_known_browser_is_not_told_wherever_it_is_and_its_new_network_is_known_then() -> None:
    box = Postbox()
    async with running("sqlite:///:memory:", ["defaults", box]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        travelling = at(client, cookies=client.cookies.jar)
        await travelling.sign_out()
        answer = await travelling.sign_in(user)
        await at(client, ("198.51.100.77", 1)).sign_in(user)
        await client.sigra.worker.work()
        known = await rows(client)

    assert answer.json()["session"]["unfamiliar"] is False
    assert box.kinds == []
    assert [row["network"] for row in known] == ["198.51.100.0/24"] * 2


async def test_the_first_sign_in_of_an_account_is_not_told_and_one_after_all_has_ended_is() -> None:
    box, clock = Postbox(), FrozenClock()
    async with running("sqlite:///:memory:", ["defaults", box], clock=clock) as client:
        user = await make_user(client.sigra)
        first = await client.sign_in(user)
        clock.tick(timedelta(days=181))
        await client.sigra.plugin(KnownBrowsers)._sweep(client.sigra)
        much_later = await client.sign_in(user)

    assert (first.json()["session"]["unfamiliar"], much_later.json()["session"]["unfamiliar"]) == (False, True)


async def test_every_carrier_tells_once_all_is_proven_and_an_account_without_an_address_is_not_written_to() -> None:
    class Tokens:
        name, api, carriers = "tokens", 1, ("token",)

        @hookimpl
        async def issue_credential(self, login: Login) -> Issued:
            return Issued(body={"unfamiliar": login.unfamiliar})

    box, recorder = Postbox(), Recorder()
    async with running("sqlite:///:memory:", ["defaults", box, recorder, Tokens(), Factor()]) as client:
        auth = client.sigra
        users = [await make_user(auth), await auth.db.transaction(lambda tx: auth.users.create(tx, email=None))]
        answers = []
        for user in users:
            await client.sign_in_as(user, carrier="token")
            await client.post("/auth/login/factor", json={"code": "right"})
            other = at(client)
            await other.sign_in_as(user, carrier="token", remember=True)
            waiting = COOKIE in other.cookies
            answers.append((await other.post("/auth/login/factor", json={"code": "right"})).json()["unfamiliar"])
            client.cookies.clear()
        await auth.worker.work()

    assert not waiting
    assert answers == [True, True]
    assert box.kinds == ["new_sign_in"]
    assert recorder.names.count("known_browser.unfamiliar") == 2


async def test_what_another_plugin_finds_unusual_is_told_too() -> None:
    class Watch:
        name, api = "watch", 1

        @hookimpl
        async def is_unfamiliar(self) -> bool:
            return True

    box = Postbox()
    async with running("sqlite:///:memory:", ["defaults", box, Watch()]) as client:
        await client.sign_in(await make_user(client.sigra))
        await client.sigra.worker.work()

    assert box.kinds == ["new_sign_in"]


AGENTS = ["<b>Firefox/1</b> http://evil.example", "Your bank: https://evil.example Firefox/1\x1b[31m", "x" * 9000, "é"]


@pytest.mark.parametrize("agent", AGENTS)
async def test_hc38_what_a_browser_says_of_itself_is_not_repeated_in_the_mail(database: str, agent: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        signing_in = {"user-agent": agent.encode()}
        answer = await at(client).post(
            "/auth/login", json={"email": user.email, "password": PASSWORD}, headers=signing_in
        )
        async with client.sigra.db.connect() as tx:
            [stored] = (await tx.scalars(select(client.sigra.metadata.tables["sigra_outbox"].c.context))).all()
        await client.sigra.worker.work()

    [message] = box.messages
    assert answer.status_code == 200
    assert len(stored["user_agent"]) <= 512
    assert not [word for word in ("evil", "bank", "<b>", "xxxx", "\x1b", "é") if word in message.text + message.html]


@pytest.mark.parametrize("language", ["de", "en"])
async def test_the_mail_is_in_the_readers_language_and_offers_only_pages_that_are_there(language: str) -> None:
    box = Postbox()
    plugins = ["sessions", "password", "known_browsers", box]
    async with running("sqlite:///:memory:", plugins) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await at(client, headers={"accept-language": language}).sign_in(user)
        await client.sigra.worker.work()

    [message] = box.messages
    assert message.language == language
    assert ("Eine Anmeldung" in message.subject) is (language == "de")
    assert "/auth/" not in message.text


# Whose tries are counted apart


async def subject(client: Client, recorder: Recorder, email: str, cookie: str | None) -> str | None:
    headers = {} if cookie is None else {"cookie": f"{COOKIE}={cookie}"}
    bare = at(client, headers=headers)
    await bare.post("/auth/login", json={"email": email, "password": "wrong"})
    return recorder.attempts[-1].subject


async def test_hc40_tries_in_a_known_browser_are_counted_apart_for_its_own_account_alone(database: str) -> None:
    recorder = Recorder()
    async with running(database, ["defaults", recorder]) as client:
        ada, eve = await make_user(client.sigra), await make_user(client.sigra, "eve@example.com")
        attacker = at(client)
        await client.sign_in(ada)
        await attacker.sign_in(eve)
        [known, foreign] = sorted(await rows(client), key=lambda row: row["user_id"] != ada.id)
        hers, theirs = browser_of(client), browser_of(attacker)
        seen = [
            await subject(client, recorder, email, cookie)
            for email, cookie in [
                ("ADA@example.com", hers),
                ("ada@example.com", theirs),
                ("eve@example.com", theirs),
                ("nobody@example.com", hers),
                ("ada@example.com", None),
                ("ada@example.com", "x" * 43),
            ]
        ]

    own = [f"browser {known['id']}", "ada@example.com", f"browser {foreign['id']}"]
    assert seen == [*own, "nobody@example.com", "ada@example.com", "ada@example.com"]


async def test_hc40_the_owner_gets_in_by_a_known_browser_while_others_guess(database: str) -> None:
    rules = {"sign_in_account": "3/hour", "sign_in_client": "1000/minute"}
    async with running(database, limits={"rules": rules}) as client:
        user, eve = await make_user(client.sigra), await make_user(client.sigra, "eve@example.com")
        attacker = at(client)
        await client.sign_in(user)
        await client.sign_out()
        await attacker.sign_in(eve)
        await attacker.sign_out()
        guesses = [(await attacker.sign_in(user, "wrong")).status_code for _ in range(4)]
        right_guess = await attacker.sign_in(user)
        owner = await client.sign_in(user)
        await client.sign_out()
        tries = [(await client.sign_in(user, "wrong")).status_code for _ in range(3)]

    assert guesses[-1] == right_guess.status_code == 429
    assert owner.status_code == 200
    assert tries[-1] == 429


async def test_one_browser_may_be_known_to_several_accounts() -> None:
    recorder = Recorder()
    async with running("sqlite:///:memory:", ["defaults", recorder]) as client:
        ada, bob = await make_user(client.sigra), await make_user(client.sigra, "bob@example.com")
        for user in (ada, bob, ada):
            await client.sign_in(user)
            await client.sign_out()
        cookie = browser_of(client)
        seen = {await subject(client, recorder, user.email or "", cookie) for user in (ada, bob)}
        known = await rows(client)

    assert seen == {f"browser {row['id']}" for row in known}
    assert len({row["digest"] for row in known}) == 1 and len(known) == 2


async def test_hc40_a_secret_that_was_there_before_does_not_become_known_to_another_account(database: str) -> None:
    recorder = Recorder()
    async with running(database, ["defaults", recorder]) as client:
        ada, eve = await make_user(client.sigra), await make_user(client.sigra, "eve@example.com")
        await client.sign_in(eve)
        copied = browser_of(client)
        await client.sign_out()
        await client.sign_in(ada)
        by_copy = await subject(client, recorder, "ada@example.com", copied)
        shared = browser_of(client)
        seen = [await subject(client, recorder, user.email or "", shared) for user in (ada, eve)]

    assert by_copy == "ada@example.com"
    assert [str(one).partition(" ")[0] for one in seen] == ["browser"] * 2


@pytest.mark.parametrize("cookie", [None, "hers", "x" * 43])
async def test_hc39_sign_ins_cost_the_same_for_every_address_with_and_without_a_browser(
    database: str, cookie: str | None
) -> None:
    async with running(database) as client:
        auth = client.sigra
        user = await make_user(auth)
        await client.sign_in(user)
        hers = browser_of(client)
        for status in ("disabled", "closing"):
            other = await make_user(auth, f"{status}@example.com")
            await sign_in_with(at(client), other, hers)
            await auth.db.transaction(lambda tx, one=other, to=status: auth.users.set_status(tx, one, to))
        await make_user(auth, "keyless@example.com", None)
        answers = Answers(auth)
        headers = {} if cookie is None else {"cookie": f"{COOKIE}={hers if cookie == 'hers' else cookie}"}
        for name in ("ada", "unknown", "disabled", "closing", "keyless"):
            body = {"email": f"{name}@example.com", "password": "wrong" if name == "ada" else PASSWORD}
            await answers.add(await at(client, headers=headers).post("/auth/login", json=body))

    assert answers.first.status == 401
    assert sum("sigra_known_browsers" in one for one in answers.first.statements) == (cookie is not None)
    assert answers.differing == []


# The cookie


async def test_the_cookie_lets_nobody_in_and_is_kept_by_a_sign_out() -> None:
    async with running("sqlite:///:memory:", https=True) as client:
        user = await make_user(client.sigra)
        cookies = (await client.sign_in(user)).headers.get_list("set-cookie")
        await client.sign_out()
        session = await client.get("/auth/session")

    [browser] = [SimpleCookie(one)["__Host-sigra-browser"] for one in cookies if "sigra-browser" in one]
    assert (browser["max-age"], browser["secure"], browser["httponly"]) == (str(180 * 86400), True, True)
    assert (browser["samesite"], browser["path"], browser["domain"]) == ("Lax", "/", "")
    assert "__Host-sigra-browser" in client.cookies
    assert session.status_code == 401


async def test_the_lifetime_counts_from_the_last_sign_in() -> None:
    clock, recorder = FrozenClock(), Recorder()
    options: Any = {"clock": clock, "known_browsers": {"lifetime": 86400 * 10}}
    async with running("sqlite:///:memory:", ["defaults", recorder], **options) as client:
        user = await make_user(client.sigra)
        known = []
        for days in (0, 9, 9, 11):
            clock.tick(timedelta(days=days))
            cookie = client.cookies.get(COOKIE)
            known.append((await subject(client, recorder, "ada@example.com", cookie) or "").startswith("browser"))
            signed_in = await client.sign_in(user)

    assert known == [False, True, True, False]
    assert "Max-Age=864000" in "".join(signed_in.headers.get_list("set-cookie"))


BAD = ["", "x", "x" * 43, "x" * 3000, "x" * 20_000, '"quoted"', "é", "\x00", "🦊", "a" * 43 + "=", "-" * 43]


@pytest.mark.parametrize("value", BAD)
async def test_hc34_garbage_in_the_cookie_is_a_browser_that_is_not_known(database: str, value: str) -> None:
    async with running(database) as client:
        user = await make_user(client.sigra)
        body = {"email": user.email, "password": PASSWORD}
        headers = [(b"cookie", f"{COOKIE}={value}".encode())]
        answer = await client.post("/auth/login", json=body, headers=headers)
        known = await rows(client)

    assert answer.status_code == 200
    assert len(known) == 1
    assert browser_of(client) != value


async def test_hc34_two_cookies_of_the_name_are_400(database: str) -> None:
    async with running(database) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        hers = browser_of(client)
        headers = {"cookie": f"{COOKIE}={'x' * 43}; {COOKIE}={hers}"}
        answers = [(await at(client, headers=headers).sign_in(user, word)).status_code for word in (PASSWORD, "wrong")]

    assert answers == [400, 400]


async def test_hc22_what_is_stored_is_no_cookie(database: str) -> None:
    async with running(database) as client:
        await client.sign_in(await make_user(client.sigra))
        [row] = await rows(client)
        secret = browser_of(client).encode()

    assert browser_of(client) not in repr(row)
    assert row["digest"] not in (secret[:32], urlsafe_b64decode(secret + b"="), sha256(secret).digest())


async def test_hc18_a_session_is_no_browser_and_a_browser_no_session(database: str) -> None:
    recorder = Recorder()
    async with running(database, ["defaults", recorder]) as client:
        auth, browsers = client.sigra, client.sigra.plugin(KnownBrowsers).table
        await client.sign_in(await make_user(auth))
        session, browser = str(client.cookies["sigra"]), browser_of(client)
        as_session = await at(client).get("/private", headers={"cookie": f"sigra={browser}"})
        digests = select(auth.metadata.tables["sigra_sessions"].c.digest).scalar_subquery()
        await auth.db.transaction(lambda tx: tx.execute(update(browsers).values(digest=digests)))
        as_browser = await subject(client, recorder, "ada@example.com", session)

    assert as_session.status_code == 401
    assert as_browser == "ada@example.com"


# What ends it


async def test_hc33_a_new_password_ends_all_browsers_but_the_one_that_set_it(database: str) -> None:
    recorder = Recorder()
    async with running(database, ["defaults", recorder]) as client:
        user = await make_user(client.sigra)
        other = at(client)
        await other.sign_in(user)
        await client.sign_in(user)
        for new, old in ((NEW, PASSWORD), (PASSWORD, NEW)):
            changed = await client.post("/auth/password/change", json={"current_password": old, "new_password": new})
        mine = await subject(client, recorder, "ada@example.com", browser_of(client))
        theirs = await subject(client, recorder, "ada@example.com", browser_of(other))

    assert changed.status_code == 204
    assert (mine or "").startswith("browser")
    assert theirs == "ada@example.com"


async def test_hc33_a_reset_ends_all_browsers_and_the_next_sign_in_is_told(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        old = browser_of(client)
        await client.sign_out()
        await client.post("/auth/password/forgot", json={"email": user.email})
        await client.sigra.worker.work()
        await client.post("/auth/password/reset", json={"token": box.token(), "new_password": NEW})
        left = await live(client)
        answer = await client.sign_in(user, NEW)
        known = [row for row in await rows(client) if row["ended_at"] is None]

    assert left == 0
    assert answer.json()["session"]["unfamiliar"] is True
    assert len(known) == 1 and browser_of(client) != old


async def test_hc33_what_has_ended_is_not_known_again_by_its_old_secret(database: str) -> None:
    recorder = Recorder()
    async with running(database, ["defaults", recorder]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        old = browser_of(client)
        await client.sigra.db.transaction(lambda tx: client.sigra.revoke(tx, user, "compromised"))
        await client.sign_in(user)
        seen = await subject(client, recorder, "ada@example.com", old)

    assert seen == "ada@example.com"


async def test_all_other_sessions_take_their_browsers_along() -> None:
    async with running("sqlite:///:memory:") as client:
        user = await make_user(client.sigra)
        await at(client).sign_in(user)
        await client.sign_in(user)
        before = await live(client)
        await client.request("DELETE", "/auth/sessions")
        [left] = [row for row in await rows(client) if row["ended_at"] is None]

    assert before == 2
    assert left["network"] == "203.0.113.0/24"


async def test_a_user_has_at_most_twenty_and_the_longest_unseen_makes_room() -> None:
    clock, recorder = FrozenClock(), Recorder()
    async with running("sqlite:///:memory:", ["defaults", recorder], clock=clock) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        first = at(client, cookies=None)
        await first.sign_in(user)
        for _ in range(MOST):
            clock.tick()
            await client.sign_out()
            await client.sign_in(user)
            await at(client).sign_in(user)
        known = await rows(client)
        kept = await subject(client, recorder, "ada@example.com", browser_of(client))
        gone = await subject(client, recorder, "ada@example.com", browser_of(first))

    assert len(known) == MOST
    assert (kept or "").startswith("browser")
    assert gone == "ada@example.com"


async def test_what_has_ended_is_deleted_but_for_an_accounts_last() -> None:
    clock = FrozenClock()
    async with running("sqlite:///:memory:", clock=clock) as client:
        ada, bob = await make_user(client.sigra), await make_user(client.sigra, "bob@example.com")
        for user in (ada, ada, bob, ada):
            clock.tick()
            await at(client).sign_in(user)
        before = await rows(client)
        plugin = client.sigra.plugin(KnownBrowsers)
        await plugin._sweep(client.sigra)
        untouched = await rows(client)
        await client.sigra.db.transaction(lambda tx: client.sigra.revoke(tx, ada, "compromised"))
        clock.tick(timedelta(days=200))
        more = await plugin._sweep(client.sigra)
        left = await rows(client)

    assert untouched == before and not more
    assert [(row["user_id"], row["id"]) for row in left] == [(bob.id, before[2]["id"]), (ada.id, before[3]["id"])]


async def test_what_is_known_is_told_to_its_user_and_erased_with_them() -> None:
    async with running("sqlite:///:memory:") as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        exported = (await client.get("/auth/account/export")).json()
        plugin = client.sigra.plugin(KnownBrowsers)
        await client.sigra.db.transaction(lambda tx: plugin.erase_user(tx, user))
        left = await rows(client)

    [held] = exported["known_browsers"]
    assert held == {
        "network": "203.0.113.0/24",
        "created_at": "2026-01-01T12:00:00Z",
        "seen_at": "2026-01-01T12:00:00Z",
        "ended_at": None,
    }
    assert left == []


async def test_first_proof_of_an_address_forgets_the_browsers_of_whoever_was_there_before() -> None:
    async with running("sqlite:///:memory:") as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await client.sigra.db.transaction(lambda tx: client.sigra.forget(tx, user, "first_proof"))
        left = await rows(client)

    assert left == []


async def test_hc23_a_browser_goes_on_while_its_key_is_in_the_ring_and_then_under_the_new_one(database: str) -> None:
    old, new = "the-old-key-of-the-ring-with-enough-in-it", "the-new-key-of-the-ring-with-enough-in-it"
    async with running(database, secret_keys=[old]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        browser = browser_of(client)
    marks = []
    for ring in ([new, old], [new]):
        async with running(database, secret_keys=ring) as client:
            elsewhere = at(client, (f"198.51.{len(ring)}.1", 1))
            marks.append((await sign_in_with(elsewhere, user, browser)).json()["session"]["unfamiliar"])

    assert marks == [False, False]


async def test_the_plugin_can_be_switched_off_with_all_that_it_does() -> None:
    box = Postbox()
    async with running("sqlite:///:memory:", ["defaults", "-known_browsers", box]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        answer = await at(client).sign_in(user)
        await client.sigra.worker.work()

    assert answer.json()["session"]["unfamiliar"] is False
    assert box.kinds == []
    assert COOKIE not in client.cookies
