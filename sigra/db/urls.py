"""Database URLs as people write them, and the dialect and driver that they name."""

from __future__ import annotations

from importlib.util import find_spec

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from sigra.db.dialects import Dialect, Family
from sigra.db.dialects.mysql import FAMILY as MYSQL
from sigra.db.dialects.postgresql import FAMILY as POSTGRESQL
from sigra.db.dialects.sqlite import FAMILY as SQLITE
from sigra.errors import ConfigurationError

OPTION = "SIGRA_DATABASE_URL"


def dialect_for(text: str) -> Dialect:
    """The dialect of a URL; one without a driver takes the installed async one.

    Raises:
        ConfigurationError: The URL is none, or of a database or driver that Sigra does not know, with the cure.
    """
    url = _parsed(text)
    name, _, driver = url.drivername.partition("+")
    for family in (SQLITE, POSTGRESQL, MYSQL):
        if name in family.names:
            chosen = _driver(family, name, driver)
            return family.dialect(url.set(drivername=f"{family.names[name]}+{chosen}"))
    raise ConfigurationError(f"{OPTION} names {name}: use sqlite:, postgresql:, mysql: or mariadb:.")


def _parsed(text: str) -> URL:
    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        # The text may hold a password: it is not repeated.
        raise ConfigurationError(f"{OPTION} is not a database URL: write it as in sqlite:///sigra.db.") from None


def _driver(family: Family, name: str, named: str) -> str:
    if named and named not in family.drivers:
        known = " or ".join(f"{name}+{driver}:" for driver in family.drivers)
        raise ConfigurationError(f"{OPTION} names the driver {named}, which is not asynchronous: use {known}.")
    for driver in [named] if named else list(family.drivers):
        if find_spec(driver) is not None:
            return driver
    extra = family.drivers[named] if named else next(iter(family.drivers.values()))
    raise ConfigurationError(f"{OPTION} needs a driver that is not installed: pip install 'sigra[{extra}]'.")
