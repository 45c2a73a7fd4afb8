"""The body of a request as one mapping, JSON or form, read strictly and once, and as a model."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, NoReturn, TypeVar, Union, get_args, get_origin
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from sigra.errors import FieldError, Malformed, SigraError, UnsupportedMediaType, ValidationFailed

KEY = "sigra.body"
"""Where in the scope the outcome of the first reading lies, for all who read after it."""

MAX_DEPTH = 16
MAX_FIELDS = 64

_SAFE_INTEGER = 2**53 - 1
"""Beyond it, JSON integers mean different numbers to different readers (RFC 7493, 2.2)."""

_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{\]}]', re.DOTALL)
"""A JSON string, closed or not, or a bracket: linear on every input."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")

_OWN_WORDS = frozenset(
    (
        "missing",
        "string_type",
        "string_too_short",
        "string_too_long",
        "int_type",
        "int_parsing",
        "bool_type",
        "bool_parsing",
        "float_type",
        "float_parsing",
        "list_type",
        "too_short",
        "too_long",
        "dict_type",
        "greater_than",
        "greater_than_equal",
        "less_than",
        "less_than_equal",
        "timezone_aware",
        "datetime_future",
        "datetime_past",
        "literal_error",
        "enum",
        "none_required",
        "uuid_type",
        "bytes_type",
    )
)
"""Pydantic's codes whose texts are made of the model alone; other texts may quote the input."""

M = TypeVar("M", bound=BaseModel)


async def read_mapping(request: Request) -> dict[str, Any]:
    """The members of a JSON object or the fields of a form; a later call for the same request gives the same.

    Raises:
        Malformed: Not what its content type says, or ambiguous: doubled names, numbers or text that readers differ on.
        UnsupportedMediaType: Neither JSON nor a form, compressed, or not in UTF-8.
    """
    cell: dict[str, Any] = request.scope.setdefault(KEY, {})
    if not cell:
        try:
            cell["mapping"] = await _read(request)
        except SigraError as error:
            cell["error"] = error
    if "error" in cell:
        raise cell["error"]
    return dict(cell["mapping"])


def validate(model: type[M], data: Mapping[str, Any], *, strict: bool = False) -> M:
    """The data as a model.

    Args:
        strict: As JSON, whose types mean what they say; fields of a form are text, which is read as what is wanted.

    Raises:
        ValidationFailed: One entry a field, of names that the model knows and texts that never quote the input.
    """
    try:
        if strict:
            return model.model_validate_json(json.dumps(data), strict=True)
        return model.model_validate(_read_as_wanted(model, data))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
    errors: dict[str, FieldError] = {}
    for entry in map(_field_error, found):
        errors.setdefault(entry.field, entry)
    raise ValidationFailed(tuple(errors.values()))


def _read_as_wanted(model: type[BaseModel], data: Mapping[str, Any]) -> dict[str, Any]:
    """A form can say only text: an empty one says nothing where no text is wanted, a list is words."""
    read = {}
    for name, value in data.items():
        wanted = types_of(model.model_fields[name].annotation) if name in model.model_fields else {str}
        if list in wanted and isinstance(value, str):
            read[name] = re.findall(r"[^\s,]+", value)
        elif value != "" or wanted & {str, Any}:
            read[name] = value
    return read


def types_of(annotation: Any) -> set[Any]:
    """The types that a field takes: `list` of `list[str] | None`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return {found for one in arguments for found in types_of(one)}
    return types_of(arguments[0]) if origin is Annotated else {origin or annotation}


def _field_error(found: ErrorDetails) -> FieldError:
    code = found["type"]
    message = f"{found['msg']}." if code in _OWN_WORDS else "This is not valid."
    if code == "extra_forbidden":
        message = "There is a field that is not known here."
    # The name of an unknown field is input too.
    path = found["loc"][:-1] if code == "extra_forbidden" else found["loc"]
    return FieldError(".".join(_known(path)), code, message)


def _known(path: tuple[int | str, ...]) -> Iterator[str]:
    for part in map(str, path):
        if not (part.isdecimal() or _NAME.fullmatch(part)):
            return
        yield part


async def _read(request: Request) -> dict[str, Any]:
    try:
        body = await request.body()
    except ClientDisconnect:
        raise Malformed("The request ended early.") from None
    kind = _content_type(request)
    if not kind and not body:
        return {}
    if kind not in (b"application/json", b"application/x-www-form-urlencoded", b"multipart/form-data"):
        raise UnsupportedMediaType
    try:
        # Of every kind: a multipart body without files is text too, and its parser guesses where it is not UTF-8.
        text = body.decode("utf-8")
        if kind == b"application/json":
            data = _from_json(text)
        elif kind == b"multipart/form-data":
            data = _once(await _multipart(request))
        else:
            data = _once(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS))
    except ValueError:
        raise Malformed from None
    if any("\0" in item or not _is_unicode(item) for item in _texts(data)):
        raise Malformed
    return data


def _content_type(request: Request) -> bytes:
    headers = request.headers.getlist("content-type")
    if len(headers) > 1 or request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType
    kind, options = parse_options_header(headers[0] if headers else None)
    if options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):
        raise UnsupportedMediaType
    return kind


def _from_json(text: str) -> dict[str, Any]:
    """One JSON object by the rules of I-JSON (RFC 7493)."""
    if _depth(text) > MAX_DEPTH:
        raise Malformed
    data = json.loads(
        text, object_pairs_hook=_once, parse_int=_integer, parse_float=_finite, parse_constant=_no_constant
    )
    if not isinstance(data, dict):
        raise Malformed
    return data


def _depth(text: str) -> int:
    """How deep brackets nest, found before a parser follows them with its stack."""
    depth = deepest = 0
    for token in _TOKEN.finditer(text):
        first = text[token.start()]
        depth += (first in "[{") - (first in "]}")
        deepest = max(deepest, depth)
    return deepest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise Malformed
    return data


def _integer(text: str) -> int:
    # Thousands of digits, which are slow to convert, are a ValueError of the interpreter's.
    number = int(text)
    if abs(number) > _SAFE_INTEGER:
        raise Malformed
    return number


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Malformed
    return number


def _no_constant(text: str) -> NoReturn:
    raise Malformed


async def _multipart(request: Request) -> list[tuple[str, Any]]:
    try:
        form = await request.form(max_files=0, max_fields=MAX_FIELDS)
    except (MultiPartException, HTTPException):
        raise Malformed from None
    return form.multi_items()


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from _texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)


def _is_unicode(text: str) -> bool:
    """Whether it has no lone surrogate, which no database and no UTF-8 can hold (RFC 7493, 2.1)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
