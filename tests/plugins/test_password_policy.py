"""Which new passwords are taken, and what a service that knows breaches is told."""

import asyncio
import hashlib
import re
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from sigra import ConfigurationError, WeakPassword, hookimpl
from sigra.crypto.migrating import ORIGINS
from sigra.models import User
from sigra.plugins.password.breaches import Breaches
from sigra.plugins.password.policy import Policy, common_passwords, context_words, repeated
from sigra.sources import read
from sigra.testing import PASSWORD, cheap_settings, make_user
from tests.apps import running

ADA = User(UUID(int=1), "Ada.Lovelace@engine-works.example", name="Augusta Ada King")
GOOD = [
    "correct horse battery staple",
    "zq8#Lw2v",
    "\u00fcber\u00fc\u00dfig",
    "\U0001f600\U0001f601\U0001f602\U0001f603\U0001f604\U0001f605\U0001f606\U0001f607",
    "aaaaaaab",
    "x" * 512 + "y" * 512,
    "lovelace loves long trains",
    "ALL UPPER CASE",
    "        .",
]
WEAK = {
    "1234567": "too_short",
    "e\u0301" * 7: "too_short",
    "": "too_short",
    "x" * 512 + "y" * 513: "too_long",
    "\U0001f600" * 256 + "x": "too_long",
    "x" * 1_000_000: "too_long",
    "correct\0horse": "unfit_character",
    "correct\ud800horse": "unfit_character",
    "password": "too_common",
    "PassWord1": "too_common",
    "iloveyou": "too_common",
    "qwertyuiop": "too_common",
    "passwordpassword": "too_common",
    "aaaaaaaaaaaaaaaa": "repeated",
    "abcabcabcabcabc": "repeated",
    "ada.lovelace@engine-works.example": "context_word",
    "lovelace": "context_word",
    "AdaLovelace2026": "context_word",
    "lovelace!lovelace": "context_word",
    "Augusta Ada King": "context_word",
    "engineworks-1": "context_word",
    "sigra.test": "context_word",
    "sigra-2026": "context_word",
}


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy(8, "login.sigra.test")


@pytest.mark.parametrize("password", GOOD)
async def test_a_password_that_is_long_enough_and_nobodys_is_taken(password: str, policy: Policy) -> None:
    await policy.check(password, ADA)
    await policy.check(password, None)


@pytest.mark.parametrize(
    ("password", "rule"), WEAK.items(), ids=[f"{rule} {n}" for n, rule in enumerate(WEAK.values())]
)
async def test_hc43_a_weak_password_is_refused_by_its_rule(password: str, rule: str, policy: Policy) -> None:
    with pytest.raises(WeakPassword) as refusal:
        await policy.check(password, ADA)

    [error] = refusal.value.errors
    assert (error.field, error.code) == ("password", rule)
    assert refusal.value.status == 422


async def test_what_is_known_of_one_user_is_free_for_another(policy: Policy) -> None:
    await policy.check("lovelace!", User(UUID(int=2), "eve@example.com"))
    await policy.check("lovelace!", None)


async def test_length_is_counted_in_code_points_after_normalising() -> None:
    with pytest.raises(WeakPassword):
        await Policy(9, "x").check("e\u0301" * 4 + "abcd", None)

    await Policy(8, "x").check("e\u0301" * 4 + "abcd", None)


def test_the_list_is_of_thousands_and_small() -> None:
    tracemalloc.start()
    words = common_passwords()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 10_000 < len(words) < 30_000
    assert kept < 4 * 2**20


def test_the_list_leaves_nothing_else_behind() -> None:
    script = (
        "import sys; from sigra.plugins.password.policy import common_passwords; common_passwords(); "
        "sys.exit(any('zxcvbn' in name for name in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


async def test_hc43_the_longest_passwords_are_judged_in_no_time(policy: Policy) -> None:
    from time import thread_time

    hostile = User(UUID(int=3), "a." * 30 + "a@" + "b." * 80 + "example", name="ab " * 60)
    before = thread_time()
    for password in ("ab" * 512, "a" * 1_023 + "b", "a." * 500 + "\u00e9", "a\u0301\u0327" * 170):
        with suppress(WeakPassword):
            await policy.check(password, hostile)

    assert thread_time() - before < 0.5


@pytest.mark.parametrize(("text", "unit"), [("abab", "ab"), ("aaaa", "a"), ("aba", "aba"), ("ab", "ab"), ("", "")])
def test_the_unit_of_a_repeated_text_is_found(text: str, unit: str) -> None:
    assert repeated(text) == unit


def test_context_words_are_the_parts_that_are_long_enough() -> None:
    assert context_words(User(UUID(int=4), "al@mail.example.org", name="Al B\u00e9"), "localhost") == {
        "al@mail.example.org",
        "mail.example.org",
        "mail",
        "example",
        "al b\u00e9",
        "localhost",
    }
    assert context_words(None, "localhost") == {"localhost"}


# Through the hook


async def refused(client: Any, password: str) -> Any:
    body = {"current_password": PASSWORD, "new_password": password}
    return await client.post("/auth/password/change", json=body)


@pytest.mark.parametrize(
    ("options", "least"),
    [({}, 8), ({"min_length": 12}, 12), ({"preset": "nist"}, 15), ({"preset": "nist", "min_length": 20}, 20)],
)
async def test_the_least_length_is_a_setting(options: dict[str, Any], least: int) -> None:
    hashing = {"memory_kib": 8, "time": 1}
    async with running("sqlite:///:memory:", password={**hashing, **options}) as client:
        await client.sign_in(await make_user(client.sigra))
        text = "zq8#Lw2vTn5%Rk9@Xb4!"
        short = await refused(client, text[: least - 1])
        enough = await refused(client, text[:least])

    assert (short.status_code, short.json()["code"]) == (422, "weak_password")
    message = f"Use at least {least} characters."
    assert short.json()["errors"] == [{"field": "new_password", "code": "too_short", "message": message}]
    assert enough.status_code == 204


async def test_the_host_of_the_service_and_the_owner_are_context() -> None:
    async with running("sqlite:///:memory:") as client:
        await client.sign_in(await make_user(client.sigra, "grace@example.com", name="Hopper"))
        answers = [await refused(client, text) for text in ("localhost1", "gracegrace9", "hopper-2026")]

    assert [answer.json()["errors"][0]["code"] for answer in answers] == ["context_word"] * 3


@dataclass
class Broken:
    """A policy that fails."""

    name: str = "broken"
    api: int = 1

    @hookimpl
    async def check_password(self, password: str) -> None:
        raise RuntimeError(password)


async def test_hc47_a_policy_that_fails_refuses() -> None:
    async with running("sqlite:///:memory:", ["defaults", Broken()]) as client:
        await client.sign_in(await make_user(client.sigra))
        answer = await refused(client, "a train of thought leaves at nine")
        again = await client.sign_in(await client.sigra.users.by_email("ada@example.com"))

    assert answer.status_code == 503
    assert again.status_code == 200


@pytest.mark.parametrize("value", ["7", "257", "eight"])
def test_hc49_a_least_length_that_protects_nobody_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match="SIGRA_PASSWORD__MIN_LENGTH"):
        cheap_settings(password={"min_length": value})


@pytest.mark.parametrize("url", ["http://example.com/", "ftp://localhost/", "example.com", "https://", ""])
def test_hc49_a_breach_service_is_asked_over_https(url: str) -> None:
    with pytest.raises(ConfigurationError, match="SIGRA_PASSWORD__BREACH_URL"):
        cheap_settings(password={"breach_url": url})


def test_the_environment_spells_the_options(tmp_path: Any) -> None:
    environ = {
        "SIGRA_PASSWORD__FOREIGN_HASHES": "bcrypt, django",
        "SIGRA_PASSWORD__FOREIGN_COSTS__BCRYPT": "13",
        "SIGRA_PASSWORD__PRESET": "nist",
    }
    options = cheap_settings(password=read(environ, tmp_path)["password"]).password

    assert (options.foreign_hashes, options.foreign_costs) == (("bcrypt", "django"), {"bcrypt": 13})
    assert options.minimum_length == 15


# Breaches


@dataclass
class Service:
    """A range API on loopback: what it was asked, and what it answers."""

    answer: bytes
    url: str = ""
    asked: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.decode())
        writer.write(self.answer)
        if self.answer:
            writer.close()
        else:
            await reader.read()
            writer.close()


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[Service]:
    service = Service(answer)
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    async with server:
        service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/range/"
        yield service


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


DIGEST = hashlib.sha1(b"zq8#Lw2v").hexdigest().upper()
SUFFIX = DIGEST[5:].encode()
OTHER = b"0" * 35


@pytest.mark.parametrize(
    ("lines", "known"),
    [
        (SUFFIX + b":3", True),
        (OTHER + b":9\r\n" + SUFFIX.lower() + b":10\r\n", True),
        (SUFFIX + b":0", False),
        (OTHER + b":9", False),
        (SUFFIX[:-1] + b":9", False),
        (b"", False),
        (b"\xff\xfe:\n:::", False),
    ],
)
async def test_a_password_with_a_count_is_breached(lines: bytes, known: bool) -> None:
    async with serving(ok(lines)) as service:
        check = Breaches(service.url, closed=True).check("zq8#Lw2v")
        if known:
            with pytest.raises(WeakPassword, match="too easy to guess"):
                await check
        else:
            await check


async def test_hc21_the_service_is_told_five_digits_and_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(ok(b"")) as service:
        await Breaches(service.url, closed=True).check("zq8#Lw2v")

    [asked] = service.asked
    assert asked.startswith(f"GET /range/{DIGEST[:5]} HTTP/1.1")
    assert "add-padding: true" in asked.lower()
    assert DIGEST[5:] not in asked + caplog.text
    assert "zq8#Lw2v" not in asked + caplog.text


NO_ANSWER = {
    "error": b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": b"hello\r\n\r\n",
    "too long": ok(b"0" * 1_100_000),
    "compressed": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0",
    "silence": b"",
}


@pytest.mark.parametrize("answer", NO_ANSWER.values(), ids=NO_ANSWER.keys())
@pytest.mark.parametrize(("failure", "status"), [("open", 204), ("closed", 503)])
async def test_a_service_that_does_not_answer_is_passed_over_or_waited_for(
    answer: bytes, failure: str, status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sigra.plugins.password.breaches.TIME_LIMIT", 0.5)
    async with serving(answer) as service:
        options = {"memory_kib": 8, "time": 1, "breach_url": service.url, "breach_failure": failure}
        async with running("sqlite:///:memory:", password=options) as client:
            await client.sign_in(await make_user(client.sigra))
            changed = await refused(client, "zq8#Lw2v")

    warnings = [record for record in caplog.records if record.name == "sigra.password"]
    assert changed.status_code == status
    assert len(service.asked) == 1
    assert [record.name for record in warnings] == (["sigra.password"] if failure == "open" else [])


async def test_a_breached_password_is_a_bad_field(client_of: Callable[[bytes], Any]) -> None:
    async with client_of(ok(SUFFIX + b":3")) as client:
        answer = await refused(client, "zq8#Lw2v")
        other = await refused(client, "password")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "breached"
    assert other.json()["errors"][0]["code"] == "too_common"


@pytest.fixture
def client_of() -> Callable[[bytes], Any]:
    """A signed-in client of a Sigra whose breach service gives that answer."""

    @asynccontextmanager
    async def client_of(answer: bytes) -> AsyncIterator[Any]:
        async with serving(answer) as service:
            options = {"memory_kib": 8, "time": 1, "breach_url": service.url}
            async with running("sqlite:///:memory:", password=options) as client:
                await client.sign_in(await make_user(client.sigra))
                yield client

    return client_of


def test_hc49_the_check_without_its_library_is_refused_naming_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sigra.plugins.password.breaches.find_spec", {}.get)

    with pytest.raises(ConfigurationError, match=r"install sigra\[breaches\]"):
        Breaches("https://example.com/range/", closed=False)


# The page


PAGE = Path(__file__).parents[2] / "docs" / "plugins" / "password.md"


async def test_the_rule_of_the_page_holds() -> None:
    [source] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(source, "example", "exec"), names)
    async with running("sqlite:///:memory:", ["defaults", names["NoCities"]()]) as client:
        await client.sign_in(await make_user(client.sigra))
        answer = await refused(client, "london calling at nine")

    assert answer.json()["errors"][0]["code"] == "no_cities_city"


def test_the_page_names_every_rule_and_every_scheme() -> None:
    page = PAGE.read_text("utf-8")
    rules = re.findall(r"^\| `(\w+)` \| [^`\n]*(?:`SIGRA[^\n]*)?\|$", page.partition("## Accounts")[0], re.MULTILINE)

    assert set(WEAK.values()) | {"breached"} == set(rules)
    for origin in ("django", "passlib", "pwdlib", "fastapi_users"):
        [row] = [line for line in page.splitlines() if line.startswith("|") and f"`{origin}`" in line.split("|")[1]]
        assert set(re.findall(r"`(\w+)`", row.split("|")[2])) == set(ORIGINS[origin])
