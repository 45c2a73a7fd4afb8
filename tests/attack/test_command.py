"""`sigra attack`: what it refuses, what it says, and how it ends."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

from sigra.attack import ATTACKS, Broken, NotTested, Target, attack, run
from sigra.cli import attack as command
from sigra.testing import PASSWORD
from tests.broken.build import Build

ROOT = Path(__file__).parents[2]
OWN = Target("http://localhost:1")


async def ended(*arguments: str, input: str = "") -> tuple[int, str, str]:
    """The command in a process of its own: status, stdout and stderr."""
    program = Path(sys.executable).with_name("sigra")
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(program, "attack", *arguments, **pipes)
    out, err = await process.communicate(input.encode())
    return process.returncode or 0, out.decode(), err.decode()


@pytest.mark.parametrize(
    "arguments",
    [
        ("https://example.com",),
        ("https://localhost.example.com",),
        ("http://127.0.0.1.example.com",),
        ("http://localhost@example.com",),
        ("http://localhost/path",),
        ("ftp://localhost",),
        ("localhost",),
        ("http://localhost:99999",),
        ("http://localhost", "--only", "no-such"),
        ("http://localhost", "--password-stdin"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_sent(bare, arguments: tuple[str, ...]):
    result = bare("attack", *arguments)

    assert result.exit_code == 2
    assert result.stdout == ""


def test_a_foreign_host_is_named_with_the_cure(bare):
    assert "--i-own-this" in bare("attack", "https://example.com").stderr


def test_the_missing_client_names_its_extra(bare, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command, "find_spec", lambda name: None)

    result = bare("attack", "http://localhost")

    assert result.exit_code == 1
    assert "sigra[attack]" in result.stderr


def test_the_attacks_are_listed(bare):
    listed = json.loads(bare("attack", "http://localhost", "--list", "--json").stdout)["attacks"]

    assert [one["name"] for one in listed] == [one.name for one in ATTACKS]


def test_where_nothing_answers_is_wrong_usage(bare):
    result = bare("attack", "http://localhost:1")

    assert result.exit_code == 2
    assert "does not answer" in result.stderr


async def test_it_says_beforehand_what_it_does_and_then_what_held(build: Build):
    target = await build.target()
    chosen = ("--only", "cookie-attributes", "--only", "cors")
    status, out, err = await ended(
        build.origin, "--email", target.email, "--password-stdin", *chosen, input=f"{PASSWORD}\n"
    )

    assert status == 0
    assert out.count("held  ") == 2
    assert out.endswith("held: 2, broken: 0, not tested: 0\n")
    assert "is locked at the end" in err.partition("[1/2]")[0]
    assert PASSWORD not in out + err


async def test_without_an_account_what_needs_one_is_not_tested(build: Build):
    status, out, _ = await ended(build.origin, "--only", "cookie-attributes", "--only", "security-headers", "--json")

    verdicts = {one["name"]: one["verdict"] for one in json.loads(out)["attacks"]}
    assert (status, verdicts) == (0, {"security-headers": "held", "cookie-attributes": "not tested"})


async def test_a_wrong_password_is_wrong_usage_and_tried_once(build: Build):
    target = await build.target()
    status, out, err = await ended(build.origin, "--email", target.email, "--password-stdin", input="wrong\n")

    assert (status, out) == (2, "")
    assert "was not let in (401)" in err
    assert "[1/" not in err


async def test_another_url_than_browsers_use_is_wrong_usage(build: Build):
    status, out, err = await ended(build.origin.replace("localhost", "127.0.0.1"), "--only", "cors")

    assert (status, out) == (2, "")
    assert "SIGRA_BASE_URL" in err


@attack("It holds.", "docs/attack.md.")
async def holds(target: Target) -> str:
    return "seen"


@attack("It does not.", "docs/attack.md.")
async def does_not(target: Target) -> str:
    raise Broken("seen \x1b[31m")


@attack("Who knows.", "docs/attack.md.")
async def who_knows(target: Target) -> str:
    raise NotTested("not here")


async def test_the_report_has_a_line_for_each_and_the_cure_for_what_is_broken(capsys: pytest.CaptureFixture[str]):
    command._report(await run(OWN, [holds, does_not, who_knows]), as_json=False)

    assert capsys.readouterr().out.splitlines() == [
        "held        holds: It holds.",
        "            seen",
        "BROKEN      does-not: It does not.",
        "            seen ?[31m",
        "            docs/attack.md.",
        "not tested  who-knows: Who knows.",
        "            not here",
        "",
        "held: 1, broken: 1, not tested: 1",
    ]


async def test_a_broken_build_ends_with_1(build: Build, monkeypatch: pytest.MonkeyPatch):
    results = await run(await build.target("no_policy"), [one for one in ATTACKS if one.name == "security-headers"])

    assert command.status(results) == 1
    assert command.status(results[:0]) == 0


async def test_the_report_of_the_page_is_one(build: Build):
    target = await build.target("cookie_for_scripts")
    names = ("forged-addresses", "cookie-attributes", "enumeration-by-time")
    held, broken = await run(target, [one for name in names[:2] for one in ATTACKS if one.name == name])
    target.many = False
    (untested,) = await run(target, [one for one in ATTACKS if one.name == names[2]])

    shown = "".join(f"{command._line(one)}\n" for one in (held, broken, untested))
    assert f"```text\n{shown}```" in (ROOT / "docs/attack.md").read_text("utf-8")


@pytest.mark.parametrize("one", ATTACKS, ids=lambda one: one.name)
def test_every_cure_names_a_page_that_is_there(one):
    pages = re.findall(r"docs/[\w/.-]+\.md", one.cure)

    assert pages
    assert all((ROOT / page).exists() for page in pages)


def test_every_attack_is_on_the_page():
    page = (ROOT / "docs/attack.md").read_text("utf-8")

    assert [one.name for one in ATTACKS if f"| `{one.name}` | {one.claim} |" not in page] == []
