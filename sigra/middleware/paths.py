"""What the pieces agree on about a scope: whose path it is, and who asks."""

from __future__ import annotations

from starlette._utils import get_route_path
from starlette.types import Scope

from sigra.integrations.starlette import set_starlette_user
from sigra.models import Identity
from sigra.settings import Settings, covers


def set_identity(scope: Scope, identity: Identity | None, starlette_user: bool) -> None:
    """Say who asks, to frameworks of Starlette's kind too when `starlette_user` is set."""
    scope["sigra.identity"] = identity
    scope["sigra.user"] = None if identity is None else identity.user
    if starlette_user:
        set_starlette_user(scope, identity)


def is_mounted(mount_path: str, scope: Scope) -> bool:
    """Whether the path belongs to the plugins' routes."""
    # Most paths are told at a glance: where the mount path stands nowhere, nothing is below it.
    return mount_path in scope["path"] and covers(mount_path, get_route_path(scope))


def is_skipped(settings: Settings, scope: Scope) -> bool:
    """Whether the path passes through without identity, by the raw path."""
    path = scope["path"]
    for skipped in settings.skip_paths:
        if covers(skipped, path):
            return not is_mounted(settings.mount_path, scope)
    return False


def below(scope: Scope, mount_path: str) -> Scope:
    """The scope as a route below the mount path sees it."""
    return {**scope, "root_path": scope.get("root_path", "") + mount_path}
