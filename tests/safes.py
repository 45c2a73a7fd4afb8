"""A plugin whose rows hold something sealed, and are ways to prove who one is."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from sqlalchemy import Column, MetaData, String, Table, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sigra import Auth, Authenticator, NotFound, Route, User, current_user, hookimpl
from sigra.db import Id, Sealed, user_ref


def safes_table(metadata: MetaData) -> Table:
    """One row a safe."""
    return Table(
        "sigra_safes",
        metadata,
        Column("id", Id, primary_key=True),
        user_ref(nullable=True),
        Column("content", Sealed()),
        Column("method", String(16)),
    )


class Safes:
    """Users have safes, which are opened at `/safes` and given up at `/safes/{id}`.

    Args:
        alone: Whether a safe alone lets its owner in.
    """

    name = "safes"
    api = 1

    def __init__(self, *, alone: bool = True) -> None:
        self.alone = alone

    @hookimpl
    def register_tables(self, metadata: MetaData) -> Sequence[Table]:
        self.table = safes_table(metadata)
        return [self.table]

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        return [
            Route("/safes", partial(self.open, auth), secured=True),
            Route("/safes", partial(self.get, auth), methods=["POST"], secured=True),
            Route("/safes/{id:uuid}", partial(self.give_up, auth), methods=["DELETE"], secured=True),
        ]

    def described(self, id: uuid.UUID, kind: Literal["mfa", "primary"] = "primary") -> Authenticator:
        return Authenticator(kind, "safe", str(id), "The safe in the cellar", alone=self.alone)

    async def fill(self, auth: Auth, tx: AsyncConnection, user: User | None, content: bytes | None) -> uuid.UUID:
        """Store a new one."""
        id = uuid.uuid4()
        sealed = None if content is None else auth.vault.seal(self.table.c.content, id, content)
        owner = None if user is None else user.id
        await tx.execute(insert(self.table).values(id=id, user_id=owner, content=sealed))
        return id

    async def contents(self, auth: Auth, tx: AsyncConnection) -> dict[uuid.UUID, bytes]:
        """What is in all that are filled."""
        column = self.table.c.content
        rows = await tx.execute(select(self.table.c.id, column).where(column.is_not(None)))
        return {id: auth.vault.open(column, id, sealed) for id, sealed in rows}

    async def open(self, auth: Auth, request: Request) -> Response:
        """GET /safes: what is in them."""
        await current_user(request)
        async with auth.db.connect() as tx:
            found = await self.contents(auth, tx)
        return JSONResponse({str(id): content.decode() for id, content in found.items()})

    async def get(self, auth: Auth, request: Request) -> Response:
        """POST /safes: another one, and what others say to it."""

        async def add(tx: AsyncConnection, user: User) -> dict[str, Any]:
            id = await self.fill(auth, tx, user, b"gold")
            return {"id": str(id), **await auth.authenticators.added(tx, user, self.described(id), request)}

        return await auth.renew(request, add, page="safes", status=201)

    async def give_up(self, auth: Auth, request: Request) -> Response:
        """DELETE /safes/{id}: one less."""
        return await auth.renew(request, partial(self.remove, auth, request.path_params["id"], request))

    async def remove(self, auth: Auth, id: uuid.UUID, request: Request | None, tx: AsyncConnection, user: User) -> None:
        """One less."""
        its = (self.table.c.id == id) & (self.table.c.user_id == user.id)
        if (await tx.execute(delete(self.table).where(its))).rowcount != 1:
            raise NotFound
        await auth.authenticators.removed(tx, user, self.described(id), request)

    @hookimpl
    async def authenticators_for_user(self, tx: AsyncConnection, user: User) -> Sequence[Authenticator]:
        query = select(self.table.c.id).where(self.table.c.user_id == user.id)
        return [self.described(id) for id in await tx.scalars(query)]
