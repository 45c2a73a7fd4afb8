"""Where the `Sigra` of a command comes from: the host's own object when one is named, else the settings."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

from sigra import sources
from sigra.core import Sigra
from sigra.errors import ConfigurationError

CURE = "set --app, SIGRA_APP or `app` in sigra.toml to module:name of the Sigra object, as in myapp.main:auth."


def find(app: str | None) -> Sigra:
    """The `Sigra` that `--app` names, or else `app` of the settings, or else the one that the settings make.

    Raises:
        ConfigurationError: It cannot be found or built.
    """
    named = app or sources.read(os.environ, Path()).get("app")
    # What is no text is left to the settings to complain about.
    return load(named) if isinstance(named, str) and named else Sigra.from_settings()


def load(named: str) -> Sigra:
    """The `Sigra` at `module:name`; modules of the current directory come first, as for a server.

    Raises:
        ConfigurationError: There is none.
    """
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
