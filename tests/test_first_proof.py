"""The first proof of an address, and what is changed together with a sign-in."""

from datetime import timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from sigra import Auth, InvalidToken, Login, Route, User, hookimpl
from sigra.plugins.api_keys import APIKeys
from sigra.plugins.password import Password
from sigra.testing import Client, make_api_key, make_user
from tests.apps import Postbox, running

PURPOSE = "ticket"


class Tickets:
    """Signs in whoever holds a ticket, which is torn at the door."""

    name = "tickets"
    api = 1
    fails = False

    @hookimpl
    def register_routes(self, auth: Auth) -> list[Route]:
        return [Route("/login/ticket", partial(self.enter, auth), methods=["POST"], any_identity=True)]

    async def enter(self, auth: Auth, request: Request) -> Response:
        token = (await request.json())["ticket"]
        async with auth.db.connect() as tx:
            held = await auth.tokens.find(tx, PURPOSE, token)
        user = held and held.user_id and await auth.users.by_id(held.user_id)
        if not held or not user:
            raise InvalidToken

        async def tear(tx: AsyncConnection, user: User) -> None:
            if not await auth.tokens.take(tx, held):
                raise InvalidToken
            await auth.prove_email(tx, user, same_person=False)
            if self.fails:
                raise InvalidToken

        return await auth.sign_in(request, Login(user, ("ticket",), methods=("ticket",)), tear)


async def unproven(client: Client) -> User:
    """An account of everything that somebody set before the address was proven."""
    user = await make_user(client.sigra, email_verified=False)
    await make_api_key(client.sigra, user)
    return user


async def ticket(client: Client, user: User) -> str:
    issue = partial(client.sigra.tokens.issue, purpose=PURPOSE, user=user, payload={}, lifetime=timedelta(hours=1))
    return await client.sigra.db.transaction(issue)


async def ways_in(client: Client, user: User) -> tuple[bool, int]:
    auth = client.sigra
    async with auth.db.connect() as tx:
        keys = await auth.plugin(APIKeys).count(auth, tx, user)
    return await auth.plugin(Password).has_one(auth, user), keys


async def test_hc01_the_first_proof_by_somebody_else_ends_all_that_was_set_before(database: str) -> None:
    async with running(database, ["defaults", Tickets(), Postbox()]) as client:
        user = await unproven(client)
        attacker = Client(client.app, client.sigra)
        await attacker.sign_in(user)
        before = await ways_in(client, user)

        signed_in = await client.post("/auth/login/ticket", json={"ticket": await ticket(client, user)})

        assert before == (True, 1)
        assert signed_in.json()["user"]["email_verified"] is True
        assert await ways_in(client, user) == (False, 0)
        assert (await attacker.get("/")).json()["email"] is None
        assert (await client.get("/")).json()["email"] == user.email


async def test_hc01_the_first_proof_by_the_same_person_keeps_it(database: str) -> None:
    async with running(database) as client:
        user = await unproven(client)
        prove = partial(client.sigra.prove_email, user=user, same_person=True)

        proven = await client.sigra.db.transaction(prove)

        assert proven.email_verified
        assert await ways_in(client, user) == (True, 1)


async def test_a_later_proof_changes_nothing(database: str) -> None:
    async with running(database) as client:
        user = await make_user(client.sigra)

        proven = await client.sigra.db.transaction(partial(client.sigra.prove_email, user=user, same_person=False))

        assert proven == user
        assert await ways_in(client, user) == (True, 0)


async def test_hc14_what_is_spent_together_with_a_sign_in_is_spent_once(database: str) -> None:
    async with running(database, ["defaults", Tickets()]) as client:
        token = await ticket(client, await make_user(client.sigra))

        first = await client.post("/auth/login/ticket", json={"ticket": token})
        second = await Client(client.app, client.sigra).post("/auth/login/ticket", json={"ticket": token})

    assert (first.status_code, second.status_code) == (200, 400)


async def test_hc45_a_change_that_fails_undoes_the_sign_in_and_itself(database: str) -> None:
    tickets = Tickets()
    async with running(database, ["defaults", tickets]) as client:
        user = await unproven(client)
        token = await ticket(client, user)
        tickets.fails = True
        failed = await client.post("/auth/login/ticket", json={"ticket": token})
        kept = await ways_in(client, user)
        tickets.fails = False
        repeated = await client.post("/auth/login/ticket", json={"ticket": token})

    assert (failed.status_code, repeated.status_code) == (400, 200)
    assert "set-cookie" not in failed.headers
    assert kept == (True, 1)
