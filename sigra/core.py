"""`Sigra`: puts the pieces together, once, and is what plugins know as `Auth`."""

from __future__ import annotations

import asyncio
import secrets
import sys
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from pydantic import BaseModel
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from sigra import building, hooks, hookspecs
from sigra import settings as options
from sigra.authenticators import UserAuthenticators
from sigra.crypto import KeyRing, Vault
from sigra.db.engine import Database
from sigra.db.pending import PendingSignIns
from sigra.db.schema import core_tables
from sigra.db.single_use import SingleUseTokens
from sigra.db.users import UserTable
from sigra.events import Action, Event
from sigra.flows import LOGIN_COOKIE, LOGIN_FIELD, Seam
from sigra.hooks import Calls
from sigra.http import exchange
from sigra.http.answers import FORM_METHOD, add_cookies, is_form, is_person, see_other
from sigra.http.body import read_mapping, validate
from sigra.http.client import TrustedProxies
from sigra.http.cookies import only_value
from sigra.http.forms import Forms
from sigra.http.openapi import JSON, check, document
from sigra.http.rendering import Renderer
from sigra.http.routing import KEY, Route, RouteTable
from sigra.limits import DatabaseStore
from sigra.mail import Outbox
from sigra.mail.rendering import MailRenderer
from sigra.messages import MailRequest, Message
from sigra.middleware import (
    CrossOriginMiddleware,
    IdentityMiddleware,
    LifespanMiddleware,
    Refusals,
    Resolver,
    RoutesMiddleware,
)
from sigra.models import Attempt, Cookie, Identity, Login, User
from sigra.protocols import Change, Plugin
from sigra.settings import Settings
from sigra.worker import Background, Delivery, Jobs, Worker

if TYPE_CHECKING:
    from sigra.db.migrations import Lineage


P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
Said = TypeVar("Said", Message, MailRequest)


ITSELF = "sigra itself"
"""Who brings a route that no plugin does."""

OWN = frozenset({LOGIN_FIELD, FORM_METHOD, "next"})
"""Members of a body that the seam reads."""


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class Sigra:
    """Authentication around an ASGI application.

    Args:
        settings: The options.
        plugins: Names and plugin objects; in place of `settings.plugins`.
        metadata: The host's `MetaData`, so that its tables can point at users; a new one when omitted.
        clock: The one source of time: aware, in UTC.
        random: The one source of randomness: `n` bytes.

    Raises:
        ConfigurationError: Anything that would not be safe or could not work, with the option and the cure.
    """

    def __init__(
        self,
        settings: Settings,
        plugins: Sequence[str | Plugin] | None = None,
        *,
        metadata: MetaData | None = None,
        clock: Callable[[], datetime] = utc_now,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.clock, self._random = clock, random
        available = hooks.installed()
        chosen = hooks.select(settings.plugins if plugins is None else plugins, available)
        self.settings, self.plugins = building.activate(settings, chosen, available, (LOGIN_COOKIE,))
        trace = _print_trace if settings.trace_hooks else None
        specs = [hookspecs, *(one.plugin.hookspecs for one in self.plugins if hasattr(one.plugin, "hookspecs"))]
        self.calls = Calls(specs, self.plugins, trace)

        self.metadata = MetaData() if metadata is None else metadata
        self.db = Database(settings.database_url.get_secret_value(), random=random)
        keys = KeyRing([key.get_secret_value() for key in settings.secret_keys], clock=clock)
        core = core_tables(self.metadata)
        self.users = UserTable(core.users, self.db, clock=clock, random=random, emit=self.emit)
        self.tokens = SingleUseTokens(core.tokens, keys, clock=clock, random=random)
        self.outbox = Outbox(core.outbox, clock=clock, random=random)
        pendings = PendingSignIns(core.pending_sign_ins, self.users, keys, clock=clock, random=random)
        self.vault = Vault([key.get_secret_value() for key in settings.secret_keys], random=random)
        self.authenticators = UserAuthenticators(self, self.users)
        self.hasher = building.hasher(self.settings)
        found = self.calls.collecting(self, hookspecs.register_tables, metadata=self.metadata)
        self.tables = hooks.claim_tables(found, self.metadata, core.names)

        self._background = Background()
        self.cookies = tuple(name for one in self.plugins for name in getattr(one.plugin, "cookies", ()))
        self._wire_names = {name: settings.cookie_name(name) for name in self.cookies}
        counts = DatabaseStore(self.db, core.limits, clock)
        self.limits = building.limits(
            self.settings.limits, self._brought(hookspecs.register_limits), counts, keys, clock
        )
        self.seam = Seam(
            self,
            self.calls,
            self.db,
            self.users,
            pendings,
            self.limits,
            building.carriers(self.calls, self.plugins),
            self.cookies,
            spawn=self._spawn,
        )
        self._own = (Route("/openapi.json", self._show_openapi, any_identity=True, answers={200: dict[str, Any]}),)
        self.routes = building.routes(self._brought(hookspecs.register_routes), ITSELF, self._own)
        self._table = RouteTable([*self._own, *(route for its in self.routes.values() for route in its)])
        check({ITSELF: self._own, **self.routes})
        templates = building.templates(self.settings, self._brought(hookspecs.register_templates))
        self._renderer = Renderer(templates)
        mails = MailRenderer(templates, building.catalogues(self.settings, self.plugins))
        delivery = Delivery(self, self.calls, self.db, self.users, self.tokens, self.outbox, mails, clock)
        steps = {"request": delivery.answer, "message": delivery.deliver}
        sweeps = {
            "tokens": self.tokens.sweep,
            "pending_sign_ins": pendings.sweep,
            "outbox": self.outbox.sweep,
            "limits": counts.sweep,
        }
        own = building.sweeping(self.db, sweeps)
        its = hooks.claim_jobs([(hooks.CORE, own), *self._brought(hookspecs.register_jobs)])
        jobs = Jobs(self.db, core.jobs, its, clock=clock)
        self.worker = Worker(self.db, self.outbox, steps, jobs, self._background, self._rest)
        self.settings = building.with_home(self.settings, self._table)
        [self._origin] = building.origins("SIGRA_BASE_URL", [self.settings.base_url])
        self._trusted = building.origins("SIGRA_TRUSTED_ORIGINS", self.settings.trusted_origins)
        self._client = TrustedProxies(self.settings.trusted_proxies)
        self._refusals = Refusals(self, self.calls, self._trusted)
        self._wrappers = [wrap for _, its in self._brought(hookspecs.register_middleware) for wrap in its]
        self._open: AsyncExitStack | None = None
        self._serving: asyncio.AbstractEventLoop | None = None
        self._opening = asyncio.Lock()

    @classmethod
    def from_settings(cls, plugins: Sequence[str | Plugin] | None = None, *, metadata: MetaData | None = None) -> Self:
        """A `Sigra` from `sigra.toml` and `SIGRA_*` variables."""
        return cls(options.from_sources(), plugins, metadata=metadata)

    # Around an application

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """The application behind identity, cross-origin protection and the plugins' middleware and routes."""
        app = self.serve(app)
        for wrapper in reversed(self._wrappers):
            app = wrapper(app)
        app = self.protect(app)
        framed = self.identify(app)
        framed.others = LifespanMiddleware(app, self._serve, self.aclose, gc_freeze=self.settings.gc_freeze)
        return framed

    def identify(self, app: ASGIApp) -> IdentityMiddleware:
        """The piece that resolves who asks."""
        resolver = Resolver(self, self.calls, self.cookies)
        return IdentityMiddleware(
            app, self, self.calls, resolver, self._refusals, self._ready, self._client, self._tell
        )

    def protect(self, app: ASGIApp) -> ASGIApp:
        """The piece that refuses other origins' unsafe requests."""
        return CrossOriginMiddleware(app, self.settings, self._origin, self._trusted, self._table)

    def serve(self, app: ASGIApp) -> ASGIApp:
        """The piece that serves the plugins' routes."""
        return RoutesMiddleware(app, self.settings, self._table, self.seam, self._refusals)

    async def start(self) -> None:
        """Open the plugins' resources; the first request does it when no life span did."""
        if self._open is not None:
            return
        async with self._opening:
            if self._open is None:
                self._open = await self._opened()

    async def _serve(self) -> None:
        """Start, and do later work beside the requests."""
        await self.start()
        if self.settings.worker:
            self.worker.start()
        self._serving = asyncio.get_running_loop()

    def _rest(self) -> None:
        """Have the next request look whether all that serves is there."""
        self._serving = None

    def _ready(self) -> Awaitable[None] | None:
        """What a request waits for before it is served: nothing, once this loop serves."""
        return None if self._serving is asyncio.get_running_loop() else self._serve()

    async def aclose(self) -> None:
        """Wait for later work (5 s), close the resources in reverse, and the database."""
        self.worker.stop()
        await self._background.drain()
        if self._open is not None:
            # What comes from here on starts it again.
            opened, self._open, self._serving, self._opening = self._open, None, None, asyncio.Lock()
            await opened.aclose()
        await self.hasher.aclose()
        await self.limits.store.aclose()
        await self.db.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def lineages(self) -> list[Lineage]:
        """The migrations of the core and of the active plugins' distributions, in the order in which they run."""
        # Brings Alembic, which an application that only serves does without.
        from sigra.hooks.lineages import lineages  # noqa: PLC0415

        return lineages(self.plugins)

    # What plugins ask: see protocols.Auth

    def random(self, count: int) -> bytes:
        return self._random(count)

    def url_for(self, name: str, /, **path_params: Any) -> str:
        path = self._table.url_path_for(name, **path_params)
        return f"{self.settings.base_url}{self.settings.mount_path}{path}"

    def plugin(self, cls: type[T]) -> T:
        for active in self.plugins:
            if isinstance(active.plugin, cls):
                return active.plugin
        raise LookupError(f"no {cls.__name__} is active: add it to SIGRA_PLUGINS")

    def has(self, cls: type) -> bool:
        return any(isinstance(active.plugin, cls) for active in self.plugins)

    async def first(
        self, spec: Callable[Concatenate[Any, P], Awaitable[R | None]], *args: P.args, **kwargs: P.kwargs
    ) -> R | None:
        return await self.calls.first(self, spec, *args, **kwargs)

    async def each(
        self, spec: Callable[Concatenate[Any, P], Awaitable[R | None]], *args: P.args, **kwargs: P.kwargs
    ) -> list[R]:
        return await self.calls.each(self, spec, *args, **kwargs)

    def cookie(self, request: HTTPConnection, name: str) -> str | None:
        return only_value(request.scope, self._wire_names.get(name) or self.settings.cookie_name(name))

    def set_cookie(self, response: Response, cookie: Cookie) -> None:
        add_cookies(response, self.settings, [cookie])

    def client(self, request: HTTPConnection) -> str:
        return self._client.client_address(request.scope)

    async def read(self, request: Request, model: type[M]) -> M:
        route = request.scope.get(KEY)
        if isinstance(route, Route) and not route.may_read(model):
            raise TypeError(f"{route.path} reads {model.__name__}, but declares {route.body}: Route(body=...)")
        fields = await read_mapping(request)
        # The seam's own members are not the model's to refuse.
        its = {name: fields[name] for name in fields if name in model.model_fields or name not in OWN}
        return validate(model, its, strict=not is_form(request))

    def attempt(
        self,
        request: HTTPConnection,
        *,
        method: str,
        email: str | None = None,
        user: User | None = None,
        guessable: bool = True,
    ) -> AbstractAsyncContextManager[Attempt]:
        return self.seam.attempt(request, method=method, email=email, user=user, guessable=guessable)

    async def limit(
        self, request: HTTPConnection, action: str, *, account: str | None = None, recipient: str | None = None
    ) -> None:
        await self.seam.limit(request, action, account=account, recipient=recipient)

    async def act(self, tx: AsyncConnection, action: Action) -> None:
        await self.seam.act(tx, action)

    async def emit(self, tx: AsyncConnection, event: Event) -> None:
        await self.seam.emit(tx, event)

    async def sign_in(
        self, request: Request, login: Login, change: Change | None = None, *, page: str | None = None
    ) -> Response:
        return await self.seam.sign_in(request, login, change, page=page)

    async def renew(
        self,
        request: Request,
        change: Change,
        *,
        page: str | None = None,
        status: int = 200,
        next: str | None = None,
    ) -> Response:
        return await self.seam.renew(request, change, page=page, status=status, next=next)

    async def present(self, tx: AsyncConnection, request: Request) -> User:
        return await self.seam.present(tx, request)

    async def resume(self, request: Request, session_id: uuid.UUID) -> Identity | None:
        return await self.seam.resume(request, session_id)

    async def pending(self, request: Request) -> Login:
        return await self.seam.pending(request)

    async def sign_out(self, request: Request, change: Change | None = None) -> Response:
        return await self.seam.sign_out(request, change)

    async def revoke(self, tx: AsyncConnection, user: User, reason: str, keep: uuid.UUID | None = None) -> None:
        await self.seam.revoke(tx, user, reason, keep)

    async def forget(self, tx: AsyncConnection, user: User, reason: str) -> None:
        await self.seam.forget(tx, user, reason)

    async def prove_email(self, tx: AsyncConnection, user: User, *, same_person: bool) -> User:
        return await self.seam.prove_email(tx, user, same_person=same_person)

    async def send(self, tx: AsyncConnection, message: Message) -> None:
        if self.calls.asked(hookspecs.send_message):
            await self.outbox.put(tx, _in_languages(message))
            self.db.after_commit(tx, self.worker.wake)

    async def request_mail(self, tx: AsyncConnection, request: MailRequest) -> None:
        notes = exchange.current.get()
        if notes is not None and not notes.limited & {"mail"} and not notes.attempts:
            raise RuntimeError('count it first: await auth.limit(request, "mail", recipient=…)')
        if self.calls.asked(hookspecs.send_message):
            await self.outbox.ask(tx, _in_languages(request))
            self.db.after_commit(tx, self.worker.wake)

    async def render(
        self,
        request: Request,
        template: str,
        context: Mapping[str, Any],
        status: int = 200,
        *,
        page: str | None = None,
    ) -> Response:
        error = context.get("error")
        forms = Forms(context.get("posted"), error, exchange.typed(request))
        given = {"request": request, "auth": self, "forms": forms, **context, "error": error}
        if page is not None:
            outcomes = await self.calls.outcomes(self, hookspecs.parts_for_page, request=request, page=page)
            given["parts"] = self._renderer.parts(outcomes, given)
        return self._renderer.response(template, given, status)

    async def show(
        self, request: Request, page: str, body: Mapping[str, Any], status: int = 200, *, then: str | None = None
    ) -> Response:
        if is_person(request) and then is not None and self._table.has("GET", then):
            return see_other(f"{self.settings.mount_path}{then}")
        if is_person(request):
            shown = await self.first(
                hookspecs.render_page, request=request, page=page, context=dict(body), status=status
            )
            if shown is not None:
                return shown
        return JSONResponse(dict(body), status)

    # Building

    def _brought(self, spec: Callable[[Any], Sequence[T]]) -> list[tuple[str, Sequence[T]]]:
        """What each plugin brings, with its name."""
        return self.calls.collect(self, spec)

    @cached_property
    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document of the mount path, made when it is asked for first."""
        face = building.face(self.settings, self.calls, self.plugins, self.cookies)
        return document({ITSELF: self._own, **self.routes}, face)

    @cached_property
    def _document(self) -> bytes:
        return bytes(JSONResponse(self.openapi).body)

    async def _show_openapi(self, request: Request) -> Response:
        """GET /openapi.json: this document."""
        return Response(self._document, media_type=JSON)

    # Serving

    async def _opened(self) -> AsyncExitStack:
        stack = AsyncExitStack()
        try:
            for _, resources in self._brought(hookspecs.register_resources):
                for resource in resources:
                    await stack.enter_async_context(resource)
        except BaseException:
            await stack.aclose()
            raise
        return stack

    def _spawn(self, event: Event) -> None:
        self._background.spawn(self._handle(event))

    def _tell(self, events: Sequence[Event]) -> None:
        for event in events:
            self._spawn(event)

    async def _handle(self, event: Event) -> None:
        await self.calls.tell(self, hookspecs.handle_event, event=event)


def _in_languages(said: Said) -> Said:
    """With the languages that the present request asks for, where nothing else is said."""
    notes = exchange.current.get()
    if said.languages is not None or notes is None:
        return said
    return replace(said, languages=notes.languages)


def _print_trace(line: str) -> None:
    sys.stderr.write(f"{line}\n")
