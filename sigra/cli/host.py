"""The `Sigra` that a command works on: the host's own when one is named, else one from the settings."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sigra import sources
from sigra.errors import ConfigurationError

if TYPE_CHECKING:
    from sigra.core import Sigra

CURE = "set --app, SIGRA_APP or `app` in sigra.toml to module:name of the Sigra object, as in myapp.main:auth."


@dataclass
class Host:
    """What `--app` said, and the `Sigra` behind it, built when a command first needs it."""

    app: str | None = None

    @cached_property
    def auth(self) -> Sigra:
        """The host's `Sigra`.

        Raises:
            ConfigurationError: It cannot be found or built.
        """
        from sigra.core import Sigra

        named = self.app or sources.read(os.environ, Path()).get("app")
        # What is no text is left to the settings to complain about.
        return load(named) if isinstance(named, str) and named else Sigra.from_settings()


def load(named: str) -> Sigra:
    """The `Sigra` at `module:name`; modules of the current directory come first, as for a server.

    Raises:
        ConfigurationError: There is none.
    """
    from sigra.core import Sigra

    module, _, name = named.partition(":")
    if not module or not name:
        raise ConfigurationError(f"The app {named!r} is not of the form module:name: {CURE}")
    found = _member(_imported(module), module, name)
    if not isinstance(found, Sigra):
        raise ConfigurationError(f"The app {named} is a {type(found).__name__}, not a Sigra: {CURE}")
    return found


def _imported(module: str) -> Any:
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(module)
    except ConfigurationError:
        raise
    except Exception as error:  # the host's module may fail in any way; the operator is told which and why
        raise ConfigurationError(
            f"The app's module {module} cannot be imported ({type(error).__name__}: {error}): mend it, or {CURE}"
        ) from error


def _member(imported: Any, module: str, name: str) -> Any:
    try:
        return attrgetter(name)(imported)
    except AttributeError:
        raise ConfigurationError(f"The app's module {module} has no {name}: {CURE}") from None
