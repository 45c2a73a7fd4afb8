"""The plugins' own middleware: where it stands, and in which order."""

from __future__ import annotations

from sigra import hookimpl
from sigra.testing import make_user
from tests.apps import running


class Marking:
    """Notes whom it sees, on the way in."""

    api = 1

    def __init__(self, name, notes):
        self.name, self.notes = name, notes

    @hookimpl
    def register_middleware(self):
        return [self.wrap]

    def wrap(self, app):
        async def wrapped(scope, receive, send):
            if scope["type"] == "http":
                user = scope["sigra.user"]
                self.notes.append((self.name, scope["path"], user and user.email))
            await app(scope, receive, send)

        return wrapped


async def test_a_wrapper_knows_who_asks_and_sees_every_path():
    notes = []
    async with running("sqlite:///:memory:", ["defaults", Marking("marking", notes)]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await client.get("/")

    assert notes == [("marking", "/auth/login", None), ("marking", "/", "ada@example.com")]


async def test_the_first_plugin_of_the_list_is_outermost():
    notes = []
    plugins = ["defaults", Marking("first", notes), Marking("second", notes)]
    async with running("sqlite:///:memory:", plugins) as client:
        await client.get("/")

    assert [name for name, _, _ in notes] == ["first", "second"]


async def test_a_wrapper_does_not_see_what_was_refused_before():
    notes = []
    async with running("sqlite:///:memory:", ["defaults", Marking("marking", notes)]) as client:
        await client.get("/", headers={"authorization": "Bearer sigra_sk_bad"})
        await client.as_browser(site="cross-site", origin="https://elsewhere.example").post("/auth/logout")

    assert notes == []
