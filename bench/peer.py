"""fastapi-users with its database strategy, as its documentation sets it up; runs in the peer's own environment.

`peer.py URL fill COUNT` makes its tables and prints tokens; `peer.py URL serve` serves.
"""

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin
from fastapi_users.authentication import AuthenticationBackend, BearerTransport
from fastapi_users.authentication.strategy.db import AccessTokenDatabase, DatabaseStrategy
from fastapi_users.db import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users_db_sqlalchemy.access_token import SQLAlchemyAccessTokenDatabase, SQLAlchemyBaseAccessTokenTableUUID
from serving import serve
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTableUUID, Base):
    pass


class AccessToken(SQLAlchemyBaseAccessTokenTableUUID, Base):
    pass


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    pass


def application(url: str) -> FastAPI:
    engine = create_async_engine(url)
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    async def get_session() -> AsyncIterator[AsyncSession]:
        async with sessions() as session:
            yield session

    async def get_users(session: Annotated[AsyncSession, Depends(get_session)]) -> AsyncIterator[Any]:
        yield SQLAlchemyUserDatabase(session, User)

    async def get_tokens(session: Annotated[AsyncSession, Depends(get_session)]) -> AsyncIterator[Any]:
        yield SQLAlchemyAccessTokenDatabase(session, AccessToken)

    async def get_manager(users: Annotated[Any, Depends(get_users)]) -> AsyncIterator[UserManager]:
        yield UserManager(users)

    def get_strategy(
        tokens: Annotated[AccessTokenDatabase[AccessToken], Depends(get_tokens)],
    ) -> DatabaseStrategy[User, uuid.UUID, AccessToken]:
        return DatabaseStrategy(tokens, lifetime_seconds=86400)

    backend = AuthenticationBackend(
        name="database", transport=BearerTransport(tokenUrl="login"), get_strategy=get_strategy
    )
    users = FastAPIUsers[User, uuid.UUID](get_manager, [backend])
    app = FastAPI()

    @app.get("/")
    async def home(user: Annotated[User, Depends(users.current_user(active=True))]) -> dict[str, bool]:
        return {"ok": user.is_active}

    return app


async def fill(url: str, count: int) -> list[str]:
    """The tokens of as many users."""
    engine = create_async_engine(url)
    users = [{"id": uuid.uuid4(), "email": f"{n}@example.com", "hashed_password": "x"} for n in range(count)]
    tokens = [{"token": uuid.uuid4().hex, "user_id": user["id"]} for user in users]
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(insert(User), users)
        await connection.execute(insert(AccessToken), tokens)
    await engine.dispose()
    return [token["token"] for token in tokens]


if __name__ == "__main__":
    if sys.argv[2] == "fill":
        print(json.dumps(asyncio.run(fill(sys.argv[1], int(sys.argv[3])))))
    else:
        serve(application(sys.argv[1]))
