"""Who is asking, by which credential, and what a bad one is told."""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sigra import Identity, Sigra, SigraError, User, current_user, hookimpl
from sigra.plugins.api_keys import APIKeys, NewKey
from sigra.testing import PASSWORD, Client, FrozenClock, cheap_settings, make_api_key, make_user
from tests.apps import running


async def test_without_a_credential_the_keys_are_there_and_none(database: str) -> None:
    async with running(database) as client:
        response = await client.get("/")

    assert response.json() == {"email": None, "method": None}


async def test_the_scope_is_copied_and_other_keys_are_left_alone(database: str) -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async with running(database, app=app) as client:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "user": "theirs", "client": None}
        sent: list[object] = []

        async def send(message: object) -> None:
            sent.append(message)

        await client.app(scope, lambda: None, send)  # type: ignore[arg-type, return-value]

        assert "sigra.user" not in scope
        assert seen[0]["user"] == "theirs"
        assert seen[0]["sigra.auth"] is client.sigra


@pytest.mark.parametrize("given", [iter, tuple, list, lambda headers: [list(one) for one in headers]])
async def test_headers_are_read_by_all_in_whatever_form_they_are_given(given: Callable[[object], object]) -> None:
    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope["sigra.identity"].method, Request(scope).headers["x-theirs"]))

    async with running("sqlite:///:memory:", app=app) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items()).encode()
        key = f"Bearer {await make_api_key(client.sigra, user)}".encode()
        for credential in ((b"cookie", cookie), (b"authorization", key)):
            scope = {"type": "http", "method": "GET", "path": "/", "client": None}
            headers = given([(b"x-theirs", b"yes"), credential])
            await client.app({**scope, "headers": headers}, lambda: None, lambda message: None)  # type: ignore[arg-type, return-value]

    assert seen == [("session", "yes"), ("api_key", "yes")]


async def test_a_session_cookie_and_a_key_resolve_to_the_same_user(database: str) -> None:
    async with running(database) as client:
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user)
        by_key = await client.get("/", headers={"authorization": f"bEaReR {key}"})
        await client.sign_in(user)
        by_cookie = await client.get("/")

    assert by_key.json() == {"email": user.email, "method": "api_key"}
    assert by_cookie.json() == {"email": user.email, "method": "session"}


async def test_a_bad_session_cookie_is_anonymous_and_deleted(database: str) -> None:
    async with running(database, https=True) as client:
        response = await client.get("/", headers={"cookie": "__Host-sigra=" + "A" * 43})

    assert response.json()["email"] is None
    assert response.headers["set-cookie"].startswith("__Host-sigra=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")


@pytest.mark.parametrize("value", ["", '"x"', "x" * 5000, "ü", "a b", "x,y", "%00", "A" * 42, "A" * 44])
async def test_hc34_a_garbage_cookie_is_anonymous(value: str) -> None:
    async with running("sqlite:///:memory:") as client:
        cookie = b"sigra=" + value.encode("latin-1")
        response = await client.get("/", headers=[(b"cookie", cookie)])

    assert response.status_code == 200
    assert response.json()["email"] is None


async def test_hc34_two_session_cookies_are_refused() -> None:
    async with running("sqlite:///:memory:") as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        good = client.cookies["sigra"]
        response = await client.get("/", headers={"cookie": f"sigra=x; sigra={good}"})

    assert response.status_code == 400
    assert response.json()["code"] == "malformed"


async def test_two_authorization_headers_are_refused() -> None:
    async with running("sqlite:///:memory:") as client:
        headers = [("authorization", "Bearer x"), ("authorization", "Basic y")]
        response = await client.get("/", headers=headers)

    assert response.status_code == 400


@pytest.mark.parametrize("path", ["/", "/private", "/auth/session", "/auth/nowhere"])
async def test_hc34_a_claimed_and_bad_key_is_401_on_every_path_and_never_the_cookie(path: str) -> None:
    async with running("sqlite:///:memory:") as client:
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user)
        await client.sign_in(user)
        response = await client.get(
            path, headers={"authorization": f"Bearer {key[:-1]}{'a' if key[-1] != 'a' else 'b'}"}
        )

    assert response.status_code == 401
    assert response.json()["code"] == "invalid_token"
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_hc34_while_a_foreign_bearer_is_present_the_cookie_is_not_consulted() -> None:
    async with running("sqlite:///:memory:") as client:
        await client.sign_in(await make_user(client.sigra))
        foreign = await client.get("/", headers={"authorization": "Bearer somebody.elses.token"})
        empty = await client.get("/", headers={"authorization": "Bearer"})
        basic = await client.get("/", headers={"authorization": "Basic dTpw"})

    assert foreign.json()["email"] is None
    assert empty.json()["email"] is None
    assert basic.json()["email"] == "ada@example.com"


class OfScheme:
    """Knows one user by a scheme of its own."""

    name, api = "of_scheme", 1

    @hookimpl
    async def identity_from_authorization(self, scheme: str) -> Identity | None:
        return Identity(User(uuid.uuid4(), "grace@example.com"), self.name, "1") if scheme == "basic" else None


async def test_hc34_whom_a_header_names_no_cookie_replaces() -> None:
    async with running("sqlite:///:memory:", plugins=["defaults", OfScheme()]) as client:
        await client.sign_in(await make_user(client.sigra))
        answer = await client.get("/", headers={"authorization": "Basic dTpw"})

    assert answer.json()["email"] == "grace@example.com"


async def test_a_key_with_a_wrong_checksum_costs_no_query() -> None:
    async with running("sqlite:///:memory:") as client:
        key = await make_api_key(client.sigra, await make_user(client.sigra))
        await client.sigra.db.transaction(lambda tx: tx.run_sync(client.sigra.metadata.drop_all))
        typo = await client.get("/", headers={"authorization": f"Bearer {key[:-2]}"})

    assert typo.status_code == 401


async def test_hc8_a_disabled_user_is_refused_at_the_next_use(database: str) -> None:
    async with running(database) as client:
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user)
        await client.sign_in(user)
        await client.sigra.db.transaction(lambda tx: client.sigra.users.set_status(tx, user, "disabled"))
        by_cookie = await client.get("/")
        by_key = await client.get("/", headers={"authorization": f"Bearer {key}"})

    assert by_cookie.json()["email"] is None
    assert by_key.status_code == 401


async def test_hc8_a_deleted_user_leaves_nothing_that_is_accepted(database: str) -> None:
    async with running(database) as client:
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user)
        await client.sign_in(user)
        users = client.sigra.metadata.tables["sigra_users"]
        await client.sigra.db.transaction(lambda tx: tx.execute(users.delete()))
        by_cookie = await client.get("/")
        by_key = await client.get("/", headers={"authorization": f"Bearer {key}"})

    assert by_cookie.json()["email"] is None
    assert by_key.status_code == 401


async def test_skipped_paths_pass_without_identity_by_whole_segments() -> None:
    async with running("sqlite:///:memory:", skip_paths=["/private"]) as client:
        await client.sign_in(await make_user(client.sigra))
        bad_key = {"authorization": "Bearer sigra_sk_bad"}
        skipped = await client.head("/private/", headers=bad_key)
        served = await client.get("/privateer", headers=bad_key)

    assert skipped.status_code != 401
    assert served.status_code == 401


async def test_hc45_database_down_an_anonymous_request_passes_and_a_credential_gets_503(tmp_path: object) -> None:
    url = "postgresql+asyncpg://nobody:secret@127.0.0.1:9/none"
    auth = Sigra(cheap_settings(url), clock=FrozenClock())
    from tests.apps import application

    async with Client(auth.wrap(application), auth) as client:
        anonymous = await client.get("/")
        with_cookie = await client.get("/", headers={"cookie": "sigra=" + "A" * 43})
        signing_in = await client.post("/auth/login", json={"email": "a@example.com", "password": "x"})
    await auth.aclose()

    assert anonymous.status_code == 200
    for response in (with_cookie, signing_in):
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        assert "secret" not in response.text


async def make_keys(auth: Sigra, users: list[User], each: int) -> list[tuple[str | None, str]]:
    async def make(tx: AsyncConnection) -> list[tuple[str | None, str]]:
        plugin = auth.plugin(APIKeys)
        wanted = [(user, NewKey(name=str(n))) for user in users for n in range(each)]
        return [(user.email, (await plugin.make(auth, user, one, tx))[0]) for user, one in wanted]

    return await auth.db.transaction(make)


async def test_hc50_a_thousand_requests_with_a_thousand_identities_never_see_each_others(database: str) -> None:
    async with running(database) as client:
        users = [await make_user(client.sigra, f"u{n}@example.com", None) for n in range(20)]
        keys = await make_keys(client.sigra, users, each=50)

        async def ask(email: str | None, key: str) -> tuple[str | None, httpx2.Response]:
            return email, await client.get("/", headers={"authorization": f"Bearer {key}"})

        answers = await asyncio.gather(*(ask(email, key) for email, key in keys))

    assert len(answers) == 1000
    assert all(response.json()["email"] == email for email, response in answers)


async def test_hc50_cancelled_requests_leave_their_neighbours_alone(database: str) -> None:
    async with running(database) as client:
        users = [await make_user(client.sigra, f"u{n}@example.com", None) for n in range(10)]
        keys = [(user.email, await make_api_key(client.sigra, user)) for user in users] * 20

        async def ask(email: str | None, key: str) -> bool:
            response = await client.get("/", headers={"authorization": f"Bearer {key}"})
            return bool(response.json()["email"] == email)

        tasks = [asyncio.create_task(ask(*pair)) for pair in keys]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)

    assert all(answer is True for answer in answers[1::2])


class Granter:
    """Adds a scope to whoever asks."""

    name, api = "granter", 1

    @hookimpl
    async def scopes_for_identity(self) -> set[str]:
        return {"reports:read"}


async def test_hc25_a_key_never_grows_by_what_plugins_grant() -> None:
    async with running("sqlite:///:memory:", ["defaults", Granter()]) as client:
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user, "reports:write")
        by_key = await client.get("/reports", headers={"authorization": f"Bearer {key}"})
        await client.sign_in(user)
        by_session = await client.get("/reports")

    assert by_session.status_code == 200
    assert by_key.status_code == 403


class Both:
    """Answers every Bearer credential, as another does."""

    api = 1

    def __init__(self, name: str, twin: "Sigra | None" = None) -> None:
        self.name = name

    @hookimpl
    async def identity_from_authorization(self, scheme: str) -> object:
        import uuid

        from sigra import Identity, User

        return Identity(User(uuid.uuid4(), None), self.name, "1") if scheme == "bearer" else None


async def test_hc48_two_answers_to_one_credential_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with running("sqlite:///:memory:", ["defaults", Both("one"), Both("two")]) as client:
        response = await client.get("/", headers={"authorization": "Bearer x"})

    assert response.status_code == 503
    assert "one and two" in caplog.text


async def test_hc34_a_sign_in_with_a_dead_cookie_leaves_the_new_one(database: str) -> None:
    async with running(database) as client:
        user = await make_user(client.sigra)
        headers = {"cookie": "sigra=" + "A" * 43}
        body = {"email": user.email, "password": PASSWORD}
        response = await client.post("/auth/login", json=body, headers=headers)

    cookies = response.headers.get_list("set-cookie")
    assert response.status_code == 200
    assert [line for line in cookies if line.startswith("sigra=;")] == []


async def test_a_refusal_that_the_application_handled_does_not_hide_its_bug() -> None:
    async def page(request: Request) -> Response:
        with suppress(SigraError):
            await current_user(request)
        raise ZeroDivisionError("a bug")

    auth = Sigra(cheap_settings(), clock=FrozenClock())
    app = auth.wrap(Starlette(routes=[Route("/", page)]))
    async with Client(app, auth, raises=False) as client:
        response = await client.get("/")
    await auth.aclose()

    assert response.status_code == 500


@pytest.mark.parametrize(("proxies", "scheme"), [(["203.0.113.0/24"], "https"), ([], "http")])
async def test_hc41_the_scheme_is_a_trusted_proxys_word_alone(proxies: list[str], scheme: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(scope["scheme"])(scope, receive, send)

    async with running("sqlite:///:memory:", app=app, trusted_proxies=proxies) as client:
        response = await client.get("/", headers={"x-forwarded-proto": "https"})

    assert response.text == scheme
