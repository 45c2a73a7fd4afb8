"""The OpenAPI 3.1 document of the mount path, made of the routes and the models that the code itself uses."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticUserError
from starlette import routing
from starlette.convertors import CONVERTOR_TYPES, Convertor
from starlette.routing import BaseRoute

from sigra import errors
from sigra.answers import HTML, Problem
from sigra.errors import ConfigurationError, SigraError
from sigra.http.answers import FORM_METHOD, FORM_METHODS, FORM_TYPES
from sigra.http.body import types_of
from sigra.http.problems import MEDIA_TYPE
from sigra.http.routing import Route

JSON = "application/json"
CODES = "x-codes"
"""The stable codes of the errors behind a problem."""

REFERENCE = "#/components/schemas/{model}"

ANY_ROUTE = (400, 401, 403, 429, 503)
"""What may refuse any request: two credentials, a bad one, a rule of a plugin, a limit, a database that is down."""

READING = (408, 413, 415, 422)
"""What may be wrong with a body."""

_PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "int": {"type": "integer", "minimum": 0},
    "float": {"type": "number", "minimum": 0},
    "uuid": {"type": "string", "format": "uuid"},
}
_BOOLEAN_WORDS = ("", "on", "off", "true", "false", "1", "0", "yes", "no", "t", "f", "y", "n")
"""What a form says for a boolean: nothing, or one of pydantic's words, in any case."""

_HEADERS = {
    401: {"WWW-Authenticate": "How to prove who asks (RFC 9110, section 11.6.1)."},
    405: {"Allow": "The methods that the path knows (RFC 9110, section 10.2.1)."},
    429: {"Retry-After": "Seconds until another try can succeed (RFC 9110, section 10.2.3)."},
    503: {"Retry-After": "Seconds after which another try is sensible (RFC 9110, section 10.2.3)."},
}
_ADDRESS = re.compile(r"(GET|POST|PUT|PATCH|DELETE)( /\S*?)?[:.](\s+|$)")
_PARAMETER_NOTES = re.compile(r"\n\nArgs:\n.*", re.DOTALL)

Mode = Literal["validation", "serialization"]


class Face(NamedTuple):
    """What the document says beside the routes.

    Args:
        server: The mount path's URL.
        version: Of the software.
        cookies: Names, as sent, of the cookies that tell who asks.
        bearer: Whether some plugin takes bearer credentials.
        pages: Whether some plugin answers errors by pages.
        errors: The classes of errors that plugins bring.
    """

    server: str
    version: str
    cookies: Sequence[str]
    bearer: bool
    pages: bool
    errors: Sequence[type[SigraError]]


def document(routes: Mapping[str, Sequence[BaseRoute]], face: Face) -> dict[str, Any]:
    """The document, as JSON values.

    Args:
        routes: By the plugin that brings them, which is their tag.

    Raises:
        ConfigurationError: A route declares a type that has no JSON schema; names the plugin and the route.
    """
    declared = [(plugin, route) for plugin, its in routes.items() for route in its if isinstance(route, routing.Route)]
    schemas, components = _schemas(declared)
    writer = _Operations(face, schemas, components)
    paths: dict[str, dict[str, Any]] = {}
    for plugin, route in declared:
        operations = paths.setdefault(route.path_format, {})
        operations.update((method.lower(), writer.operation(plugin, route, method)) for method in _methods(route))
    return {
        "openapi": "3.1.1",
        "info": {"title": "Sigra", "version": face.version, "description": "Sign-in and accounts of this application."},
        "servers": [{"url": face.server}],
        "tags": [{"name": plugin} for plugin in dict.fromkeys(plugin for plugin, _ in declared)],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {_problem_name(status): _problem(status, face) for status in _known_statuses(face)},
            "securitySchemes": _schemes(face),
        },
    }


# Schemas


def _schemas(routes: Iterable[tuple[str, routing.Route]]) -> tuple[Mapping[Any, Any], dict[str, Any]]:
    """The schema of every type that a route declares, and the components that these point at."""
    wanted: dict[tuple[Any, Mode], TypeAdapter[Any]] = {(Problem, "serialization"): TypeAdapter(Problem)}
    for plugin, route in routes:
        for kind, mode in _types(route):
            wanted.setdefault((kind, mode), _adapter(plugin, route, kind))
    inputs = [(kind, mode, adapter) for (kind, mode), adapter in wanted.items()]
    schemas, rest = TypeAdapter.json_schemas(inputs, ref_template=REFERENCE)
    components = rest.get("$defs", {})
    for schema in components.values():
        if "description" in schema:
            schema["description"] = _PARAMETER_NOTES.sub("", schema["description"])
    return schemas, components


def _types(route: routing.Route) -> Iterator[tuple[Any, Mode]]:
    if not isinstance(route, Route):
        return
    if route.body is not None:
        yield route.body, "validation"
    for answer in (route.answers or {}).values():
        yield from ((kind, "serialization") for kind in _parts(answer) if not isinstance(kind, str))


def _adapter(plugin: str, route: routing.Route, kind: Any) -> TypeAdapter[Any]:
    try:
        adapter = TypeAdapter(kind)
        adapter.json_schema()
    except PydanticUserError as error:
        raise ConfigurationError(
            f"Plugin {plugin} declares {kind!r} on its route {route.path}, which has no JSON schema "
            f"({error.code}): declare a pydantic model or a TypedDict."
        ) from error
    return adapter


def _parts(answer: Any) -> tuple[Any, ...]:
    """The types and media types that an answer may have."""
    if answer is None:
        return ()
    return answer if isinstance(answer, tuple) else (answer,)


# Operations


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
            "security": [{}, *_requirements(self.face, bearer=True)],
        }
        if method in ("POST", "PUT", "PATCH"):
            unknown["requestBody"] = {"content": _content({"type": "object"}, {"type": "object"})}
        return unknown

    def _body(self, route: Route) -> dict[str, Any]:
        assert route.body is not None
        required = any(field.is_required() for field in route.body.model_fields.values())
        schema = self.schemas[route.body, "validation"]
        content = _content(schema, _form(route.body, schema, self.components))
        return {"required": required, "content": content}

    def _responses(self, route: Route, method: str) -> dict[str, Any]:
        refusals = {*ANY_ROUTE, *(READING if route.body is not None else ()), *self._refusing()}
        if route.param_convertors:
            refusals.add(404)
        given = dict(route.answers or {})
        if method == "POST" and given.keys() & {200, 204}:
            given.setdefault(303, None)  # to a form
        answers = {status: self._answer(status, answer) for status, answer in given.items()}
        responses = {status: _problem_reference(status) for status in refusals} | answers
        return {str(status): responses[status] for status in sorted(responses)}

    def _refusing(self) -> Iterator[int]:
        """A plugin's own refusal may answer any route."""
        return (error.status for error in self.face.errors if issubclass(error, errors.Refused))

    def _answer(self, status: int, answer: Any) -> dict[str, Any]:
        if answer is Problem:
            return _problem_reference(status)
        response: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        if status == 303:
            response["headers"] = {"Location": _header("Where a browser goes on to.")}
        content = dict(self._media(part) for part in _parts(answer))
        return response | ({"content": content} if content else {})

    def _media(self, part: Any) -> tuple[str, dict[str, Any]]:
        if isinstance(part, str):
            return part, {"schema": {"type": "string"}}
        return JSON, {"schema": self.schemas[part, "serialization"]}

    def _security(self, route: Route) -> list[dict[str, list[str]]]:
        requirements = _requirements(self.face, bearer=route.any_identity)
        return requirements if route.secured else [{}, *requirements]


def _methods(route: routing.Route) -> list[str]:
    # HEAD is GET, and is not told apart.
    return sorted((route.methods or {"GET"}) - {"HEAD"})


def _id(route: routing.Route, method: str) -> str:
    return "_".join((method.lower(), *re.findall(r"\w+", route.path_format)))


def _told(endpoint: Any) -> tuple[str, str]:
    """Summary and description of an endpoint, by its docstring less the address that it may begin with."""
    while isinstance(endpoint, partial):
        endpoint = endpoint.func
    summary, _, description = _ADDRESS.sub("", inspect.getdoc(endpoint) or "", count=1).partition("\n")
    return f"{summary[:1].upper()}{summary[1:]}", _PARAMETER_NOTES.sub("", f"\n{description}").strip()


def _parameter(name: str, convertor: Convertor[Any]) -> dict[str, Any]:
    kinds = {type(known): kind for kind, known in CONVERTOR_TYPES.items()}
    schema = _PARAMETERS.get(kinds.get(type(convertor), ""), {"type": "string"})
    return {"name": name, "in": "path", "required": True, "schema": dict(schema)}


def _content(schema: Mapping[str, Any], form: Mapping[str, Any]) -> dict[str, Any]:
    return {JSON: {"schema": schema}} | {media: {"schema": form} for media in FORM_TYPES}


def _form(body: type[BaseModel], schema: Mapping[str, Any], components: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of the same body as a form, which can say only text; see `body.validate`."""
    model = components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    fields = {name: _field(body, name, field) for name, field in model.get("properties", {}).items()}
    return schema if fields == model.get("properties", {}) else {**model, "properties": fields}


def _field(body: type[BaseModel], name: str, field: Mapping[str, Any]) -> Mapping[str, Any]:
    wanted = types_of(body.model_fields[name].annotation) if name in body.model_fields else {str}
    if list in wanted:
        return {"type": "string", "title": field.get("title", name), "description": "Words, between blanks or commas."}
    if str in wanted:
        return field
    words = _BOOLEAN_WORDS if bool in wanted else ("",)
    about = {key: field[key] for key in ("title", "description", "default") if key in field}
    return about | {"anyOf": [{key: field[key] for key in field if key not in about}, {"enum": list(words)}]}


# Problems and credentials


def _errors(face: Face) -> Iterator[type[SigraError]]:
    for one in (*vars(errors).values(), *face.errors):
        if isinstance(one, type) and issubclass(one, SigraError) and one not in (SigraError, ConfigurationError):
            yield one


def _known_statuses(face: Face) -> list[int]:
    return sorted({error.status for error in _errors(face)})


def _problem_name(status: int) -> str:
    return f"Problem{status}"


def _problem_reference(status: int) -> dict[str, str]:
    return {"$ref": f"#/components/responses/{_problem_name(status)}"}


def _problem(status: int, face: Face) -> dict[str, Any]:
    codes = sorted({error.code for error in _errors(face) if error.status == status})
    # Codes are no enumeration: a client made today goes on when a plugin brings another tomorrow.
    content: dict[str, Any] = {MEDIA_TYPE: {"schema": {"$ref": REFERENCE.format(model="Problem")}, CODES: codes}}
    if face.pages:
        content[HTML] = {"schema": {"type": "string"}}
    response = {"description": f"{HTTPStatus(status).phrase}: {', '.join(codes)}.", "content": content}
    headers = {name: _header(text) for name, text in _HEADERS.get(status, {}).items()}
    return response | ({"headers": headers} if headers else {})


def _header(text: str) -> dict[str, Any]:
    return {"description": text, "required": True, "schema": {"type": "string"}}


def _schemes(face: Face) -> dict[str, Any]:
    schemes: dict[str, Any] = {cookie: {"type": "apiKey", "in": "cookie", "name": cookie} for cookie in face.cookies}
    return schemes | ({"bearer": {"type": "http", "scheme": "bearer"}} if face.bearer else {})


def _requirements(face: Face, *, bearer: bool) -> list[dict[str, list[str]]]:
    names = [*face.cookies, *(["bearer"] if bearer and face.bearer else [])]
    return [{name: []} for name in names]
