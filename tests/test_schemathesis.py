"""schemathesis, which knows nothing but the OpenAPI document, finds nothing; and it finds what is planted."""

from __future__ import annotations

import random
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response
from typing_extensions import TypedDict

from sigra import Authenticator, Route, Sigra, hookimpl
from sigra.testing import cheap_settings
from tests.attacker import Target, operations, told

sqlite = pytest.mark.databases("sqlite")
"""What is asked and answered is the same on every database."""


class Held:
    """A second factor that everybody has, and that nobody is asked for."""

    name, api = "held", 1

    @hookimpl
    async def authenticators_for_user(self) -> list[Authenticator]:
        return [Authenticator("mfa", "held", "held", "Held")]


@sqlite
def test_a_session_finds_nothing_and_reaches_every_operation(database):
    auth = Sigra(cheap_settings(database), ["defaults", Held()])
    found = Target(auth).attacked("session", examples=1, steps=2)

    assert told(found.failures) == ""
    assert operations(auth.openapi) - found.reached == set()


@sqlite
@pytest.mark.parametrize("way", ["api_key", "nobody"])
def test_who_has_no_session_finds_nothing(database, way):
    found = Target(Sigra(cheap_settings(database))).attacked(way, examples=2)

    assert told(found.failures) == ""
    assert found.reached


@sqlite
@pytest.mark.soak
@pytest.mark.parametrize("way", ["session", "api_key", "nobody"])
def test_long_runs_find_nothing(database, way):
    seed = random.randrange(2**32)
    found = Target(Sigra(cheap_settings(database))).attacked(way, examples=150, steps=8, seed=seed)

    assert told(found.failures) == "", f"seed {seed}"


# Planted faults


class Note(BaseModel):
    text: Annotated[str, Field(max_length=20)]


class Kept(TypedDict):
    text: str


class Planted:
    name = "planted"
    api = 1

    def __init__(self, endpoint: Any, **declared: Any) -> None:
        self.endpoint, self.declared = endpoint, declared

    @hookimpl
    def register_routes(self, auth: Any) -> list[Route]:
        self.auth = auth
        return [Route("/planted", self._answer, methods=["POST"], **self.declared)]

    async def _answer(self, request: Any) -> Response:
        return await self.endpoint(self.auth, request)


async def good(auth: Any, request: Any) -> Response:
    note = await auth.read(request, Note)
    return JSONResponse({"text": note.text})


async def crashing(auth: Any, request: Any) -> Response:
    note = await auth.read(request, Note)
    return JSONResponse({"text": note.text, "first": note.text[0]})  # fails for an empty one


async def talking(auth: Any, request: Any) -> Response:
    note = await auth.read(request, Note)
    return JSONResponse({"text": note.text, "length": len(note.text)})


async def mistyped(auth: Any, request: Any) -> Response:
    note = await auth.read(request, Note)
    return JSONResponse({"text": len(note.text)})


async def teapot(auth: Any, request: Any) -> Response:
    await auth.read(request, Note)
    return JSONResponse({"text": ""}, status_code=418)


async def plain(auth: Any, request: Any) -> Response:
    note = await auth.read(request, Note)
    return Response(note.text, media_type="text/plain")


async def careless(auth: Any, request: Any) -> Response:
    return JSONResponse({"text": "whatever"})


DECLARED = {"body": Note, "answers": {200: Kept}}


def planted(database: str, endpoint: Any, declared: Any = DECLARED) -> str:
    auth = Sigra(cheap_settings(database), ["defaults", Planted(endpoint, **declared)])
    return told(Target(auth).attacked("session", examples=3, below="/planted").failures)


@sqlite
def test_nothing_is_found_where_nothing_is_planted(database):
    assert planted(database, good) == ""


@sqlite
@pytest.mark.parametrize(
    ("endpoint", "check"),
    [
        (crashing, "not_a_server_error"),
        (talking, "response_schema_conformance"),
        (mistyped, "response_schema_conformance"),
        (teapot, "status_code_conformance"),
        (plain, "content_type_conformance"),
        (careless, "negative_data_rejection"),
    ],
)
def test_a_planted_fault_is_found(database, endpoint, check):
    assert check in planted(database, endpoint)


@sqlite
def test_a_body_that_is_not_the_declared_is_found(database):
    class Other(BaseModel):
        text: str

    assert "not_a_server_error" in planted(database, good, {**DECLARED, "body": Other})
