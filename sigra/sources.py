"""Where settings come from (`sigra.toml`, then `SIGRA_*` variables) and how their text becomes values.

Ours rather than pydantic-settings' because plugins' sections are unknown until `plugins` is read, lists may be
comma-separated, and an unknown variable is an error with the nearest name.
"""

from __future__ import annotations

import difflib
import json
import tomllib
import types
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
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
        if not named:
            return {}
        raise ConfigurationError(
            f"{FILE_VARIABLE} names {path}, which does not exist: create it or unset it."
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}): make it a readable file.") from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}. Mend that line.") from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    paths: dict[tuple[str, ...], str] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable == FILE_VARIABLE:
            continue
        path = tuple(variable.removeprefix(PREFIX).lower().split("__"))
        _check_alone(variable, path, paths)
        paths[path] = variable
    tree: dict[str, Any] = {}
    for path, variable in paths.items():
        tree = merge(tree, _nest(path, environ[variable]))
    return tree


def _check_alone(variable: str, path: tuple[str, ...], paths: Mapping[tuple[str, ...], str]) -> None:
    """A table as JSON and a member of it, or two spellings of one name: none would be the one that counts."""
    for other, named in paths.items():
        shorter = min(len(path), len(other))
        if path[:shorter] == other[:shorter]:
            raise ConfigurationError(f"{named} and {variable} set the same option: use one of them.")


def _nest(path: Sequence[str], value: str) -> dict[str, Any]:
    *parents, last = path
    nested: dict[str, Any] = {last: value}
    for name in reversed(parents):
        nested = {name: nested}
    return nested


Option = tuple[tuple[str, ...], Any]
"""An option's path, and what it was set to."""


def decode(
    model: type[BaseModel], values: Mapping[str, Any], unread: list[Option], path: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Text as the fields of `model` want it: lists by comma or JSON, tables as JSON, durations as seconds.

    Everything else is left to the model, which reports what does not fit; only what it would silently leave out is
    added to `unread`.
    """
    fields, decoded = model.model_fields, {}
    for name, value in values.items():
        below = (*path, name)
        if name in fields:
            decoded[name] = _decode(fields[name].annotation, value, unread, below)
            continue
        decoded[name] = value
        if model.model_config.get("extra", "ignore") == "ignore" and name not in _aliases(model):
            unread.append((below, value))
    return decoded


def _aliases(model: type[BaseModel]) -> set[object]:
    return {alias for field in model.model_fields.values() for alias in (field.alias, field.validation_alias)}


def _decode(annotation: Any, value: Any, unread: list[Option], path: tuple[str, ...]) -> Any:
    forms = list(_forms(annotation))
    if isinstance(value, str):
        value = _decode_text(forms, value)
    if isinstance(value, Mapping):
        models = [form for form in forms if _is(form, BaseModel)]
        if len(models) == 1:
            return decode(models[0], value, unread, path)
        members = [get_args(form)[1] for form in forms if _is(form, Mapping) and get_args(form)]
        return {key: _decode(_only(members), item, unread, (*path, str(key))) for key, item in value.items()}
    if isinstance(value, list):
        items = [get_args(form)[0] for form in forms if _is_list(form) and len(set(get_args(form)) - {...}) == 1]
        return [_decode(_only(items), item, unread, (*path, str(place))) for place, item in enumerate(value)]
    return value


def _only(annotations: Sequence[Any]) -> Any:
    return annotations[0] if len(annotations) == 1 else Any


def _decode_text(forms: Sequence[Any], text: str) -> Any:
    stripped = text.strip()
    if stripped.startswith("{") and any(_is(form, BaseModel) or _is(form, Mapping) for form in forms):
        return _json_or_text(stripped)
    if any(_is_list(form) for form in forms):
        if stripped.startswith("["):
            return _json_or_text(stripped)
        return [item.strip() for item in text.split(",") if item.strip()]
    if timedelta in forms and stripped.replace(".", "", 1).isdecimal():
        return float(stripped)
    return text


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _forms(annotation: Any) -> Iterator[Any]:
    """What a value may be: `list[str]` and None of `list[str] | None`, `timedelta` of an annotated one."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _forms(part)
    elif origin is Annotated:
        yield from _forms(get_args(annotation)[0])
    else:
        yield annotation


def _is(form: Any, kind: type[Any]) -> bool:
    plain = get_origin(form) or form
    return isinstance(plain, type) and issubclass(plain, kind)


def _is_list(form: Any) -> bool:
    return _is(form, Collection) and not any(_is(form, kind) for kind in (str, bytes, Mapping))


def validate(model: type[M], values: Mapping[str, Any], section: str) -> M:
    """`values` as a plugin's section.

    Raises:
        ConfigurationError: One paragraph that names every option that is wrong, never its value.
    """
    unread: list[Option] = []
    decoded = decode(model, values, unread, (section,))
    with explained(model, section, unread=unread):
        return model.model_validate(decoded)


@contextmanager
def explained(
    model: type[BaseModel], *section: str, unread: Iterable[Option] = (), doubtful: Iterable[Option] = ()
) -> Iterator[None]:
    """Turn what pydantic says of `model` into a `ConfigurationError` that names options, never their values.

    Args:
        model: What is validated.
        *section: Where it is in the settings.
        unread: Options that nothing reads.
        doubtful: Options that perhaps a plugin reads: told only when something else is wrong, which they may explain.
    """
    sentences = [sentence for path, value in unread for sentence in _unknown(model, section, path, value)]
    try:
        yield
    except ValidationError as error:
        sentences += [sentence for path, value in doubtful for sentence in _unknown(model, section, path, value)]
        for found in error.errors(include_url=False, include_context=False):
            sentences += _sentences(model, section, found)
    if sentences:
        raise ConfigurationError(" ".join(dict.fromkeys(sentences))) from None


def _sentences(model: type[BaseModel], section: tuple[str, ...], found: ErrorDetails) -> Iterator[str]:
    path = (*section, *(str(part) for part in found["loc"]))
    if found["type"] == "extra_forbidden":
        yield from _unknown(model, section, path, found["input"])
    elif found["type"] == "missing":
        yield f"{option_name(*path)} is not set: set it."
    elif not path:
        yield f"{_reason(found)}."
    elif any(text in found["msg"] for text in _texts(found["input"])):
        yield f"{option_name(*path)}: its value does not fit."
    else:
        yield f"{option_name(*path)}: {_reason(found)}."


def _reason(found: ErrorDetails) -> str:
    return found["msg"].removeprefix("Value error, ").rstrip(".")


LONG = 8
"""Characters from which a text in a message is taken for a repeated value, which may be a secret."""


def _texts(value: Any) -> Iterator[str]:
    """What a stranger's validator may repeat of what it was given."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, SecretStr):
        yield from _texts(value.get_secret_value())
    elif isinstance(value, str) and len(value) >= LONG:
        yield value


def _unknown(model: type[BaseModel], section: tuple[str, ...], path: tuple[str, ...], value: Any) -> Iterator[str]:
    """A sentence for each option below `path`, with the nearest one that something reads."""
    if isinstance(value, Mapping) and value:
        for name, member in value.items():
            yield from _unknown(model, section, (*path, str(name)), member)
        return
    option, known = option_name(*path), [option_name(*section, *one) for one in _paths(model)]
    if option in known:
        yield f"{option} is written {'.'.join(path)!r} in {FILE}: write it in lower case."
        return
    # Compared without the prefix that all share, which would make everything alike.
    short = {name.removeprefix(PREFIX): name for name in known}
    nearest = difflib.get_close_matches(option.removeprefix(PREFIX), short, n=1)
    cure = f"did you mean {short[nearest[0]]}?" if nearest else "remove it, or switch on the plugin that reads it."
    yield f"{option} is not an option: {cure}"


def _paths(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        yield (*above, name)
        for form in _forms(field.annotation):
            if _is(form, BaseModel):
                yield from _paths(form, (*above, name))


def option_name(*path: str) -> str:
    """An option as the environment spells it: `SIGRA_SESSIONS__IDLE`."""
    return PREFIX + "__".join(path).upper()
