"""A plugin comes and goes: migrated in, uninstalled, its tables left behind, and everybody else goes on."""

import json
import logging
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pyotp
import pytest

from sigra import ConfigurationError, Sigra
from sigra.db.migrations import check, current, newest, upgrade
from sigra.settings import from_sources
from sigra.testing import Client, application, make_user, migrate
from sigra.testing.cheap import SECRET_KEY
from sigra_oauth import OAuth
from sigra_oauth.provider import Claims
from sigra_passkeys.plugin import Passkeys
from sigra_passkeys.relying_party import Registered
from tests.distributions.conftest import DISTRIBUTIONS
from tests.distributions.ways import BADGE_WAY, badge_of, outcome, post
from tools import distributions

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


WITHOUT = """
import asyncio, json
from importlib.util import find_spec
from sigra import Sigra
from sigra.testing import Client, application

async def story():
    async with Sigra.from_settings() as auth, Client(auth.wrap(application), auth) as client:
        user = await auth.users.by_email("ada@example.com")
        answers = [await client.sign_in(user, "a wrong password"), await client.sign_in(user), await client.get("/")]
        return [answer.status_code for answer in answers]

print(json.dumps([find_spec("%s") is None, *asyncio.run(story())]))
"""


@pytest.mark.parametrize("distribution", distributions.ON_THEIR_OWN)
async def test_without_a_distribution_of_ours_an_installation_starts_migrates_and_signs_people_in(
    distribution, sigra_settings, sigra_clock, database, tmp_path
):
    """In processes that cannot see it; the tables that it was used with are still there."""
    [plugin] = [one.name for one in distributions.ours() if one.distribution == distribution]
    auth = Sigra(sigra_settings, ["defaults", plugin], clock=sigra_clock)
    await migrate(auth)
    async with auth, Client(auth.wrap(application), auth) as client:
        user = await make_user(auth)
        for password in ["wrong"] * 6:
            await client.sign_in(user, password)
    path = os.pathsep.join([str(ROOT), str(seen_without(distribution, tmp_path))])
    environment = variables(database, PYTHONPATH=path, **CHEAP)

    assert distribution not in run(environment, tmp_path, "plugins", bare=True)
    assert distribution not in run(environment, tmp_path, "db", "upgrade", bare=True)
    assert run(environment, tmp_path, "db", "check", bare=True) == "The database is as it should be.\n"
    told = python(environment, tmp_path, "-S", "-c", WITHOUT % distributions.package(distribution))
    assert json.loads(told) == [True, 401, 200, 200]


async def with_an_app(client, user):
    """An authenticator app that counts, by the routes of `totp`."""
    await client.sign_in(user)
    secret = (await client.post("/auth/totp/enroll")).json()["secret"]
    code = pyotp.TOTP(secret).at(client.sigra.clock())
    assert (await client.post("/auth/totp/confirm", json={"code": code})).status_code == 200


async def with_a_passkey(client, user):
    """A passkey, as it is stored once its registration was believed."""
    passkey = Registered(b"id" * 8, b"key", 0, "", ("usb",), verified=True, backup_eligible=False, backed_up=False)
    stored = client.sigra.plugin(Passkeys).stored
    await client.sigra.db.transaction(lambda tx: stored.handle(client.sigra, tx, user))
    await client.sigra.db.transaction(lambda tx: stored.add(client.sigra, tx, user, passkey, "Key ring"))


async def with_an_account_elsewhere(client, user):
    """A provider's account, as it is stored once it was proven."""
    identities, claims = client.sigra.plugin(OAuth).identities, Claims("https://login.example.com", "sub-ada")
    await client.sigra.db.transaction(lambda tx: identities.add(client.sigra, tx, user, "example", claims))


FACTORS = {
    "sigra-totp": (with_an_app, ["sigra_totp"], 202),
    "sigra-passkeys": (with_a_passkey, ["sigra_passkeys"], 202),
    "sigra-oauth": (with_an_account_elsewhere, ["sigra_oauth_identities"], 200),
}
"""What gives it, the tables that have it, and what a password alone is answered with it."""


@pytest.mark.parametrize("distribution", FACTORS)
async def test_who_had_what_is_gone_signs_in_without_it_and_the_doctor_says_who(
    distribution, sigra_settings, sigra_clock, database, tmp_path
):
    add, tables, status = FACTORS[distribution]
    [plugin] = [one.name for one in distributions.ours() if one.distribution == distribution]
    auth = Sigra(sigra_settings, ["defaults", plugin], clock=sigra_clock)
    await migrate(auth)
    async with auth, Client(auth.wrap(application), auth) as client:
        await make_user(auth, "grace@example.com")
        user = await make_user(auth)
        await add(client, user)
        another = Client(client.app, auth)
        assert (await another.sign_in(user)).status_code == status
    path = os.pathsep.join([str(ROOT), str(seen_without(distribution, tmp_path))])
    environment = variables(database, PYTHONPATH=path, **CHEAP)

    run(environment, tmp_path, "db", "upgrade", bare=True)
    assert run(environment, tmp_path, "db", "check", bare=True) == "The database is as it should be.\n"
    told = python(environment, tmp_path, "-S", "-c", WITHOUT % distributions.package(distribution))
    # Mails of before come first: development prints them.
    assert json.loads(told.splitlines()[-1]) == [True, 401, 200, 200]
    findings = run(environment, tmp_path, "doctor", bare=True, status=1)
    for table in tables:
        assert f"{table}: Its plugin is not active, and it has rows of 1 account: ada@example.com. What" in findings
    assert "grace@example.com" not in findings


ROOT = Path(__file__).parents[2]
CHEAP = {
    "SIGRA_DEVELOPMENT": "true",
    "SIGRA_PASSWORD__MEMORY_KIB": "8",
    "SIGRA_PASSWORD__TIME": "1",
    "SIGRA_PASSWORD__PARALLELISM": "1",
}


def seen_without(distribution, folder):
    """A folder with all that is installed here, but what is told to be left out of it."""
    seen = folder / "site"
    seen.mkdir()
    package = distributions.package(distribution)
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if package not in entry.name and entry.suffix != ".pth":
            (seen / entry.name).symlink_to(entry)
    return seen


def variables(database, **more):
    usual = {"SIGRA_SECRET_KEYS": SECRET_KEY, "SIGRA_BASE_URL": "http://localhost", "SIGRA_DATABASE_URL": database}
    return {**usual, **more}


def run(environment, folder, *words, given="", bare=False, status=0):
    """Run a command of the shell in a process of its own; what it prints.

    Args:
        bare: Without what is installed for this Python: on the path alone.
        status: How it is to end.
    """
    options = ["-S"] if bare else []
    command = [*options, "-c", "from sigra.cli import main; main()", *words]
    return python(environment, folder, *command, given=given, status=status)


def python(environment, folder, *arguments, given="", status=0):
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=folder,
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stdout
