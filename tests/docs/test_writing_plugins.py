"""The plugins of the page do what it says; the whole one is built, installed, tested and tried by its commands."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from sigra.testing import Client, make_user
from tests.apps import Postbox, application, running
from tests.player import blocks, executed, played

PAGE = "docs/writing-plugins.md"
MEMORY = "sqlite:///:memory:"


def test_the_plugin_of_the_page_works_as_the_page_says(tmp_path: Path):
    with played(PAGE, tmp_path) as it:
        told = it.output.splitlines()

    assert any(" passed in " in line for line in told), it.output
    assert any('"status":"signed_in"' in line for line in told), it.output
    assert "Hello, ada@example.com!" in told


@pytest.fixture
def plugin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A plugin of the page, by the name of its class."""
    monkeypatch.setitem(sys.modules, "example", None)
    [block] = [one for one in blocks(PAGE) if f"class {request.param}:" in one.text and not one.file]
    return getattr(executed(block), request.param)()


@pytest.mark.parametrize("plugin", ["HouseRules"], indirect=True)
async def test_nobody_gets_in_who_does_not_agree(plugin: Any):
    async with running(MEMORY, ["defaults", plugin]) as client:
        asked = await client.sign_in(await make_user(client.sigra))
        before = client.signed_in
        refused = await client.post("/auth/login/house-rules", json={"agree": False})
        agreed = await client.post("/auth/login/house-rules", json={"agree": True})

    assert (asked.status_code, asked.json()["challenges"][0]["kind"]) == (202, "house_rules")
    assert (before, refused.status_code) == (False, 422)
    assert agreed.json()["status"] == "signed_in"


@pytest.mark.parametrize("plugin", ["GridCard"], indirect=True)
async def test_a_grid_card_is_a_second_factor(plugin: Any):
    async with running(MEMORY, ["defaults", plugin]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        added = await client.post("/auth/grid-card")
        numbers = added.json()["numbers"]
        async with client.sigra.db.connect() as tx:
            stored = await tx.scalar(select(plugin.table.c.card))
        another = Client(client.app, client.sigra)
        asked = await another.sign_in(user)
        wrong = await another.post("/auth/login/grid-card", json={"place": 1, "number": numbers[0]})
        right = await another.post("/auth/login/grid-card", json={"place": 1, "number": numbers[1]})
        removed = await another.delete("/auth/grid-card")
        gone = await another.delete("/auth/grid-card")
        free = await Client(client.app, client.sigra).sign_in(user)

    assert added.status_code == 201
    assert numbers[0].encode() not in stored
    assert asked.json()["challenges"][0]["methods"][0] == "grid_card"
    assert (wrong.json()["code"], right.json()["status"]) == ("invalid_proof", "signed_in")
    assert (removed.status_code, gone.status_code, free.status_code) == (204, 404, 200)


@pytest.mark.parametrize("plugin", ["Diary"], indirect=True)
async def test_what_happens_is_written_down(plugin: Any):
    async with running(MEMORY, ["defaults", plugin]) as client:
        await client.sign_in(await make_user(client.sigra))
        await client.sign_out()
        async with client.sigra.db.connect() as tx:
            events = (await tx.scalars(select(plugin.table.c.event).order_by(plugin.table.c.id))).all()

    assert events == ["user.created", "sign_in.succeeded", "sign_out.succeeded"]


@pytest.mark.parametrize("plugin", ["Help"], indirect=True)
async def test_a_part_is_on_the_page(plugin: Any):
    async with running(MEMORY, ["defaults", plugin]) as client:
        page = await client.get("/auth/login", headers={"accept": "text/html"})

    assert '<a href="/help">I cannot get in</a>' in page.text


@pytest.mark.parametrize("plugin", ["Door"], indirect=True)
async def test_a_door_is_opened_once_by_who_reads_the_mail(plugin: Any):
    postbox = Postbox()
    async with running(MEMORY, ["defaults", plugin, postbox]) as client:
        user = await make_user(client.sigra)
        answers = [await client.post("/auth/door", json={"email": one}) for one in (user.email, "nobody@example.com")]
        await client.sigra.worker.work()
        page = await client.get("/auth/door/open", headers={"accept": "text/html"})
        body = {"token": postbox.token()}
        opened = [await client.post("/auth/door/open", json=body) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].content == answers[1].content
    assert postbox.kinds == ["door"]
    assert 'name="token"' in page.text
    assert [answer.status_code for answer in opened] == [204, 400]


async def test_the_postbox_of_the_page_on_testing_gets_the_mail(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "example", None)
    [block] = [one for one in blocks("docs/testing.md") if "class Postbox:" in one.text]
    [(kind, recipient, text)] = await executed(block).mailed(application)

    assert (kind, recipient) == ("reset_password", "ada@example.com")
    assert re.search(r"^https?://\S+#token=\S+$", text, re.MULTILINE)
