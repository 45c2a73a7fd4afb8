"""What a form comes back with: its own error, its own fields, and never a secret."""

import pytest

from sigra.errors import FieldError, InvalidCredentials, InvalidToken, ValidationFailed, WeakPassword
from sigra.http.forms import Forms

WRONG = ValidationFailed([FieldError("name", "missing", "…"), FieldError("scopes.2", "string_too_long", "…")])


def test_the_form_that_was_posted_gets_its_error_and_what_was_typed():
    forms = Forms("api-keys", WRONG, {"name": "ci"})
    form = forms.at("api-keys")

    assert form.error is WRONG
    assert form.value("name", "other") == "ci"
    assert form.problem("name").code == "missing"
    assert form.problem("expires_at") is None
    assert forms.told


def test_what_is_wrong_with_an_item_is_wrong_with_its_field():
    assert Forms("api-keys", WRONG, {}).at("api-keys").problem("scopes").code == "string_too_long"


@pytest.mark.parametrize("path", ["account", "api-key", "api-keys/7", "api"])
def test_other_forms_of_the_page_are_new(path):
    forms = Forms("api-keys", WRONG, {"name": "ci"})
    form = forms.at(path)

    assert (form.error, form.value("name", "Ada"), form.problem("name")) == (None, "Ada", None)
    assert not forms.told


def test_the_forms_of_a_list_are_found_by_the_path_above_them():
    forms = Forms("sessions/7", WRONG, {})

    assert forms.below("sessions").error is WRONG
    assert Forms("sessions", WRONG, {}).below("sessions").error is None
    assert Forms("sessions-of-others", WRONG, {}).below("sessions").error is None


def test_a_page_without_an_error_has_no_posted_form():
    forms = Forms("api-keys", None, {"name": "ci"})

    assert forms.at("api-keys").value("name") == ""
    assert not forms.told


def test_hc38_a_secret_is_not_filled_in_again():
    typed = {"password": "a", "new_password": "b", "login_token": "c", "code": "d", "PIN": "e", "email": "f"}
    form = Forms("login", InvalidCredentials(), typed).at("login")

    assert {name: form.value(name) for name in typed} == dict.fromkeys(typed, "") | {"email": "f"}


def test_a_mailed_token_stays_while_something_else_of_its_form_is_mended():
    typed = {"token": "t" * 43}

    assert Forms("reset", WeakPassword(), typed).at("reset").token == "t" * 43
    assert Forms("reset", WeakPassword(), typed).at("other").token is None
    assert Forms("reset", None, typed).at("reset").token is None
    assert "t" * 43 not in repr(Forms("reset", WeakPassword(), typed).at("reset"))


@pytest.mark.parametrize("token", ["", "t" * 42, "t" * 44, '"' * 43, "t" * 42 + "\n", 7, {"a": 1}])
def test_hc38_what_is_no_token_is_not_kept(token):
    assert Forms("reset", WeakPassword(), {"token": token}).at("reset").token is None


def test_hc38_a_token_that_is_bad_is_not_kept():
    assert Forms("reset", InvalidToken(), {"token": "t" * 43}).at("reset").token is None


def test_what_is_no_text_is_not_filled_in():
    assert Forms("login", WRONG, {"email": {"a": 1}}).at("login").value("email") == ""


def test_ids_of_fields_differ_between_forms():
    forms = Forms(None, None, {})

    assert forms.at("login/totp").id("code") == "login-totp-code"
    assert forms.at("account").id("name") != forms.at("api-keys").id("name")
