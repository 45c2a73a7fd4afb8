"""Answers side by side with what they cost, for flows that must not tell who has an account."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import httpx2
from sqlalchemy import event

from sigra import Sigra

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
"""Random text, which is another each time."""


class Answer(NamedTuple):
    """One answer, its random text left out."""

    status: int
    content: bytes
    headers: list[tuple[str, str]]
    statements: tuple[str, ...]


class Answers:
    """Takes down answers, and the statements that were sent for each."""

    def __init__(self, auth: Sigra) -> None:
        self._seen: list[Answer] = []
        self._sent: list[str] = []
        event.listen(auth.db._engine.sync_engine, "before_cursor_execute", self._note)

    def _note(self, conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        self._sent.append(statement)

    async def add(self, response: httpx2.Response) -> None:
        """The answer to what was just asked."""
        text = _SECRET.sub("SECRET", (await response.aread()).decode())
        headers = [(name, _SECRET.sub("SECRET", value)) for name, value in response.headers.items() if name != "date"]
        self._seen.append(Answer(response.status_code, text.encode(), headers, tuple(self._sent)))
        self._sent.clear()

    @property
    def first(self) -> Answer:
        return self._seen[0]

    @property
    def differing(self) -> list[Answer]:
        """Those that are not as the first."""
        return [answer for answer in self._seen if answer != self.first]
