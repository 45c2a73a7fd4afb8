"""A plugin comes and goes: migrated in, uninstalled, its tables left behind, and everybody else goes on."""

import logging
import os
import subprocess
import sys

import pytest

from sigra import ConfigurationError, Sigra
from sigra.db.migrations import check, current, newest, upgrade
from sigra.settings import from_sources
from sigra.testing import Client, application, make_user, migrate
from sigra.testing.cheap import SECRET_KEY
from tests.distributions.conftest import DISTRIBUTIONS
from tests.distributions.ways import BADGE_WAY, badge_of, outcome, post

STRANGERS = ("defaults", "badge", "careless")
BADGES = "sigra_badges"
BADGE_VERSIONS = "sigra_version_sigra_badge"


@pytest.fixture
def sigra_database_url(database):
    return database


async def lived_in(sigra_settings, sigra_clock):
    """A database that a badge was used with; its user."""
    auth = Sigra(sigra_settings, STRANGERS, clock=sigra_clock)
    await migrate(auth)
    async with auth, Client(auth.wrap(application), auth) as client:
        user = await make_user(auth)
        await badge_of(auth).issue(auth, user, "4711", "2468")
        assert outcome(await post(client, BADGE_WAY.path, BADGE_WAY.right)) == (200, "signed_in")
    return user


async def test_a_strangers_migration_makes_its_table(install, sigra_settings, sigra_clock):
    install("sigra-badge")
    auth = Sigra(sigra_settings, ["defaults", "badge"], clock=sigra_clock)
    await migrate(auth)

    assert await check(auth.db, auth.tables["badge"]) == []
    assert await current(auth.db, auth.lineages()) == newest(auth.lineages())
    await auth.aclose()


async def test_an_uninstalled_plugin_leaves_a_working_installation(install, uninstall, sigra_settings, sigra_clock):
    install(*DISTRIBUTIONS)
    user = await lived_in(sigra_settings, sigra_clock)
    uninstall(*DISTRIBUTIONS)
    rest = Sigra(sigra_settings, clock=sigra_clock)
    await migrate(rest)

    async with rest, Client(rest.wrap(application), rest) as client:
        assert (await client.sign_in(user)).status_code == 200
        assert (await client.get("/")).json()["method"] == "session"
        assert outcome(await post(client, BADGE_WAY.path, BADGE_WAY.right)) == (404, "not_found")
        assert await check(rest.db, rest.metadata.tables.values()) == []


async def test_a_user_of_an_uninstalled_plugin_can_be_deleted(install, uninstall, sigra_settings, sigra_clock):
    """Its rows go with the user, though nobody is left to ask for it."""
    install(*DISTRIBUTIONS)
    user = await lived_in(sigra_settings, sigra_clock)
    uninstall(*DISTRIBUTIONS)
    rest = Sigra(sigra_settings, clock=sigra_clock)
    users = rest.metadata.tables["sigra_users"]
    await rest.db.transaction(lambda tx: tx.execute(users.delete().where(users.c.id == user.id)))

    async with rest.db.connect() as tx:
        assert (await tx.exec_driver_sql(f"SELECT count(*) FROM {BADGES}")).scalar_one() == 0
        assert (await tx.exec_driver_sql(f"SELECT count(*) FROM {BADGE_VERSIONS}")).scalar_one() == 1
    await rest.aclose()


async def test_a_plugin_that_comes_back_finds_its_rows(install, uninstall, sigra_settings, sigra_clock):
    install(*DISTRIBUTIONS)
    await lived_in(sigra_settings, sigra_clock)
    uninstall(*DISTRIBUTIONS)
    rest = Sigra(sigra_settings, clock=sigra_clock)
    await upgrade(rest.db, rest.lineages())
    await rest.aclose()
    install(*DISTRIBUTIONS)
    again = Sigra(sigra_settings, STRANGERS, clock=sigra_clock)
    await migrate(again)

    async with again, Client(again.wrap(application), again) as client:
        assert outcome(await post(client, BADGE_WAY.path, BADGE_WAY.right)) == (200, "signed_in")


@pytest.mark.databases("sqlite")
def test_hc49_naming_an_uninstalled_plugin_is_an_error_with_the_cure(sigra_settings):
    with pytest.raises(ConfigurationError, match="SIGRA_PLUGINS names 'badge', which is not installed"):
        Sigra(sigra_settings, ["defaults", "badge"])


@pytest.mark.databases("sqlite")
def test_hc49_an_option_of_an_uninstalled_plugin_is_an_error(database, tmp_path):
    settings = from_sources(variables(database, SIGRA_BADGE__REQUIRED="true"), tmp_path)

    with pytest.raises(ConfigurationError, match="SIGRA_BADGE"):
        Sigra(settings)


@pytest.mark.databases("sqlite")
def test_an_option_of_an_installed_plugin_that_is_off_is_a_warning(install, database, tmp_path, caplog):
    install("sigra-badge")
    settings = from_sources(variables(database, SIGRA_BADGE__REQUIRED="true"), tmp_path)
    with caplog.at_level(logging.WARNING):
        auth = Sigra(settings)

    assert "badge" in caplog.text.lower()
    assert "badge" not in {one.name for one in auth.plugins}


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(("text", "required"), [("true", True), ("false", False)])
def test_a_strangers_options_come_from_the_environment(install, database, tmp_path, text, required):
    install("sigra-badge")
    chosen = variables(database, SIGRA_PLUGINS="defaults,badge", SIGRA_BADGE__REQUIRED=text)
    auth = Sigra(from_sources(chosen, tmp_path))

    assert badge_of(auth).settings.required is required


@pytest.mark.databases("sqlite")
def test_hc49_a_strangers_unknown_option_is_an_error_with_the_nearest(install, database, tmp_path):
    install("sigra-badge")
    chosen = variables(database, SIGRA_PLUGINS="defaults,badge", SIGRA_BADGE__REQIRED="true")

    with pytest.raises(ConfigurationError, match="did you mean SIGRA_BADGE__REQUIRED"):
        Sigra(from_sources(chosen, tmp_path))


@pytest.mark.databases("sqlite")
def test_the_command_line_follows_what_is_installed(unpacked, database, tmp_path):
    """In processes of their own: installed, migrated, uninstalled, migrated again, and a user made."""
    path = os.pathsep.join(str(unpacked[name]) for name in DISTRIBUTIONS)
    with_them = variables(database, PYTHONPATH=path, SIGRA_PLUGINS="defaults,badge,careless")
    without = variables(database)

    assert "sigra-badge: empty -> badge_0001" in run(with_them, tmp_path, "db", "upgrade")
    assert "sigra-badge" not in run(without, tmp_path, "db", "upgrade")
    assert "Created bob" in run(
        without, tmp_path, "users", "create", "bob@example.com", "--password-stdin", given="a long password of bob's\n"
    )


def variables(database, **more):
    usual = {"SIGRA_SECRET_KEYS": SECRET_KEY, "SIGRA_BASE_URL": "http://localhost", "SIGRA_DATABASE_URL": database}
    return {**usual, **more}


def run(environment, folder, *words, given=""):
    """Run a command of the shell in a process of its own; what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "from sigra.cli import main; main()", *words],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=folder,
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
