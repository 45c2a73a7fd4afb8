"""Serves an application with two providers, each a kind of its own, for as long as who asked for it lives."""

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
from sigra_oauth.provider import Provider
from tests.oauth import hostile, oidc
from tests.oauth.cases import FormPosting
from tests.oauth.hostile import Hostile
from tests.oauth.oidc import OIDC
from tests.oauth.serving import listening

PATIENCE = 60.0


class Posting:
    """A stranger's plugin that brings a provider which answers by a form that its page posts, as Apple does."""

    name = "stranger"
    api = 1

    def __init__(self, provider: Hostile) -> None:
        self.options = ProviderOptions(**provider.options(label="Postbox"))

    @hookimpl
    async def providers_for_oauth(self, auth: Auth) -> Sequence[Provider]:
        outbound = make_outbound(Options(), development=True)
        return [make_provider("posting", self.options, outbound, auth.clock, development=True, kind=FormPosting)]


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
        auth = Sigra(settings, ["defaults", "oauth", "passkeys", "audit", Greeting(), Posting(posting)])
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
