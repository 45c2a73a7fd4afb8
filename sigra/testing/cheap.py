"""Options under which a test is quick: the cheapest hash, on localhost, over http or https."""

from __future__ import annotations

from typing import Any

from sigra.settings import PasswordSettings, Settings

SECRET_KEY = "a-key-for-tests-known-to-everybody"  # noqa: S105  (that is what it is)

CHEAPEST_HASH = PasswordSettings(memory_kib=8, time=1, parallelism=1)
"""The least that argon2 can do (RFC 9106, section 3.1); only `development` allows it."""


def cheap_settings(database_url: str = "sqlite:///:memory:", *, https: bool = False, **options: Any) -> Settings:
    """Options for tests.

    Args:
        https: Served at https://localhost: cookies are `Secure` and have the `__Host-` prefix.
        options: In place of these, or in addition.
    """
    base_url = "https://localhost" if https else "http://localhost"
    usual: dict[str, Any] = {
        "secret_keys": [SECRET_KEY],
        "base_url": base_url,
        "database_url": database_url,
        "development": True,
        "password": CHEAPEST_HASH,
        # What waits is done when the test says so: `await auth.worker.work()`.
        "worker": False,
        # Tests sign in more often than people do; what limits do is for tests of limits.
        "limits": {"enabled": False},
    }
    return Settings(**{**usual, **options})
