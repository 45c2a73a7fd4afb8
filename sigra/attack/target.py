"""The deployment that is attacked: how it is reached, by whom, and what was made there meanwhile."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import httpx2

from sigra.attack.outcome import NotTested
from sigra.attack.visitor import Header, Visitor

LOOPBACK = ipaddress.ip_network("127.0.0.0/8")

PATIENCE = 75.0
"""Seconds that one wait for a limit may take: a window of a minute, and some."""

MAIL_SECONDS = 15.0
"""How long a mail may take to the development mailbox: a worker looks every five seconds."""

NO_ACCOUNT = "Needs a test account: --email and --password-stdin."
NO_ADDRESSES = "Needs many addresses, which only a deployment on this machine can be asked from."
NO_MAILBOX = "Needs mails to be read, which only a development mailbox on this machine shows."


class Unreachable(Exception):
    """Raised when nothing can be attacked as it was said; its text says what to mend."""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine (RFC 6761, section 6.3)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _From(httpx2.AsyncHTTPTransport):
    """Asks this machine from one of its addresses, which are sixteen million (RFC 1122, section 3.2.1.3)."""

    def __init__(self, address: str, verify: ssl.SSLContext) -> None:
        super().__init__(verify=verify, local_address=address)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        # The name would be looked up, and may be found at ::1, which has one address.
        extensions = {**request.extensions, "sni_hostname": request.url.host}
        url = request.url.copy_with(host="127.0.0.1")
        # As they are: a client's own may be what is tried.
        moved = httpx2.Request(
            request.method, url, headers=request.headers, stream=request.stream, extensions=extensions
        )
        return await super().handle_async_request(moved)


@dataclass(frozen=True)
class Account:
    """Somebody who can sign in."""

    email: str
    password: str = field(repr=False)


@dataclass
class Target:
    """A deployment.

    Args:
        url: Where a browser finds it: scheme, host and port, as in `SIGRA_BASE_URL`.
        email, password: Of an account that may be locked.
        mount: `SIGRA_MOUNT_PATH`.
        websocket: A path of the application that takes WebSockets of who is signed in.
        clients: How many ask at the test account.
        slow: Seconds that a body may take, at most.
        headers: Sent with every request.
        progress: Is told what is done.
    """

    url: str
    email: str | None = None
    password: str | None = field(default=None, repr=False)
    mount: str = "/auth"
    websocket: str = "/ws"
    clients: int = 1_000
    slow: float = 40.0
    headers: Sequence[Header] = ()
    progress: Callable[[str], None] = lambda _: None
    kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    many: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        self.host = parts.hostname or ""
        self.origin = f"{parts.scheme}://{parts.netloc}".lower()
        self.https = parts.scheme == "https"
        self._next = count(secrets.randbelow(2**23) + 2**16)
        self._verify = ssl.create_default_context()
        self._open: list[Visitor] = []

    # Who asks

    @cached_property
    def cookie(self) -> str:
        """Name of the session cookie."""
        return "__Host-sigra" if self.https else "sigra"

    def visitor(self, *, patient: bool = True) -> Visitor:
        """Somebody new: on this machine from an address that nobody asked from before.

        Args:
            patient: Waits where a limit says so.
        """
        transport: httpx2.AsyncBaseTransport
        if self.many:
            transport = _From(str(LOOPBACK[next(self._next)]), self._verify)
        else:
            transport = httpx2.AsyncHTTPTransport(verify=self._verify)
        wait = self._wait if patient else None
        visitor = Visitor(transport, self.origin, self.mount, self.headers, wait)
        self._open.append(visitor)
        return visitor

    async def _wait(self, seconds: float) -> None:
        if seconds > PATIENCE:
            raise NotTested(f"A limit is used up, perhaps by an earlier run: try again in {seconds / 60:.0f} minutes.")
        self.progress(f"    waiting {seconds:.0f} s until the limit on this address lets more through")
        await asyncio.sleep(seconds + 0.1)

    async def connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which nothing was said yet."""
        parts, own = urlsplit(self.origin), (str(LOOPBACK[next(self._next)]), 0)
        host, port = "127.0.0.1" if self.many else self.host, parts.port or (443 if self.https else 80)
        tls: dict[str, Any] = {"ssl": self._verify, "server_hostname": self.host} if self.https else {}
        return await asyncio.open_connection(host, port, local_addr=own if self.many else None, **tls)

    def need_many(self) -> None:
        """Go on only where many addresses can ask."""
        if not self.many:
            raise NotTested(NO_ADDRESSES)

    # Accounts

    @property
    def account(self) -> Account:
        """The test account."""
        if self.email is None or self.password is None:
            raise NotTested(NO_ACCOUNT)
        return Account(self.email, self.password)

    def stranger(self) -> str:
        """An address without an account, whose mail goes where the test account's does."""
        name, _, domain = (self.email or "nobody@example.com").rpartition("@")
        return f"{name.partition('+')[0]}+{secrets.token_hex(6)}@{domain}"

    async def signed_in(self, account: Account | None = None) -> Visitor:
        """Somebody new who is signed in, at the test account unless another is given."""
        account = account or self.account
        visitor = self.visitor()
        answer = await visitor.post("/login", {"email": account.email, "password": account.password})
        if answer.status_code == 202:
            raise NotTested("The test account owes more than a password: give one without a second factor.")
        if answer.status_code != 200:
            raise NotTested(
                f"The test account was not let in ({answer.status_code}): is its password right, or a lock on?"
            )
        return visitor

    async def other(self) -> Account:
        """An account of the attack's own, which may be changed: made once, by sign-up; closed in the end."""
        if "other" not in self.kept:
            self.progress("    signing up an account of its own")
            self.kept["other"] = await self._signed_up(self.stranger())
        account: Account = self.kept["other"]
        return account

    async def _signed_up(self, email: str) -> Account:
        await self.need_mailbox()
        account, visitor = Account(email, secrets.token_urlsafe(18)), self.visitor()
        answer = await visitor.post("/signup", {"email": account.email, "password": account.password})
        if answer.status_code != 202:
            raise NotTested(f"No account could be signed up: {answer.status_code}.")
        token = (await self.mail(account.email, "verify_email"))["token"]
        proof = {"token": token, "signup_token": answer.json()["signup_token"]}
        answer = await visitor.post("/email/verify", proof)
        if answer.status_code != 204:
            raise NotTested(f"The address of a new account could not be proven: {answer.status_code}.")
        return account

    # Mail

    async def has_mailbox(self) -> bool:
        """Whether there is a development mailbox that can be read from here."""
        if "mailbox" not in self.kept:
            self.kept["mailbox"] = (await self.visitor().get("/mailbox")).status_code == 200
        return bool(self.kept["mailbox"])

    async def need_mailbox(self) -> None:
        """Go on only where mails can be read."""
        if not await self.has_mailbox():
            raise NotTested(NO_MAILBOX)

    async def mail(self, recipient: str, kind: str) -> dict[str, Any]:
        """The newest mail of a kind, with the `token` of its link; waited for."""
        await self.need_mailbox()
        until = time.monotonic() + MAIL_SECONDS
        while time.monotonic() < until:
            # Every worker has a mailbox of its own: each new connection may find another.
            for message in (await self.visitor().get("/mailbox")).json()["messages"]:
                if message["kind"] == kind and message["recipient"].lower() == recipient.lower():
                    _, _, rest = message["text"].partition("#token=")
                    return {**message, "token": rest.split()[0] if rest else ""}
            await asyncio.sleep(0.2)
        raise NotTested(f"No mail {kind} came within {MAIL_SECONDS:.0f} s: is a worker running?")

    # From the beginning to the end

    async def look(self) -> None:
        """Find out how the deployment is reached.

        Raises:
            Unreachable: Nothing of Sigra is there.
        """
        if is_loopback(self.host):
            self.many = True
            try:
                await self._look()
            except httpx2.TransportError:
                self.many = False
            else:
                return
        try:
            await self._look()
        except httpx2.TransportError as error:
            raise Unreachable(f"{self.url} does not answer ({type(error).__name__}).") from error

    async def sign_in_once(self) -> None:
        """See that the test account can sign in: wrong passwords without end would lock it.

        Raises:
            Unreachable: It cannot.
        """
        if self.email is not None:
            try:
                await (await self.signed_in()).post("/logout", {})
            except NotTested as reason:
                raise Unreachable(str(reason)) from reason

    async def _look(self) -> None:
        visitor = self.visitor()
        try:
            await self._seen(visitor)
        finally:
            await visitor.aclose()

    async def _seen(self, visitor: Visitor) -> None:
        answer = await visitor.get("/openapi.json")
        if answer.status_code != 200 or "paths" not in answer.text:
            raise Unreachable(f"{self.url}{self.mount} is not where Sigra is: name it by --mount-path.")
        self.kept["openapi"] = answer.json()
        answer = await visitor.post("/logout", {}, headers=[("origin", self.origin)])
        if answer.status_code == 403:
            raise Unreachable(f"{self.origin} is not the deployment's SIGRA_BASE_URL: give the URL that browsers use.")

    async def clear(self) -> None:
        """Close the account that was made, and hang up."""
        if "other" in self.kept:
            account = self.kept.pop("other")
            try:
                await (await self.signed_in(account)).post("/account/delete", {})
            except (NotTested, httpx2.HTTPError):
                self.progress(f"    {account.email} could not be closed: it is there still.")
        for visitor in self._open:
            await visitor.aclose()
        self._open.clear()
