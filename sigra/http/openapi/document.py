"""The document: every operation of every route."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette import routing
from starlette.convertors import CONVERTOR_TYPES, Convertor
from starlette.routing import BaseRoute

from sigra.answers import Problem
from sigra.http.answers import FORM_METHOD, FORM_METHODS
from sigra.http.openapi import problems
from sigra.http.openapi.face import Face, header, phrase
from sigra.http.openapi.schemas import ARGUMENTS, JSON, check_types, content, form, parts, schemas
from sigra.http.routing import Route

VERSION = "1"
"""Of the routes; which release of the software answers is nobody's business."""

ANY_ROUTE = (400, 401, 403, 429, 503)
"""What may refuse any request: two credentials, a bad one, a rule of a plugin, a limit, a database that is down."""

READING = (408, 413, 415, 422)
"""What may be wrong with a body."""

_PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "int": {"type": "integer", "minimum": 0},
    "float": {"type": "number", "minimum": 0},
    "uuid": {"type": "string", "format": "uuid"},
}
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_ADDRESS = re.compile(r"(GET|POST|PUT|PATCH|DELETE)( /\S*?)?[:.](\s+|$)")


def check(routes: Mapping[str, Sequence[BaseRoute]]) -> None:
    """Refuse what `document` could not describe.

    Raises:
        ConfigurationError: A route declares a type that has no JSON schema; names the plugin and the route.
    """
    check_types(_declared(routes))


def document(routes: Mapping[str, Sequence[BaseRoute]], face: Face) -> dict[str, Any]:
    """The document, as JSON values.

    Args:
        routes: By the plugin that brings them, which is their tag.
    """
    declared = _declared(routes)
    found, components = schemas(declared)
    writer = _Operations(face, found, components)
    paths: dict[str, dict[str, Any]] = {}
    for plugin, route in declared:
        operations = paths.setdefault(route.path_format, {})
        for method in _methods(route):
            # Of two that fit, the first answers.
            operations.setdefault(method.lower(), writer.operation(plugin, route, method))
    return {
        "openapi": "3.1.1",
        "info": {"title": "Sigra", "version": VERSION, "description": "Sign-in and accounts of this application."},
        "servers": [{"url": face.server}],
        "tags": [{"name": plugin} for plugin in dict.fromkeys(plugin for plugin, _ in declared)],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": problems.responses(face, found[Problem, "serialization"], set(_problems(declared))),
            "securitySchemes": face.schemes(),
        },
    }


def _declared(routes: Mapping[str, Sequence[BaseRoute]]) -> list[tuple[str, routing.Route]]:
    return [(plugin, route) for plugin, its in routes.items() for route in its if isinstance(route, routing.Route)]


@dataclass(frozen=True)
class _Operations:
    face: Face
    schemas: Mapping[Any, Any]
    components: Mapping[str, Any]

    def operation(self, plugin: str, route: routing.Route, method: str) -> dict[str, Any]:
        summary, description = _told(route.endpoint)
        if method in FORM_METHODS:
            description = f"{description}\n\nA form posts here with `{FORM_METHOD}={method}`.".strip()
        operation: dict[str, Any] = {"operationId": _id(route, method), "tags": [plugin], "summary": summary}
        if description:
            operation["description"] = description
        if route.param_convertors:
            operation["parameters"] = [_parameter(*one) for one in route.param_convertors.items()]
        if not isinstance(route, Route) or route.answers is None:
            return operation | self._unknown(route, method)
        if route.body is not None:
            operation["requestBody"] = self._body(route)
        return operation | {"responses": self._responses(route, method), "security": self._security(route)}

    def _unknown(self, route: routing.Route, method: str) -> dict[str, Any]:
        """A route that says nothing of itself."""
        unknown: dict[str, Any] = {
            "responses": {"default": {"description": "Not described by the plugin."}},
            "security": [{}, *self.face.requirements(bearer=True)],
        }
        if method in ("POST", "PUT", "PATCH"):
            unknown["requestBody"] = {"content": content({"type": "object"}, {"type": "object"})}
        return unknown

    def _body(self, route: Route) -> dict[str, Any]:
        assert route.body is not None
        required = any(field.is_required() for field in route.body.model_fields.values())
        schema = self.schemas[route.body, "validation"]
        return {"required": required, "content": content(schema, form(route.body, schema, self.components))}

    def _responses(self, route: Route, method: str) -> dict[str, Any]:
        refusals = {*ANY_ROUTE, *(READING if route.body is not None else ()), *problems.refusing(self.face)}
        if route.param_convertors:
            refusals.add(404)
        given = dict(route.answers or {})
        if method == "POST" and given.keys() & {200, 204}:
            given.setdefault(303, None)  # to a form
        answers = {status: self._answer(status, answer) for status, answer in given.items()}
        responses = {status: problems.reference(status) for status in refusals} | answers
        return {str(status): responses[status] for status in sorted(responses)}

    def _answer(self, status: int, answer: Any) -> dict[str, Any]:
        if answer is Problem:
            return problems.reference(status)
        response: dict[str, Any] = {"description": phrase(status)}
        if status == 303:
            response["headers"] = {"Location": header("Where a browser goes on to.")}
        media = dict(self._media(part) for part in parts(answer))
        return response | ({"content": media} if media else {})

    def _media(self, part: Any) -> tuple[str, dict[str, Any]]:
        if isinstance(part, str):
            return part, {"schema": {"type": "string"}}
        return JSON, {"schema": self.schemas[part, "serialization"]}

    def _security(self, route: Route) -> list[dict[str, list[str]]]:
        requirements = self.face.requirements(bearer=route.any_identity)
        return requirements if route.secured else [{}, *requirements]


def _methods(route: routing.Route) -> list[str]:
    """Those of a route that the format knows; a class takes any, and HEAD is GET."""
    return sorted(_METHODS if route.methods is None else _METHODS & route.methods)


def _problems(declared: Iterable[tuple[str, routing.Route]]) -> Iterator[int]:
    """The errors that routes declare as their own."""
    for _, route in declared:
        answers = (route.answers or {}) if isinstance(route, Route) else {}
        yield from (status for status, answer in answers.items() if answer is Problem)


def _id(route: routing.Route, method: str) -> str:
    return "_".join((method.lower(), *re.findall(r"\w+", route.path_format)))


def _told(endpoint: Any) -> tuple[str, str]:
    """Summary and description of an endpoint, by its docstring less the address that it may begin with."""
    while isinstance(endpoint, partial):
        endpoint = endpoint.func
    summary, _, description = _ADDRESS.sub("", inspect.getdoc(endpoint) or "", count=1).partition("\n")
    return f"{summary[:1].upper()}{summary[1:]}", ARGUMENTS.sub("", f"\n{description}").strip()


def _parameter(name: str, convertor: Convertor[Any]) -> dict[str, Any]:
    kinds = {type(known): kind for kind, known in CONVERTOR_TYPES.items()}
    schema = _PARAMETERS.get(kinds.get(type(convertor), ""), {"type": "string"})
    return {"name": name, "in": "path", "required": True, "schema": dict(schema)}
