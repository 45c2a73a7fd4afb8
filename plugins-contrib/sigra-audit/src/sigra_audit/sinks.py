"""Where rows can go: a syslog server, or a URL that takes JSON lines."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from sigra import ConfigurationError
from sigra_audit.exporting import json_line
from sigra_audit.forwarding import TIME_LIMIT, Undelivered

if TYPE_CHECKING:
    import httpx2

PORTS = {"udp": 514, "tcp": 601}
"""Of `syslog` and `syslog-conn`, in the registry of port numbers (RFC 6335)."""

CLOSING_LIMIT = 2.0
"""Seconds that a server has to close its side; one that does not has read all the same."""

FACILITY = 10
"""Security and authorization messages (RFC 5424, section 6.2.1)."""

SEVERITY = {"failure": 4}
"""Warning; everything else is informational (6)."""


@dataclass(frozen=True, slots=True)
class Syslog:
    """RFC 5424, by datagrams (RFC 5426; a local socket) or by octet counting over TCP (RFC 6587, section 3.4.1).

    Args:
        kind: `udp`, `tcp` or `unix`.
        where: Host and port, or the path of a socket.
        host: By what name this machine is called in messages.
    """

    kind: str
    where: tuple[str, int] | str
    host: str
    name: str = "syslog"

    @classmethod
    def of(cls, url: str) -> Syslog:
        """What a URL names: `udp://host:514`, `tcp://host:601` or `unix:/dev/log`.

        Raises:
            ValueError: It is none of these.
        """
        parts = urlsplit(url)
        here = socket.gethostname()
        if parts.scheme == "unix" and parts.path and not parts.netloc:
            return cls("unix", parts.path, here)
        plain = parts.path in ("", "/") and not parts.query and parts.username is None
        if parts.scheme not in PORTS or not parts.hostname or not plain:
            raise ValueError("write it as udp://host:514, tcp://host:601 or unix:/dev/log")
        return cls(parts.scheme, (parts.hostname, parts.port or PORTS[parts.scheme]), here)

    async def send(self, records: Sequence[dict[str, Any]]) -> None:
        """Deliver; syslog gives no receipt, so that what a network loses on its way is lost."""
        messages = [message(record, self.host) for record in records]
        try:
            async with asyncio.timeout(TIME_LIMIT.total_seconds()):
                await (self._stream(messages) if self.kind == "tcp" else self._datagrams(messages))
        except (OSError, TimeoutError) as error:
            raise Undelivered(type(error).__name__) from error

    async def _stream(self, messages: Sequence[bytes]) -> None:
        reader, writer = await asyncio.open_connection(*self.where)
        try:
            writer.write(b"".join(b"%d %b" % (len(one), one) for one in messages))
            await writer.drain()
            # TCP alone tells nothing of who has read: a server that went away in between is seen by its reset.
            writer.write_eof()
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSING_LIMIT):
                    await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()

    async def _datagrams(self, messages: Sequence[bytes]) -> None:
        loop = asyncio.get_running_loop()
        family, address = socket.AF_UNIX, cast(Any, self.where)
        if self.kind == "udp":
            [(family, *_, address), *_] = await loop.getaddrinfo(*self.where, type=socket.SOCK_DGRAM)
        with closing(socket.socket(family, socket.SOCK_DGRAM)) as sender:
            sender.setblocking(False)
            await loop.sock_connect(sender, address)
            for one in messages:
                await loop.sock_sendall(sender, one)


def message(record: dict[str, Any], host: str) -> bytes:
    """A row as RFC 5424, section 6, has it; the text is one line of JSON in ASCII."""
    priority = FACILITY * 8 + SEVERITY.get(str(record["outcome"]), 6)
    said = _word(record["name"], 32)
    header = f"<{priority}>1 {record['occurred_at']} {_word(host, 255)} sigra - {said} -"
    return f"{header} {json_line(record)}".encode("ascii")


def _word(text: object, length: int) -> str:
    """PRINTUSASCII without blanks."""
    return "".join(char if "!" <= char <= "~" else "?" for char in str(text))[:length] or "-"


@dataclass(frozen=True, slots=True)
class HTTPSink:
    """Posts JSON lines to a URL; a 2xx answer is the receipt.

    Args:
        token: Sent as `Authorization: Bearer`.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    transport: httpx2.AsyncBaseTransport | None = field(default=None, repr=False)
    name: str = "http"

    def __post_init__(self) -> None:
        if find_spec("httpx2") is None:
            raise ConfigurationError(
                "SIGRA_AUDIT__SINK is set, but httpx2 is not installed: install sigra-audit[http], or leave it out."
            )

    async def send(self, records: Sequence[dict[str, Any]]) -> None:
        """Deliver."""
        # Found when it is needed: most have no sink.
        import httpx2  # noqa: PLC0415

        body = "".join(f"{json_line(record)}\n" for record in records)
        headers = {"content-type": "application/x-ndjson"}
        if self.token is not None:
            headers["authorization"] = f"Bearer {self.token}"
        try:
            async with httpx2.AsyncClient(transport=self.transport, timeout=TIME_LIMIT.total_seconds()) as client:
                answer = await client.post(self.url, content=body.encode("ascii"), headers=headers)
        except (httpx2.HTTPError, OSError) as error:
            raise Undelivered(type(error).__name__) from error
        if not answer.is_success:
            raise Undelivered(f"it answered {answer.status_code}")
