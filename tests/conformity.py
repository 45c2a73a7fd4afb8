"""Holds every answer of the mount path that a test gets against the OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import cache, lru_cache
from typing import Any

import httpx2
from jsonschema import Draft202012Validator

from sigra import Sigra
from sigra.http.openapi import CODES
from sigra.http.problems import MEDIA_TYPE


def conforming(auth: Sigra) -> Callable[[httpx2.Response], Awaitable[None]]:
    """A hook of a client that fails for an answer that the document does not describe."""
    document = cache(lambda: _strict(json.dumps(auth.openapi)))

    async def check(response: httpx2.Response) -> None:
        path = response.request.url.path.removeprefix(auth.settings.mount_path)
        if path != response.request.url.path:
            operation = _operation(document(), path, response.request.method.lower())
            if operation is not None and "default" not in operation["responses"]:
                _check(document(), operation, response, await response.aread())

    return check


def _operation(document: Mapping[str, Any], path: str, method: str) -> Any:
    for template, item in document["paths"].items():
        if method in item and re.fullmatch(re.sub(r"\\{.*?\\}", "[^/]+", re.escape(template)), path):
            return item[method]
    return None


def _check(document: Mapping[str, Any], operation: Mapping[str, Any], response: httpx2.Response, body: bytes) -> None:
    name, status = operation["operationId"], str(response.status_code)
    assert status in operation["responses"], f"{name} answers {status}, which is not described"
    described = operation["responses"][status]
    if "$ref" in described:
        described = document["components"]["responses"][described["$ref"].rpartition("/")[2]]
    media, _, _ = response.headers.get("content-type", "").partition(";")
    contents = described.get("content", {"": {}})
    assert media in contents, f"{name} answers {status} as {media!r}, which is not described"
    for header in described.get("headers", {}):
        assert header in response.headers, f"{name} answers {status} without {header}"
    if media.endswith("json"):
        Draft202012Validator({**contents[media]["schema"], "components": document["components"]}).validate(
            response.json()
        )
    if not media:
        assert body == b"", f"{name} answers {status} with a body, which is not described"


@lru_cache(maxsize=32)
def _strict(document: str) -> dict[str, Any]:
    # Most installations of a run have one and the same.
    return strict(json.loads(document))


def strict(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document, its answers without any member, and its problems without any code, that it does not describe."""
    made = json.loads(json.dumps(document))
    for response in made["components"]["responses"].values():
        media = response["content"][MEDIA_TYPE]
        media["schema"] = {"allOf": [media["schema"], {"properties": {"code": {"enum": media[CODES]}}}]}
    taken = set(_references([one.get("requestBody") for item in made["paths"].values() for one in item.values()]))
    for name, schema in made["components"]["schemas"].items():
        if name not in taken and "properties" in schema:
            schema["additionalProperties"] = False
    return made


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if "$ref" in value:
            yield value["$ref"].rpartition("/")[2]
        yield from _references(list(value.values()))
    elif isinstance(value, list):
        for member in value:
            yield from _references(member)
