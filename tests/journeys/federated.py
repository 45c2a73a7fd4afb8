"""An application with providers, for as long as who asked for it lives: a thread that serves, and what it is signed in by."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from sigra import Auth, Sigra, hookimpl
from sigra.cli.demo.application import Demo as Greeting
from sigra.cli.demo.application import application
from sigra.testing import cheap_settings, create_tables
from sigra_oauth.building import make_outbound, make_provider
from sigra_oauth.options import Options, ProviderOptions
from sigra_oauth.provider import Provider, ResponseMode
from sigra_oauth.providers import OpenID
from tests.oauth import hostile, oidc
from tests.oauth.hostile import Hostile
from tests.oauth.oidc import OIDC
from tests.oauth.serving import listening

PATIENCE = 60.0


class Posting(OpenID):
    """Answers by a form that its page posts, as Apple does."""

    @property
    def response_mode(self) -> ResponseMode:
        return "form_post"


class Stranger:
    """Brings it."""

    name = "stranger"
    api = 1

    def __init__(self, options: ProviderOptions) -> None:
        self.options = options

    @hookimpl
    async def providers_for_oauth(self, auth: Auth) -> Sequence[Provider]:
        outbound = make_outbound(Options(), development=True)
        return [make_provider("posting", self.options, outbound, auth.clock, development=True, kind=Posting)]


@dataclass(frozen=True)
class Site:
    """One that serves.

    Args:
        provider: "Somewhere": npm's oidc-provider.
        posting: "Postbox": ours, which answers by a form; who is signed in there is its `person`.
    """

    url: str
    provider: OIDC
    posting: Hostile


@contextmanager
def running(folder: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        at = stack.enter_context(listening())
        url = f"http://localhost:{at.getsockname()[1]}"
        provider = stack.enter_context(oidc.running(url))
        posting = stack.enter_context(hostile.running(lambda: datetime.now(UTC), base_url=url, name="posting"))
        settings = cheap_settings(
            f"sqlite:///{folder / 'site.db'}",
            base_url=url,
            worker=True,
            home="/",
            oauth={"providers": {"oidc": provider.options(label="Somewhere")}},
        )
        stranger = Stranger(ProviderOptions(**posting.options(label="Postbox")))
        auth = Sigra(settings, ["defaults", "oauth", "passkeys", "audit", Greeting(), stranger])
        server = uvicorn.Server(
            uvicorn.Config(application(auth), log_level="critical", ws="none", lifespan="on", proxy_headers=False)
        )

        async def serve() -> None:
            await create_tables(auth)
            await server._serve(sockets=[at])  # signals are the test's

        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        thread.start()
        while thread.is_alive() and not server.started:
            thread.join(0.01)
        assert server.started
        try:
            yield Site(url, provider, posting)
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
