"""What the plugin asks of others."""

from __future__ import annotations

from collections.abc import Sequence

from sigra import Auth, hookspecs
from sigra_oauth.provider import Provider


@hookspecs.hookspec
async def providers_for_oauth(auth: Auth) -> Sequence[Provider]:
    """Each: return providers that need code of their own, each under a name that no other has; asked at each start."""
    raise NotImplementedError
