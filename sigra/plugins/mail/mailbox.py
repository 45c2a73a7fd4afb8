"""The development mailbox: what this process sent, on a page that only this machine can see."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from typing_extensions import TypedDict

from sigra.answers import HTML, Identifier, Problem, Timestamp
from sigra.errors import NotFound
from sigra.http.routing import Route
from sigra.messages import RenderedMessage
from sigra.models import timestamp
from sigra.protocols import Auth
from sigra.settings import is_loopback

SIZE = 100

LIST, ONE = "mailbox", "mailbox/message"

TEMPLATES = {LIST: "mailbox/mailbox.html", ONE: "mailbox/message.html"}

_OURS = "default-src 'none'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors"
PAGE_POLICY = f"{_OURS} 'none'; style-src 'self'; frame-src 'self'"
MAIL_POLICY = f"{_OURS} 'self'; style-src 'unsafe-inline'; sandbox allow-popups allow-popups-to-escape-sandbox"
"""A mail is shown as mail clients do: with its own styles, and without scripts, forms or anything from elsewhere."""

FORWARDED = frozenset({"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"})
"""What proxies and tunnels add to the requests of others."""


class Sent(TypedDict):
    """A message that was sent."""

    id: Identifier
    kind: str
    recipient: str
    subject: str
    text: str
    html: str
    created_at: Timestamp


class AllSent(TypedDict):
    """The newest messages, the newest first."""

    messages: list[Sent]


class Mailbox:
    """The newest messages of this process, in memory."""

    def __init__(self) -> None:
        self._messages: dict[str, RenderedMessage] = {}

    def add(self, message: RenderedMessage) -> None:
        """Keep a message; one that is sent again is the same."""
        self._messages[_id(message)] = message
        while len(self._messages) > SIZE:
            del self._messages[next(iter(self._messages))]

    def routes(self, auth: Auth) -> list[Route]:
        """The pages; for any other machine they are not there."""
        return [
            Route("/mailbox", partial(self.show, auth), name=LIST, answers={200: (AllSent, HTML), 404: Problem}),
            Route(
                "/mailbox/{id:uuid}", partial(self.show_one, auth), name=ONE, answers={200: (Sent, HTML), 404: Problem}
            ),
            Route("/mailbox/{id:uuid}/html", self.show_html, name="mailbox/html", answers={200: HTML, 404: Problem}),
        ]

    async def show(self, auth: Auth, request: Request) -> Response:
        """GET /mailbox: the newest messages that this process sent; in development only."""
        _only_here(request)
        sent: AllSent = {"messages": [_sent(one) for one in reversed(self._messages.values())]}
        return _framing(await auth.show(request, LIST, sent))

    async def show_one(self, auth: Auth, request: Request) -> Response:
        """GET /mailbox/{id}: one of them."""
        return _framing(await auth.show(request, ONE, _sent(self._found(request))))

    async def show_html(self, request: Request) -> Response:
        """GET /mailbox/{id}/html: its HTML, as a mail client shows it."""
        html = self._found(request).html.replace("<head>", '<head><base target="_blank">', 1)
        return HTMLResponse(html, headers={"content-security-policy": MAIL_POLICY, "x-frame-options": "SAMEORIGIN"})

    def _found(self, request: Request) -> RenderedMessage:
        _only_here(request)
        message = self._messages.get(str(request.path_params["id"]))
        if message is None:
            raise NotFound
        return message


def _only_here(request: Request) -> None:
    """Refuse all but this machine: the peer by its own address, whatever a header says, asking for it by its own name.

    The name is for a page elsewhere whose host name was turned to this machine (DNS rebinding). A proxy or a tunnel on
    this machine has both, and speaks for others: what one of them adds (RFC 7239, section 4) is refused.

    Raises:
        NotFound: For everybody else there is nothing.
    """
    peer, host = request.scope.get("client"), request.url.hostname
    if not (peer and is_loopback(peer[0]) and host and is_loopback(host)):
        raise NotFound
    if not FORWARDED.isdisjoint(request.headers.keys()):
        raise NotFound


def _id(message: RenderedMessage) -> str:
    return message.message_id.partition("@")[0]


def _sent(message: RenderedMessage) -> Sent:
    return {
        "id": _id(message),
        "kind": message.kind,
        "recipient": message.recipient,
        "subject": message.subject,
        "text": message.text,
        "html": message.html,
        "created_at": timestamp(message.created_at),
    }


def _framing(response: Response) -> Response:
    """The answer, which may show a mail inside."""
    response.headers["content-security-policy"] = PAGE_POLICY
    return response
