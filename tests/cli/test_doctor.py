"""`sigra doctor`: each thing that it looks at, found and gone with its cure."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from sigra import Sigra, hooks
from sigra.cli.doctor import installation, keys, options
from sigra.cli.doctor.finding import Finding
from sigra.crypto import new_secret
from sigra.hooks import Installed
from sigra.settings import Settings
from sigra.testing import cheap_settings, make_user
from sigra_totp import TOTP
from sigra_totp.codes import Parameters
from tests.cli.conftest import Run

KEYS = ("Vb4mA0sXq9Lr2TzKeWc7Y1uJh6NdGf3PoQi8", "s8RkZ5xHn1UwE7bLcM3vTq0YjDa6GfPi2OoW")
SOUND = {
    "SIGRA_SECRET_KEYS": ",".join(KEYS),
    "SIGRA_BASE_URL": "https://example.com",
    "SIGRA_PLUGINS": "*",
    "SIGRA_DATABASE_URL": "sqlite:///sigra.db",
    "SIGRA_MAIL__URL": "smtp://user:hunter2@mail.example.com",
    "SIGRA_MAIL__SENDER": "no-reply@example.com",
}


@pytest.fixture
def sound(bare: Run, folder: Path) -> Run:
    """Run a command on an installation that nothing is wrong with, but for what a test makes so."""

    def run(*arguments: str, **settings: str | None) -> Any:
        return bare(*arguments, **{**SOUND, **settings})

    assert run("db", "upgrade").exit_code == 0
    for file in folder.glob("sigra.db*"):
        file.chmod(0o600)
    return run


def found(run: Run, **settings: str | None) -> list[dict[str, str]]:
    result = run("doctor", "--json", **settings)
    findings = json.loads(result.stdout)["findings"]
    assert result.exit_code == bool(findings)
    assert all(set(one) == {"subject", "problem", "cure"} and all(one.values()) for one in findings)
    return findings


def subjects(findings: list[dict[str, str]]) -> list[str]:
    return [one["subject"] for one in findings]


def test_one_drawn_key_is_enough():
    assert list(keys.findings([KEYS[0]])) == []


def test_a_sound_installation_is_status_0(sound: Run):
    result = sound("doctor")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "Nothing is wrong.\n", "")
    assert found(sound) == []


@pytest.mark.parametrize(
    ("settings", "subject"),
    [
        ({"SIGRA_SECRET_KEYS": f"{KEYS[0]},{'k' * 32}"}, "SIGRA_SECRET_KEYS"),
        ({"SIGRA_BASE_URL": "http://localhost:8000"}, "SIGRA_BASE_URL"),
        ({"SIGRA_BASE_URL": "https://localhost", "SIGRA_DEVELOPMENT": "true"}, "SIGRA_DEVELOPMENT"),
        ({"SIGRA_TRUSTED_ORIGINS": "http://app.example.com"}, "SIGRA_TRUSTED_ORIGINS"),
        ({"SIGRA_PLUGINS": "*,-pages", "SIGRA_TRACE_HOOKS": "true"}, "SIGRA_TRACE_HOOKS"),
        ({"SIGRA_PLUGINS": ",".join(one.name for one in hooks.installed() if one.name != "pages")}, "pages"),
        ({"SIGRA_MAIL__URL": None, "SIGRA_MAIL__SENDER": None}, "SIGRA_MAIL__URL"),
        (
            {"SIGRA_PLUGINS": "*,-totp,-passkeys", "SIGRA_SECOND_FACTOR__DEMAND": "required"},
            "SIGRA_SECOND_FACTOR__DEMAND",
        ),
        ({"SIGRA_LIMITS__ENABLED": "false"}, "SIGRA_LIMITS__ENABLED"),
        ({"SIGRA_LIMITS__URL": "redis://:a-word@127.0.0.1:1/0"}, "SIGRA_LIMITS__URL"),
        ({"SIGRA_DATABASE_URL": "sqlite:///absent.db"}, "database"),
        ({"SIGRA_DATABASE_URL": "sqlite://"}, "SIGRA_DATABASE_URL"),
        ({"SIGRA_DATABASE_URL": "postgresql://ada:tiger@127.0.0.1:1/x"}, "database"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_unsafe_is_found_alone(sound: Run, settings: dict[str, str | None], subject: str):
    assert subjects(found(sound, **settings)) == [subject]


@pytest.mark.parametrize(
    "settings",
    [
        {"SIGRA_TRUSTED_ORIGINS": "https://app.example.com,http://localhost:3000"},
        {"SIGRA_PLUGINS": "*,-pages"},
    ],
    ids=["safe origins", "a plugin that is switched off"],
)
def test_what_is_meant_and_safe_is_not_found(sound: Run, settings: dict[str, str]):
    assert found(sound, **settings) == []


def test_a_cheap_hash_is_found_beside_development(sound: Run):
    settings = {"SIGRA_BASE_URL": "https://localhost", "SIGRA_DEVELOPMENT": "true", "SIGRA_PASSWORD__TIME": "1"}

    assert subjects(found(sound, **settings)) == ["SIGRA_DEVELOPMENT", "SIGRA_PASSWORD"]


# Without a valid configuration


def test_hc49_it_runs_without_any_configuration(bare: Run, folder: Path):
    result = bare("doctor")

    assert (result.exit_code, result.stderr) == (1, "")
    assert result.stdout.startswith("configuration: SIGRA_SECRET_KEYS: no key is set")
    assert result.stdout.endswith("\nFindings: 1\n")
    assert list(folder.iterdir()) == []


def test_hc49_a_wrong_plugin_hides_no_unsafe_setting(sound: Run):
    findings = found(sound, SIGRA_PLUGINS="defaults,nonsense", SIGRA_SECRET_KEYS="k" * 32)

    assert subjects(findings) == ["configuration", "SIGRA_SECRET_KEYS"]


def test_hc49_a_wrong_driver_is_told_once_and_not_hidden(sound: Run):
    oracle = "oracle://scott:tiger@localhost"

    alone = found(sound, SIGRA_DATABASE_URL=oracle)
    beside = found(sound, SIGRA_DATABASE_URL=oracle, SIGRA_BASE_URL="")

    assert subjects(alone) == ["configuration"]
    assert subjects(beside) == ["configuration", "SIGRA_DATABASE_URL"]


@pytest.mark.parametrize("text", ["secret_keys = [", 'app = "absent:auth"', "base_url = 1"])
def test_hc49_a_file_that_cannot_be_used_is_a_finding(bare: Run, folder: Path, text: str):
    path = folder / "sigra.toml"
    path.write_text(text)
    path.chmod(0o600)

    assert subjects(found(bare)) == ["configuration"]


# Secrets


def test_hc21_no_finding_tells_a_secret(sound: Run, folder: Path):
    (folder / "sigra.toml").write_text(f'secret_keys = ["{KEYS[0]}"]\n')
    (folder / "sigra.toml").chmod(0o666)
    weak = "tiger-tiger-tiger-tiger-tiger-tiger"
    wrong: list[dict[str, str]] = [
        {"SIGRA_SECRET_KEYS": weak},
        {"SIGRA_SECRET_KEYS": "tiger"},
        {"SIGRA_DATABASE_URL": "postgresql://ada:tiger@127.0.0.1:1/x"},
        {"SIGRA_DATABASE_URL": "postgresql+tiger://ada:s3cret@127.0.0.1:1/x"},
        {"SIGRA_DATABASE_URL": "oracle://ada:tiger@127.0.0.1:1/x", "SIGRA_BASE_URL": "ftp://x"},
    ]

    for settings in wrong:
        for result in (sound("doctor", **settings), sound("doctor", "--json", **settings)):
            assert result.exit_code == 1
            told = result.output.replace("names the driver tiger", "")
            assert not any(secret in told for secret in ("tiger", "s3cret", *KEYS))


def test_hc21_a_url_in_what_the_application_says_loses_its_password(bare: Run, folder: Path):
    (folder / "talkative_host.py").write_text("raise ValueError('no postgresql://ada:ti@ger@localhost/x here')\n")

    result = bare("--app", "talkative_host:auth", "doctor", PYTHONDONTWRITEBYTECODE="1")

    assert "no postgresql://...@localhost/x here" in result.stdout
    assert "ger@" not in result.stdout


def test_a_finding_cannot_speak_to_the_terminal(bare: Run):
    result = bare("doctor", SIGRA_CONFIG="absent\x07\n.toml")

    assert result.exit_code == 1
    assert "absent??.toml, which does not exist" in result.stdout


# Keys


@pytest.mark.parametrize(
    "key",
    [
        "k" * 32,
        "0123456789abcdef0123456789abcdef",
        "change-me-change-me-change-me-change-me",
        "correct horse battery staple correct horse",
        "my very secret key of production, do not share",
    ],
)
def test_a_key_of_words_or_patterns_is_weak(key: str):
    assert keys.is_weak(key)


@pytest.mark.parametrize("key", [*KEYS, "13cb930445286e0f9a7d52c1b8f4e6a0", "98314072650418273950617284935061"])
def test_a_drawn_key_is_not_weak(key: str):
    assert not keys.is_weak(key)


def test_no_generated_key_is_weak():
    assert [key for key in (new_secret() for _ in range(20)) if keys.is_weak(key)] == []


def test_a_key_that_is_there_twice_is_told():
    problems = [one.problem for one in keys.findings([KEYS[0], KEYS[0]])]

    assert problems == ["Key 2 is there twice, which adds nothing."]


# Mail


def test_mail_that_was_given_up_is_found_until_it_is_tried_again(sound: Run, folder: Path):
    row = "'00000000000000000000000000000001', 'message', 'greeting', 'a@example.com', '{}', 9"
    times = ", ".join(["'2026-01-01 00:00:00.000000'"] * 3)
    with sqlite3.connect(folder / "sigra.db") as tx:
        tx.execute(
            "INSERT INTO sigra_outbox (id, phase, kind, recipient, context, tries, created_at, due_at, dead_at) "
            f"VALUES ({row}, {times})"
        )
    tx.close()

    [given_up] = found(sound)

    assert (given_up["subject"], given_up["problem"]) == ("outbox", "1 of the mails that wait were given up.")


def test_mail_that_nobody_takes_up_is_found(sound: Run, folder: Path):
    with sqlite3.connect(folder / "sigra.db") as tx:
        for number, due_at in enumerate(("datetime('now', '-2 hours')", "datetime('now')")):
            row = f"'{number:032}', 'message', 'greeting', 'a@example.com', '{{}}', 0"
            tx.execute(
                "INSERT INTO sigra_outbox (id, phase, kind, recipient, context, tries, created_at, due_at) "
                f"VALUES ({row}, {due_at} || '.000000', {due_at} || '.000000')"
            )
    tx.close()

    [neglected] = found(sound)

    assert neglected["subject"] == "outbox"
    assert neglected["problem"].startswith("1 of the mails that wait have been due for more than an hour")


# What is sealed, and by whom it is needed


TWO, ONE = f"{KEYS[0]},{KEYS[1]}", KEYS[1]


@pytest.fixture
def enrolled(sound: Run, folder: Path) -> Run:
    """An authenticator app of one account, its seed sealed under the second key."""
    asyncio.run(enroll(f"sqlite:///{folder / 'sigra.db'}", "ada@example.com"))
    return sound


async def enroll(url: str, *addresses: str) -> None:
    totp = TOTP()
    async with Sigra(cheap_settings(url, secret_keys=[KEYS[1]]), ["defaults", totp]) as auth:
        for address in addresses:
            user = await make_user(auth, address)
            await auth.db.transaction(
                lambda tx, user=user: totp.enrollments.begin(auth, tx, user, Parameters("SHA1", 6, 30))
            )


def test_what_is_sealed_under_another_key_than_the_first_is_found_until_it_is_rotated(enrolled: Run):
    [older] = found(enrolled, SIGRA_SECRET_KEYS=TWO)

    assert older["problem"] == "1 of the values of sigra_totp.seed are not under the first key."
    assert "sigra keys rotate" in older["cure"]
    assert enrolled("keys", "rotate", SIGRA_SECRET_KEYS=TWO).exit_code == 0
    assert found(enrolled, SIGRA_SECRET_KEYS=KEYS[0]) == []


def test_what_is_sealed_under_a_key_that_is_gone_is_found(enrolled: Run):
    [lost] = found(enrolled, SIGRA_SECRET_KEYS=KEYS[0])

    assert lost["subject"] == "SIGRA_SECRET_KEYS"
    assert lost["problem"].startswith("1 of the values of sigra_totp.seed do not open")


def test_who_depended_on_a_plugin_that_is_not_active_is_found(enrolled: Run):
    [left] = found(enrolled, SIGRA_PLUGINS="*,-totp")

    assert left["subject"] == "sigra_totp"
    assert left["problem"].startswith("Its plugin is not active, and it has rows of 1 account: ada@example.com. What")


def test_of_many_the_first_twenty_are_named(sound: Run, folder: Path):
    asyncio.run(enroll(f"sqlite:///{folder / 'sigra.db'}", *[f"user{number:02}@example.com" for number in range(23)]))
    [left] = found(sound, SIGRA_PLUGINS="*,-totp")

    assert "has rows of 23 accounts: user00@example.com, user01@" in left["problem"]
    assert "user19@example.com, and 3 more. What" in left["problem"]
    assert "user20" not in left["problem"]


def test_a_table_without_accounts_is_left_alone(sound: Run):
    assert found(sound, SIGRA_PLUGINS="*,-totp,-api_keys") == []


# The database


def test_a_database_behind_its_revisions_is_found_and_upgraded(sound: Run, folder: Path):
    with sqlite3.connect(folder / "sigra.db") as tx:
        tx.execute("DELETE FROM sigra_version_sigra")
    tx.close()

    [late] = found(sound)

    assert late == {
        "subject": "database",
        "problem": "sigra is at nothing, not 0001.",
        "cure": "Run `sigra db upgrade`.",
    }
    assert sound("db", "upgrade").exit_code == 0
    assert found(sound) == []


def test_a_database_that_was_changed_by_hand_is_found(sound: Run, folder: Path):
    with sqlite3.connect(folder / "sigra.db") as tx:
        tx.execute("DROP INDEX ix_sigra_api_keys_user_id")
    tx.close()

    [drift] = found(sound)

    assert drift["problem"] == "The index on sigra_api_keys (user_id) is missing in the database."


def test_a_file_that_is_no_database_is_found(sound: Run, folder: Path):
    (folder / "other.db").write_text("no database at all, though it is long enough to look like one" * 20)
    (folder / "other.db").chmod(0o600)

    assert subjects(found(sound, SIGRA_DATABASE_URL="sqlite:///other.db")) == ["database"]


@pytest.mark.parametrize("url", ["sqlite:///absent.db", "sqlite:///file:absent.db?uri=true"])
def test_an_absent_database_is_not_made(sound: Run, folder: Path, url: str):
    assert subjects(found(sound, SIGRA_DATABASE_URL=url)) == ["database"]

    assert not (folder / "absent.db").exists()


# Files


@pytest.mark.parametrize(
    ("mode", "problems"),
    [(0o600, 0), (0o640, 0), (0o644, 1), (0o660, 1), (0o666, 2)],
    ids=lambda value: oct(value) if value > 2 else "",
)
def test_a_file_with_secrets_is_its_owners_alone(sound: Run, folder: Path, mode: int, problems: int):
    path = folder / "sigra.toml"
    path.write_text(f'secret_keys = ["{KEYS[0]}"]\n')
    path.chmod(mode)

    assert subjects(found(sound)) == ["sigra.toml"] * problems


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ('home = "/start"', 0),
        ('database_url = "sqlite:///sigra.db"', 0),
        ('database_url = "postgresql://ada@localhost/x"', 0),
        ('database_url = "postgresql://ada:tiger@localhost/x"', 1),
        ('[mail]\nurl = "smtp://ada:tiger@localhost"', 1),
    ],
)
def test_a_file_without_secrets_may_be_read(sound: Run, folder: Path, text: str, problems: int):
    (folder / "sigra.toml").write_text(text)
    (folder / "sigra.toml").chmod(0o644)

    assert len(found(sound)) == problems


def test_the_password_of_redis_is_a_secret_too(sound: Run, folder: Path):
    (folder / "sigra.toml").write_text('[limits]\nurl = "redis://:tiger@127.0.0.1:1"')
    (folder / "sigra.toml").chmod(0o644)

    assert subjects(found(sound)) == ["sigra.toml", "SIGRA_LIMITS__URL"]


def test_the_named_file_is_looked_at_in_its_place(sound: Run, folder: Path):
    (folder / "other.toml").write_text('home = "/"')
    (folder / "other.toml").chmod(0o622)

    assert subjects(found(sound, SIGRA_CONFIG="other.toml")) == ["other.toml"]


@pytest.mark.parametrize("mode", [0o644, 0o660])
def test_a_database_is_not_for_everybody(sound: Run, folder: Path, mode: int):
    (folder / "sigra.db").chmod(mode)

    assert subjects(found(sound)) == [str(folder / "sigra.db")]


def test_a_cure_can_be_pasted_whatever_the_file_is_called(bare: Run, folder: Path):
    path = folder / "a b; rm -r x.toml"
    path.write_text("")
    path.chmod(0o622)

    assert found(bare, SIGRA_CONFIG=path.name)[0]["cure"] == "Run `chmod go-w 'a b; rm -r x.toml'`."


# Pieces


def test_an_inactive_plugin_of_a_stranger_names_its_distribution():
    badge = Installed("badge", "sigra-badge", "1.0", EntryPoint("badge", "sigra_badge.plugin:Badge", "sigra.plugins"))

    def ask(*wanted: str) -> Iterator[Finding]:
        return installation.of_plugins([badge], ["sessions"], wanted)

    [finding] = ask("defaults")

    assert finding.problem == "The plugin badge of sigra-badge is installed, but not active."
    assert list(ask("defaults", "-badge")) == []


def test_the_order_of_the_findings_is_that_of_the_looks():
    settings = Settings(secret_keys=["k" * 32], base_url="http://localhost", development=True)

    assert [one.subject for one in options.findings(settings)] == [
        "SIGRA_SECRET_KEYS",
        "SIGRA_DEVELOPMENT",
        "SIGRA_BASE_URL",
    ]
