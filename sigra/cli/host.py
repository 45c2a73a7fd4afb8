"""What a command knows of the application: enough to build its `Sigra` when that is first needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sigra.core import Sigra


@dataclass
class Host:
    """The application that `--app` or the settings name."""

    app: str | None = None

    @cached_property
    def auth(self) -> Sigra:
        """Its `Sigra`.

        Raises:
            ConfigurationError: It cannot be found or built.
        """
        # Brings the libraries that a quick command does without.
        from sigra.cli.loading import find

        return find(self.app)
