"""Who must have a second factor: asked for at the sign-in, added there, and not taken away again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import httpx2
import pyotp
import pytest
from sqlalchemy import select

from sigra import User, hookimpl
from sigra.plugins.second_factor import SecondFactor
from sigra.plugins.second_factor.demands import strongest
from sigra.testing import PASSWORD, Client, FrozenClock, make_user
from tests.apps import Postbox, running
from tests.passkeys.browsing import register, use
from tests.plugins.tags import Tag, add_tag, challenged, proven
from tests.policies import Recorder, Waiver

MEMORY = "sqlite:///:memory:"
PAGE = {"accept": "text/html"}
REQUIRED, ALWAYS = {"demand": "required"}, {"demand": "always"}
ENROLLMENT = [{"kind": "enrollment", "methods": ["totp"]}]
MFA = [{"kind": "mfa", "methods": ["tag"]}]


class Board:
    """An application's own rule: who is on it must have a second factor."""

    name, api = "board", 1

    def __init__(self, **said: str) -> None:
        self.said = said

    @hookimpl
    async def second_factor_demand(self, user: User) -> str | None:
        return self.said.get((user.email or "").partition("@")[0])


def plugin(client: Client) -> SecondFactor:
    return client.sigra.plugin(SecondFactor)


async def choose(client: Client, user: User, demand: Any) -> None:
    """What `sigra users require-second-factor` does."""
    await client.sigra.db.transaction(partial(plugin(client).demands.choose, user=user, demand=demand))


async def enroll(client: Client) -> httpx2.Response:
    """Add an authenticator app; the answer to its first code."""
    begun = await client.post("/auth/totp/enroll", json={})
    assert begun.status_code == 200, begun.text
    code = pyotp.TOTP(begun.json()["secret"]).at(client.sigra.clock())
    return await client.post("/auth/totp/confirm", json={"code": code})


async def has_app(client: Client, user: User) -> bool:
    table = client.sigra.metadata.tables["sigra_totp"]
    confirmed = select(table.c.user_id).where(table.c.user_id == user.id, table.c.confirmed_at.is_not(None))
    async with client.sigra.db.connect() as tx:
        return (await tx.execute(confirmed)).first() is not None


def owed(answer: httpx2.Response) -> Any:
    """What a sign-in still owes; empty when it is complete."""
    assert answer.status_code in (200, 202), answer.text
    return answer.json().get("challenges", [])


@asynccontextmanager
async def installed(*plugins: Any, **options: Any) -> AsyncIterator[tuple[Client, User]]:
    """An installation with authenticator apps and one user."""
    async with running(MEMORY, ["defaults", "totp", *plugins], **options) as client:
        yield client, await make_user(client.sigra)


# The demand


async def test_nobody_must_have_one_unless_you_say_so() -> None:
    async with installed() as (client, user):
        assert owed(await client.sign_in(user)) == []


@pytest.mark.parametrize("demand", ["required", "always"])
async def test_hc10_who_must_have_one_and_has_none_is_not_let_in_without(demand: str, database: str) -> None:
    async with running(database, ["defaults", "totp"], second_factor={"demand": demand}) as client:
        user = await make_user(client.sigra)
        waiting = await client.sign_in(user)
        nobody = await client.get("/auth/session")
        added = await enroll(client)
        session = (await client.get("/auth/session")).json()

    assert owed(waiting) == ENROLLMENT
    assert nobody.status_code == 401
    assert (added.status_code, added.json()["status"], len(added.json()["recovery_codes"])) == (200, "signed_in", 10)
    assert (session["identity"]["amr"], session["identity"]["assurance"]) == (["pwd", "otp"], "aal2")


async def test_the_factor_is_asked_for_from_then_on() -> None:
    async with installed(second_factor=REQUIRED) as (client, user):
        await client.sign_in(user)
        await enroll(client)
        waiting = await challenged(client, user)

    assert owed(waiting) == [{"kind": "mfa", "methods": ["totp", "recovery_code"]}]


async def test_hc11_who_has_one_gives_it_and_adds_none_of_another_kind_instead(database: str) -> None:
    async with running(database, ["defaults", "totp", Tag()], second_factor=REQUIRED) as client:
        user = await make_user(client.sigra)
        client.sigra.plugin(Tag).of[user.id].add("blue")
        waiting = await client.sign_in(user)
        refused = await client.post("/auth/totp/enroll", json={})

    assert owed(waiting) == MFA
    assert refused.status_code == 401


async def test_hc10_a_factor_that_its_plugin_does_not_ask_for_is_demanded_all_the_same(database: str) -> None:
    class Quiet(Tag):
        @hookimpl
        async def challenges_for_login(self) -> None:
            return None

    async with running(database, ["defaults", Quiet()], second_factor=REQUIRED) as client:
        user = await make_user(client.sigra)
        client.sigra.plugin(Quiet).of[user.id].add("blue")
        waiting = await client.sign_in(user)
        met = await client.post("/auth/login/tag", json={"code": "right"})

    assert owed(waiting) == [{"kind": "mfa", "methods": []}]
    assert owed(met) == []


async def test_a_mailed_link_owes_it_too() -> None:
    box = Postbox()
    async with installed(box, second_factor=REQUIRED) as (client, user):
        await client.post("/auth/magic-link", json={"email": user.email})
        await client.sigra.worker.work()
        waiting = await client.post("/auth/magic-link/verify", json={"token": box.token()})

    assert owed(waiting) == ENROLLMENT


async def test_whoever_signs_up_without_a_password_chooses_one_first_and_then_adds_a_factor() -> None:
    box = Postbox()
    async with installed(box, second_factor=REQUIRED) as (client, _):
        await client.post("/auth/signup", json={"email": "eve@example.com"})
        await client.sigra.worker.work()
        proven = await client.post("/auth/email/verify", json={"token": box.token()})
        set_first = await client.post("/auth/password/set", json={"new_password": "a train leaves at nine"})
        added = await enroll(client)

    assert [one["kind"] for one in owed(proven)] == ["enrollment"]
    assert owed(set_first) == ENROLLMENT
    assert added.json()["status"] == "signed_in"


async def test_proving_it_again_owes_it_too() -> None:
    async with installed() as (client, user):
        await client.sign_in(user)
        await choose(client, user, "required")
        goes_on = await client.get("/auth/session")
        again = await client.post("/auth/reauthenticate", json={"password": PASSWORD})
        added = await enroll(client)

    assert goes_on.status_code == 200
    assert owed(again) == ENROLLMENT
    assert added.json()["status"] == "signed_in"


async def test_without_any_way_to_add_one_nobody_is_let_in_and_the_page_and_the_log_say_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(MEMORY, second_factor=REQUIRED) as client:
        user = await make_user(client.sigra)
        waiting = await client.sign_in(user)
        page = await client.get("/auth/login/challenge", headers=PAGE)

    assert owed(waiting) == [{"kind": "enrollment", "methods": []}]
    assert not client.signed_in
    assert "there is no way to add one here" in page.text
    [record] = [one for one in caplog.records if "enrollment" in one.getMessage()]
    assert (record.levelno, record.getMessage()) == (
        logging.ERROR,
        "no active plugin offers a way to meet enrollment: switch one on",
    )


# Of whom


async def test_single_users_are_chosen() -> None:
    async with installed() as (client, user):
        other = await make_user(client.sigra, "eve@example.com")
        await choose(client, user, "required")
        chosen, free = await client.sign_in(user), await Client(client.app, client.sigra).sign_in(other)
        await choose(client, user, None)
        lifted = await client.sign_in(user)

    assert (owed(chosen), owed(free), owed(lifted)) == (ENROLLMENT, [], [])


async def test_an_applications_own_rule_is_asked() -> None:
    async with installed(Board(ada="required")) as (client, user):
        other = await make_user(client.sigra, "eve@example.com")
        chosen, free = await client.sign_in(user), await Client(client.app, client.sigra).sign_in(other)

    assert (owed(chosen), owed(free)) == (ENROLLMENT, [])


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        ((), None),
        ((None, "optional"), None),
        (("optional", "required"), "required"),
        (("always", "required", None), "always"),
        (("required", "always"), "always"),
    ],
)
def test_hc10_the_strongest_demand_holds(said: tuple[str | None, ...], holds: str | None) -> None:
    assert strongest(said) == holds


async def test_hc47_a_rule_that_says_what_is_no_demand_lets_nobody_in() -> None:
    async with running(MEMORY, ["defaults", Board(ada="mandatory")]) as client:
        refused = await client.sign_in(await make_user(client.sigra))

    assert refused.status_code == 503
    assert not client.signed_in


@pytest.mark.parametrize(("demand", "asks"), [("optional", []), ("required", []), ("always", MFA)])
async def test_hc10_always_is_never_waived(demand: str, asks: Any, database: str) -> None:
    plugins = ["defaults", Tag(), Waiver(["mfa", "enrollment"])]
    async with running(database, plugins, second_factor={"demand": demand}) as client:
        user = await make_user(client.sigra)
        client.sigra.plugin(Tag).of[user.id].add("blue")

        assert owed(await client.sign_in(user)) == asks


async def test_hc10_that_one_must_be_added_is_never_waived(database: str) -> None:
    async with running(database, ["defaults", "totp", Waiver(["enrollment"])], second_factor=REQUIRED) as client:
        assert owed(await client.sign_in(await make_user(client.sigra))) == ENROLLMENT


@pytest.mark.parametrize(("chosen", "asks"), [(None, []), ("required", []), ("always", MFA)])
async def test_hc10_a_browser_that_is_trusted_is_asked_where_nobody_is_to_be_spared(
    chosen: Any, asks: Any, database: str
) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        await proven(client, user, trust_browser=True)
        await choose(client, user, chosen)
        waiting = await challenged(client, user)

    assert [{**one, "methods": one["methods"][:1]} for one in owed(waiting)] == asks


async def test_no_browser_becomes_trusted_where_nobody_is_to_be_spared() -> None:
    async with running(MEMORY, ["defaults", Tag()], second_factor=ALWAYS) as client:
        user = await make_user(client.sigra)
        client.sigra.plugin(Tag).of[user.id].add("blue")
        await proven(client, user, trust_browser=True)
        listed = await client.get("/auth/trusted-browsers")

    assert listed.json() == {"trusted_browsers": []}


# The grace


async def test_within_the_grace_people_sign_in_and_are_told_until_when() -> None:
    clock = FrozenClock()
    options = {**REQUIRED, "grace": timedelta(days=7)}
    async with installed(clock=clock, second_factor=options) as (client, user):
        first = await client.sign_in(user)
        page = await client.get("/auth/account", headers=PAGE)
        clock.tick(timedelta(days=7) - timedelta(microseconds=1))
        last = await challenged(client, user)
        clock.tick(timedelta(microseconds=1))
        over = await challenged(client, user)

    assert (owed(first), owed(last), owed(over)) == ([], [], ENROLLMENT)
    assert "Your account must have a second factor." in page.text
    assert "2026-01-08T12:00:00Z" in page.text


async def test_the_account_page_says_nothing_to_who_has_one_or_need_not() -> None:
    async with running(MEMORY, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        need_not = await client.get("/auth/account", headers=PAGE)
        await choose(client, user, "required")
        lacks = await client.get("/auth/account", headers=PAGE)
        client.sigra.plugin(Tag).of[user.id].add("blue")
        has = await client.get("/auth/account", headers=PAGE)

    said = "Your account must have a second factor."
    assert [said in page.text for page in (need_not, lacks, has)] == [False, True, False]
    assert "Your next sign-in may ask you to add one." in lacks.text


async def test_a_grace_begins_once_and_anew_only_after_there_was_no_demand() -> None:
    clock = FrozenClock()
    async with installed(clock=clock, second_factor={"grace": timedelta(days=7)}) as (client, user):
        await choose(client, user, "required")
        await client.sign_in(user)
        clock.tick(timedelta(days=8))
        over = await challenged(client, user)
        await choose(client, user, None)
        free = await challenged(client, user)
        await choose(client, user, "always")
        anew = await challenged(client, user)

    assert (owed(over), owed(free), owed(anew)) == (ENROLLMENT, [], [])


async def test_who_has_lost_a_factor_has_no_grace_again() -> None:
    clock = FrozenClock()
    async with running(
        MEMORY, ["defaults", "totp", Tag()], clock=clock, second_factor={**REQUIRED, "grace": timedelta(days=7)}
    ) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        clock.tick(timedelta(days=8))
        await client.sigra.db.transaction(partial(plugin(client).removals.remove, client.sigra, user=user))
        waiting = await challenged(client, await client.sigra.users.by_id(user.id))

    assert owed(waiting) == ENROLLMENT


# Taking it away


@pytest.mark.parametrize("demand", ["required", "always"])
async def test_hc05_the_last_factor_of_who_must_have_one_stays(demand: str, database: str) -> None:
    async with running(database, ["defaults", "totp"], second_factor={"demand": demand}) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await enroll(client)
        refused = await client.delete("/auth/totp")
        stays = await has_app(client, user)

    assert stays
    assert (refused.status_code, refused.json()["code"]) == (409, "second_factor_required")


async def test_hc05_two_removals_at_once_leave_one_to_who_must_have_one(database: str) -> None:
    async with running(database, ["defaults", "passkeys"], second_factor=REQUIRED) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        first = await register(client)
        await register(client, credential_id=b"another 16 bytes")
        other = Client(client.app, client.sigra)
        await other.sign_in(user)
        assert (await use(other, first)).status_code == 200
        ids = [one["id"] for one in (await client.get("/auth/passkeys")).json()["passkeys"]]
        pairs = zip((client, other), ids, strict=True)
        answers = await asyncio.gather(*(one.delete(f"/auth/passkeys/{id}") for one, id in pairs))
        waiting = await Client(client.app, client.sigra).sign_in(user)

    assert sorted(answer.status_code for answer in answers) in ([204, 401], [204, 409])
    assert [one["kind"] for one in owed(waiting)] == ["mfa"]


async def test_a_form_is_told_why_beside_it() -> None:
    async with installed(second_factor=REQUIRED) as (client, user):
        await client.sign_in(user)
        await enroll(client)
        refused = await client.post("/auth/totp", data={"_method": "DELETE"}, headers=PAGE)

    assert refused.status_code == 409
    assert "Add another one before you remove this one." in refused.text


async def test_one_of_two_can_be_taken_away_and_so_can_the_last_where_none_is_demanded() -> None:
    async with installed(Tag()) as (client, user):
        await client.sign_in(user)
        await enroll(client)
        await choose(client, user, "required")
        await client.post("/auth/tags/blue", json={})
        one_of_two = await client.delete("/auth/tags/blue")
        await choose(client, user, None)
        last = await client.delete("/auth/totp")

    assert (one_of_two.status_code, last.status_code) == (204, 204)


async def test_what_is_no_factor_can_be_taken_away() -> None:
    """Recovery codes are none: they end with the last factor, and stand in for none."""
    async with installed(Tag(), second_factor=REQUIRED) as (client, user):
        client.sigra.plugin(Tag).of[user.id].add("blue")
        await proven(client, user)
        made = await client.post("/auth/recovery-codes", json={})
        client.sigra.plugin(Tag).of[user.id].clear()
        waiting = await challenged(client, user)

    assert made.status_code == 201
    assert owed(waiting) == ENROLLMENT


# The user's and the operator's data


async def test_what_is_known_is_handed_out_and_goes_with_the_account() -> None:
    recorder = Recorder()
    async with installed(recorder, second_factor={"grace": timedelta(days=1)}) as (client, user):
        await choose(client, user, "required")
        await client.sign_in(user)
        held = (await client.get("/auth/account/export")).json()["second_factor"]
        await client.sigra.db.transaction(partial(plugin(client).erase_user, client.sigra, user=user))
        after = await plugin(client).export_user(client.sigra, user)

    assert held == {"demand": "required", "noticed_at": "2026-01-01T12:00:00Z", "removal": None}
    assert after == {"second_factor": {"demand": None, "noticed_at": None, "removal": None}}
