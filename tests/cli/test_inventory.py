"""`sigra plugins`, `routes` and `hooks`."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import SETTINGS, Run


def listed(run: Run, name: str, **settings: str) -> list[dict[str, object]]:
    return json.loads(run(name, "--json", **settings).stdout)[name]


def test_installed_plugins_are_listed_with_what_brings_them(run: Run):
    plugins = {one["name"]: one for one in listed(run, "plugins", SIGRA_PLUGINS="defaults,-pages")}

    assert plugins["sessions"]["active"] is True
    assert plugins["pages"]["active"] is False
    assert plugins["sessions"]["distribution"] == "sigra"
    assert plugins["sessions"]["version"]


def test_plugins_are_listed_under_a_wrong_configuration_and_are_not_active(bare: Run):
    result = bare("plugins", "--json", SIGRA_PLUGINS="defaults,nonsense")

    plugins = json.loads(result.stdout)["plugins"]

    assert result.exit_code == 0
    assert {one["name"] for one in plugins} >= {"sessions", "password", "api_keys", "pages"}
    assert not any(one["active"] for one in plugins)
    assert "the configuration is wrong. SIGRA_SECRET_KEYS" in result.stderr


def test_the_commands_of_plugins_are_named(run: Run):
    keys, users = ("create", "list", "revoke"), ("create", "remove-factors", "require-second-factor", "set-password")
    named = ", ".join([*(f"api-keys {one}" for one in keys), *(f"users {one}" for one in users)])

    assert run("plugins").stdout.endswith(f"\nCommands of plugins: {named}\n")


def test_routes_are_listed_with_method_path_and_plugin(run: Run):
    routes = listed(run, "routes", SIGRA_MOUNT_PATH="/account")

    assert {"method": "POST", "path": "/account/login", "plugin": "password", "cross_origin": False} in routes
    assert {"method": "GET", "path": "/account/login", "plugin": "pages", "cross_origin": False} in routes
    assert not any(one["method"] == "HEAD" for one in routes)


def test_hooks_are_listed_with_their_plugins_in_order(run: Run):
    hooks = {one["hook"]: one["plugins"] for one in listed(run, "hooks", SIGRA_PLUGINS="sessions,api_keys")}

    assert hooks["revoke_credentials"] == ["sessions", "api_keys"]
    assert hooks["check_request"] == []
    assert list(hooks)[:2] == ["register_tables", "register_routes"]


@pytest.mark.parametrize("name", ["plugins", "routes", "hooks"])
def test_hc21_no_list_tells_a_secret(run: Run, name: str):
    settings = {"SIGRA_DATABASE_URL": "postgresql://ada:tiger@localhost/x"}

    for result in (run(name, **settings), run(name, "--json", **settings)):
        assert result.exit_code == 0
        assert not any(secret in result.output for secret in ("tiger", SETTINGS["SIGRA_SECRET_KEYS"]))
