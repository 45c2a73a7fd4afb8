"""Write the tables of docs/settings.md from the models, so that the page cannot say anything else.

`.venv/bin/python -m tools.document` writes them and the other references.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from sigra import hooks
from sigra.settings import Settings
from sigra.sources import option_name
from tools import distributions
from tools.marked import DOCS, filled

PAGE = DOCS / "settings.md"


def rendered(page: str) -> str:
    """The page with the tables of today's models between its marks."""
    return filled(page, "options", "".join(tables()))


def tables() -> Iterator[str]:
    """The core's options, its sections, then one table a plugin."""
    sections = {name: field.annotation for name, field in Settings.model_fields.items() if is_section(field)}
    yield table("The core", Settings, ())
    for name, model in sections.items():
        yield table(f"Section `{name}` of the core", model, (name,))
    for plugin in distributions.ours():
        model = hooks.section_model(plugin)
        if model is not None:
            yield table(f"Plugin `{plugin.name}`", model, (plugin.name,))


def table(title: str, model: Any, path: tuple[str, ...]) -> str:
    meanings = meanings_of(model)
    rows = [
        f"| `{option_name(*path, name)}` | {default_of(field)} | {meanings[name]} |\n"
        for name, field in model.model_fields.items()
        if not is_section(field)
    ]
    return f"## {title}\n\n| option | default | meaning |\n|---|---|---|\n{''.join(rows)}\n"


def is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def meanings_of(model: type[BaseModel]) -> dict[str, str]:
    """What the `Args` of the docstring say of each field."""
    _, _, arguments = (inspect.getdoc(model) or "").partition("Args:\n")
    arguments, _, _ = arguments.partition("Raises:")
    entries = re.findall(r"^ {4}(\w+): (.+(?:\n {8,}.+)*)", arguments, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def default_of(field: FieldInfo) -> str:
    """The default as the environment would say it."""
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, timedelta):
        value = f"{value.total_seconds():.0f}"
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    if isinstance(value, bool):
        value = str(value).lower()
    if field.is_required() or (field.validate_default and not value):
        return "required"
    return "none" if value in (None, "") else f"`{value}`"
