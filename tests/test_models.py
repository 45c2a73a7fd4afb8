"""What the floors pass to each other: assurance by RFC 8176 factors, and no secret in a `repr`."""

from __future__ import annotations

import uuid
from dataclasses import FrozenInstanceError, replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigra.models import ADDRESS_PROVEN, FIRST_AUTHENTICATOR, Attempt, Cookie, Identity, Issued, Login, User

USER = User(uuid.UUID(int=1), "ann@example.com", columns=MappingProxyType({"salary": "hunter2"}))
SECRET = "hunter2"


def login(*amr: str, **values: Any) -> Login:
    return Login(USER, amr, **values)


@pytest.mark.parametrize(
    ("amr", "assurance"),
    [
        ((), "aal1"),
        (("pwd",), "aal1"),
        (("pwd", "pwd"), "aal1"),
        (("pwd", "pin", "kba"), "aal1"),
        (("otp", "hwk"), "aal1"),
        (("pwd", "otp"), "aal2"),
        (("otp", "pwd"), "aal2"),
        (("hwk", "fpt"), "aal2"),
        (("pin", "hwk"), "aal2"),
        (("pwd", "mfa"), "aal1"),
        (("pwd", "user"), "aal1"),
        (("pwd", "email"), "aal1"),
        (("pwd", "badge"), "aal1"),
        (("PWD", "otp"), "aal1"),
        (("mca", "rba", "geo", "wia"), "aal1"),
    ],
)
def test_aal2_needs_two_different_factors(amr: tuple[str, ...], assurance: str) -> None:
    assert login(*amr).assurance == assurance


def test_one_method_may_be_level_2_by_itself() -> None:
    assert login("hwk", level=2).assurance == "aal2"
    assert login("pwd").passed("passkey", amr="hwk", level=2).passed("code", amr="otp").assurance == "aal2"


def test_hc1_who_has_proven_an_address_alone_is_still_choosing_how_to_sign_in() -> None:
    begun = login(methods=(ADDRESS_PROVEN,))

    assert begun.enrolling
    assert begun.passed("totp", amr="otp", meets=("mfa",)).enrolling
    assert not begun.passed("passkey", amr="hwk", meets=(FIRST_AUTHENTICATOR,)).enrolling
    assert not login("pwd", methods=("password", ADDRESS_PROVEN)).enrolling
    assert not login("pwd").enrolling


@pytest.mark.parametrize(
    ("owed", "may"),
    [
        ((), False),
        (("mfa",), False),
        (("enrollment",), True),
        (("enrollment", "x"), False),
        (("enrollment", "mfa"), False),
    ],
    ids=["nothing", "mfa", "enrollment", "enrollment and more", "enrollment and mfa"],
)
def test_hc10_an_authenticator_is_added_only_where_nothing_else_is_owed(owed: tuple[str, ...], may: bool) -> None:
    assert login("pwd", owed=frozenset(owed)).may_enroll is may


def test_what_was_asked_for_goes_along_with_every_method() -> None:
    asked = login("pwd", trust_browser=True, remember=True, next="/x").passed("totp", amr="otp", meets=("mfa",))

    assert (asked.trust_browser, asked.remember, asked.next) == (True, True, "/x")
    assert (asked.amr, asked.methods, asked.met) == (("pwd", "otp"), ("totp",), {"mfa"})


@given(st.lists(st.sampled_from(["pwd", "otp", "user", "x"])), st.lists(st.sampled_from(["pwd", "otp", "x"])))
def test_a_method_more_never_lowers_the_level(before: list[str], more: list[str]) -> None:
    first = login(*before)
    second = first.passed("m", amr=more)

    assert (first.assurance, second.assurance) != ("aal2", "aal1")


def test_what_was_passed_is_added_once_and_in_order() -> None:
    first = login("pwd", methods=("password",), met=frozenset({"x"}), carrier="token", remember=True, next="/a")

    second = first.passed("totp", amr="otp", meets=["mfa"]).passed("passkey", amr=["hwk", "otp"], meets=("mfa", "y"))

    assert second.amr == ("pwd", "otp", "hwk")
    assert second.methods == ("password", "totp", "passkey")
    assert second.met == {"x", "mfa", "y"}
    assert (second.carrier, second.remember, second.next, second.user) == ("token", True, "/a", USER)
    assert first.amr == ("pwd",)


def test_a_word_in_place_of_a_collection_of_methods_is_one_method() -> None:
    assert login().passed("totp", amr="otp").amr == ("otp",)


@pytest.mark.parametrize(
    "value", [Cookie("sigra", SECRET), Issued(body={"access_token": SECRET}), Issued((Cookie("a", SECRET),)), USER]
)
def test_hc21_no_secret_is_shown(value: object) -> None:
    assert SECRET not in repr(value)


def test_hc21_an_attempt_does_not_show_its_request() -> None:
    assert "headers" not in repr(Attempt("password", "192.0.2.1", request={"headers": SECRET}))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [USER, Identity(USER, "session", "1"), login("pwd"), Attempt("password", "::1")])
def test_hc50_what_is_passed_on_cannot_be_changed(value: Any) -> None:
    for name in ("user", "method", "id", "new"):
        with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
            setattr(value, name, "other")


def test_a_user_shows_four_things_of_itself() -> None:
    assert USER.public() == {
        "id": str(USER.id),
        "email": "ann@example.com",
        "email_verified": False,
        "name": None,
    }
    assert replace(USER, email=None).public()["email"] is None
