"""The shell: exit statuses, wrong configurations, laziness, commands of plugins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from sigra import Sigra, hookimpl
from sigra.cli.host import Host
from sigra.cli.overview import COMMANDS
from sigra.cli.shell import Shell, explain
from sigra.errors import SealBroken
from sigra.testing import cheap_settings
from tests.cli.conftest import SETTINGS, Run

HEAVY = ("sqlalchemy", "starlette", "pydantic", "alembic", "jinja2", "uvicorn")

NEEDY = [
    ("routes",),
    ("hooks",),
    ("db", "upgrade"),
    ("db", "current"),
    ("db", "check"),
    ("keys", "rotate"),
    ("outbox", "list"),
    ("outbox", "retry"),
    ("worker",),
    ("users", "list"),
    ("users", "create", "ada@example.com"),
    ("users", "disable", "ada@example.com"),
    ("users", "enable", "ada@example.com"),
    ("users", "set-password", "ada@example.com"),
    ("api-keys", "create", "ada@example.com", "--name", "x"),
    ("api-keys", "list", "ada@example.com"),
    ("api-keys", "revoke", "ada@example.com", "00000000-0000-0000-0000-000000000000"),
]
"""Every command that needs a valid configuration."""

WRONG = {
    "nothing is set": ({}, "SIGRA_SECRET_KEYS"),
    "a short key": ({**SETTINGS, "SIGRA_SECRET_KEYS": "short-and-secret"}, "SIGRA_SECRET_KEYS"),
    "http in public": ({**SETTINGS, "SIGRA_BASE_URL": "http://example.com"}, "SIGRA_BASE_URL"),
    "a misspelt option": ({**SETTINGS, "SIGRA_DEVELOPMNT": "true"}, "SIGRA_DEVELOPMENT"),
    "an unknown plugin": ({**SETTINGS, "SIGRA_PLUGINS": "defaults,paswords"}, "paswords"),
    "an unknown database": ({**SETTINGS, "SIGRA_DATABASE_URL": "oracle://scott:tiger@localhost"}, "SIGRA_DATABASE_URL"),
    "no such file": ({**SETTINGS, "SIGRA_CONFIG": "absent.toml"}, "SIGRA_CONFIG"),
    "an app without a name": ({**SETTINGS, "SIGRA_APP": "somewhere"}, "SIGRA_APP"),
    "an absent app": ({**SETTINGS, "SIGRA_APP": "absent_module:auth"}, "SIGRA_APP"),
    "an app that is something else": ({**SETTINGS, "SIGRA_APP": "json:dumps"}, "SIGRA_APP"),
    "an app with an absent name": ({**SETTINGS, "SIGRA_APP": "json:auth"}, "SIGRA_APP"),
}


@pytest.mark.parametrize("command", NEEDY, ids=" ".join)
@pytest.mark.parametrize("wrong", WRONG)
def test_hc49_a_wrong_configuration_is_a_paragraph_and_status_2(bare: Run, command: tuple[str, ...], wrong: str):
    settings, named = WRONG[wrong]

    result = bare(*command, **settings)

    assert result.exit_code == 2
    assert named in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert not any(secret in result.stderr for secret in ("short-and-secret", "tiger", SETTINGS["SIGRA_SECRET_KEYS"]))


def test_every_command_of_the_core_is_tried_with_wrong_configurations():
    light = {"attack", "calibrate", "demo", "doctor", "keys", "plugins"}

    assert {command[0] for command in NEEDY} | light == {*COMMANDS, "api-keys"}


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("--nonsense",),
        ("users", "nonsense"),
        ("users", "disable"),
        ("db",),
        ("keys", "generate", "x"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2(run: Run, arguments: tuple[str, ...]):
    result = run(*arguments)

    assert result.exit_code == 2
    assert "Usage:" in result.output


def test_an_unknown_command_is_told_apart_from_a_wrong_configuration(bare: Run):
    result = bare("nonsense")

    assert result.exit_code == 2
    assert "No such command 'nonsense'" in result.stderr
    assert "SIGRA_SECRET_KEYS" in result.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("keys", "generate")], ids=" ".join)
def test_a_quick_command_imports_no_heavy_library(tmp_path: Path, arguments: tuple[str, ...]):
    code = (
        "import sys; from sigra.cli.shell import Shell; "
        f"Shell().main({arguments!r}, standalone_mode=False); "
        f"print('loaded:', *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=False, capture_output=True
    )

    assert done.stderr.decode().split() == ["loaded:"]


ROOT = Path(__file__).parents[2]


def test_the_entry_point_prints_the_version(folder: Path):
    done = subprocess.run(
        [Path(sys.executable).with_name("sigra"), "--version"], check=False, capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("sigra, version ")


def test_what_does_not_open_is_told_with_its_place():
    told = explain(SealBroken("sigra_totp", "seed", 7, "elsewhere"))

    assert told.startswith("The value of sigra_totp.seed in the row 7 was sealed elsewhere. Put its key back")


def test_hc45_an_absent_database_is_status_1(run: Run):
    result = run("users", "list", SIGRA_DATABASE_URL="postgresql://nobody:tiger@127.0.0.1:1/x")

    assert result.exit_code == 1
    assert "The database does not answer" in result.stderr
    assert "tiger" not in result.output


APP = """
from sigra import Sigra, Settings
from tests.cli.test_shell import Badge
from sigra.testing import cheap_settings

auth = Sigra(cheap_settings("sqlite:///app.db"), ["sessions", Badge()])
"""


class Badge:
    """A stranger's plugin with commands: one that is run with Sigra started, and one that fails."""

    name = "badge"
    api = 1

    @hookimpl
    def register_commands(self, auth: Sigra, cli: click.Group) -> None:
        @cli.command()
        @click.argument("file", type=click.File())
        async def badge(file: click.utils.LazyFile) -> None:
            async with auth.db.connect() as tx:
                await tx.exec_driver_sql("SELECT 1")
            click.echo(f"badge {file.read()}")


class Echo:
    """Claims what another plugin has."""

    name = "echo"
    api = 1

    @hookimpl
    def register_commands(self, cli: click.Group) -> None:
        cli.add_command(click.Command("badge", callback=print))


class Thief:
    """Claims what the core has."""

    name = "thief"
    api = 1

    @hookimpl
    def register_commands(self, cli: click.Group) -> None:
        cli.add_command(click.Command("db", callback=print))


@pytest.fixture
def app(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """`module:name` of a host's `Sigra` in the current directory, under a module name of its own."""
    name = f"host_{abs(hash(folder))}"
    (folder / f"{name}.py").write_text(APP)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return f"{name}:auth"


def test_the_app_of_the_option_is_used(bare: Run, app: str):
    result = bare("--app", app, "plugins")

    assert result.exit_code == 0
    assert [line.split()[:2] for line in result.stdout.splitlines() if "yes" in line] == [
        ["sessions", "yes"],
        ["badge", "yes"],
    ]


def test_the_app_of_the_environment_and_of_the_file_are_used(bare: Run, folder: Path, app: str):
    by_environment = bare("hooks", SIGRA_APP=app)
    (folder / "sigra.toml").write_text(f'app = "{app}"\n')
    by_file = bare("hooks")

    assert "badge" in by_environment.stdout
    assert by_file.stdout == by_environment.stdout


def test_an_app_that_fails_is_a_paragraph(run: Run, folder: Path):
    (folder / "broken_host.py").write_text("1 / 0\n")

    result = run("--app", "broken_host:auth", "routes")

    assert result.exit_code == 2
    assert "broken_host cannot be imported (ZeroDivisionError: division by zero)" in result.stderr


def test_an_async_command_of_a_plugin_runs_with_sigra_started(bare: Run, folder: Path, app: str):
    (folder / "number").write_text("42")

    result = bare("--app", app, "badge", "number")

    assert (result.output, result.exit_code) == ("badge 42\n", 0)


@pytest.mark.parametrize(
    ("plugin", "names"),
    [(Echo(), ["echo", "badge", "tests.cli.test_shell"]), (Thief(), ["thief", "db", "the core"])],
    ids=["another plugin's", "the core's"],
)
def test_hc48_a_command_that_there_is_already_is_refused(folder: Path, plugin: object, names: list[str]):
    shell = Shell()
    context = click.Context(shell, obj=Host())
    context.obj.auth = Sigra(cheap_settings(), [Badge(), plugin])

    with pytest.raises(click.UsageError) as refused:
        shell.get_command(context, "badge")

    assert [name for name in names if name not in refused.value.message] == []
