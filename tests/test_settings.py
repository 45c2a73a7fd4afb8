"""Every core option: what it takes, what it refuses and how that is said."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, SecretStr

from sigra import settings as options
from sigra.errors import ConfigurationError
from sigra.settings import Settings, complete, covers, from_sources, is_loopback

KEY = "k" * 32
SECRET = "hunter2-hunter2-hunter2"


def make(**values: Any) -> Settings:
    return Settings(**{"secret_keys": [KEY], "base_url": "http://localhost:8000", **values})


def error(**values: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        make(**values)
    return caught.value.detail


class TOTP(BaseModel):
    issuer: str = "Acme"
    digits: int = 6
    window: timedelta = timedelta(seconds=30)
    hosts: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    strict: bool = False


SECTIONS: Mapping[str, type[BaseModel]] = {"totp": TOTP}


def read(directory: Path, **variables: str) -> Settings:
    given = {"SIGRA_SECRET_KEYS": KEY, "SIGRA_BASE_URL": "http://localhost:8000", **variables}
    return complete(from_sources(given, directory), SECTIONS, inactive=["badge"])


def refusal(directory: Path, **variables: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(directory, **variables)
    return caught.value.detail


# Base URL


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://example.com", "https://example.com"),
        ("https://example.com/", "https://example.com"),
        ("HTTPS://Example.COM", "https://example.com"),
        ("https://example.com:443", "https://example.com"),
        ("https://example.com:8443", "https://example.com:8443"),
        ("https://my_app-1.example.com", "https://my_app-1.example.com"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://192.0.2.1", "https://192.0.2.1"),
        ("https://[2001:DB8:0:0::1]:8443", "https://[2001:db8::1]:8443"),
        ("http://localhost", "http://localhost"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:443", "http://localhost:443"),
        ("http://app.localhost:8000", "http://app.localhost:8000"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.200.3.4", "http://127.200.3.4"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://[0:0:0:0:0:0:0:1]", "http://[::1]"),
    ],
)
def test_a_base_url_is_kept_as_browsers_write_an_origin(text: str, url: str) -> None:
    assert make(base_url=text).base_url == url


@pytest.mark.parametrize(
    "text",
    [
        "http://example.com",
        "http://localhost.example.com",
        "http://localhost.",
        "http://127.0.0.1.example.com",
        "http://127.1",
        "http://127.0.0.01",
        "http://0x7f.0.0.1",
        "http://2130706433",
        "http://0.0.0.0:8000",
        "http://10.0.0.1",
        "http://[::]",
        "http://[::ffff:127.0.0.1]",
        "http://[fe80::1%25eth0]",
        "http://example.com@localhost",
        "https://user:password@example.com",
        "https://example.com@",
        "https://example.com/app",
        "https://example.com//",
        "https://example.com/?",
        "https://example.com?next=x",
        "https://example.com#",
        "https://example.com\\",
        "https:\\\\example.com",
        "https://example.com\\@localhost",
        "https://x:99999",
        "https://x:65536",
        "https://x:0",
        "https://x:",
        "https://x:80a",
        "https://x:-1",
        "https://x:٨٠",
        "https://",
        "https:///",
        "https:example.com",
        "//example.com",
        "example.com",
        "ftp://example.com",
        "javascript:alert(1)",
        "https://bücher.example",
        "https://\uff45xample.com",
        "https://\u212aey.example",
        "https://exa mple.com",
        " https://example.com",
        "https://example.com\n",
        "https://exa\tmple.com",
        "https://example.com\x00",
        "https://example.com.",
        "https://.example.com",
        "https://a..b",
        "https://*.example.com",
        "https://[::1",
        "https://::1",
        "https://[:::1]",
        "https://[1.2.3.4]",
        "https://example.com,https://other.example",
    ],
)
def test_hc37_a_base_url_is_refused_when_it_is_more_or_less_than_a_safe_origin(text: str) -> None:
    message = error(base_url=text)

    assert message.startswith("SIGRA_BASE_URL: ")


@profile(deadline=None)
@given(st.text(st.sampled_from("htps:/[]@.#?\\%127.0.0.1localhostexample \t\nK\u212a"), max_size=30))
def test_hc37_whatever_passes_as_base_url_is_one_origin_for_every_parser(text: str) -> None:
    try:
        url = make(base_url=text).base_url
    except ConfigurationError:
        return
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}" == url
    assert parts.scheme == "https" or is_loopback(parts.hostname or "")
    assert make(base_url=url).base_url == url


def test_a_missing_base_url_says_how_to_set_it() -> None:
    assert "SIGRA_BASE_URL: it is not set; set it to" in error(base_url="")


def test_hc34_the_cookie_has_the_host_prefix_over_https_only() -> None:
    assert make(base_url="https://example.com").cookie_name("sigra") == "__Host-sigra"
    assert make(base_url="http://localhost").cookie_name("sigra") == "sigra"


# Development


@pytest.mark.parametrize("url", ["http://localhost:8000", "http://a.localhost", "https://localhost", "http://[::1]:1"])
def test_development_is_for_this_machine(url: str) -> None:
    assert make(base_url=url, development=True).development


@pytest.mark.parametrize("url", ["https://example.com", "https://localhost.example.com", "https://10.0.0.1"])
def test_hc49_development_refuses_a_public_base_url(url: str) -> None:
    message = error(base_url=url, development=True)

    assert "SIGRA_DEVELOPMENT" in message
    assert "SIGRA_BASE_URL" in message


@pytest.mark.parametrize("text", ["maybe", "", "2", "truee"])
def test_development_is_yes_or_no(text: str) -> None:
    assert error(development=text).startswith("SIGRA_DEVELOPMENT: ")


# Secret keys


def test_hc49_there_is_no_default_key() -> None:
    with pytest.raises(ConfigurationError, match="SIGRA_SECRET_KEYS: no key is set; make one with"):
        Settings(base_url="http://localhost")


@pytest.mark.parametrize("keys", [[], "", ["k" * 31], [KEY, "short"], f"{KEY},short", [""], KEY[:31]])
def test_hc49_a_short_key_is_refused_wherever_it_stands(keys: object) -> None:
    message = error(secret_keys=keys)

    assert "SIGRA_SECRET_KEYS" in message
    assert "sigra keys generate" in message
    assert "short" not in message


@pytest.mark.parametrize("keys", [f"{KEY},{KEY}2", json.dumps([KEY, KEY + "2"]), [KEY, KEY + "2"], (KEY, KEY + "2")])
def test_keys_keep_their_order(keys: object) -> None:
    assert [key.get_secret_value() for key in make(secret_keys=keys).secret_keys] == [KEY, KEY + "2"]


def test_hc21_secrets_are_not_shown(tmp_path: Path) -> None:
    settings = from_sources(
        {
            "SIGRA_SECRET_KEYS": KEY,
            "SIGRA_BASE_URL": "http://localhost",
            "SIGRA_DATABASE_URL": f"postgresql://u:{SECRET}@h/d",
            "SIGRA_OTHER__CLIENT_SECRET": SECRET,
        },
        tmp_path,
    )

    for shown in (repr(settings), str(settings), f"{settings}"):
        assert SECRET not in shown
        assert KEY not in shown


@pytest.mark.parametrize("name", [*Settings.model_fields, "unknown", "password__memory_kib", "password__unknown"])
def test_hc21_a_wrong_value_is_not_repeated(tmp_path: Path, name: str) -> None:
    variable = f"SIGRA_{name.upper()}"
    if name in ("database_url", "app"):
        return  # any text is one
    values = {"SIGRA_SECRET_KEYS": SECRET, "SIGRA_BASE_URL": SECRET, variable: f'["{SECRET}", {{}}]'}
    with pytest.raises(ConfigurationError) as caught:
        complete(from_sources(values, tmp_path), SECTIONS)

    assert variable in caught.value.detail or name in ("plugins", "trusted_origins", "trusted_proxies", "skip_paths")
    assert SECRET not in caught.value.detail


# Paths


@pytest.mark.parametrize(
    ("path", "kept"), [("/auth", "/auth"), ("/auth/", "/auth"), ("/a/b-c_d.e~1", "/a/b-c_d.e~1"), ("/.auth", "/.auth")]
)
def test_a_mount_path_is_plain(path: str, kept: str) -> None:
    assert make(mount_path=path).mount_path == kept


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "auth", "//auth", "/a//b", "/a/../b", "/..", "/.", "/a/./b", "/a b", "/a?b", "/a#b", "/{a}", "/%61"),
        *("/a\\b", "/ü", "/a\n", "/a\x00", "https://example.com/auth", "/a;b", "/a:b"),
    ],
)
def test_any_other_mount_path_is_refused(path: str) -> None:
    assert error(mount_path=path).startswith("SIGRA_MOUNT_PATH: ")


@pytest.mark.parametrize("path", ["/", "//", "/auth", "/auth/", "/auth/session"])
def test_hc49_a_skip_path_and_the_mount_path_are_apart(path: str) -> None:
    message = error(skip_paths=[path])

    assert "SIGRA_SKIP_PATHS" in message
    assert "leave it out" in message


def test_hc49_a_skip_path_above_a_deep_mount_path_is_refused() -> None:
    assert "covers the mount path" in error(skip_paths=["/a"], mount_path="/a/auth")


@pytest.mark.parametrize("path", ["/auth2", "/authx", "/aut", "/Auth", "/static/", "/a/auth"])
def test_paths_are_compared_by_whole_segments(path: str) -> None:
    assert make(skip_paths=[path]).skip_paths == (path.rstrip("/"),)


@pytest.mark.parametrize("path", ["", "static", "*", "/static/*", "/a?b", "/a#b", "/a%20b"])
def test_a_skip_path_is_no_pattern(path: str) -> None:
    assert error(skip_paths=[path]).startswith("SIGRA_SKIP_PATHS: ")


def test_a_path_covers_itself_and_what_is_below() -> None:
    assert covers("/a", "/a")
    assert covers("/a", "/a/b")
    assert not covers("/a", "/ab")
    assert not covers("/a/b", "/a")


@pytest.mark.parametrize("path", ["/", "/home", "/home?tab=1#x", "/ü"])
def test_home_is_a_path_of_the_application(path: str) -> None:
    assert make(home=path).home == path


@pytest.mark.parametrize(
    "path", ["", "home", "//e", "/\\e", "/a\\b", "/\t/e", "/a\nb", "/\x00", " /", "/ e", "https://e", "javascript:x"]
)
def test_hc36_home_is_never_another_origin(path: str) -> None:
    assert error(home=path).startswith("SIGRA_HOME: ")


# Loopback


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "localhost.", "a.b.localhost", "127.0.0.1", "127.255.255.254"]
)
@pytest.mark.parametrize("form", ["{}", "{} "])
def test_loopback_names_and_addresses(host: str, form: str) -> None:
    assert is_loopback(form.format(host)) == (form == "{}")


@pytest.mark.parametrize("host", ["::1", "[::1]", "0:0:0:0:0:0:0:1"])
def test_loopback_addresses_of_ipv6(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", ".", "localhos", "xlocalhost", "localhost.example", "128.0.0.1", "126.255.255.255", "127.1", "::2", "::"),
        *("0", "0.0.0.0", "::ffff:127.0.0.1", "\u217cocalhost", "localhost\x00"),
    ],
)
def test_nothing_else_is_loopback(host: str) -> None:
    assert not is_loopback(host)


# Times and costs


@pytest.mark.parametrize("text", ["45", "45.0", "PT45S", 45])
def test_a_duration_is_seconds_or_iso_8601(text: object) -> None:
    assert make(reauthentication={"fresh": text}).reauthentication.fresh == timedelta(seconds=45)
    assert make(websocket_recheck=text).websocket_recheck == timedelta(seconds=45)


@pytest.mark.parametrize("text", ["0", "-1", "-PT1S", "soon", "", "9" * 400])
def test_a_window_of_freshness_is_positive(text: str) -> None:
    assert error(reauthentication={"fresh": text}).startswith("SIGRA_REAUTHENTICATION__FRESH: ")


@pytest.mark.parametrize("name", ["memory_kib", "time", "parallelism", "queue"])
@pytest.mark.parametrize("value", ["0", "-1", "much", "1.5"])
def test_a_cost_is_a_positive_number(name: str, value: str) -> None:
    assert error(password={name: value}).startswith(f"SIGRA_PASSWORD__{name.upper()}: ")


# Sources, and the two passes


def test_variables_are_read_by_nested_names(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        SIGRA_PLUGINS="defaults, totp,-pages",
        SIGRA_TRUSTED_ORIGINS='["https://a.example", "https://b.example"]',
        SIGRA_PASSWORD__TIME="4",
        SIGRA_REAUTHENTICATION='{"fresh": "PT1M"}',
        SIGRA_TOTP__ISSUER="Other",
        SIGRA_TOTP__WINDOW="60",
        SIGRA_TOTP__HOSTS="a,b",
        SIGRA_TOTP__LABELS='{"x": "y"}',
        SIGRA_TOTP__STRICT="yes",
        SIGRA_TOTP__DIGITS="8",
    )

    assert settings.plugins == ("defaults", "totp", "-pages")
    assert settings.trusted_origins == ("https://a.example", "https://b.example")
    assert settings.password.time == 4
    assert settings.reauthentication.fresh == timedelta(minutes=1)
    assert settings.totp == TOTP(  # type: ignore[attr-defined]
        issuer="Other", window=timedelta(minutes=1), hosts=("a", "b"), labels={"x": "y"}, strict=True, digits=8
    )


def test_a_section_that_nobody_sets_has_its_defaults(tmp_path: Path) -> None:
    assert read(tmp_path).totp == TOTP()  # type: ignore[attr-defined]


def test_a_whole_section_may_be_json(tmp_path: Path) -> None:
    assert read(tmp_path, SIGRA_TOTP='{"hosts": "a,b"}').totp.hosts == ("a", "b")  # type: ignore[attr-defined]


def test_a_section_with_a_required_option_names_it(tmp_path: Path) -> None:
    class Needy(BaseModel):
        issuer: str

    with pytest.raises(ConfigurationError, match="SIGRA_NEEDY__ISSUER is not set: set it"):
        complete(make(), {"needy": Needy})


def test_a_section_made_in_code_is_kept() -> None:
    section = TOTP(issuer="code")

    assert complete(make().with_sections({"totp": section}), SECTIONS).totp is section  # type: ignore[attr-defined]


def test_options_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        make().development = True


def test_the_environment_is_the_process_own_unless_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGRA_SECRET_KEYS", KEY)
    (tmp_path / "sigra.toml").write_text('base_url = "http://localhost:1"')

    assert from_sources().base_url == "http://localhost:1"
    with pytest.raises(ConfigurationError, match="SIGRA_SECRET_KEYS"):
        from_sources({})


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("SIGRA_DEVELOPMNT", "SIGRA_DEVELOPMENT"),
        ("SIGRA_PASSWORD__MEMORY", "SIGRA_PASSWORD__MEMORY_KIB"),
        ("SIGRA_PASSWORD_TIME", "SIGRA_PASSWORD__TIME"),
        ("SIGRA_PASWORD__TIME", "SIGRA_PASSWORD__TIME"),
        ("SIGRA_REAUTHENTICATION__FRESHNESS", "SIGRA_REAUTHENTICATION__FRESH"),
        ("SIGRA_TOTP__ISSUERS", "SIGRA_TOTP__ISSUER"),
        ("SIGRA_TOTP_ISSUER", "SIGRA_TOTP__ISSUER"),
        ("SIGRA_TOPT__ISSUER", "SIGRA_TOTP__ISSUER"),
    ],
)
def test_hc49_a_variable_that_nothing_reads_is_refused_with_the_nearest(
    tmp_path: Path, variable: str, nearest: str
) -> None:
    assert f"{variable} is not an option: did you mean {nearest}?" in refusal(tmp_path, **{variable: "1"})


@pytest.mark.parametrize(
    "variable", ["SIGRA_", "SIGRA___", "SIGRA_PASSWORD__", "SIGRA_SELF", "SIGRA_MODEL_CONFIG", "SIGRA_HTTPS", "SIGRA_é"]
)
def test_hc49_odd_variables_are_refused_too(tmp_path: Path, variable: str) -> None:
    assert variable.upper() in refusal(tmp_path, **{variable: "1"})


@pytest.mark.parametrize(
    ("line", "option"),
    [
        ("developmnt = true", "SIGRA_DEVELOPMNT"),
        ("[password]\nmemory = 1", "SIGRA_PASSWORD__MEMORY"),
        ("[totp]\nissuers = 'x'", "SIGRA_TOTP__ISSUERS"),
        ("[topt]\nissuer = 'x'", "SIGRA_TOPT__ISSUER"),
        ("[topt]", "SIGRA_TOPT"),
        ("[Totp]\nissuer = 'x'", "SIGRA_TOTP__ISSUER"),
    ],
)
def test_hc49_a_key_of_the_file_that_nothing_reads_is_refused(tmp_path: Path, line: str, option: str) -> None:
    (tmp_path / "sigra.toml").write_text(line)

    assert option in refusal(tmp_path)


def test_hc49_a_misspelt_name_is_told_together_with_what_it_left_unset(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        from_sources({"SIGRA_SECRET_KEY": KEY, "SIGRA_BASE_URLS": "https://example.com"}, tmp_path)

    assert "SIGRA_SECRET_KEY is not an option: did you mean SIGRA_SECRET_KEYS?" in caught.value.detail
    assert "SIGRA_BASE_URLS is not an option: did you mean SIGRA_BASE_URL?" in caught.value.detail
    assert "SIGRA_BASE_URL: it is not set" in caught.value.detail


def test_all_that_is_wrong_is_said_in_one_paragraph(tmp_path: Path) -> None:
    message = refusal(
        tmp_path,
        SIGRA_PASSWORD__TIME="0",
        SIGRA_MOUNT_PATH="auth",
        SIGRA_DEVELOPMENT="perhaps",
        SIGRA_NOTHING="x",
    )

    for option in ("SIGRA_PASSWORD__TIME", "SIGRA_MOUNT_PATH", "SIGRA_DEVELOPMENT", "SIGRA_NOTHING"):
        assert option in message
    assert "\n" not in message


def test_all_sections_that_are_wrong_are_said_at_once(tmp_path: Path) -> None:
    message = refusal(tmp_path, SIGRA_TOTP__DIGITS="x", SIGRA_TOTP__STRICT="x", SIGRA_NOTHING="x", SIGRA_TOTP__NO="x")

    for option in ("SIGRA_TOTP__DIGITS", "SIGRA_TOTP__STRICT", "SIGRA_NOTHING", "SIGRA_TOTP__NO"):
        assert option in message


def test_the_section_of_an_installed_but_inactive_plugin_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "sigra"):
        settings = read(tmp_path, SIGRA_BADGE__READER=SECRET)

    assert not hasattr(settings, "badge")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "SIGRA_BADGE" in caplog.text
    assert "not active" in caplog.text
    assert SECRET not in caplog.text


def test_hc48_a_section_cannot_be_an_option_of_the_core() -> None:
    for name in ("plugins", "password", "https", "cookie_name", "model_fields", "model_dump"):
        with pytest.raises(ConfigurationError, match=f"the core and plugin {name}") as caught:
            complete(make(), {name: TOTP})
        assert f"-{name}" in caught.value.detail


def test_an_active_section_may_forbid_unknown_names_itself(tmp_path: Path) -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid")
        key: SecretStr = SecretStr("")

    settings = from_sources(
        {"SIGRA_SECRET_KEYS": KEY, "SIGRA_BASE_URL": "http://localhost", "SIGRA_BADGE__KEYS": "x"}, tmp_path
    )

    with pytest.raises(ConfigurationError, match="SIGRA_BADGE__KEYS is not an option: did you mean SIGRA_BADGE__KEY"):
        complete(settings, {"badge": Strict})


NAMES = st.sampled_from([*Settings.model_fields, "totp", "password__time", "totp__window", "nothing", "", "_"])


@profile(deadline=None)
@given(st.dictionaries(NAMES, st.text(max_size=20), max_size=4))
def test_hc49_any_environment_is_settings_or_a_configuration_error(variables: dict[str, str]) -> None:
    environ = {"SIGRA_SECRET_KEYS": KEY, "SIGRA_BASE_URL": "http://localhost"}
    environ |= {f"SIGRA_{name.upper()}": value for name, value in variables.items()}
    try:
        complete(from_sources(environ, Path("/nonexistent")), SECTIONS)
    except ConfigurationError as caught:
        refused = caught.detail
    else:
        return
    assert "SIGRA_" in refused


def test_the_minimum_of_a_key_is_what_the_error_says() -> None:
    assert f"at least {options.MINIMUM_KEY_LENGTH} characters" in error(secret_keys="x")
