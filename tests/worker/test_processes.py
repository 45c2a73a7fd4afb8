"""Workers in processes of their own: of two each message is sent by one, and one that is killed loses nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import MailRequest, Sigra
from sigra.testing import create_tables
from tests.mailing import ask, ring, rows, spend
from tests.postman import PostOffice, postman

MESSAGES = 200


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


async def deliver(url: str, file: Path, messages: int) -> tuple[list[str], int]:
    """What two processes send of so many messages, and how many rows are left."""
    async with postman(url, file) as auth:
        await create_tables(auth)

        async def fill(tx: AsyncConnection) -> None:
            for number in range(messages // 2):
                await auth.send(tx, ring(f"{number}@example.com"))
                await auth.request_mail(tx, MailRequest("bell", f"{messages - number}@example.com"))

        await auth.db.transaction(fill)
        async with PostOffice() as office:
            assert await office.round((url, file, 0, 0), (url, file, 0, 0)) == [True, True]
        return lines(file), len(await rows(auth))


async def test_hc46_of_two_processes_one_sends_each_message(database: str, tmp_path: Path) -> None:
    sent, left = await deliver(database, tmp_path / "sent", MESSAGES)

    assert left == 0
    assert Counter(Counter(line.split()[1] for line in sent).values()) == {1: MESSAGES}


async def kill_at_every_deed(office: PostOffice, auth: Sigra, url: str, file: Path) -> tuple[int, int]:
    """A fresh request for each deed, until a worker lives; how many were killed, and how many messages came twice."""
    number = twice = 0
    lived = False
    while not lived:
        number += 1
        address, minutes = f"{number}@example.com", 20 * number
        await ask(auth, address)
        [lived] = await office.round((url, file, minutes, number))
        before = [line for line in lines(file) if line.split()[1] == address]
        assert await office.round((url, file, minutes + 10, 0)) == [True]
        own = [line for line in lines(file) if line.split()[1] == address]

        # Never lost, at most once more, and then the same, token and code included.
        assert len(before) <= 1
        assert 1 <= len(own) <= 2
        assert len(set(own)) == 1
        assert await rows(auth) == []
        [token] = {line.split()[2] for line in own}
        assert await spend(auth, token) == {"for": address}
        assert await spend(auth, token) is None
        twice += len(own) - 1
    return number - 1, twice


@pytest.fixture
async def sender(database: str, tmp_path: Path):
    async with postman(database, tmp_path / "sent") as auth:
        await create_tables(auth)
        # Jobs are not the point, and done once.
        await auth.worker.work()
        yield auth


@pytest.mark.databases("sqlite", "postgresql")
async def test_hc46_a_worker_killed_anywhere_loses_no_message_and_sends_it_at_most_once_more(
    sender: Sigra, database: str, tmp_path: Path
) -> None:
    async with PostOffice() as office:
        kills, twice = await kill_at_every_deed(office, sender, database, tmp_path / "sent")

    assert kills >= 12
    # Right after it was sent, before the statement and before the commit that would have said so.
    assert twice >= 2


@pytest.mark.soak
async def test_hc46_many_kills_lose_no_message(sender: Sigra, database: str, tmp_path: Path) -> None:
    kills = 0
    async with PostOffice() as office:
        while kills < 70:
            kills += (await kill_at_every_deed(office, sender, database, tmp_path / "sent"))[0]
            (tmp_path / "sent").unlink()

    assert kills >= 70
