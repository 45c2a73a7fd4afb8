"""`sigra plugins`, `routes` and `hooks`: what an application is made of."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pluggy
from starlette.routing import BaseRoute, Route

from sigra import hooks as plugin_hooks
from sigra import hookspecs
from sigra.cli.growth import added
from sigra.cli.host import Host
from sigra.cli.printing import Row, as_json, print_rows
from sigra.core import Sigra
from sigra.errors import ConfigurationError


@click.command()
@as_json
@click.pass_obj
def plugins(host: Host, as_json: bool) -> None:
    """List the installed plugins, which of them are active, and the commands that these add.

    Runs without a valid configuration, under which none is active.
    """
    auth = _auth_or_none(host)
    print_rows("plugins", _plugins(auth), as_json)
    if auth is not None and not as_json:
        click.echo(f"\nCommands of plugins: {', '.join(added(host)) or '-'}")


def _auth_or_none(host: Host) -> Sigra | None:
    try:
        return host.auth
    except ConfigurationError as error:
        click.echo(f"No plugin is active, since the configuration is wrong. {error}", err=True)
        return None


def _plugins(auth: Sigra | None) -> list[Row]:
    active = {one.name: one for one in auth.plugins} if auth else {}
    installed = plugin_hooks.installed()
    rows: list[Row] = [_row(one.name, one.distribution, one.version, one.name in active) for one in installed]
    in_code = active.keys() - {one.name for one in installed}
    return rows + [_row(name, None, None, True) for name in active if name in in_code]


def _row(name: str, distribution: str | None, version: str | None, active: bool) -> Row:
    return {"name": name, "active": active, "distribution": distribution, "version": version}


@click.command()
@as_json
@click.pass_obj
def routes(host: Host, as_json: bool) -> None:
    """List the routes below the mount path, with those that take foreign posts."""
    mount = host.auth.settings.mount_path
    rows = [row for plugin, its in host.auth.routes.items() for route in its for row in _routes(mount, plugin, route)]
    print_rows("routes", rows, as_json)


def _routes(mount: str, plugin: str, route: BaseRoute) -> Iterator[Row]:
    # HEAD is GET, and is not told apart.
    methods = (route.methods or set()) - {"HEAD"} if isinstance(route, Route) else {"*"}
    path = mount + getattr(route, "path", "/*")
    for method in sorted(methods):
        cross_origin = bool(getattr(route, "cross_origin", False))
        yield {"method": method, "path": path, "plugin": plugin, "cross_origin": cross_origin}


@click.command()
@as_json
@click.pass_obj
def hooks(host: Host, as_json: bool) -> None:
    """List the hooks, each with the plugins that are asked, in order."""
    print_rows("hooks", list(_hooks(host.auth)), as_json)


def _hooks(auth: Sigra) -> Iterator[Row]:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    further = [one.plugin.hookspecs for one in auth.plugins if hasattr(one.plugin, "hookspecs")]
    for module in (hookspecs, *further):
        for name, function in vars(module).items():
            if manager.parse_hookspec_opts(module, name) is not None:
                yield {"hook": name, "plugins": list(auth.calls.asked(function))}
