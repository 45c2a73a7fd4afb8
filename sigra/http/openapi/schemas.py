"""The schemas of what routes read and answer, as JSON and as forms."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from starlette import routing

from sigra.answers import Problem
from sigra.errors import ConfigurationError
from sigra.http.answers import FORM_TYPES
from sigra.http.body import types_of
from sigra.http.routing import Route

JSON = "application/json"
ARGUMENTS = re.compile(r"\n\nArgs:\n.*", re.DOTALL)
"""What a docstring says to whoever writes code."""

_BOOLEAN_WORDS = ("", "on", "off", "true", "false", "1", "0", "yes", "no", "t", "f", "y", "n")
"""What a form says for a boolean: nothing, or one of pydantic's words, in any case."""

_WITHOUT_SCHEMA = (PydanticUserError, PydanticUndefinedAnnotation)

Mode = Literal["validation", "serialization"]


def schemas(routes: Sequence[tuple[str, routing.Route]]) -> tuple[Mapping[Any, Any], dict[str, Any]]:
    """The schema of every type that a route declares, and the components that these point at.

    Args:
        routes: With the plugins that bring them.
    """
    wanted = _wanted(routes)
    found, components = json.loads(_generated(wanted))
    return dict(zip(wanted, found, strict=True)), components


def check_types(routes: Sequence[tuple[str, routing.Route]]) -> None:
    """Refuse types without a schema.

    Args:
        routes: With the plugins that bring them.

    Raises:
        ConfigurationError: A type has none; names the plugin and the route.
    """
    try:
        _generated(_wanted(routes))
    except _WITHOUT_SCHEMA:
        for plugin, route in routes:
            _check(plugin, route)
        raise


def _check(plugin: str, route: routing.Route) -> None:
    for kind, mode in _types(route):
        try:
            TypeAdapter(kind).json_schema(mode=mode)
        except _WITHOUT_SCHEMA as error:
            raise ConfigurationError(
                f"Plugin {plugin} declares {kind!r} on its route {route.path}, which has no JSON schema "
                f"({error.code}): declare a pydantic model or a TypedDict."
            ) from error


def _wanted(routes: Sequence[tuple[str, routing.Route]]) -> tuple[tuple[Any, Mode], ...]:
    return tuple(dict.fromkeys([(Problem, "serialization"), *(one for _, route in routes for one in _types(route))]))


@lru_cache(maxsize=8)
def _generated(wanted: tuple[tuple[Any, Mode], ...]) -> str:
    """The schemas and their components, as JSON: who reads it has a copy to change."""
    # Remembered, since it takes longer than all else that is done at start, and tests start a thousand times.
    inputs = [(number, mode, TypeAdapter(kind)) for number, (kind, mode) in enumerate(wanted)]
    found, rest = TypeAdapter.json_schemas(inputs, ref_template="#/components/schemas/{model}")
    components = rest.get("$defs", {})
    for schema in components.values():
        if "description" in schema:
            schema["description"] = ARGUMENTS.sub("", schema["description"])
    return json.dumps([[found[number, mode] for number, mode, _ in inputs], components])


def _types(route: routing.Route) -> Iterator[tuple[Any, Mode]]:
    if not isinstance(route, Route):
        return
    if route.body is not None:
        yield route.body, "validation"
    for answer in (route.answers or {}).values():
        yield from ((kind, "serialization") for kind in parts(answer) if not isinstance(kind, str))


def parts(answer: Any) -> tuple[Any, ...]:
    """The types and media types that an answer may have."""
    if answer is None:
        return ()
    return answer if isinstance(answer, tuple) else (answer,)


def content(schema: Mapping[str, Any], form: Mapping[str, Any]) -> dict[str, Any]:
    """A body by its media types."""
    return {JSON: {"schema": schema}} | {media: {"schema": form} for media in FORM_TYPES}


def form(body: type[BaseModel], schema: Mapping[str, Any], components: Mapping[str, Any]) -> Mapping[str, Any]:
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
