"""What a form of a page comes back with when it was posted and refused: its error, each field's, and what was typed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sigra.errors import FieldError, InvalidToken, SigraError, ValidationFailed

_SECRET = re.compile(r"password|secret|token|code|pin|key", re.IGNORECASE)
"""Names of fields that are never shown again: pages lie in caches and over shoulders."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Form:
    """One form, as its template sees it.

    Args:
        path: Where it posts to, relative to the mount path.
        error: What a post to it was refused with.
        typed: The fields of that post, without secrets.
        token: The mailed token of that post when something else was wrong, for a hidden field: it is not spent, and the
            link that brought it is gone by now.
    """

    path: str
    error: SigraError | None = None
    typed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    token: str | None = field(default=None, repr=False)

    def id(self, name: str) -> str:
        """The id of a field, unlike those of other forms."""
        return f"{self.path.replace('/', '-')}-{name}"

    def value(self, name: str, otherwise: str | None = None) -> str:
        """What was typed into a field, or what it shows at first."""
        return self.typed.get(name, otherwise or "")

    def problem(self, name: str) -> FieldError | None:
        """What is wrong with a field, or with an item of it."""
        errors = self.error.errors if isinstance(self.error, ValidationFailed) else ()
        return next((one for one in errors if one.field == name or one.field.startswith(f"{name}.")), None)


class Forms:
    """The forms of one page: the one that was posted gets its error and what was typed, the others are new.

    Args:
        posted: The path that was posted to; None when nothing was.
        error: What it was refused with.
        typed: The body of the post.
    """

    def __init__(self, posted: str | None, error: SigraError | None, typed: Mapping[str, Any]) -> None:
        self._posted, self._error = posted, error
        self._typed = {name: text for name, text in typed.items() if isinstance(text, str) and not _SECRET.search(name)}
        self._token = None if isinstance(error, InvalidToken) else _token(typed.get("token"))
        self.told = False
        """Whether the error is some form's: then the page itself does not tell it too."""

    def at(self, path: str) -> Form:
        """The form that posts to `path`."""
        return self._form(path, self._posted == path)

    def below(self, path: str) -> Form:
        """Any of the forms that post to paths below `path`, as those of a list's rows do."""
        return self._form(path, self._posted is not None and self._posted.startswith(f"{path}/"))

    def _form(self, path: str, is_posted: bool) -> Form:
        if self._error is None or not is_posted:
            return Form(path)
        self.told = True
        return Form(path, self._error, self._typed, self._token)


def _token(text: object) -> str | None:
    return text if isinstance(text, str) and _TOKEN.fullmatch(text) else None
