"""API keys: shown once, limited to their scopes, and no way to more."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from sigra import Sigra
from sigra.plugins.api_keys import APIKeys
from sigra.testing import Client, FrozenClock, make_api_key, make_user
from tests.apps import Postbox, running
from tests.slow import held_open


async def test_a_key_is_shown_once_and_listed_without_its_secret(database: str) -> None:
    async with running(database) as client:
        await client.sign_in(await make_user(client.sigra))
        made = await client.post("/auth/api-keys", json={"name": "ci", "scopes": ["reports:read", "a"]})
        listed = await client.get("/auth/api-keys")

    key = made.json()["key"]
    assert made.status_code == 201
    assert set(made.json()) >= {"id", "key", "name", "scopes", "prefix", "last_four", "created_at", "expires_at"}
    assert made.json()["scopes"] == ["a", "reports:read"]
    assert key.startswith("sigra_sk_") and key.endswith(made.json()["last_four"])
    assert key not in listed.text
    assert listed.json()["api_keys"][0]["name"] == "ci"


async def test_a_key_carries_its_scopes_and_no_others() -> None:
    async with running("sqlite:///:memory:") as client:
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user, "reports:read")
        other = await make_api_key(client.sigra, user, "reports", "reports:", "reports:readx")
        allowed = await client.get("/reports", headers={"authorization": f"Bearer {key}"})
        refused = await client.get("/reports", headers={"authorization": f"Bearer {other}"})

    assert allowed.status_code == 200
    assert refused.status_code == 403
    assert refused.json()["code"] == "insufficient_scope"


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "scopes": ["*"]},
        {"name": "x", "scopes": ["Reports"]},
        {"name": "x", "scopes": ["a b"]},
        {"name": "x", "scopes": ["a\n"]},
        {"name": "x", "scopes": [""]},
        {"name": "x", "scopes": ["a" * 65]},
        {"name": "x", "scopes": "a"},
        {"name": "", "scopes": []},
        {"name": "a\nb", "scopes": []},
        {"scopes": []},
        {"name": "x", "expires_at": "2020-01-01T00:00:00Z"},
        {"name": "x", "expires_at": "2030-01-01T00:00:00"},
        {"name": "x", "expires_at": "9999-12-31T23:59:59-23:00"},
        {"name": "x", "expires_at": "0001-01-01T00:00:00+23:00"},
    ],
)
async def test_bad_fields_are_422(body: dict[str, object]) -> None:
    async with running("sqlite:///:memory:") as client:
        await client.sign_in(await make_user(client.sigra))
        response = await client.post("/auth/api-keys", json=body)

    assert response.status_code == 422
    assert response.json()["code"] == "validation_failed"


async def test_hc25_scopes_can_be_limited_by_the_operator() -> None:
    async with running("sqlite:///:memory:", api_keys={"scopes": ["reports:read"]}) as client:
        await client.sign_in(await make_user(client.sigra))
        allowed = await client.post("/auth/api-keys", json={"name": "x", "scopes": ["reports:read"]})
        refused = await client.post("/auth/api-keys", json={"name": "x", "scopes": ["admin"]})

    assert allowed.status_code == 201
    assert refused.status_code == 422


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/auth/api-keys"),
        ("GET", "/auth/api-keys"),
        ("GET", "/auth/sessions"),
        ("DELETE", "/auth/sessions"),
        ("POST", "/auth/login"),
        ("POST", "/auth/logout"),
        ("GET", "/auth/login"),
    ],
)
async def test_hc25_a_key_reads_the_session_and_nothing_else_of_the_mount_path(method: str, path: str) -> None:
    async with running("sqlite:///:memory:") as client:
        key = await make_api_key(client.sigra, await make_user(client.sigra))
        headers = {"authorization": f"Bearer {key}"}
        refused = await client.request(method, path, headers=headers)
        session = await client.get("/auth/session", headers=headers)

    assert refused.status_code == 403
    assert refused.json()["code"] == "session_required"
    assert session.json()["session"] is None
    assert session.json()["identity"]["method"] == "api_key"


async def test_hc25_a_key_in_the_query_string_is_nothing() -> None:
    async with running("sqlite:///:memory:") as client:
        key = await make_api_key(client.sigra, await make_user(client.sigra))
        response = await client.get("/", params={"access_token": key, "api_key": key})

    assert response.json()["email"] is None


async def test_hc25_making_a_key_needs_a_fresh_sign_in() -> None:
    clock = FrozenClock()
    async with running("sqlite:///:memory:", clock=clock, reauthentication={"fresh": 60}) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        clock.tick(timedelta(seconds=60))
        at_the_edge = await client.post("/auth/api-keys", json={"name": "x"})
        clock.tick(timedelta(seconds=1))
        stale = await client.post("/auth/api-keys", json={"name": "x"})
        await client.sign_in(user)
        fresh = await client.post("/auth/api-keys", json={"name": "x"})

    assert at_the_edge.status_code == 201
    assert stale.status_code == 403
    assert stale.json()["code"] == "reauthentication_required"
    assert fresh.status_code == 201


async def test_hc25_a_key_ends_at_its_expiry_to_the_second(database: str) -> None:
    clock = FrozenClock()
    async with running(database, clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        expiry = (clock() + timedelta(seconds=60)).isoformat()
        key = (await client.post("/auth/api-keys", json={"name": "x", "expires_at": expiry})).json()["key"]
        client.cookies.clear()
        headers = {"authorization": f"Bearer {key}"}
        clock.tick(timedelta(seconds=59))
        before = await client.get("/", headers=headers)
        clock.tick(timedelta(seconds=1))
        after = await client.get("/", headers=headers)

    assert before.status_code == 200
    assert after.status_code == 401


async def test_a_revoked_key_is_refused_and_foreign_ones_are_404(database: str) -> None:
    async with running(database) as client:
        ada, bob = await make_user(client.sigra), await make_user(client.sigra, "bob@example.com")
        key = await make_api_key(client.sigra, ada)
        other = Client(client.app, client.sigra)
        await client.sign_in(ada)
        await other.sign_in(bob)
        [listed] = (await client.get("/auth/api-keys")).json()["api_keys"]
        foreign = await other.delete(f"/auth/api-keys/{listed['id']}")
        still = await client.get("/private", headers={"authorization": f"Bearer {key}"})
        revoked = await client.delete(f"/auth/api-keys/{listed['id']}")
        gone = await client.get("/private", headers={"authorization": f"Bearer {key}"})

    assert foreign.status_code == 404
    assert still.status_code == 200
    assert revoked.status_code == 204
    assert gone.status_code == 401


async def test_hc18_a_secret_of_one_kind_is_nothing_in_the_slot_of_another(database: str) -> None:
    async with running(database) as client:
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user)
        await client.sign_in(user)
        session = client.cookies["sigra"]
        client.cookies.clear()

        async def issue(auth: Sigra) -> str:
            return await auth.db.transaction(
                lambda tx: auth.tokens.issue(tx, "reset_password", user, {}, timedelta(minutes=5))
            )

        token = await issue(client.sigra)
        as_cookie = [await client.get("/auth/session", headers={"cookie": f"sigra={text}"}) for text in (key, token)]
        as_bearer = [await client.get("/", headers={"authorization": f"Bearer {text}"}) for text in (session, token)]
        spent = await client.sigra.db.transaction(lambda tx: client.sigra.tokens.spend(tx, "magic_link", token))
        as_login = [
            await client.post("/auth/login", json={"email": user.email, "password": text}) for text in (key, session)
        ]

    assert [response.status_code for response in as_cookie] == [401, 401]
    assert [response.json()["email"] for response in as_bearer] == [None, None]
    assert spent is None
    assert [response.status_code for response in as_login] == [401, 401]


async def test_nothing_stored_can_be_presented(database: str) -> None:
    async with running(database) as client:
        key = await make_api_key(client.sigra, await make_user(client.sigra))
        async with client.sigra.db.connect() as tx:
            row = (await tx.execute(select(client.sigra.plugin(APIKeys).table))).one()

    assert key not in str(row)


async def test_the_mailbox_is_told_of_a_key_and_not_what_it_is() -> None:
    box = Postbox()
    async with running("sqlite:///:memory:", ["defaults", box]) as client:
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user, name="<b>click http://evil.example</b>")
        await make_api_key(client.sigra, await make_user(client.sigra, None, None))
        await client.sigra.worker.work()

    [message] = box.messages
    assert (message.kind, message.recipient) == ("api_key_created", "ada@example.com")
    assert key[-4:] in message.text
    assert key not in message.text + message.html and "evil.example" not in message.text + message.html


async def test_live_keys_are_counted() -> None:
    clock = FrozenClock()
    async with running("sqlite:///:memory:", clock=clock) as client:
        auth, user = client.sigra, await make_user(client.sigra)
        await client.sign_in(user)
        for expires_at in (None, "2026-01-02T00:00:00Z", "2026-01-01T12:00:01Z"):
            await client.post("/auth/api-keys", json={"name": "x", "expires_at": expires_at})
        await make_api_key(auth, await make_user(auth, "eve@example.com"))
        clock.tick()
        async with auth.db.connect() as tx:
            counted = await auth.plugin(APIKeys).count(auth, tx, user)

    assert counted == 2


async def test_hc33_a_key_asked_for_before_a_reset_is_not_made_after_it(database: str) -> None:
    """A stolen session holds its request open until the owner has a new password."""
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        thief = Client(client.app, client.sigra)
        await thief.sign_in(user)

        async def reset() -> None:
            await client.post("/auth/password/forgot", json={"email": user.email})
            await client.sigra.worker.work()
            new = {"token": box.token(), "new_password": "a train of thought leaves at nine"}
            assert (await client.post("/auth/password/reset", json=new)).status_code == 204

        answer = await held_open(thief, "POST", "/auth/api-keys", {"name": "x", "scopes": []}, reset)
        async with client.sigra.db.connect() as tx:
            keys = await client.sigra.plugin(APIKeys).count(client.sigra, tx, user)

    assert (answer.status_code, keys) == (401, 0)
