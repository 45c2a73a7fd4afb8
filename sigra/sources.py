"""Where settings come from (`sigra.toml`, then `SIGRA_*` variables) and how their text becomes values.

Ours rather than pydantic-settings' because plugins' sections are unknown until `plugins` is read, lists may be
comma-separated, and an unknown variable is an error with the nearest name.
"""

from __future__ import annotations

import difflib
import json
import tomllib
import types
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sigra.errors import ConfigurationError

PREFIX = "SIGRA_"
FILE = "sigra.toml"
FILE_VARIABLE = "SIGRA_CONFIG"

M = TypeVar("M", bound=BaseModel)


def read(environ: Mapping[str, str], directory: Path) -> dict[str, Any]:
    """All options by nested name, the environment over the file; values of the environment are still text.

    Raises:
        ConfigurationError: The file named by `SIGRA_CONFIG` is missing, or a file is not TOML.
    """
    return merge(_from_file(environ, directory), _from_environment(environ))


def merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """`low` with `high` over it, tables joined member by member."""
    merged = dict(low)
    for key, value in high.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def _from_file(environ: Mapping[str, str], directory: Path) -> dict[str, Any]:
    named = environ.get(FILE_VARIABLE)
    path = directory / (named or FILE)
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if named is None:
            return {}
        raise ConfigurationError(
            f"{FILE_VARIABLE} names {path}, which does not exist: create it or unset it."
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}): make it a readable file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}. Mend that line.") from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable == FILE_VARIABLE:
            continue
        *parents, last = variable.removeprefix(PREFIX).lower().split("__")
        tree = merge(tree, _nest(parents, last, environ[variable]))
    return tree


def _nest(parents: list[str], last: str, value: str) -> dict[str, Any]:
    nested: dict[str, Any] = {last: value}
    for name in reversed(parents):
        nested = {name: nested}
    return nested


def decode(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Text as the fields of `model` want it: lists by comma or JSON, tables as JSON, durations as seconds.

    Everything else is left to the model: it reports what does not fit.
    """
    fields = model.model_fields
    return {
        name: _decode_value(fields[name].annotation, value) if name in fields else value
        for name, value in values.items()
    }


def _decode_value(annotation: Any, value: Any) -> Any:
    kinds = set(_kinds(annotation))
    sections = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
    if isinstance(value, str):
        value = _decode_text(kinds, bool(sections), value)
    if sections and isinstance(value, Mapping):
        return decode(sections[0], value)
    return value


def _decode_text(kinds: set[Any], section: bool, text: str) -> Any:
    stripped = text.strip()
    if kinds & {list, tuple, set, frozenset}:
        if stripped.startswith("["):
            return _json_or_text(stripped)
        return [item.strip() for item in text.split(",") if item.strip()]
    if section or dict in kinds or Mapping in kinds:
        return _json_or_text(stripped)
    if timedelta in kinds and stripped.replace(".", "", 1).isdecimal():
        return float(stripped)
    return text


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _kinds(annotation: Any) -> Iterator[Any]:
    """The plain types in an annotation: `list` of `list[str] | None`, `timedelta` of an annotated one."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _kinds(part)
    elif origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    else:
        yield origin or annotation


def validate(model: type[M], values: Mapping[str, Any], section: str) -> M:
    """`values` as a plugin's section.

    Raises:
        ConfigurationError: One paragraph that names every option that is wrong, never its value.
    """
    with explained(model, section):
        return model.model_validate(decode(model, values))


@contextmanager
def explained(model: type[BaseModel], *section: str) -> Iterator[None]:
    """Turn what pydantic says of `model` into a `ConfigurationError` that names options, never their values."""
    try:
        yield
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise ConfigurationError(" ".join(_sentence(model, section, item) for item in found)) from None


def _sentence(model: type[BaseModel], section: tuple[str, ...], found: ErrorDetails) -> str:
    path = (*section, *(str(part) for part in found["loc"]))
    if found["type"] == "extra_forbidden":
        return unknown(option_name(*path), (option_name(*section, *known) for known in _paths(model)))
    if found["type"] == "missing":
        return f"{option_name(*path)} is not set: set it."
    reason = found["msg"].removeprefix("Value error, ")
    return f"{option_name(*path)}: {reason}." if path else f"{reason}."


def _paths(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        yield (*above, name)
        for kind in _kinds(field.annotation):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _paths(kind, (*above, name))


def option_name(*path: str) -> str:
    """An option as the environment spells it: `SIGRA_SESSIONS__IDLE`."""
    return PREFIX + "__".join(path).upper()


def unknown(option: str, known: Iterable[str]) -> str:
    """The sentence for an option that nothing reads, with the nearest one that something does."""
    nearest = difflib.get_close_matches(option, list(known), n=1, cutoff=0.6)
    cure = f"did you mean {nearest[0]}?" if nearest else "remove it, or switch on the plugin that reads it."
    return f"{option} is not an option: {cure}"
