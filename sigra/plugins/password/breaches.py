"""Whether a password was seen in a breach, asked of a service that learns five digits of its digest and no more."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sigra.errors import ConfigurationError, Unavailable, WeakPassword

if TYPE_CHECKING:
    import httpx2

TIME_LIMIT = 3.0
"""Seconds that somebody waits for the answer, at most."""

MAXIMUM_BYTES = 2**20
"""An answer has about a thousand lines of 40 bytes."""

PREFIX_LENGTH = 5
"""Digits that the service is told, shared by about a thousand known passwords (Ali, "Validating Leaked Passwords with
k-Anonymity", 2018)."""

_log = logging.getLogger("sigra.password")


class _NoAnswer(Exception):
    """Raised when the service says nothing that can be used; holds why."""


@dataclass(frozen=True)
class Breaches:
    """The range API of one service.

    Args:
        url: To which the first five digits of a SHA-1 are added.
        closed: Whether a password that could not be looked up is refused; else it is taken, and a warning logged.
    """

    url: str
    closed: bool

    def __post_init__(self) -> None:
        if find_spec("httpx2") is None:
            raise ConfigurationError(
                "SIGRA_PASSWORD__BREACH_URL is set, but httpx2 is not installed: "
                "install sigra[breaches], or leave it out."
            )

    async def check(self, password: str) -> None:
        """Ask whether the password is known.

        Raises:
            WeakPassword: It is.
            Unavailable: The service did not answer, and the check fails closed.
        """
        secret = unicodedata.normalize("NFC", password).encode()
        digest = hashlib.sha1(secret, usedforsecurity=False).hexdigest().upper()
        try:
            listed = _is_listed(digest[PREFIX_LENGTH:], await self._fetched(digest[:PREFIX_LENGTH]))
        except _NoAnswer as error:
            if self.closed:
                raise Unavailable(detail="New passwords cannot be checked now. Try again in a moment.") from error
            _log.warning("The breach service did not answer (%s): a new password was taken unchecked.", error)
            return
        if listed:
            raise WeakPassword("This password has been seen in a breach. Choose another.", "breached")

    async def _fetched(self, prefix: str) -> str:
        """The lines that begin with the prefix, padded so that their number tells nothing to a listener."""
        # In a thread: the library is large, and reads every authority's certificate for a client.
        client = await asyncio.to_thread(_new_client)
        import httpx2  # noqa: PLC0415

        # Uncompressed: what is small on the wire could be of any size once unpacked.
        url, headers = f"{self.url}{prefix}", {"Add-Padding": "true", "Accept-Encoding": "identity"}
        try:
            async with (
                asyncio.timeout(TIME_LIMIT),
                client,
                client.stream("GET", url, headers=headers) as response,
            ):
                if response.status_code != 200:
                    raise _NoAnswer(f"status {response.status_code}")
                if "content-encoding" in response.headers:
                    raise _NoAnswer("compressed")
                return await _bounded(response.aiter_raw())
        except (httpx2.HTTPError, TimeoutError) as error:
            raise _NoAnswer(type(error).__name__) from error


def _new_client() -> httpx2.AsyncClient:
    import httpx2  # noqa: PLC0415  (an extra: only who asks a service needs it)

    return httpx2.AsyncClient()


async def _bounded(chunks: AsyncIterator[bytes]) -> str:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > MAXIMUM_BYTES:
            raise _NoAnswer("too long")
    return body.decode("ascii", "replace")


def _is_listed(suffix: str, lines: str) -> bool:
    """Whether a line has the suffix with a count; those with none are padding."""
    for line in lines.splitlines():
        listed, _, count = line.strip().partition(":")
        if listed.upper() == suffix:
            return count.strip().lstrip("0") != ""
    return False
