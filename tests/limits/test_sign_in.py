"""Limits from outside: what one client gets, over every route, and that nobody learns from them who has an account."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import argon2
import pytest
from starlette.requests import Request
from starlette.responses import Response

from sigra import Auth, InvalidCredentials, Login, MailRequest, Route, hookimpl
from sigra.plugins.password import Password
from sigra.testing import EMAIL, PASSWORD, Client, FrozenClock, make_api_key, make_user
from tests.apps import Postbox, running
from tests.plugins.answers import Answers
from tests.policies import Factor

MEMORY = "sqlite:///:memory:"
MINUTE = timedelta(minutes=1)
WRONG = {"email": EMAIL, "password": "no such horse"}


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is hashed or verified from now on."""
    done: list[str] = []

    def counted(deed: str, did: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **more: Any) -> Any:
            done.append(deed)
            return did(*args, **more)

        return counting

    for deed in ("hash", "verify"):
        monkeypatch.setattr(argon2.PasswordHasher, deed, counted(deed, getattr(argon2.PasswordHasher, deed)))
    return done


def at(client: Client, address: str, **headers: str) -> Client:
    """The same application seen from another address."""
    return Client(client.app, client.sigra, address=(address, 1), headers=headers)


async def guess(client: Client, **body: str) -> int:
    return (await client.post("/auth/login", json={**WRONG, **body})).status_code


# By the client's address


@pytest.mark.parametrize(
    ("addresses", "passed"),
    [
        ([f"203.0.113.{n}" for n in range(30)], 30),
        (["203.0.113.1"] * 30, 10),
        ([f"2001:db8::{n:x}" for n in range(30)], 10),
        ([f"2001:db8:0:{n:x}::1" for n in range(60)], 40),
        ([f"2001:db8:0:{n:x}00::1" for n in range(200)], 160),
        (["203.0.113.1", "::ffff:203.0.113.1", "::ffff:cb00:7101"] * 10, 10),
        (["fe80::1%eth0", "fe80::1%eth1", "fe80::2%x"] * 10, 10),
        (["not an address", "neither is this"] * 10, 10),
    ],
    ids=["clients", "client", "/64", "/56", "/48", "mapped", "zones", "unknown"],
)
async def test_hc41_a_client_is_an_address_or_a_network(addresses: list[str], passed: int) -> None:
    clock = FrozenClock()
    async with running(MEMORY, ["sessions", Knock()], clock=clock, limits={"url": "memory:"}) as client:
        outcomes = [(await at(client, one).post("/auth/knock")).status_code for one in addresses]

    assert outcomes.count(401) == passed
    assert outcomes.count(429) == len(addresses) - passed


async def test_hc41_forged_forwarding_headers_change_nothing() -> None:
    async with running(MEMORY, limits={}) as client:
        outcomes = [
            await guess(
                at(client, "203.0.113.1", **{"x-forwarded-for": f"198.51.100.{n}", "forwarded": f"for=192.0.2.{n}"})
            )
            for n in range(12)
        ]

    assert outcomes == [401] * 10 + [429] * 2


async def test_hc41_behind_a_trusted_proxy_the_client_is_whom_it_names() -> None:
    async with running(MEMORY, limits={}, trusted_proxies=["10.0.0.0/8"]) as client:
        of_each = [
            await guess(at(client, "10.0.0.1", **{"x-forwarded-for": f"192.0.2.1, 198.51.100.{n}"})) for n in range(12)
        ]
        forged = [
            await guess(at(client, "10.0.0.1", **{"x-forwarded-for": f"192.0.2.{n}, 198.51.100.99"})) for n in range(12)
        ]

    assert of_each == [401] * 12
    assert forged == [401] * 10 + [429] * 2


async def test_loopback_is_not_exempt() -> None:
    async with running(MEMORY, limits={}) as client:
        outcomes = [await guess(at(client, "127.0.0.1")) for _ in range(11)]

    assert outcomes == [401] * 10 + [429]


class Knock:
    """A careless sign-in: no attempt, and the same answer for whoever is there."""

    name, api = "knock", 1

    @hookimpl
    def register_routes(self, auth: Auth) -> list[Route]:
        async def knock(request: Request) -> Response:
            raise InvalidCredentials

        return [Route("/knock", knock, methods=["POST"])]


# What is answered


async def test_hc42_who_waits_as_long_as_was_told_gets_in_and_nobody_sooner(database: str) -> None:
    clock = FrozenClock()
    async with running(database, clock=clock, limits={}) as client:
        user = await make_user(client.sigra)
        for _ in range(10):
            await guess(client)
            clock.tick(timedelta(seconds=1.73))
        refused = await client.sign_in(user)
        seconds = int(refused.headers["retry-after"])
        clock.tick(timedelta(seconds=seconds - 1))
        early = await client.sign_in(user)
        clock.tick(timedelta(seconds=1))
        late = await client.sign_in(user)

    assert (refused.status_code, seconds) == (429, 43)
    assert refused.json()["code"] == "too_many_attempts"
    assert (early.status_code, early.headers["retry-after"]) == (429, "1")
    assert late.status_code == 200


async def test_hc42_the_page_comes_again_with_what_is_no_secret() -> None:
    async with running(MEMORY, limits={}) as client:
        for _ in range(10):
            await guess(client)
        form = {"email": EMAIL, "password": "typed-and-secret"}
        page = await client.post("/auth/login", data=form, headers={"accept": "text/html"})

    assert page.status_code == 429
    assert page.headers["retry-after"] == "60"
    assert page.headers["cache-control"] == "no-store"
    assert "Too many attempts. Wait, then try again." in page.text
    assert f'value="{EMAIL}"' in page.text
    assert "typed-and-secret" not in page.text


async def test_every_route_is_described_with_the_answer_of_a_limit() -> None:
    async with running(MEMORY, limits={}) as client:
        described = client.sigra.openapi

    operations = [one for item in described["paths"].values() for one in item.values()]
    assert all("429" in one["responses"] or "default" in one["responses"] for one in operations)
    assert "Retry-After" in str(described["components"]["responses"])


LEGACY = "$2b$04$89BiYIQz48I2MmP4WKUQtukUZv780.zuEygH28BDFuQYcv7Y8ET92"
KINDS = ("known", "unknown", "disabled", "keyless", "legacy", "unproven")


async def of_every_kind(auth: Any) -> None:
    await make_user(auth, "known@example.com")
    await make_user(auth, "keyless@example.com", None)
    await make_user(auth, "unproven@example.com", email_verified=False)
    disabled = await make_user(auth, "disabled@example.com")
    await auth.db.transaction(lambda tx: auth.users.set_status(tx, disabled, "disabled"))
    old = await make_user(auth, "legacy@example.com", None)
    await auth.db.transaction(lambda tx: auth.plugin(Password).set(auth, tx, old, LEGACY))


ROUTES = [
    ("/auth/login", {"password": "no such horse"}),
    ("/auth/password/forgot", {}),
    ("/auth/magic-link", {}),
    ("/auth/email/verify/resend", {}),
    ("/auth/signup", {"password": PASSWORD}),
]


@pytest.mark.parametrize(("path", "body"), ROUTES, ids=[path for path, _ in ROUTES])
async def test_hc39_up_to_a_limit_and_past_it_every_account_is_answered_alike_at_equal_cost(
    path: str, body: dict[str, str], database: str, hashes: list[str]
) -> None:
    rules = {"sign_in_client": "1000/minute", "sign_in_account": "3/hour", "mail_client": "1000/hour"}
    options = {"limits": {"rules": rules | {"sign_up_client": "1000/hour"}}}
    cheap = {"memory_kib": 8, "time": 1, "parallelism": 1, "foreign_hashes": ["bcrypt"], "foreign_costs": {"bcrypt": 4}}
    async with running(database, ["defaults", Postbox()], password=cheap, **options) as client:
        await of_every_kind(client.sigra)
        answers, costs = Answers(client.sigra), []
        for kind in KINDS:
            browser = at(client, "203.0.113.7")
            for _ in range(5):
                hashes.clear()
                await answers.add(await browser.post(path, json={"email": f"{kind}@example.com", **body}))
                costs.append(len(hashes))

    by_kind = [answers._seen[start : start + 5] for start in range(0, 30, 5)]
    assert [answer.status for answer in by_kind[0]][3:] == [429, 429]
    assert all(its == by_kind[0] for its in by_kind)
    assert costs == costs[:5] * 6
    assert costs[3:5] == [0, 0]


async def test_hc07_every_spelling_of_an_address_is_one_account_and_one_recipient() -> None:
    rules = {"sign_in_client": "1000/minute", "sign_in_account": "3/hour", "mail_client": "1000/hour"}
    spellings = [
        "ada@example.com",
        "ADA@EXAMPLE.COM",
        " ada@example.com ",
        "\uff21da@example.com",
        "ada\uff20example.com",
    ]
    async with running(MEMORY, limits={"rules": rules}) as client:
        proofs = [await guess(client, email=one) for one in spellings]
        mails = [(await client.post("/auth/password/forgot", json={"email": one})).status_code for one in spellings]

    assert proofs == [401, 401, 401, 429, 429]
    assert mails == [202, 202, 202, 429, 429]


async def test_hc40_no_mail_is_asked_for_uncounted() -> None:
    class Mailer:
        name, api = "mailer", 1

        @hookimpl
        def register_routes(self, auth: Auth) -> list[Route]:
            async def mail(request: Request) -> Response:
                asked = MailRequest("password_reset", EMAIL)
                await auth.db.transaction(partial(auth.request_mail, request=asked))
                return Response()

            return [Route("/mailer", mail, methods=["POST"])]

    box = Postbox()
    async with running(MEMORY, ["defaults", box, Mailer()], limits={}) as client:
        await make_user(client.sigra)
        browser = Client(client.app, client.sigra, raises=False)
        response = await browser.post("/auth/mailer")
        await client.sigra.worker.work()

    assert response.status_code == 500
    assert box.kinds == []


# Ten proofs a minute, whatever is tried


class Shed:
    """A careless sign-in whose proof is looked at before anybody is asked."""

    name, api = "shed", 1

    def __init__(self) -> None:
        self.looked_at = 0

    @hookimpl
    def register_routes(self, auth: Auth) -> list[Route]:
        return [Route("/shed/{code}", partial(self.enter, auth), methods=["POST"])]

    async def enter(self, auth: Auth, request: Request) -> Response:
        user = await auth.users.by_email(EMAIL)
        assert user is not None
        self.looked_at += 1
        if request.path_params["code"] != "right":
            raise InvalidCredentials
        return await auth.sign_in(request, Login(user, ("pwd",)))


async def test_hc40_one_client_gets_ten_proofs_in_any_minute_over_all_accounts(
    database: str, hashes: list[str]
) -> None:
    clock = FrozenClock()
    async with running(database, clock=clock, limits={}) as client:
        for number in range(3):
            await make_user(client.sigra, f"user{number}@example.com")
        hashes.clear()
        proven: list[float] = []
        for second in range(150):
            for number in range(3):
                before = len(hashes)
                await guess(client, email=f"user{(second + number) % 7}@example.com")
                proven += [clock().timestamp()] * (len(hashes) - before)
            clock.tick(timedelta(seconds=1))

    assert len(proven) == 30
    assert all(len([one for one in proven if start <= one < start + 60]) <= 10 for start in proven)


async def test_hc40_an_account_is_counted_over_all_clients_and_no_other_with_it() -> None:
    async with running(MEMORY, limits={"rules": {"sign_in_account": "3/hour"}}) as client:
        user = await make_user(client.sigra)
        outcomes = [await guess(at(client, f"203.0.113.{number}")) for number in range(5)]
        owner = await at(client, "198.51.100.1").sign_in(user)
        another = await guess(at(client, "198.51.100.1"), email="bob@example.com")

    assert outcomes == [401, 401, 401, 429, 429]
    assert owner.status_code == 429
    assert another == 401


async def test_hc40_a_mailed_link_is_not_kept_back_by_others_guesses() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box], limits={"rules": {"sign_in_account": "3/hour"}}) as client:
        await make_user(client.sigra)
        guesses = [await guess(at(client, f"203.0.113.{number}")) for number in range(4)]
        owner = at(client, "198.51.100.1")
        await owner.post("/auth/magic-link", json={"email": EMAIL})
        await client.sigra.worker.work()
        in_by_link = await owner.post("/auth/magic-link/verify", json={"token": box.token()})

    assert guesses[-1] == 429
    assert in_by_link.status_code == 200


async def test_hc40_all_routes_share_the_ten_proofs(hashes: list[str]) -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", Factor(), Knock(), box], limits={}) as client:
        await make_user(client.sigra)
        token = "A" * 43
        outcomes = [
            await guess(client),
            await guess(client, email="nobody@example.com"),
            (await client.post("/auth/magic-link/verify", json={"code": "12345678", "login_token": token})).status_code,
            (await client.post("/auth/magic-link/verify", json={"token": token, "login_token": token})).status_code,
            (await client.post("/auth/email/verify", json={"email": EMAIL, "code": "12345678"})).status_code,
            (await client.post("/auth/password/reset", json={"token": token, "new_password": PASSWORD})).status_code,
            (await client.post("/auth/knock")).status_code,
            (await client.post("/auth/login", data=WRONG)).status_code,
            (await client.post("/auth/account/delete/cancel", json={"token": token})).status_code,
            (await client.post("/auth/email/change/confirm", json={"token": token})).status_code,
        ]
        hashes.clear()
        later = [
            await guess(client, password=PASSWORD),
            (await client.post("/auth/magic-link/verify", json={"token": token, "login_token": token})).status_code,
            (await client.post("/auth/email/verify", json={"email": EMAIL, "code": "12345678"})).status_code,
            (await client.post("/auth/password/reset", json={"token": token, "new_password": PASSWORD})).status_code,
            (await client.post("/auth/knock")).status_code,
            (await client.post("/auth/account/delete/cancel", json={"token": token})).status_code,
            (await client.post("/auth/email/change/confirm", json={"token": token})).status_code,
        ]

    assert 429 not in outcomes
    assert later == [429] * 7
    assert hashes == []


async def test_hc40_who_is_signed_in_proves_no_more_than_anybody(hashes: list[str]) -> None:
    async with running(MEMORY, limits={}) as client:
        await client.sign_in(await make_user(client.sigra))
        again = {"password": "no such horse"}
        change = {"current_password": "no such horse", "new_password": "another horse battery"}
        outcomes = [(await client.post("/auth/reauthenticate", json=again)).status_code for _ in range(5)]
        outcomes += [(await client.post("/auth/password/change", json=change)).status_code for _ in range(5)]
        hashes.clear()

    assert outcomes == [401] * 9 + [429]
    assert hashes == []


async def test_hc40_a_careless_sign_in_tells_a_right_proof_only_within_the_limit() -> None:
    shed = Shed()
    async with running(MEMORY, ["defaults", shed], limits={}) as client:
        await make_user(client.sigra)
        wrong = [(await client.post("/auth/shed/wrong")).status_code for _ in range(12)]
        right = await client.post("/auth/shed/right")

    assert wrong == [401] * 10 + [429] * 2
    assert right.status_code == 429
    assert not client.signed_in


async def test_hc40_many_attempts_within_one_request_are_counted_each() -> None:
    looked_at: list[int] = []

    class Greedy:
        name, api = "greedy", 1

        @hookimpl
        def register_routes(self, auth: Auth) -> list[Route]:
            async def guess_on(request: Request) -> Response:
                for number in range(50):
                    try:
                        async with auth.attempt(request, method="greedy", email=EMAIL):
                            looked_at.append(number)
                            raise InvalidCredentials  # noqa: TRY301
                    except InvalidCredentials:
                        continue
                return Response()

            return [Route("/greedy", guess_on, methods=["POST"])]

    async with running(MEMORY, ["defaults", Greedy()], limits={}) as client:
        response = await client.post("/auth/greedy")

    assert response.status_code == 429
    assert len(looked_at) == 10


@pytest.mark.parametrize("named", [True, False], ids=["another account", "nobody"])
async def test_hc13_a_factor_is_counted_at_the_account_that_waits_whomever_its_attempt_names(named: bool) -> None:
    looked_at: list[str] = []

    class Confused:
        name, api = "confused", 1

        @hookimpl
        def register_routes(self, auth: Auth) -> list[Route]:
            async def prove(request: Request) -> Response:
                email = f"user{len(looked_at)}@example.com" if named else None
                async with auth.attempt(request, method="confused", email=email):
                    await auth.pending(request)
                    looked_at.append("")
                    raise InvalidCredentials

            return [Route("/login/confused", prove, methods=["POST"])]

    rules = {"sign_in_client": "1000/minute", "factor": "7/15 minutes"}
    async with running(MEMORY, ["defaults", Factor(), Confused()], limits={"rules": rules}) as client:
        user = await make_user(client.sigra)
        outcomes = []
        for _ in range(4):
            await client.sign_in(user)
            outcomes += [(await client.post("/auth/login/confused", json={})).status_code for _ in range(4)]

    assert outcomes == [401] * 7 + [429] * 9
    assert len(looked_at) == 7


# What costs nothing is not counted


@pytest.mark.parametrize(
    "sent",
    [
        {"json": {"email": EMAIL}},
        {"json": {**WRONG, "password": "x" * 1025}},
        {"content": b"{", "headers": {"content-type": "application/json"}},
        {"content": b"email=ada", "headers": {"content-type": "text/plain"}},
        {"data": {"email": EMAIL}},
        {"data": {**WRONG, "_method": "DELETE"}},
    ],
    ids=["lacking", "long", "broken", "plain", "form", "method"],
)
async def test_a_malformed_sign_in_is_neither_hashed_nor_counted(sent: dict[str, Any], hashes: list[str]) -> None:
    async with running(MEMORY, limits={"rules": {"sign_in_client": "1/minute"}}) as client:
        browser = at(client, client.address[0])
        malformed = [(await browser.post("/auth/login", **sent)).status_code for _ in range(5)]
        hashed = list(hashes)
        counted = [await guess(client), await guess(client)]

    assert hashed == []
    assert set(malformed) <= {400, 405, 415, 422}
    assert counted == [401, 429]


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "GET", "PUT", "DELETE"])
async def test_no_other_method_looks_at_a_proof(method: str, hashes: list[str]) -> None:
    async with running(MEMORY, limits={"rules": {"sign_in_client": "1/minute"}}) as client:
        for _ in range(3):
            await client.request(method, "/auth/login", json=WRONG)
        looked_at = list(hashes)
        counted = await guess(client)

    assert looked_at == []
    assert counted == 401


async def test_what_needs_no_proof_is_not_counted() -> None:
    async with running(MEMORY, limits={}) as client:
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user)
        await client.sign_in(user)
        answers = Answers(client.sigra)
        for browser in (client, at(client, "203.0.113.8"), at(client, "203.0.113.9", authorization=f"Bearer {key}")):
            for path in ("/", "/auth/session", "/auth/login"):
                await answers.add(await browser.get(path))

    assert not [one for answer in answers._seen for one in answer.statements if "sigra_limits" in one]


async def test_guessed_keys_are_not_counted_and_never_right() -> None:
    async with running(MEMORY, limits={"rules": {"sign_in_client": "1/minute"}}) as client:
        outcomes = {
            (await client.get("/", headers={"authorization": f"Bearer sigra_sk_{n:043}"})).status_code
            for n in range(20)
        }
        counted = await guess(client)

    assert outcomes == {401}
    assert counted == 401
