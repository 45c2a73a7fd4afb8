"""The plugin: a row for every event, in the transaction of its fact; places for the rows; who may see what."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click
from sqlalchemy import MetaData, Table, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from sigra import Auth, Event, Identity, Job, Part, Route, User, current_user, hookimpl
from sigra_audit.activity import Activity, Events, InvalidPage, limit_of
from sigra_audit.commands import group
from sigra_audit.entries import Ids, entry_for
from sigra_audit.forwarding import Forwarder, Sink
from sigra_audit.keys import Keys
from sigra_audit.options import Options
from sigra_audit.retention import Retention
from sigra_audit.sealing import SOON, KeyChanged, Sealer, Soon
from sigra_audit.sinks import HTTPSink, Syslog
from sigra_audit.tables import tables
from sigra_audit.verifying import Verifier

HTML = "text/html"

SHOWN = 10
"""Rows on the account page."""


class Audit:
    """Writes down what happens, so that it can be proven afterwards."""

    name = "audit"
    api = 1
    events = (KeyChanged,)
    errors = (InvalidPage,)

    Settings = Options

    def __init__(self, **settings: Any) -> None:
        self.settings = self.Settings(**settings)

    @hookimpl
    def register_tables(self, auth: Auth, metadata: MetaData) -> Sequence[Table]:
        self.tables = tables(metadata)
        self.keys = Keys([key.get_secret_value() for key in self.settings.keys], auth.tokens.digests)
        self.ids = Ids(auth.clock, secrets.token_bytes)
        self.sealer = Sealer(auth, self.tables, self.keys)
        self.verifier = Verifier(auth, self.tables, self.keys)
        self.activity = Activity(auth, self.tables, self.keys)
        self.forwarders = [Forwarder(auth, self.tables, sink) for sink in self._sinks()]
        names = [one.sink.name for one in self.forwarders]
        self.retention = Retention(auth, self.tables, self.keys, self.settings.retention, names)
        self._sealing = Soon(self.settings.seal_after, self._seal)
        # Apart from it: a sink that is slow keeps no row waiting for its place.
        self._forwarding = Soon(timedelta(0), self._forward, at_end=False)
        return self.tables.all()

    def _sinks(self) -> list[Sink]:
        options = self.settings
        sinks: list[Sink] = []
        if options.syslog is not None:
            sinks.append(Syslog.of(options.syslog))
        if options.sink is not None:
            token = options.sink_token
            sinks.append(HTTPSink(options.sink, None if token is None else token.get_secret_value()))
        return sinks

    # Writing

    @hookimpl(trylast=True)
    async def record_event(self, auth: Auth, tx: AsyncConnection, event: Event) -> None:
        entry = entry_for(event, self.ids.new(), auth.clock(), self.keys)
        await tx.execute(insert(self.tables.entries).values(entry.row(self.keys)))
        auth.db.after_commit(tx, self._sealing.wake)

    async def _seal(self) -> None:
        await self.sealer.seal(SOON)
        if self.forwarders:
            self._forwarding.wake()

    async def _forward(self) -> None:
        for one in self.forwarders:
            await one.forward()

    @hookimpl
    def register_resources(self) -> Sequence[AbstractAsyncContextManager[object]]:
        return [self._forwarding, self._sealing]

    @hookimpl
    def register_jobs(self) -> Sequence[Job]:
        return [
            Job("audit.seal", timedelta(minutes=1), self._left_over),
            Job("audit.retention", timedelta(hours=1), self.retention.job),
        ]

    async def _left_over(self) -> bool:
        """What a process left that was killed, or a sink that was down."""
        await self.sealer.note_key()
        await self.sealer.seal()
        await self._forward()
        return False

    # Reading

    @hookimpl
    def register_commands(self, auth: Auth, cli: click.Group) -> None:
        cli.add_command(group(auth, self))

    @hookimpl
    def register_templates(self) -> Sequence[Path]:
        return [Path(__file__).parent / "templates"]

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        answers = {200: (Events, HTML)}
        return [Route("/audit/events", partial(self.show, auth), methods=["GET"], secured=True, answers=answers)]

    async def show(self, auth: Auth, request: Request) -> Response:
        """GET /audit/events: what happened to the account of who asks, the newest first."""
        user = await current_user(request)
        query = request.query_params
        page = await self.activity.page(user, query.get("cursor"), limit_of(query.get("limit")))
        return await auth.show(request, "account", dict(page))

    @hookimpl
    async def parts_for_page(self, request: Request, page: str) -> Sequence[Part] | None:
        identity: Identity | None = request.scope["sigra.identity"]
        if page != "account" or identity is None or identity.session_id is None:
            return None
        found = await self.activity.page(identity.user, limit=SHOWN)
        return [Part("main", 400, "audit/account.html", {"activity": found["events"]})]

    @hookimpl
    async def export_user(self, user: User) -> Mapping[str, Any]:
        return {self.name: await self.activity.all(user)}
