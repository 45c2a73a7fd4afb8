"""What a run exercises, seen while it runs: hooks, options, events, actions, codes, routes and messages.

`--exercised=FOLDER` makes every process of a run write what it saw into the folder; `missing` names what nobody saw.
Where credentials were issued is written down too: `unguarded` names the routes of ours that nobody shows to stop at a
second factor.
"""

from __future__ import annotations

import functools
import inspect
import json
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import sigra
from sigra import Settings, Sigra, hooks, hookspecs
from sigra.events import Action, Event
from sigra.flows import Seam
from sigra.hooks import Calls
from sigra.http import routing
from sigra.mail.rendering import MailRenderer
from sigra.sources import option_name
from sigra.testing import cheap_settings
from tools import distributions, document_errors, document_events, document_hooks
from tools.document_settings import is_section

PACKAGES = (Path(sigra.__file__).parent, *sorted(distributions.CONTRIB.glob("*/src/*")))
FACES = {"text", "html"}

ISSUING = "issuing"
"""In a record: the routes at which a credential was issued."""

READ_EARLIER = {"SIGRA_APP"}
"""Options that are read where there are no settings yet, out of sight; the tests of the command line have them."""

Seen = Mapping[str, AbstractSet[str]]


def declared() -> dict[str, set[str]]:
    """All that there is to exercise, by kind."""
    auth = Sigra(cheap_settings(), distributions.everything())
    return {
        "hook": {hook.name for hook in document_hooks.hooks_of(inspect.getsource(hookspecs))},
        "option": {option_name(*path, name) for model, path in models().items() for name in fields(model)}
        - READ_EARLIER,
        "event": {one.name for one in document_events.brought(Event)},
        "action": {one.name for one in document_events.brought(Action)},
        "code": set(document_errors.answered()),
        "message": set(messages()),
        "route": {place for routes in auth.routes.values() for route in routes for place in places(route)},
    }


def messages() -> dict[str, Path]:
    """The templates of the messages of the core and of the plugins, by kind."""
    found = [file for package in PACKAGES for file in package.glob("templates/mail/*.jinja")]
    return {file.stem: file for file in found if file.stem not in FACES}


def missing(folder: Path) -> list[str]:
    """What nothing exercised in the run that wrote into the folder, a line each."""
    return unexercised(declared(), [json.loads(file.read_text()) for file in folder.glob("*.json")])


def unguarded(folder: Path) -> list[str]:
    """The routes of ours at which a credential was issued in that run, and which the ways to one do not name."""
    # Not at the top: the ways need what this module must not import before it looks on.
    from tests.distributions.issuing import ROUTES

    seen = {place for file in folder.glob("*.json") for place in json.loads(file.read_text()).get(ISSUING, ())}
    return sorted((seen & declared()["route"]) - ROUTES)


def unexercised(wanted: Seen, records: list[dict[str, list[str]]]) -> list[str]:
    """What is wanted and in no record."""
    seen = {kind: {name for record in records for name in record.get(kind, ())} for kind in wanted}
    return [f"{kind} {name}" for kind, names in wanted.items() for name in sorted(names - seen[kind])]


class Recorder:
    """A pytest plugin: looks on from the moment that it is made, and writes down what it saw at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.seen: dict[str, set[str]] = {kind: set() for kind in (*declared(), ISSUING)}
        self._watch_deeds()
        self._watch_options()
        self._watch_answers()
        looking_on(MailRenderer, "render", lambda _, kind, *rest, **more: self.seen["message"].add(kind))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        record = {kind: sorted(names) for kind, names in self.seen.items()}
        (self._folder / f"{uuid.uuid4().hex}.json").write_text(json.dumps(record))

    def _watch_deeds(self) -> None:
        self._watch_hooks()
        looking_on(Seam, "emit", lambda _, tx, event: self.seen["event"].add(event.name))
        looking_on(Seam, "act", lambda _, tx, action: self.seen["action"].add(action.name))
        looking_on(Calls, "owner", self._issued)

    def _issued(self, calls: Calls, plugin: str, auth: Any, spec: Callable[..., Any], **given: Any) -> None:
        """Note the route at which a carrier is asked for a credential."""
        request = given.get("request")
        if spec is hookspecs.issue_credential and isinstance(request, Request):
            route = request.scope.get(routing.KEY)
            self.seen[ISSUING].update(place for place in places(route) if place.startswith(f"{request.method} "))

    def _watch_hooks(self) -> None:
        """Listen to the trace that an operator can switch on: `sigra: <hook> asked <plugin>: …`."""
        make, seen = Calls.__init__, self.seen["hook"]

        @functools.wraps(make)
        def made(calls: Calls, specs: Any, plugins: Any, trace: Callable[[str], None] | None = None) -> None:
            def told(line: str) -> None:
                seen.add(line.split()[1])
                if trace is not None:
                    trace(line)

            make(calls, specs, plugins, told)

        Calls.__init__ = made  # type: ignore[method-assign]

    def _watch_options(self) -> None:
        """Note an option when Sigra reads one that is not its default."""
        for model, path in models().items():
            defaults = {name: default(model, name) for name in fields(model)}
            looking_on(model, "__getattribute__", functools.partial(self._read, path, defaults))

    def _read(self, path: tuple[str, ...], defaults: Mapping[str, Any], settings: object, name: str) -> None:
        if name not in defaults or not asked_by_sigra(sys._getframe(2)):
            return
        if object.__getattribute__(settings, "__dict__").get(name) != defaults[name]:
            self.seen["option"].add(option_name(*path, name))

    def _watch_answers(self) -> None:
        """Put an onlooker around every application that is wrapped."""
        wrap, recorder = Sigra.wrap, self

        @functools.wraps(wrap)
        def wrapped(auth: Sigra, app: ASGIApp) -> ASGIApp:
            return Onlooker(wrap(auth, app), auth, recorder)

        Sigra.wrap = wrapped  # type: ignore[method-assign]

    def answered(self, auth: Sigra, scope: Scope, status: int, content_type: str, body: bytes) -> None:
        """Note the code of a problem, or the route that was answered 2xx."""
        if content_type.startswith("application/problem+json"):
            self.seen["code"].add(json.loads(body)["code"])
        elif 200 <= status < 300:
            self.seen["route"].update(answering(auth, scope))


class Onlooker:
    """Sees the answers of an application, and changes nothing."""

    def __init__(self, app: ASGIApp, auth: Sigra, recorder: Recorder) -> None:
        self._app, self._auth, self._recorder = app, auth, recorder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, content_type = 0, ""

        async def sent(message: Message) -> None:
            nonlocal status, content_type
            if message["type"] == "http.response.start":
                status = message["status"]
                content_type = dict(message["headers"]).get(b"content-type", b"").decode("latin-1")
            elif message["type"] == "http.response.body" and scope["method"] != "HEAD":
                self._recorder.answered(self._auth, scope, status, content_type, message.get("body", b""))
            await send(message)

        await self._app(scope, receive, sent)


def looking_on(cls: type, name: str, look: Callable[..., object]) -> None:
    """Tell `look` of every call of a method, which goes on as it would have."""
    method = getattr(cls, name)

    @functools.wraps(method)
    def looked_on(*args: Any, **kwargs: Any) -> Any:
        look(*args, **kwargs)
        return method(*args, **kwargs)

    setattr(cls, name, looked_on)


def models() -> dict[Any, tuple[str, ...]]:
    """The models of the options: the core's, its sections', and those of the plugins, each with its path."""
    found: dict[Any, tuple[str, ...]] = {Settings: ()}
    for name, field in Settings.model_fields.items():
        if is_section(field):
            found[field.annotation] = (name,)
    for plugin in distributions.ours():
        model = hooks.section_model(plugin)
        if model is not None:
            found[model] = (plugin.name,)
    return found


def fields(model: Any) -> list[str]:
    return [name for name, field in model.model_fields.items() if not is_section(field)]


def default(model: Any, name: str) -> Any:
    return model.model_fields[name].get_default(call_default_factory=True, validated_data={})


def asked_by_sigra(frame: Any) -> bool:
    """Whether who reads is the program or a page of it; carrying options over is not reading them."""
    module = frame.f_globals.get("__name__", "")
    carries = frame.f_code.co_name in ("_without_inactive", "<dictcomp>") and module == "sigra.settings"
    return module.startswith(("sigra.", "sigra_", "jinja2.")) and not module.startswith("sigra.testing") and not carries


def places(route: Any) -> Iterator[str]:
    """Method and path of what a route answers; HEAD is GET."""
    for method in sorted((getattr(route, "methods", None) or set()) - {"HEAD"}):
        yield f"{method} {route.path}"


def answering(auth: Sigra, scope: Scope) -> Iterator[str]:
    """The place that a request to the mount path has reached."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    mount = auth.settings.mount_path
    if not path.startswith(f"{mount}/"):
        return
    below = {**scope, "path": path.removeprefix(mount), "root_path": ""}
    for routes in auth.routes.values():
        for route in routes:
            if isinstance(route, Route) and route.matches(below)[0] is Match.FULL:
                yield from (place for place in places(route) if place.partition(" ")[0] == scope["method"])
