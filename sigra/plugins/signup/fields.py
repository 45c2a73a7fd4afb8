"""The application's own fields of a sign-up: an allow-list, so that no body says what nobody asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pydantic import BaseModel, ValidationError, create_model
from sqlalchemy import Table

from sigra.db import UserColumns
from sigra.errors import ConfigurationError

OPTION = "SIGRA_SIGNUP__FIELDS"


def imported(text: str) -> Any:
    """What `module:name` names.

    Raises:
        ValueError: Nothing.
    """
    module, _, name = text.partition(":")
    try:
        return getattr(import_module(module), name)
    except (AttributeError, ImportError, ValueError):
        raise ValueError("it names no model; write it as in app.users:SignUpFields") from None


def check(model: type[BaseModel], body: type[BaseModel], users: Table) -> None:
    """Every field is a column that the application added to `sigra_users`, and none is ours.

    Raises:
        ConfigurationError: Names the field and the cure.
    """
    for name in model.model_fields:
        if hasattr(UserColumns, name) or name in body.model_fields:
            raise ConfigurationError(f"{OPTION} has the field {name}, which is not the application's: leave it out.")
        if name not in users.columns:
            raise ConfigurationError(
                f"{OPTION} has the field {name}, of which sigra_users has no column: add the column, or leave it out."
            )


def joined(model: type[BaseModel] | None, body: type[BaseModel]) -> type[Any]:
    """The body of a sign-up with the application's fields beside ours."""
    return body if model is None else create_model(body.__name__, __base__=(body, model), __doc__=body.__doc__)


def stored(model: type[BaseModel] | None, body: BaseModel) -> dict[str, Any]:
    """The application's fields as JSON values."""
    return {} if model is None else body.model_dump(mode="json", include=set(model.model_fields))


def restored(model: type[BaseModel] | None, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same as values for columns; none of them when the application has changed its model meanwhile."""
    if model is None:
        return {}
    try:
        made = model.model_validate(fields, by_name=True)
    except ValidationError:
        return {}
    return {name: getattr(made, name) for name in model.model_fields}


def asked(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    """What the page asks for: each field's `name` and `label`, whether it is `needed`, and whether it is a `box`."""
    return [
        {
            "name": field.alias or name,
            "label": field.title or name.replace("_", " ").capitalize(),
            "needed": field.is_required(),
            "box": field.annotation is bool,
        }
        for name, field in (model.model_fields if model else {}).items()
    ]
