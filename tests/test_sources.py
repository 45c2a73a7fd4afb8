"""Text becomes values, a file and variables become one tree, and what is wrong is said without the values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from sigra import sources
from sigra.errors import ConfigurationError

SECRET = "hunter2-hunter2-hunter2"


class Provider(BaseModel):
    client_id: str
    client_secret: SecretStr = SecretStr("")
    timeout: timedelta = timedelta(seconds=5)


class Section(BaseModel):
    """A stranger's section, with pydantic's default: names without a field are ignored."""

    issuer: str = "Acme"
    digits: int = 6
    strict: bool = False
    window: timedelta = timedelta(seconds=30)
    maybe: timedelta | None = None
    edges: list[timedelta] = []
    hosts: Sequence[str] = ()
    groups: frozenset[str] = frozenset()
    pair: tuple[str, ...] | None = None
    labels: dict[str, str] = {}
    rooms: Mapping[str, int] = {}
    providers: dict[str, Provider] = {}
    main: Provider | None = None
    key: SecretStr = SecretStr("")
    mode: Literal["soft", "hard"] = "soft"


def read(values: dict[str, Any]) -> Section:
    return sources.validate(Section, values, "totp")


def error(values: dict[str, Any], model: type[BaseModel] = Section) -> str:
    with pytest.raises(ConfigurationError) as caught:
        sources.validate(model, values, "totp")
    return caught.value.detail


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("digits", "8", 8),
        ("strict", "true", True),
        ("strict", "1", True),
        ("strict", "off", False),
        ("window", "45", timedelta(seconds=45)),
        ("window", " 45 ", timedelta(seconds=45)),
        ("window", "0.5", timedelta(milliseconds=500)),
        ("window", "PT45S", timedelta(seconds=45)),
        ("window", "P1DT2H", timedelta(days=1, hours=2)),
        ("maybe", "45", timedelta(seconds=45)),
        ("edges", "30,PT1M", [timedelta(seconds=30), timedelta(minutes=1)]),
        ("edges", '["30", 60]', [timedelta(seconds=30), timedelta(minutes=1)]),
        ("hosts", "a, b ,,c", ["a", "b", "c"]),
        ("hosts", '["a", "b,c"]', ["a", "b,c"]),
        ("hosts", "", []),
        ("groups", "a,b,a", frozenset({"a", "b"})),
        ("pair", "a,b", ("a", "b")),
        ("labels", '{"a": "b"}', {"a": "b"}),
        ("rooms", '{"a": 1}', {"a": 1}),
        ("main", '{"client_id": "x", "timeout": "9"}', Provider(client_id="x", timeout=timedelta(seconds=9))),
        ("providers", '{"g": {"client_id": "x"}}', {"g": Provider(client_id="x")}),
        ("issuer", "a,b", "a,b"),
        ("issuer", "[a]", "[a]"),
        ("mode", "hard", "hard"),
    ],
)
def test_text_becomes_what_the_field_wants(name: str, text: str, value: object) -> None:
    assert getattr(read({name: text}), name) == value


def test_values_that_are_no_text_are_left_to_the_model() -> None:
    section = read({"window": 45, "hosts": ["a"], "providers": {"g": {"client_id": "x", "timeout": 7}}})

    assert section.window == timedelta(seconds=45)
    assert section.providers["g"].timeout == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("values", "option", "nearest"),
    [
        ({"issuers": "x"}, "SIGRA_TOTP__ISSUERS", "SIGRA_TOTP__ISSUER"),
        ({"main": {"client_id": "x", "client_secrt": "y"}}, "SIGRA_TOTP__MAIN__CLIENT_SECRT", "__MAIN__CLIENT_SECRET"),
        ({"main": '{"client_id": "x", "clientid": "y"}'}, "SIGRA_TOTP__MAIN__CLIENTID", "__MAIN__CLIENT_ID"),
        ({"main_client_id": "x"}, "SIGRA_TOTP__MAIN_CLIENT_ID", "SIGRA_TOTP__MAIN__CLIENT_ID"),
        ({"issuer_": {"a": "x"}}, "SIGRA_TOTP__ISSUER___A", "SIGRA_TOTP__ISSUER"),
    ],
)
def test_hc49_a_name_that_nothing_reads_is_refused_with_the_nearest(
    values: dict[str, Any], option: str, nearest: str
) -> None:
    message = error(values)

    assert message.startswith(f"{option} is not an option")
    assert f"{nearest}?" in message


def test_a_name_inside_a_table_of_models_is_refused_too() -> None:
    message = error({"providers": {"g": {"client_id": "x", "scope": "y"}}})

    assert "SIGRA_TOTP__PROVIDERS__G__SCOPE is not an option" in message


def test_a_section_that_allows_more_names_gets_them() -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

    assert sources.validate(Open, {"any": "x"}, "totp").model_extra == {"any": "x"}


def test_an_alias_is_a_name() -> None:
    class Aliased(BaseModel):
        from_address: str = Field(alias="from")

    assert sources.validate(Aliased, {"from": "x"}, "mail").from_address == "x"


def test_a_name_in_capitals_is_told_to_be_lower() -> None:
    assert "write it in lower case" in error({"Issuer": "x"})


def test_all_that_is_wrong_is_said_at_once() -> None:
    message = error({"digits": "six", "strict": "perhaps", "nothing": "x", "main": {"timeout": "soon"}})

    for option in ("DIGITS", "STRICT", "NOTHING", "MAIN__CLIENT_ID", "MAIN__TIMEOUT"):
        assert f"SIGRA_TOTP__{option}" in message
    assert "\n" not in message


def _refuse(value: str) -> str:
    raise ValueError(f"{value} is no good")


class Careless(BaseModel):
    """Its validators repeat what they were given."""

    token: Annotated[str, AfterValidator(_refuse)] = ""
    tokens: tuple[Annotated[str, AfterValidator(_refuse)], ...] = ()
    key: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def _check(self) -> Careless:
        if self.key.get_secret_value():
            raise ValueError(f"{self.key.get_secret_value()} is no good")
        return self


@pytest.mark.parametrize(
    "values",
    [
        {"token": SECRET},
        {"tokens": SECRET},
        {"tokens": json.dumps([SECRET])},
        {"key": SECRET},
        {"key": SecretStr(SECRET)},
        {"unknown": SECRET},
        {"unknown": {"deeper": SECRET}},
    ],
)
def test_hc21_a_value_is_never_repeated_even_by_a_careless_section(values: dict[str, Any]) -> None:
    assert SECRET not in error(values, Careless)


@pytest.mark.parametrize(
    "name", ["digits", "strict", "window", "edges", "labels", "rooms", "providers", "main", "mode"]
)
@pytest.mark.parametrize("value", [[SECRET], {"a": [SECRET]}, json.dumps([{"a": SECRET}]), float("nan"), b"\xff"])
def test_hc21_a_value_of_the_wrong_kind_is_refused_without_being_repeated(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        sources.validate(Section, {name: value}, "totp")

    assert SECRET not in caught.value.detail
    assert f"SIGRA_TOTP__{name.upper()}" in caught.value.detail
    assert caught.value.__suppress_context__  # a traceback would show pydantic's error, which holds the value


TEXT = st.text(max_size=40) | st.sampled_from(
    ["[", "{", "[[", '{"a":', "1e999", "-1", ".", "٣", "[" * 5000, "9" * 5000]
)


@profile(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(Section.model_fields)), TEXT, max_size=4))
def test_any_text_is_a_value_or_a_configuration_error(values: dict[str, str]) -> None:
    with suppress(ConfigurationError):
        read(dict(values))


@profile(deadline=None)
@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), max_size=5))
def test_a_comma_list_and_a_json_list_are_the_same(items: list[str]) -> None:
    assert read({"hosts": ",".join(items)}).hosts == read({"hosts": json.dumps(items)}).hosts == items


# The file and the environment


def test_the_environment_wins_over_the_file_name_by_name(tmp_path: Path) -> None:
    (tmp_path / "sigra.toml").write_text('app = "a:b"\n[totp]\nissuer = "file"\ndigits = 8\n')

    found = sources.read({"SIGRA_TOTP__ISSUER": "environment", "OTHER": "x", "SIGRAX": "y"}, tmp_path)

    assert found == {"app": "a:b", "totp": {"issuer": "environment", "digits": 8}}


def test_no_file_and_no_variable_is_nothing(tmp_path: Path) -> None:
    assert sources.read({}, tmp_path) == {}
    assert sources.read({"SIGRA_CONFIG": ""}, tmp_path) == {}


def test_the_file_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("development = true")

    assert sources.read({"SIGRA_CONFIG": "other.toml"}, tmp_path) == {"development": True}
    assert sources.read({"SIGRA_CONFIG": str(tmp_path / "other.toml")}, Path("/")) == {"development": True}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "does not exist"),
        (b"a = ", "is not TOML"),
        (b"a = 1\na = 2", "is not TOML"),
        (b"a = '\xff'", "is not TOML"),
        (b"a = " + b"9" * 5000, "is not TOML"),
        (b"a = " + b"[" * 100_000, "is not TOML"),
    ],
)
def test_a_named_file_that_cannot_be_used_is_an_error(tmp_path: Path, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / "s.toml").write_bytes(content)

    with pytest.raises(ConfigurationError, match=reason) as caught:
        sources.read({"SIGRA_CONFIG": "s.toml"}, tmp_path)

    assert "s.toml" in caught.value.detail


def test_a_folder_in_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        sources.read({"SIGRA_CONFIG": "."}, tmp_path)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("SIGRA_TOTP", "SIGRA_TOTP__ISSUER"),
        ("SIGRA_TOTP__MAIN", "SIGRA_TOTP__MAIN__CLIENT_ID"),
        ("SIGRA_HOME", "SIGRA_home"),
    ],
)
def test_two_variables_for_one_option_are_an_error_that_names_both(tmp_path: Path, first: str, second: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        sources.read({first: "{}", second: "x"}, tmp_path)

    assert f"{first} and {second}" in caught.value.detail
