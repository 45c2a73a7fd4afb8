"""Writes the reference of docs/http.md from the OpenAPI document: routes with fields and answers, and their shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sigra import Settings, Sigra
from tools import distributions
from tools.marked import DOCS, filled

PAGE = DOCS / "http.md"
JSON = "application/json"
COMMON = frozenset({"400", "401", "403", "408", "413", "415", "422", "429", "503"})
"""What the page's head says of every route."""

Object = Mapping[str, Any]


def rendered(page: str) -> str:
    """The page with the routes of the plugins."""
    settings = Settings(secret_keys=["k" * 32], base_url="http://localhost")
    document = Sigra(settings, distributions.everything()).openapi
    page = filled(page, "routes", "\n".join(routes(document)))
    return filled(page, "shapes", "\n".join(shapes(document)))


def routes(document: Object) -> Iterator[str]:
    """One heading a plugin, one text a route."""
    for tag in document["tags"]:
        yield f"## {tag['name']}\n"
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if tag["name"] in operation["tags"]:
                    yield from route(document, f"{method.upper()} {path}", operation)


def route(document: Object, address: str, operation: Object) -> Iterator[str]:
    yield f"### {address}\n"
    yield f"{operation['summary']}\n"
    if "description" in operation:
        yield f"{operation['description']}\n"
    body = operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema")
    if body is not None:
        yield from fields(resolved(document, body))
    yield from (f"- **{status}** {answer(one)}" for status, one in operation["responses"].items() if told(status, one))
    yield f"- {who(operation)}\n"


def told(status: str, response: Object) -> bool:
    return not (status in COMMON and "$ref" in response)


def answer(response: Object) -> str:
    """What comes with a status: a shape, a page, or nothing."""
    if "$ref" in response:
        return "a problem"
    content = response.get("content", {})
    parts = [shape(media["schema"]) if kind == JSON else f"`{kind}`" for kind, media in content.items()]
    return " or ".join(parts) or ("to a browser" if "Location" in response.get("headers", {}) else "without content")


def shape(schema: Object) -> str:
    """A type in code's letters, one with a name as a link to its text."""
    name = type_of(schema)
    return f"[`{name}`](#{name.lower()})" if "$ref" in schema else f"`{name}`"


def who(operation: Object) -> str:
    """Which credentials the route is open to."""
    names = {name for requirement in operation.get("security", []) for name in requirement}
    if {} in operation.get("security", [{}]):
        return "Open to everybody."
    return "Needs a session or an API key." if "bearer" in names else "Needs a session."


def shapes(document: Object) -> Iterator[str]:
    """One text a shape that some answer has, and those in it."""
    components = document["components"]["schemas"]
    for name in sorted(used(document, document["paths"])):
        yield f"### {name}\n"
        if "description" in components[name]:
            yield f"{' '.join(components[name]['description'].split())}\n"
        yield from fields(components[name])


def used(document: Object, node: Any) -> set[str]:
    """The names of the shapes that a part of the document points at, without those of bodies."""
    if isinstance(node, list):
        return set().union(*(used(document, item) for item in node))
    if not isinstance(node, dict):
        return set()
    found = set().union(*(used(document, value) for key, value in node.items() if key != "requestBody"))
    name = node.get("$ref", "").partition("#/components/schemas/")[2]
    return found | {name} | used(document, document["components"]["schemas"][name]) if name else found


def fields(schema: Object) -> Iterator[str]:
    """A row a member."""
    members = schema.get("properties", {})
    if not members:
        return
    yield "| member | type | |\n|---|---|---|"
    for name, member in members.items():
        notes = ["required"] if name in schema.get("required", ()) else []
        yield f"| `{name}` | {type_of(member)} | {', '.join([*notes, *limits(member)])} |"
    yield ""


def limits(member: Object) -> Iterator[str]:
    for one in (member, *member.get("anyOf", ())):
        if "maxLength" in one:
            yield f"at most {one['maxLength']:,} characters"


def type_of(schema: Object) -> str:
    """The type in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_of(one) for one in schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        return " or ".join(f'"{value}"' for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {type_of(schema['items'])}"
    return {"uuid": "UUID", "date-time": "time"}.get(schema.get("format", ""), str(schema.get("type", "any")))


def resolved(document: Object, schema: Object) -> Object:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: Object = document["components"]["schemas"][name] if name else schema
    return found
