"""Points schemathesis at an installation, which it knows by its OpenAPI document alone, and says what it found."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import schemathesis
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events
from schemathesis.python import asgi
from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sigra import Login, RenderedMessage, Sigra
from sigra.flows import LOGIN_COOKIE, LOGIN_LIFETIME
from sigra.messages import Mint
from sigra.models import User
from sigra.plugins.account import Account
from sigra.plugins.api_keys import APIKeys, NewKey
from sigra.plugins.email_change import EmailChange
from sigra.plugins.magic_link import MagicLink
from sigra.plugins.magic_link.links import Link
from sigra.plugins.magic_link.plugin import BROWSER
from sigra.plugins.mail import Mail
from sigra.plugins.password import Password
from sigra.plugins.recovery_codes import RecoveryCodes
from sigra.plugins.second_factor import SecondFactor
from sigra.plugins.sessions import Sessions
from sigra.plugins.trusted_browsers import TrustedBrowsers
from sigra.testing import EMAIL, PASSWORD, create_tables
from tests.conformity import strict

MINUTE = timedelta(minutes=1)

KNOWN = uuid.UUID(int=7)
"""The id of a session, of a key and of a trusted browser that are there whenever a request is made."""

NEW_PASSWORD = "a quite different sentence to say"

MAILED = "m" * 43
"""The token in every mail, and what the browser keeps that asked for it."""

CODE = "A" * 24
"""A recovery code."""

EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "post_login": {"email": EMAIL, "password": PASSWORD, "remember": True},
    "post_login_recovery_code": {"code": CODE},
    "post_reauthenticate": {"password": PASSWORD},
    "post_password_change": {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
    "post_password_set": {"new_password": NEW_PASSWORD},
    "post_api_keys": {"name": "backup", "scopes": ["read"], "expires_at": "2099-01-01T00:00:00Z"},
    "patch_account": {"name": "Ada"},
    "post_signup": {"email": "grace@example.com", "password": NEW_PASSWORD, "name": "Grace"},
    "post_email_verify": {"token": MAILED},
    "post_email_verify_resend": {"email": EMAIL},
    "post_password_forgot": {"email": EMAIL},
    "post_password_reset": {"token": MAILED, "new_password": NEW_PASSWORD},
    "post_magic_link": {"email": EMAIL, "remember": True, "next": "/private"},
    "post_magic_link_verify": {"token": MAILED, "login_token": MAILED},
    "post_email_change": {"new_email": "ada@example.net"},
    "post_email_change_confirm": {"token": MAILED},
    "post_email_change_cancel": {"token": MAILED},
    "post_account_delete_cancel": {"token": MAILED},
    "post_second_factor_removal_cancel": {"token": MAILED},
}
"""Bodies that nobody can guess."""

WITHOUT_PASSWORD = ("/password/set",)
CLOSED = ("/account/delete/cancel",)

CHECKS: Mapping[str, Any] = {
    # What is valid by its form may be refused by its meaning: a wrong password, an expiry in the past.
    "positive_data_acceptance": {"enabled": False},
}


@dataclass
class Found:
    """What a run saw.

    Args:
        failures: Of checks, each in a few lines.
        reached: The operations that answered 2xx.
        answers: How many.
    """

    failures: list[str] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)
    answers: int = 0


class Target:
    """An installation whose one account is restored whenever a request may have changed it.

    Args:
        auth: Not started: the run starts it in its own event loop, and ends it.
    """

    def __init__(self, auth: Sigra) -> None:
        self.auth = auth
        self._hash: str | None = None
        self.touched = False
        """Whether an unsafe request was not refused since all was restored."""
        self.app = self._from_here(auth.wrap(Starlette(routes=[Route("/restore", self._restore, methods=["POST"])])))

    def attacked(self, way: str, *, examples: int, steps: int = 0, seed: int = 1, below: str = "/") -> Found:
        """Run all phases, and end the installation.

        Args:
            way: Who asks: `session`, `api_key` or `nobody`.
            examples: For each operation.
            steps: Of a sequence of operations that use each other's answers; 0 for no sequences.
            below: What the paths of the operations begin with.
        """
        schema = schemathesis.openapi.from_dict(prepared(self.auth.openapi), config=_config(examples, steps, seed))
        schema.app = self.app
        schema.auth(refresh_interval=None)(_as(self, way))
        found = Found()
        try:
            for event in engine.from_schema(schema.include(path_regex=f"^{below}")).execute():
                _note(found, event)
        finally:
            asgi.shutdown_lifespans()
        return found

    def restored(self, operation: str) -> dict[str, str]:
        """Make everything that the examples name, and sign in: a session's secret and a key's."""
        with asgi.get_client(self.app) as client:
            response = client.post("http://localhost/restore", params={"operation": operation})
        response.raise_for_status()
        self.touched = False
        return dict(response.json())

    def _from_here(self, app: ASGIApp) -> ASGIApp:
        """The application as this machine asks it."""

        async def asked(scope: Scope, receive: Receive, send: Send) -> None:
            async def sent(message: Message) -> None:
                if message["type"] == "http.response.start" and scope["method"] != "GET":
                    self.touched |= message["status"] not in range(400, 500)
                await send(message)

            if scope["type"] == "http":
                headers = [(name, b"localhost" if name == b"host" else value) for name, value in scope["headers"]]
                scope = {**scope, "client": ("127.0.0.1", 1), "headers": headers}
            await app(scope, receive, sent)

        return asked

    async def _restore(self, request: Request) -> Response:
        if self._hash is None:
            await create_tables(self.auth)
            self._hash = await self.auth.hasher.hash(PASSWORD)
        operation = request.query_params["operation"]
        hash = None if operation in WITHOUT_PASSWORD else self._hash
        known = await self.auth.db.transaction(partial(self._known, request, hash))
        if operation in CLOSED:
            await self.auth.db.transaction(self._close)
        return JSONResponse(known)

    async def _known(self, request: Request, hash: str | None, tx: AsyncConnection) -> dict[str, str]:
        auth, users = self.auth, self.auth.metadata.tables["sigra_users"]
        # One that was moved to another address would keep what is mailed.
        await tx.execute(delete(users).where(users.c.email != EMAIL))
        user = await auth.users.by_email(EMAIL, tx) or await auth.users.create(tx, email=EMAIL, email_verified=True)
        if user.status != "active":
            user = await auth.users.set_status(tx, user, "active")
        await auth.plugin(Account).erase_user(auth, tx, user)
        password, keys, sessions = (auth.plugin(kind) for kind in (Password, APIKeys, Sessions))
        await tx.execute(delete(password.table).where(password.table.c.user_id == user.id))
        if hash is not None:
            await password.set(auth, tx, user, hash)
        # What was made before is listed on a page at each refusal.
        await tx.execute(delete(keys.table))
        await tx.execute(delete(sessions.table))
        text, row = await keys.make(auth, user, NewKey(name="known", scopes=["read"]), tx)
        await tx.execute(insert(keys.table).values(row | {"id": KNOWN, "digest": uuid.uuid4().bytes * 2}))
        login = Login(user, ("pwd",), authenticated_at=auth.clock())
        known = sessions._row(login, auth.clock(), uuid.uuid4().bytes * 2, "elsewhere", "192.0.2.1")
        await tx.execute(insert(sessions.table).values(known | {"id": KNOWN}))
        issued = await sessions.issue_credential(auth, tx, request, login)
        await self._mailed(tx, user)
        await self._spared(tx, request, user)
        self._sent()
        pending, _ = await auth.seam.pendings.create(tx, login, LOGIN_LIFETIME)
        return {"session": issued.cookies[0].value, "api_key": text, "login": pending}

    async def _spared(self, tx: AsyncConnection, request: Request, user: User) -> None:
        """Have something that takes the place of a second factor: a code, and a browser."""
        auth, trusted = self.auth, self.auth.plugin(TrustedBrowsers)
        await auth.plugin(RecoveryCodes).codes.replace(
            tx, user, [auth.tokens.digest("recovery_code", CODE)], auth.clock()
        )
        await trusted.erase_user(tx, user)
        row = trusted._row(auth, request, user, uuid.uuid4().bytes * 2)
        await tx.execute(insert(trusted.table).values(row | {"id": KNOWN}))

    async def _mailed(self, tx: AsyncConnection, user: User) -> None:
        """Make every mailed token good again."""
        auth, links = self.auth, self.auth.plugin(MagicLink).links
        state = {"email": user.email, "version": user.security_version}
        payloads = {
            "email_verification": {"email": user.email},
            "password_reset": state,
            "magic_link": {**state, "link": str(KNOWN)},
            "email_change_confirm": {"change": str(KNOWN)},
            "email_change_cancel": {"change": str(KNOWN)},
            "account_deletion": {},
            "factor_removal": {"removal": str(KNOWN)},
        }
        for purpose, payload in payloads.items():
            await auth.tokens._store(tx, Mint(purpose, "", MINUTE, payload), user.id, MAILED)
        link, [digest] = Link(KNOWN, EMAIL, remember=False, next=None), auth.tokens.digests(BROWSER, MAILED)
        await links.end(tx, link)
        await links.add(tx, link, digest, auth.clock(), auth.clock() + MINUTE)
        await self._moving(tx, user)
        await self._losing(tx, user)

    async def _moving(self, tx: AsyncConnection, user: User) -> None:
        """Have a change of address wait."""
        changes, now = self.auth.plugin(EmailChange), self.auth.clock()
        times = {"created_at": now, "expires_at": now + MINUTE}
        state = {"old_email": user.email, "security_version": user.security_version, **times}
        await changes.erase_user(tx, user)
        row = {"user_id": user.id, "id": KNOWN, "new_email": f"{uuid.uuid4().hex}@example.com", **state}
        await tx.execute(insert(changes.table).values(row))

    async def _losing(self, tx: AsyncConnection, user: User) -> None:
        """Have a removal of the second factors wait."""
        removals, now = self.auth.plugin(SecondFactor).removals.table, self.auth.clock()
        await tx.execute(delete(removals))
        row = {"user_id": user.id, "id": KNOWN, "requested_at": now, "remove_at": now + MINUTE}
        await tx.execute(insert(removals).values(row))

    async def _close(self, tx: AsyncConnection) -> None:
        user = await self.auth.users.by_email(EMAIL, tx)
        assert user is not None
        await self.auth.users.set_status(tx, user, "closing")

    def _sent(self) -> None:
        """Put a message into the mailbox."""
        written = {"subject": "Hello", "language": "en", "text": "Hello", "html": "<p>Hello</p>"}
        message = RenderedMessage("hello", f"{KNOWN}@localhost", EMAIL, created_at=self.auth.clock(), **written)
        self.auth.plugin(Mail)._mailbox.add(message)


def _as(target: Target, way: str) -> type:
    class Credential:
        """A new one after every request that may have changed what the examples name."""

        last: tuple[str, dict[str, str]] | None = None

        def get(self, case: Any, context: Any) -> dict[str, str]:
            in_session = way == "session"
            label, path = (case.operation.label, case.operation.path) if in_session else (way, "")
            if self.last is None or self.last[0] != label or (in_session and target.touched):
                self.last = label, target.restored(path)
            return self.last[1]

        def set(self, case: Any, data: dict[str, str], context: Any) -> None:
            if way == "session":
                case.cookies = {"sigra": data["session"], LOGIN_COOKIE: data["login"]}
            if way == "api_key":
                case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data['api_key']}"}

    return Credential


def _config(examples: int, steps: int, seed: int) -> SchemathesisConfig:
    generation = {"max-examples": examples, "deterministic": False, "database": "none", "no-shrink": True}
    phases = {"stateful": {"enabled": bool(steps), "max-steps": max(2, steps)}}
    return SchemathesisConfig.from_dict(
        {"seed": seed, "generation": generation, "phases": phases, "checks": dict(CHECKS), "continue-on-failure": True}
    )


def _note(found: Found, event: Any) -> None:
    if isinstance(event, events.NonFatalError | events.FatalError):
        found.failures.append(f"{type(event).__name__}: {getattr(event, 'info', None) or event.exception!r}")
    if not isinstance(event, events.ScenarioFinished):
        return
    recorder = event.recorder
    for id, interaction in recorder.interactions.items():
        found.answers += 1
        response = interaction.response
        operation = recorder.cases[id].value.operation
        # Not what answers OPTIONS, which is tried everywhere.
        asked = interaction.request.method == operation.method.upper()
        if asked and response is not None and response.status_code < 300:
            found.reached.add(operation.label)
    for id, checks in recorder.checks.items():
        found.failures += [_failure(recorder, id, check) for check in checks if check.failure_info is not None]


def _failure(recorder: Any, id: str, check: Any) -> str:
    return f"{check.name} {recorder.label}: {check.failure_info.failure}\n{check.failure_info.code_sample}"


# The document that is attacked


def prepared(document: Mapping[str, Any]) -> dict[str, Any]:
    """The strict document, with examples."""
    made = strict(document)
    for item in made["paths"].values():
        for operation in item.values():
            _add_examples(operation)
    return made


def _add_examples(operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["schema"].get("format") == "uuid":
            parameter["example"] = str(KNOWN)
    if operation["operationId"] in EXAMPLES:
        # In one medium: what succeeds may end the session that the next was made with.
        operation["requestBody"]["content"]["application/json"]["example"] = dict(EXAMPLES[operation["operationId"]])


def operations(document: Mapping[str, Any]) -> set[str]:
    """`POST /auth/login` for each."""
    return {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}


def told(failures: Iterable[str]) -> str:
    """Each kind once, with how often."""
    counted: dict[str, list[str]] = defaultdict(list)
    for failure in failures:
        counted[failure.partition("\n")[0][:160]].append(failure)
    return "\n\n".join(f"{len(its)} times: {its[0]}" for its in counted.values())
