"""The routes below the mount path: Starlette's, found by path and method over all plugins, compared at start."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from functools import lru_cache
from itertools import takewhile
from typing import Any, NamedTuple

from pydantic import BaseModel
from starlette import routing
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound, WebSocketRoute
from starlette.types import Scope

from sigra.errors import MethodNotAllowed, NotFound

KEY = "sigra.route"
"""Where in the scope the route lies that answers."""

_IN_SEGMENT = frozenset({"str", "int", "float", "uuid"})
"""Converters that never match a slash."""


class Route(routing.Route):
    """A route below the mount path.

    Args:
        path: Relative to the mount path.
        methods: GET when omitted; GET brings HEAD.
        cross_origin: Takes unsafe requests from foreign pages; they get no identity from a cookie, so the endpoint
            brings its own proof.
        any_identity: Open to a credential without a session, such as an API key.
        secured: Open only to who is identified; anybody else is answered 401 before the endpoint is asked.
        body: What the endpoint reads; `auth.read` of another model is refused.
        answers: What it answers, by status: a type as JSON, the name of another media type, a tuple of these, or
            None for no content. `sigra.answers.Problem` for errors beyond those that any route may give. With it, the
            route is described in the OpenAPI document; without, it is only listed there.
    """

    def __init__(  # noqa: PLR0913  (each is one fact about the route)
        self,
        path: str,
        endpoint: Callable[[Request], Awaitable[Response]],
        *,
        methods: Collection[str] | None = None,
        name: str | None = None,
        cross_origin: bool = False,
        any_identity: bool = False,
        secured: bool = False,
        body: type[BaseModel] | None = None,
        answers: Mapping[int, Any] | None = None,
    ) -> None:
        super().__init__(path, endpoint, methods=None if methods is None else list(methods), name=name)
        self.cross_origin, self.any_identity, self.secured = cross_origin, any_identity, secured
        self.body, self.answers = body, answers

    def may_read(self, model: type[BaseModel]) -> bool:
        """Whether the endpoint reads what the route declares; one that declares nothing may read anything."""
        return model is self.body or (self.body is None and self.answers is None)


class Found(NamedTuple):
    """A route that answers, and what it adds to the scope."""

    route: BaseRoute
    child_scope: Scope

    @property
    def cross_origin(self) -> bool:
        """Whether it takes unsafe requests from foreign pages; only our own `Route` can say so."""
        return isinstance(self.route, Route) and self.route.cross_origin

    @property
    def any_identity(self) -> bool:
        """Whether a credential without a session may use it."""
        return isinstance(self.route, Route) and self.route.any_identity

    @property
    def secured(self) -> bool:
        """Whether somebody must be identified."""
        return isinstance(self.route, Route) and self.route.secured


class RouteTable:
    """All routes below the mount path; built once.

    Args:
        routes: Starlette's `Route` and `WebSocketRoute`. What holds routes of its own (`Mount`, `Host`) is refused: it
            cannot be compared with the routes of others, nor say which methods a path knows.

    Raises:
        ValueError: One is of another kind.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self.routes = tuple(routes)
        for route in self.routes:
            _path(route)

    def match(self, scope: Scope) -> Found:
        """The route for a request, its path after `root_path`.

        Raises:
            NotFound: No route has the path.
            MethodNotAllowed: Routes have the path, none the method; names all methods that any of them has. Also for
                OPTIONS, unless a route has it.
        """
        # A pattern's `$` also fits before a last newline: one page would have two addresses.
        if scope["path"].endswith("\n"):
            raise NotFound
        allow: set[str] = set()
        for route in self.routes:
            fit, child_scope = _matches(route, scope)
            if fit is Match.FULL:
                return Found(route, child_scope)
            if fit is Match.PARTIAL:
                allow |= _methods(route) or set()
        if not allow:
            raise NotFound
        raise MethodNotAllowed(sorted(allow | {"OPTIONS"}))

    def is_open(self, scope: Scope) -> bool:
        """Whether the route for a request takes it from foreign pages."""
        try:
            return self.match(scope).cross_origin
        except (NotFound, MethodNotAllowed):
            return False

    def has(self, method: str, path: str) -> bool:
        """Whether some route answers that method at that path."""
        try:
            self.match({"type": "http", "method": method, "path": path})
        except (NotFound, MethodNotAllowed):
            return False
        return True

    def url_path_for(self, name: str, /, **path_params: Any) -> str:
        """The path of a route, relative to the mount path.

        Raises:
            NoMatchFound: No route has that name with these parameters.
        """
        for route in self.routes:
            try:
                return str(route.url_path_for(name, **path_params))
            except NoMatchFound:
                continue
        raise NoMatchFound(name, path_params)


def _matches(route: BaseRoute, scope: Scope) -> tuple[Match, Scope]:
    try:
        return route.matches(scope)
    except ValueError:
        # A converter that cannot convert what its pattern fits, such as an integer of thousands of digits.
        return Match.NONE, {}


def _methods(route: BaseRoute) -> set[str] | None:
    return route.methods if isinstance(route, routing.Route) else None


def overlap(a: BaseRoute, b: BaseRoute) -> bool:
    """Whether some request fits both routes, so that their order would decide; sooner yes than no.

    Parameters' names do not matter; a static segment is under a parameter that takes it.
    """
    if isinstance(a, WebSocketRoute) != isinstance(b, WebSocketRoute):
        return False
    ours, theirs = _methods(a), _methods(b)
    if ours is not None and theirs is not None and not ours & theirs:
        return False
    return _paths_overlap(_path(a), _path(b))


def _path(route: BaseRoute) -> str:
    if isinstance(route, routing.Route | WebSocketRoute):
        return route.path
    raise ValueError(f"{route!r} is neither a Route nor a WebSocketRoute: list the routes in it one by one")


@lru_cache(maxsize=8192)
def _paths_overlap(a: str, b: str) -> bool:
    # Remembered: each route is held against every other one, at each start.
    if "{" not in a + b:
        return a == b
    ours, theirs = a.split("/"), b.split("/")
    bounded_a, bounded_b = _bounded(ours), _bounded(theirs)
    if len(bounded_a) == len(ours) and len(bounded_b) == len(theirs) and len(ours) != len(theirs):
        return False
    return all(_segments_overlap(x, y) for x, y in zip(bounded_a, bounded_b, strict=False))


def _bounded(segments: list[str]) -> list[str]:
    """The segments before the first parameter that may hold slashes; none after it can be told apart."""
    return list(takewhile(lambda segment: _converters(segment) <= _IN_SEGMENT, segments))


def _converters(segment: str) -> set[str]:
    return {(kind or ":str").removeprefix(":") for _, kind in routing.PARAM_REGEX.findall(segment)}


def _segments_overlap(a: str, b: str) -> bool:
    if _converters(a) and _converters(b):
        return True
    if not _converters(a) and not _converters(b):
        return a == b
    pattern, text = (a, b) if _converters(a) else (b, a)
    return re.fullmatch(routing.compile_path(f"/{pattern}")[0].pattern, f"/{text}") is not None
